"""Which runs other code made: asked of any folder, and never answered after looking at nothing."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from small import curve, finish, outcome, small_plan

import partage
from partage.__main__ import main
from partage.config import outcomes, plan
from partage.config.plan import Request
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import code_comparison, code_stamps, equal_code, record
from partage.runs import stale as staleness

TODAY, BEFORE = "a" * 64, "b" * 64


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return two finished runs of today's code, in results/smoke of a small checkout."""
    sheets = small_plan(tmp_path)
    monkeypatch.setattr(plan, "PACKAGE", tmp_path / "src/partage")
    monkeypatch.setattr(staleness, "code", lambda *_: {"hash": TODAY, "files": {"one.py": "1"}})
    monkeypatch.setattr(equal_code, "read", lambda: [])
    monkeypatch.chdir(tmp_path)
    recipes = sheets.recipes(sheets.select_figures(), Request())
    for folder, recipe in zip(finish(recipes, Request().root), recipes, strict=True):
        made_by(folder, recipe)
    return [Path("results/smoke/runs", name, "toy/a/0-1") for name in ("alpha", "beta")]


def made_by(folder: Path, recipe: Recipe, **facts) -> None:
    """Write a run's outcome, of today's code but for these facts."""
    code = {"hash": TODAY, "files": {"one.py": "1"}, "commit": None}
    record.write(folder, curve(recipe), {**outcome(recipe), "code": code, **facts})


def of(folder: Path) -> Recipe:
    return Recipe.load(folder / "recipe.json")


def stale(capsys: pytest.CaptureFixture[str], place: object) -> tuple[int, str, str]:
    """Ask about a folder: the exit code, what was printed, and what was said about mistakes."""
    code = main(["stale", "--results", str(place)])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    "place", ["results", "results/smoke", "results/smoke/runs", "results/smoke/runs/beta", "."]
)
def test_runs_are_found_from_any_level(runs: list[Path], capsys, place: str):
    made_by(runs[1], of(runs[1]), code={"hash": BEFORE, "files": {"one.py": "0"}})
    code, out, err = stale(capsys, place)
    assert (code, err) == (0, "") and f"{runs[1].name}: one.py" in out and "again" in out


def test_a_run_itself_published_runs_and_those_behind_a_link_are_found(runs: list[Path], capsys):
    assert "1 runs in" in stale(capsys, runs[0])[1]
    shutil.copytree("results/smoke", "results/published/lab")
    shutil.move("results/smoke", "elsewhere")
    Path("results/smoke").symlink_to(Path("elsewhere").resolve())
    Path("elsewhere/runs/round").symlink_to(Path("results").resolve())
    assert "(4 runs in results)" in stale(capsys, "results")[1]


@pytest.mark.parametrize("place", ["empty", "results/smoke/runs/alpha/toy/a/0-1/kept/x", "foreign"])
def test_a_folder_without_runs_is_not_well(runs: list[Path], capsys, place: str):
    Path(place).mkdir(parents=True)
    (Path(place) / "results.csv").write_text("somebody else's")
    code, out, err = stale(capsys, place)
    assert code == 2 and out == "" and err.count("\n") == 1 and "No finished run lies in" in err


def test_all_that_looks_into_folders_refuses_one_without_runs(runs: list[Path]):
    Path("empty").mkdir()
    for look in (partage.load_runs, lambda place: code_comparison.find_runs([Path(place)])):
        with pytest.raises(UserError, match="No finished run lies in empty"):
            look("empty")
        with pytest.raises(UserError, match="There is no folder nowhere"):
            look("nowhere")
    assert len(partage.load_runs("results")) == 2  # second copies are none


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"schema": 1}', '{"schema": 1, "recipe": 3}', "[" * 100_000]
)
def test_a_corrupt_record_hides_none_behind_it(runs: list[Path], capsys, content: str):
    made_by(runs[1], of(runs[1]), code={"hash": BEFORE, "files": {"one.py": "0"}})
    (runs[0] / "record.json").write_text(content)
    code, out, err = stale(capsys, "results")
    assert code == 2 and f"{runs[1]}: one.py" in out and "1 more could not be read" in err
    assert str(runs[0]) in err and "Traceback" not in err


def test_a_run_that_other_code_began_is_stale_until_both_are_known_to_be_equal(
    runs: list[Path], capsys, monkeypatch
):
    made_by(runs[0], of(runs[0]), earlier_code=[BEFORE])
    out = stale(capsys, "results")[1]
    assert f"{runs[0]}: begun by other code, {BEFORE[:12]}" in out
    known = equal_code.Entry(
        equal_code.Stamp(BEFORE, "1"),
        equal_code.Stamp(TODAY, "2"),
        *("one", "toy", ["toy/a"], ["alpha"], 100, [0], "a CPU", {}, "2026-11-26"),
    )
    monkeypatch.setattr(equal_code, "read", lambda: [known])
    out = stale(capsys, "results")[1]
    assert "equal by comparison" in out and "no run was made by other code" in out
    made_by(runs[0], of(runs[0]), earlier_code=[BEFORE, "c" * 64])
    assert "begun by other code, cccc" in stale(capsys, "results")[1]


def test_what_is_advised_for_a_published_run_is_what_the_workflow_can_make(
    runs: list[Path], capsys
):
    for folder in runs:
        made_by(folder, of(folder), code={"hash": BEFORE, "files": {}})
    shutil.move("results/smoke", "results/published")
    out = stale(capsys, "results/published")[1]
    targets = " ".join(f"{folder}/record.json" for folder in runs)
    assert f"--config scale=smoke engine=batched --force -- {targets}" in out


def test_what_no_figure_needs_is_made_again_from_its_own_recipe(runs: list[Path], capsys):
    custom = runs[0].with_name("0+7")
    shutil.copytree(runs[0], custom)
    raw = json.loads((custom / "recipe.json").read_text()) | {"seeds": [0, 7]}
    (custom / "recipe.json").write_text(json.dumps(raw))
    made_by(custom, of(custom), code={"hash": BEFORE, "files": {}})
    command = stale(capsys, "results")[1].splitlines()[-1]
    words = shlex.split(command)
    assert words[-3].endswith("bin/partage") and words[-2:] == [
        "train",
        f"{custom}-again/recipe.json",
    ]
    assert words[:2] == ["mkdir", f"{custom}-again"]


def test_listing_runs_looks_at_every_level_too(runs: list[Path], capsys):
    for place in ("results", "results/smoke/runs/beta", str(runs[1])):
        assert main(["list", "runs", "--results", place]) == 0
        assert str(runs[1]) in capsys.readouterr().out


def test_the_code_that_stale_compares_with_is_the_one_that_training_stamps():
    assert staleness.code is code_stamps.code
    assert outcomes.SECOND_COPY == "kept"
