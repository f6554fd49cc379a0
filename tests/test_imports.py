"""Others' runs in our figures: sacred folders as EPyMARL and PyMARL write them, CSV files, and what
is refused.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from guests import brought, checkout_with_guest, sacred, three
from small import finish

from partage.__main__ import main
from partage.analysis import claims, frames, tables
from partage.config import plan
from partage.config.plan import Request
from partage.config.recipe import run_dir
from partage.errors import UserError
from partage.runs import record, sources


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small checkout, its first figure with a guest and over steps."""
    return checkout_with_guest(tmp_path, monkeypatch)


@pytest.mark.parametrize("new", [True, False])
def test_runs_of_sacred_stand_in_our_figure_and_table_under_a_label_that_says_so(
    here: Path, new: bool
):
    assert brought(here, three(here, new=new)) == 0
    sheets, request = plan.load(), Request(scale="lab")
    figure = sheets.figures["first"]
    recipes = sheets.recipes([figure], request)
    finish([recipe for recipe in recipes if recipe.algorithm != "theirs"], request.root)
    rows = frames.build(figure, recipes, request.root)
    mine = rows[(rows["algorithm"] == "theirs") & (rows["seed"] == 1)]
    assert mine["value"].tolist() == pytest.approx(
        [7 + x / 10 for x in range(11)]
    )  # 3, 7, 11 are seeds 0, 1, 2
    table = tables.build(sheets, figure, rows).set_index("algorithm")
    assert table.loc["QMIX, EPyMARL (imported)", "seeds"] == 3
    assert table.loc["QMIX, EPyMARL (imported)", "value"] == pytest.approx(7 + np.mean([0.9, 1.0]))
    assert "P(Beta > QMIX, EPyMARL (imported))" in set(
        claims.build(sheets, figure, rows)["judged_by"]
    )


def test_the_record_says_where_each_seed_comes_from(here: Path):
    brought(here, three(here))
    recipe = plan.load().recipes_of("theirs", "toy/a", Request(scale="lab"))[0]
    made = record.read(run_dir(Request(scale="lab").root, recipe))[1]["imported"]
    assert [made["seeds"][seed]["seed"] for seed in ("0", "1", "2")] == [3, 7, 11]
    first = made["seeds"]["0"]
    assert first["config"]["lr"] == 0.0005 and first["run"]["status"] == "COMPLETED"
    assert first["file"].endswith("sacred/qmix/3/metrics.json") and len(first["sha256"]) == 64


