"""``partage run``: any algorithm on any task, and what it refuses."""

from pathlib import Path

import pytest
from small import checkout, curve, outcome

from partage.__main__ import main
from partage.config import plan
from partage.config.recipe import run_dir
from partage.runs import record

RUN = ["run", "fps", "mpe/simple_spread_v3", "--steps", "400", "--seeds", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pair_that_no_figure_draws_is_trained(here: Path, capsys):
    drawn = [figure.draws(*RUN[1:3]) for figure in plan.load().figures.values()]
    assert not any(drawn)
    assert main([*RUN, "--set", "lr=1e-3", "--results", "tried"]) == 0
    folder = here / "tried/smoke/runs/fps+lr=0.001+steps=400/mpe/simple_spread_v3/0"
    curve, made = record.read(folder)
    assert made["recipe"]["settings"]["lr"] == 1e-3 and set(curve["seed"]) == {0}
    said = capsys.readouterr().out
    assert f"partage: {folder.relative_to(here)}/curve.parquet" in said
    assert main(["list", "runs", "--results", "tried"]) == 0
    assert capsys.readouterr().out.split()[0] == "finished"
    assert main([*RUN, "--set", "lr=1e-3", "--results", "tried"]) == 0
    assert "is trained already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "lrr=1"], ["'lrr'", "did you mean 'lr'"]),
        (["--set", "lr"], ["name=value", "'lr'"]),
        (["--set", "lr=1", "lr=2"], ["'lr'", "twice"]),
        (["--set", "lr=fast"], ["'lr'", "a number from 0 on", "'fast'"]),
        (["--set", "hidden=true"], ["'hidden'", "a whole number"]),
        (["--seeds", "few"], ["--seeds", "how many"]),
        (["--seeds", "1,1"], ["different whole numbers"]),
        (["--steps", "0"], ["steps is at least 1"]),
        (["--scale", "papr"], ["did you mean 'paper'"]),
        (["--engine", "bached"], ["did you mean 'batched'"]),
        (["--results", "a;b"], ["has ';'"]),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    here: Path, capsys, options: list[str], words: list[str]
):
    assert main(["run", "fps", "mpe/simple_spread_v3", *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("partage: ") and said.count("\n") == 1
    assert all(word in said for word in words), said
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (["fsp", "mpe/15a_3c"], ["algorithm 'fsp'", "did you mean 'fps'"]),
        (["fps", "mpe/15a_3d"], ["task 'mpe/15a_3d'", "did you mean 'mpe/15a_3c'"]),
    ],
)
def test_a_name_that_does_not_exist_is_refused(here: Path, capsys, pair, words):
    assert main(["run", *pair]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said


def test_a_standard_run_lies_where_the_workflow_looks_for_it(tmp_path: Path, monkeypatch):
    checkout(tmp_path)
    monkeypatch.setattr(plan, "PACKAGE", tmp_path / "src/partage")
    monkeypatch.chdir(tmp_path)
    (recipe,) = plan.load().recipes_of("alpha", "toy/b", plan.Request())

    def train(path: Path, *_: object, **__: object) -> None:
        """Leave what training leaves."""
        assert path.read_text() == recipe.text()
        record.write(path.parent, curve(recipe), outcome(recipe))

    monkeypatch.setattr("partage.runs.train.run", train)
    assert main(["run", "alpha", "toy/b"]) == 0
    assert (run_dir(plan.Request().root, recipe) / "record.json").is_file()
