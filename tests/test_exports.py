"""Runs for marl-eval: its documented layout, our numbers."""

import json
from pathlib import Path

import pytest
from small import curve, finish, outcome, small_plan

from partage.__main__ import main
from partage.config.plan import Request
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.runs import export, record


@pytest.fixture
def recipes(tmp_path: Path) -> list[Recipe]:
    sheets = small_plan(tmp_path)
    return sheets.recipes(sheets.select_figures(), Request(scale="lab"))


def labelled(*metrics: str) -> set[str]:
    """The metrics, and the names of their means of the end."""
    return {*metrics, *map(export.label, metrics)}


def measured(recipe: Recipe, root: Path, **more) -> Path:
    """What `partage absolute` leaves in a run's folder: two episodes of each seed."""
    path = run_dir(root, recipe) / "absolute.json"
    each = {"env_steps": 40, "test_score": [0.5, 1.0], "test_return": [1.0, 2.0]}
    worth = {
        "recipe_hash": recipe.hash,
        "episodes": 2,
        "seeds": {str(seed): each for seed in recipe.seeds},
    }
    path.write_text(json.dumps(worth | more))
    return path


def with_tests(recipes: list[Recipe], root: Path) -> None:
    """Finished runs with tests beside their training returns."""
    for place, recipe in zip(finish(recipes, root), recipes, strict=True):
        import pandas as pd

        parts = [
            curve(recipe, metric)
            for metric in ("train_return", "test_score", "test_return", "test_length")
        ]
        record.write(place, pd.concat(parts, ignore_index=True), outcome(recipe))


def test_the_layout_is_that_of_marl_eval_s_readme(recipes: list[Recipe], tmp_path: Path):
    with_tests(recipes, tmp_path)
    made, remarks = export.marl_eval(recipes, tmp_path)
    assert (
        set(made) == {"toy"}
        and set(made["toy"]) == {"a"}
        and set(made["toy"]["a"]) == {"alpha", "beta"}
    )
    for runs in made["toy"]["a"].values():
        assert list(runs) == ["seed_0", "seed_1", "seed_2"]
        for run in runs.values():
            assert list(run) == [*(f"step_{i}" for i in range(100)), "absolute_metrics"]
            counts = [run[f"step_{i}"]["step_count"] for i in range(100)]
            assert counts == sorted(counts) and all(type(count) is int for count in counts)
            for i in range(100):
                values = {name: x for name, x in run[f"step_{i}"].items() if name != "step_count"}
                assert set(values) == labelled("test_score", "test_return", "test_length")
                assert all(
                    isinstance(x, list) and len(x) == 1 and type(x[0]) is float
                    for x in values.values()
                )
    assert len(remarks) == 1 and "no absolute metric" in remarks[0]
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_the_numbers_are_the_curve_s(recipes: list[Recipe], tmp_path: Path):
    with_tests(recipes, tmp_path)
    rows = record.read(run_dir(tmp_path, recipes[0]))[0]
    mine = rows[(rows["seed"] == 1) & (rows["metric"] == "test_score")]
    run = export.marl_eval(recipes, tmp_path)[0]["toy"]["a"]["alpha"]["seed_1"]
    steps = [run[f"step_{i}"] for i in range(len(mine))]
    assert [step["step_count"] for step in steps] == mine["env_steps"].tolist()
    assert [step["test_score"][0] for step in steps] == mine["value"].tolist()


def test_runs_that_are_never_tested_give_their_training_returns(
    recipes: list[Recipe], tmp_path: Path
):
    finish(recipes, tmp_path)
    step = export.marl_eval(recipes, tmp_path)[0]["toy"]["a"]["alpha"]["seed_0"]["step_0"]
    assert set(step) == {"step_count"} | labelled("train_return")


def test_absolute_metrics_are_taken_where_they_were_measured_of_this_very_recipe(
    recipes: list[Recipe], tmp_path: Path
):
    with_tests(recipes, tmp_path)
    measured(recipes[0], tmp_path)
    made, remarks = export.marl_eval(recipes, tmp_path)
    run = made["toy"]["a"]["alpha"]["seed_2"]["absolute_metrics"]
    assert run["test_score"] == [0.5, 1.0] and run["test_return"] == [1.0, 2.0]
    assert "1 runs have no absolute metric" in remarks[0] and "beta" in remarks[0]
    measured(recipes[1], tmp_path)
    run = export.marl_eval(recipes, tmp_path)[0]["toy"]["a"]["alpha"]["seed_2"]
    assert run["absolute_metrics"] == {"test_score": [0.5, 1.0], "test_return": [1.0, 2.0]}
    assert set(run["step_0"]) == {"step_count", "test_score", "test_return", "test_length"}


def test_absolute_metrics_of_another_recipe_give_way_to_the_mean_of_the_end(
    recipes: list[Recipe], tmp_path: Path
):
    with_tests(recipes, tmp_path)
    measured(recipes[0], tmp_path, recipe_hash="another")
    run = export.marl_eval(recipes, tmp_path)[0]["toy"]["a"]["alpha"]["seed_2"]
    named = "test_score_mean_of_last_15_percent"
    assert run["absolute_metrics"]["test_score"] == run["absolute_metrics"][named]
    assert run["absolute_metrics"][named] == run["step_99"][named]


@pytest.mark.parametrize("content", ["{", "[" * 200_000, "[]"])
def test_a_corrupt_file_of_absolute_metrics_is_refused(
    recipes: list[Recipe], tmp_path: Path, content: str
):
    with_tests(recipes, tmp_path)
    path = measured(recipes[0], tmp_path)
    path.write_text(content)
    with pytest.raises(UserError, match=r"corrupt.*partage absolute"):
        export.marl_eval(recipes, tmp_path)


def test_what_is_not_finished_is_left_out_and_said(
    recipes: list[Recipe], tmp_path: Path, monkeypatch, capsys
):
    with pytest.raises(UserError, match="No run of the plan is finished"):
        export.marl_eval(recipes, tmp_path)
    root = Request(scale="lab").root
    monkeypatch.setattr("partage.config.plan.PACKAGE", tmp_path / "src/partage")
    monkeypatch.chdir(tmp_path)
    with_tests(recipes[:1], root)
    assert main(["export", "--scale", "lab"]) == 0
    said = capsys.readouterr().out
    assert "1 runs of the plan are not finished" in said and "results/lab/marl-eval.json" in said
    assert list(json.loads((tmp_path / root / "marl-eval.json").read_text())["toy"]["a"]) == [
        "alpha"
    ]


def test_runs_that_do_not_agree_are_remarked_on_since_marl_eval_refuses_them(
    recipes: list[Recipe], tmp_path: Path
):
    with_tests(recipes, tmp_path)
    place = run_dir(tmp_path, recipes[1])
    rows = record.read(place)[0]
    record.write(place, rows.loc[rows["env_steps"] > 50], outcome(recipes[1]))
    assert any(
        "differ in their tests" in remark for remark in export.marl_eval(recipes, tmp_path)[1]
    )
