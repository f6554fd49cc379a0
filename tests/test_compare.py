"""The suite's statistics on any runs: the numbers of its tables, and what does not compare."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from running import recipe

import partage
from partage.analysis import stats
from partage.errors import UserError


def curves(ends: dict[str, list[float]], task: str = "toy/a") -> pd.DataFrame:
    """Curves that rise from 0 to these values, and stay there for the last fifth."""
    rows = []
    for algorithm, values in ends.items():
        for seed, end in enumerate(values):
            for step in range(0, 101, 10):
                value = end * min(step, 80) / 80
                rows.append((algorithm, task, seed, step, step // 10, "won", value))
    columns = ["algorithm", "task", "seed", "env_steps", "updates", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def test_final_values_their_intervals_and_who_is_better_are_the_suite_s() -> None:
    ends = {"one": [1.0, 2, 3, 4, 5], "two": [3.5, 4, 5, 6, 9]}
    table = partage.compare(curves(ends), metric="won").set_index("algorithm")
    two = table.loc["two"]
    assert two["mean"] == pytest.approx(5.5) and two["iqm"] == pytest.approx(5.0)
    assert two["mean_low"] < 5.5 < two["mean_high"] and two["iqm_low"] < 5 < two["iqm_high"]
    expected = stats.improvement([np.array(ends["two"])], [np.array(ends["one"])])
    assert two["improvement"] == pytest.approx(float(expected))
    assert 0.3 < two["improvement_low"] <= two["improvement"] <= two["improvement_high"]
    assert table["seeds"].tolist() == [5, 5] and np.isnan(table.loc["one", "improvement"])
    again = partage.compare(curves(ends), metric="won", baseline="two", x="updates")
    assert again["improvement"].iloc[0] == pytest.approx(1 - expected)
    pd.testing.assert_frame_equal(
        partage.compare(curves(ends), metric="won"), table.reset_index()[list(again.columns)]
    )


def test_a_number_s_interval_does_not_depend_on_what_stands_beside_it() -> None:
    ends = {"one": [1.0, 2, 3], "two": [2.0, 4, 9], "three": [0.0, 5, 5]}
    both = partage.compare(curves(ends), metric="won")
    fewer = partage.compare(curves({k: ends[k] for k in ("one", "two")}), metric="won")
    pd.testing.assert_frame_equal(both.iloc[:2], fewer)


def test_several_tasks_are_pooled_on_one_scale_of_algorithms_that_are_on_all() -> None:
    one = curves({"a": [0.0, 1], "b": [10.0, 9], "c": [5.0, 5]})
    two = curves({"a": [-100.0, -90], "b": [-50.0, 0]}, "toy/b")
    table = partage.compare(pd.concat([one, two]), metric="won")
    pooled = table[table["task"] == "all tasks"].set_index("algorithm")
    assert list(pooled.index) == ["a", "b"]
    assert pooled.loc["a", "mean"] == pytest.approx((0 + 0.1 + 0 + 0.1) / 4)
    assert pooled.loc["b", "improvement"] == 1.0


def test_one_seed_has_no_interval() -> None:
    row = partage.compare(curves({"a": [3.0]}), metric="won").iloc[0]
    assert row["mean"] == 3 and np.isnan(row["mean_low"]) and row["seeds"] == 1


def made(**more) -> partage.Run:
    """A run that was made up."""
    run = partage.Run.__new__(partage.Run)
    run.recipe, run.folder = recipe("a2c", **more), Path("a folder")
    run.curve = curves({"a": [1.0, 2.0]}).drop(columns=["algorithm", "task"])
    return run


def test_runs_of_other_scales_budgets_or_metrics_and_seeds_twice_are_refused() -> None:
    good = made()
    assert len(partage.compare([good], metric="won")) == 1
    for other, says in (
        (made(scale="lab"), "different scales or engines .*scale 'smoke', .*'lab'"),
        (made(engine="package"), "engine 'batched', .*'package'"),
        (made(algorithm="b", steps=9), "different budgets .*one has 600 steps, .*has 9"),
        (made(), "Seed 0 of a2c on mpe/15a_3c is there twice"),
    ):
        with pytest.raises(UserError, match=says):
            partage.compare([good, other], metric="won")
    for given, more, says in (
        ([], {}, "nothing to compare"),
        (curves({"a": [1.0]}), {"metric": "wno"}, "Unknown metric 'wno': did you mean 'won'"),
        (curves({"a": [1.0]}), {"baseline": "b"}, "Unknown baseline 'b'"),
        (curves({"a": [1.0]}), {"x": "time"}, "Unknown x axis 'time'"),
        (curves({"a": [1.0]}).drop(columns="seed"), {}, "seed is missing"),
        (
            pd.concat([curves({"a": [1.0]}), curves({"b": [1.0]}).assign(metric="lost")]),
            {},
            "b on toy/a was not measured by 'won'",
        ),
    ):
        with pytest.raises(UserError, match=says):
            partage.compare(given, **({"metric": "won"} | more))