def test_imported_runs_are_not_stale_not_trained_and_not_verified(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    brought(here, three(here))
    place = run_dir(
        Request(scale="lab").root,
        plan.load().recipes_of("theirs", "toy/a", Request(scale="lab"))[0],
    )
    capsys.readouterr()
    assert main(["stale"]) == 0 and "no run was made by other code" in capsys.readouterr().out
    assert main(["train", str(place / "recipe.json")]) == 2
    assert "partage import SOURCE theirs toy/a --scale lab" in capsys.readouterr().err
    assert main(["verify", str(place)]) == 2 and "imported" in capsys.readouterr().err


def test_a_csv_file_and_a_metric_of_another_name_do_as_well(here: Path):
    lines = [
        f"{seed},{step},won,{step / 1000}" for seed in (0, 1, 2) for step in range(0, 1001, 50)
    ]
    source = here / "curves.csv"
    source.write_text("\n".join(["seed,env_steps,metric,value", *lines]))
    assert brought(here, source, "--metric", "won=train_return") == 0
    recipe = plan.load().recipes_of("theirs", "toy/a", Request(scale="lab"))[0]
    rows = record.read(run_dir(Request(scale="lab").root, recipe))[0]
    assert (
        set(rows["metric"]) == {"train_return"} and len(rows) == 63 and set(rows["updates"]) == {-1}
    )


def test_what_lies_beyond_the_budget_is_left_out(here: Path):
    brought(here, three(here, steps=3000))
    recipe = plan.load().recipes_of("theirs", "toy/a", Request(scale="lab"))[0]
    assert (
        record.read(run_dir(Request(scale="lab").root, recipe))[0]["env_steps"].to_numpy().max()
        == recipe.steps
    )


def test_a_figure_over_updates_does_not_draw_runs_that_do_not_count_them(here: Path):
    brought(here, three(here))
    sheets, request = plan.load(), Request(scale="lab")
    figure = sheets.figures["first"]._replace(x="updates", algorithms=["theirs"])
    with pytest.raises(UserError, match="imported without their number"):
        frames.build(figure, sheets.recipes_of("theirs", "toy/a", request), request.root)


def broken(here: Path, what: str) -> Path:
    """A source that is not as it should be."""
    if what == "empty":
        (here / "sacred").mkdir()
        return here / "sacred"
    source = three(here, steps=500) if what == "short" else three(here)
    run = source / "qmix/7"
    if what == "four":
        sacred(source / "qmix/12", 12)
    elif what == "mixed":
        edited = json.loads((run / "config.json").read_text()) | {"lr": 0.1}
        (run / "config.json").write_text(json.dumps(edited))
    elif what == "twice":
        edited = json.loads((run / "config.json").read_text()) | {"seed": 3}
        (run / "config.json").write_text(json.dumps(edited))
    elif what == "seedless":
        (run / "config.json").write_text(json.dumps({"name": "qmix"}))
        return run
    elif what == "json":
        (run / "metrics.json").write_text("{")
    elif what == "lengths":
        (run / "metrics.json").write_text(
            json.dumps({"return_mean": {"steps": [1, 2], "values": [1.0]}})
        )
    elif what == "words":
        (run / "metrics.json").write_text(
            json.dumps({"return_mean": {"steps": [1], "values": ["high"]}})
        )
    elif what == "metric":
        for name in ("3", "7", "11"):
            (source / "qmix" / name / "metrics.json").write_text(
                json.dumps({"reward": {"steps": [0, 1000], "values": [0, 1]}})
            )
    elif what in ("doubled", "far"):
        steps = [0, 1000, 1000] if what == "doubled" else [2000, 3000, 4000]
        for name in ("3", "7", "11"):
            (source / "qmix" / name / "metrics.json").write_text(
                json.dumps({"return_mean": {"steps": steps, "values": [0, 1, 2]}})
            )
    elif what == "nowhere":
        return here / "nope.csv"
    elif what == "csv":
        (here / "x.csv").write_text("seed,step,value\n0,1,2\n")
        return here / "x.csv"
    return source


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("empty", "holds no sacred run"),
        ("four", "holds 4 runs, but toy/a has 3 seeds"),
        ("mixed", "lr is 0.1 in one and 0.0005 in the other"),
        ("twice", "have the same seed"),
        ("seedless", "a whole number as its seed"),
        ("json", "metrics.json is corrupt"),
        ("lengths", "as many steps as values"),
        ("words", "whole steps and numbers"),
        ("metric", "has none of the metrics"),
        ("short", "ends at 500 steps, but toy/a gives everybody 1,000"),
        ("doubled", "two values at one step"),
        ("far", "ends at 0 steps"),
        ("nowhere", "There is no file or folder"),
        ("csv", "columns seed, env_steps, metric, value are expected"),
    ],
)
def test_what_is_malformed_or_not_comparable_is_refused(here: Path, capsys, what: str, says: str):
    source = broken(here, what)
    assert brought(here, source) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
    assert not (here / "results/lab").exists()


def test_only_a_variant_that_is_declared_as_imported_takes_others_runs(here: Path, capsys):
    assert main(["import", str(three(here)), "alpha", "toy/a", "--scale", "lab"]) == 2
    assert 'learner = "imported"' in capsys.readouterr().err
    assert brought(here, here / "sacred", "--metric", "won") == 2
    assert "theirs=ours" in capsys.readouterr().err


def test_the_names_of_their_metrics_are_ours(here: Path):
    assert set(sources.METRICS.values()) == {
        "test_return",
        "test_score",
        "test_length",
        "train_return",
    }
