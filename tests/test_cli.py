"""The command line: a mistake is one sentence, exit code 2, no traceback."""

import errno
import hashlib
import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from small import ROOT, checkout, edit, finish

from partage import _io
from partage.__main__ import main
from partage.config import outcomes, plan
from partage.config.plan import Request
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.runs import record


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    """Commands run in the small checkout."""
    checkout(tmp_path)
    monkeypatch.setattr(plan, "PACKAGE", tmp_path / "src/partage")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *command: str) -> str:
    """The sentence a command refuses with."""
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.startswith("partage: ") and said.count("\n") == 1 and "Traceback" not in said, said
    return said


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["show", "alpa", "toy/a"], ["algorithm 'alpa'", "did you mean 'alpha'"]),
        (["show", "alpha", "toy/aa"], ["task 'toy/aa'", "did you mean 'toy/a'"]),
        (["show", "alpha", "toy/a", "--scale", "papr"], ["scale 'papr'", "did you mean 'paper'"]),
        (["plan", "--engine", "bached"], ["engine 'bached'", "batched, package"]),
        (["plan", "--figures", "frist"], ["figure 'frist'", "did you mean 'first'"]),
        (["plan", "--seeds-per-run", "0"], ["seeds_per_run", "at least 1"]),
        (["draw", "third"], ["figure 'third'"]),
        (["draw", "first"], ["partage frame first`"]),
        (["draw", "first", "--scale", "lab"], ["partage frame first --scale lab`"]),
        (["frame", "first"], ["record.json", "partage train"]),
        (["train", "nowhere.json"], ["nowhere.json", "partage plan --write`"]),
        (
            ["train", "out/lab-package/runs/alpha/toy/a/0/recipe.json"],
            ["partage plan --write --scale lab --engine package --results out`"],
        ),
        (["list", "figure"], ["topic 'figure'", "did you mean 'figures'"]),
        (["list", "runs"], ["No run lies in results", "partage run"]),
        (["export", "--scale", "lab"], ["partage plan --scale lab`"]),
        (["stale", "--results", "nowhere"], ["no folder nowhere", "--results"]),
        (["import", "nope.csv", "alpha", "toy/c"], ["task 'toy/c'"]),
        (["plan", "--results", "x" * 300, "--write"], ["File name too long"]),
    ],
)
def test_an_unknown_name_or_missing_file_is_refused(
    here: Path, capsys, command: list[str], words: list[str]
):
    said = refused(capsys, *command)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hidden = 16", "hiden = 16", "did you mean 'hidden'"),
        ("hidden = 16", 'hidden = "wide"', "takes a whole number"),
        ('learner = "one"', 'learner = "won"', "learner 'won'"),
    ],
)
def test_a_mistake_in_a_sheet_is_refused(here: Path, capsys, old: str, new: str, words: str):
    edit(here / "src/partage/config/sheets/algorithms.toml", old, new)
    assert words in refused(capsys, "plan")


def test_a_recipe_of_another_schema_is_refused_before_torch_is_loaded(here: Path, capsys):
    assert main(["plan", "--write"]) == 0
    path = next(here.glob("results/smoke/runs/alpha/**/recipe.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 9}))
    capsys.readouterr()
    assert "schema 9" in refused(capsys, "train", str(path))


def everything(here: Path) -> list[Path]:
    sheets = plan.load()
    return finish(sheets.recipes(sheets.select_figures(), Request()), Request().root)


@pytest.mark.parametrize(
    ("name", "words"), [("curve.parquet", "corrupt"), ("record.json", "corrupt")]
)
def test_a_corrupt_run_is_refused(here: Path, capsys, name: str, words: str):
    place = everything(here)[0]
    (place / name).write_bytes((place / name).read_bytes()[:-9])
    said = refused(capsys, "frame", "first")
    assert words in said and str(place) in said


def test_a_run_that_lies_in_another_s_folder_stands_for_nobody(here: Path, capsys):
    one, other = everything(here)
    for name in ("recipe.json", "curve.parquet", "record.json"):
        (other / name).write_bytes((one / name).read_bytes())
    assert "another recipe than today's (algorithm" in refused(capsys, "frame", "first")


def test_a_frame_that_lacks_what_is_drawn_today_is_refused(here: Path, capsys):
    everything(here)
    assert main(["frame", "first"]) == 0
    edit(
        here / "src/partage/config/sheets/figures.toml",
        'tasks = ["toy/a"]',
        'tasks = ["toy/a", "toy/b"]',
    )
    assert "alpha on toy/b" in refused(capsys, "draw", "first")


@pytest.mark.parametrize(
    "wrong", [["--runs-per-gpu", "0"], ["--checkpoint-every", "nan"], ["--checkpoint-every", "-1"]]
)
def test_an_option_of_a_training_that_makes_no_sense_is_refused(
    here: Path, capsys, wrong: list[str]
):
    assert main(["plan", "--write"]) == 0
    said = refused(capsys, "train", "results/smoke/runs/alpha/toy/a/0-1/recipe.json", *wrong)
    assert said.startswith(f"partage: {wrong[0]} is a number from")


def test_a_device_is_no_file_to_write(here: Path, capsys):
    everything(here)
    assert "a file is expected there" in refused(capsys, "export", "--out", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_an_interrupted_command_says_so(here: Path, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "load", interrupted)
    assert main(["plan"]) == 130 and capsys.readouterr().err == "partage: interrupted.\n"


def test_a_results_folder_that_cannot_be_written_is_refused(here: Path, capsys):
    (here / "file").write_text("")
    assert "Not a directory" in refused(capsys, "plan", "--write", "--results", "file/results")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_is_refused_and_nothing_is_lost(
    here: Path, capsys, monkeypatch, number: int
):
    everything(here)
    assert main(["frame", "first"]) == 0 and main(["draw", "first"]) == 0
    files = sorted(path for path in (here / "results").rglob("*") if path.is_file())
    before = [path.read_bytes() for path in files]

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_io.os, "fsync", full)
    for command in (["frame", "first"], ["draw", "first"], ["plan", "--write", "--scale", "lab"]):
        said = refused(capsys, *command)
        assert os.strerror(number) in said and "what was written before is kept" in said
    assert sorted(path for path in (here / "results").rglob("*") if path.is_file()) == files
    assert [path.read_bytes() for path in files] == before


def test_plan_lists_cells_runs_steps_and_what_is_made(here: Path, capsys):
    assert main(["plan"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "4", "2", "0", "400"]
    everything(here)
    assert main(["plan", "--write"]) == 0
    out = capsys.readouterr().out
    assert "0 of 2 recipes written" in out and out.splitlines()[2].split()[:4] == [
        "first",
        "4",
        "2",
        "2",
    ]


def test_plan_counts_no_run_of_another_recipe_as_made(here: Path, capsys):
    everything(here)
    edit(here / "src/partage/config/sheets/algorithms.toml", "hidden = 16", "hidden = 17")
    assert main(["plan"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "4", "2", "1", "400"]


@pytest.mark.parametrize("command", ["absolute", "distance", "episode", "verify"])
def test_a_folder_above_a_run_is_refused_as_no_run_s(command: str, here: Path, capsys):
    everything(here)
    said = refused(capsys, command, "results/smoke/runs")
    assert "results/smoke/runs is no run's folder" in said and "partage list runs" in said


def test_plan_writes_nothing_unless_asked(here: Path):
    assert main(["plan"]) == 0
    assert not (here / "results/smoke").exists()


def test_show_names_each_setting_s_home(here: Path, capsys):
    assert main(["show", "alpha", "toy/a"]) == 0
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()[1:]]
    assert ["hidden", "16", 'algorithms.toml [alpha.task."toy/a"]'] in lines
    assert ["twice", "True", "learners/one.py"] in lines and [
        "time_limit",
        "terminal",
        "tasks.toml",
    ] in lines


def test_list_has_what_there_is(here: Path, capsys):
    everything(here)
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "figures (1): first" in out and "tasks (2): toy/a, toy/b" in out
    assert "algorithms (2): alpha, beta" in out and "runs (2, in results)" in out
    assert main(["list", "algorithms"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["beta", "learner", "two", "Beta"]


def test_list_runs_says_how_far_each_run_is(here: Path, capsys):
    finished, stopped = everything(here)
    (stopped / "record.json").unlink()
    (stopped / "checkpoint").write_text("")
    assert main(["plan", "--write", "--scale", "lab", "--results", "results"]) == 0
    capsys.readouterr()
    assert main(["list", "runs"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == [["finished", str(finished)], ["stopped", str(stopped)]]
    assert [state for state, _ in lines[:2]] == ["planned", "planned"]
    assert lines[0][1].startswith("results/lab/runs/")


def test_frame_and_draw_make_the_figure_and_its_table(here: Path, capsys):
    everything(here)
    assert main(["frame", "first"]) == 0 and main(["draw", "first"]) == 0
    made = {
        path.relative_to(here / "results/smoke").as_posix()
        for path in (here / "results/smoke").glob("[fgt]*/*")
    }
    assert made == {
        "frames/first.parquet",
        *(f"figures/first.{k}" for k in ("png", "svg", "pdf")),
        *(f"tables/first{k}" for k in (".csv", ".md", ".tex", "-claims.csv")),
    }


def test_a_frame_moved_from_another_scale_is_not_drawn(here: Path, capsys):
    everything(here)
    assert main(["frame", "first"]) == 0
    (here / "results/paper/frames").mkdir(parents=True)
    (here / "results/smoke/frames/first.parquet").rename(
        here / "results/paper/frames/first.parquet"
    )
    assert "another scale or engine" in refused(capsys, "draw", "first", "--scale", "paper")


def test_stale_lists_runs_that_other_code_made_and_how_to_redo_them(here: Path, capsys):
    sheets = plan.load()
    one, two = sheets.recipes(sheets.select_figures(), Request())
    places = finish([one, two], Request().root)
    frame = record.read(places[0])[0]
    for place, recipe in zip(places, (one, two), strict=True):
        made = record.provenance(
            recipe,
            started=datetime.now(UTC),
            wall_seconds=1.0,
            cpu_seconds=1.0,
            resumed=0,
            threads=1,
            device="cpu",
        )
        if place == places[1]:
            made["code"]["files"]["src/partage/gone.py"] = "0"
        record.write(place, frame, made)
    assert main(["stale"]) == 0
    out = capsys.readouterr().out
    assert f"{places[1]}: src/partage/gone.py" in out and str(places[0]) not in out
    assert f"--config scale=smoke engine=batched --force -- {places[1]}/record.json" in out
    (here / "results").rename(here / "out")
    assert main(["stale", "--results", "out"]) == 0
    assert "engine=batched results=out --force -- out/smoke/runs/" in capsys.readouterr().out
    (here / "out/smoke").rename(here / "out/published")
    assert main(["stale", "--results", "out"]) == 0
    again = f"out/smoke/{places[1].relative_to('results/smoke')}/record.json"
    assert f"engine=batched results=out --force -- {again}" in capsys.readouterr().out


def test_the_module_runs_as_a_program_and_gives_the_exit_code():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "partage", "plan", "--scale", "papr"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (
        (ran.returncode, ran.stdout) == (2, "")
        and ran.stderr.count("\n") == 1
        and "Traceback" not in ran.stderr
    )


def test_a_run_s_place_is_where_plan_writes_its_recipe(here: Path):
    assert main(["plan", "--write", "--scale", "lab", "--engine", "package"]) == 0
    sheets, request = plan.load(), Request(scale="lab", engine="package")
    assert all(
        (run_dir(request.root, r) / "recipe.json").is_file()
        for r in sheets.recipes(sheets.select_figures(), request)
    )


@pytest.mark.parametrize("words", [("list", "tasks"), ("--help",), ("run", "--help")])
def test_a_full_disk_behind_the_output_is_one_sentence(here: Path, words: tuple[str, ...]):
    command = [sys.executable, "-m", "partage", *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=here)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("threads", ["-3", "0", "many"])
def test_a_number_of_threads_that_numba_cannot_have_is_one_sentence(here: Path, threads: str):
    command = [sys.executable, "-m", "partage", "run", "fps", "mpe/15a_3c", "--steps", "2000"]
    environment = os.environ | {"NUMBA_NUM_THREADS": threads}
    done = subprocess.run(command, capture_output=True, text=True, cwd=here, env=environment)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"NUMBA_NUM_THREADS is a whole number from 1 on, but is '{threads}'" in done.stderr


def test_a_recipe_with_a_byte_order_mark_is_read(here: Path):
    place = everything(here)[0] / "recipe.json"
    before = Recipe.load(place)
    place.write_bytes(b"\xef\xbb\xbf" + place.read_bytes())
    assert Recipe.load(place) == before


def test_too_low_a_limit_on_memory_is_named(here: Path):
    python = shlex.quote(sys.executable)
    run = f"ulimit -v 400000; exec {python} -m partage run fps mpe/15a_3c --steps 2000"
    done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, cwd=here)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "390 MiB" in done.stderr and "ulimit -v" in done.stderr


@pytest.mark.parametrize(
    "damage", [b"", b'{"recipe":' * 200_000, b"[]", b'{"a": 1, "a": 2}', b'{"x": NaN}', b"\xff"]
)
def test_a_damaged_record_is_one_sentence(here: Path, capsys, damage: bytes):
    place = everything(here)[0]
    (place / "record.json").write_bytes(damage)
    said = refused(capsys, "frame", "first")
    assert "record.json is corrupt" in said


def test_a_record_without_its_code_is_refused(here: Path, capsys):
    place = everything(here)[0]
    found = json.loads((place / "record.json").read_text())
    del found["code"]
    (place / "record.json").write_text(json.dumps(found))
    assert main(["stale"]) == 2
    assert "it has no 'code'" in capsys.readouterr().err


def test_a_closed_standard_error_is_written_to_by_nobody_and_ends_no_command(
    here: Path, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["show", "alpa", "toy/a"]) == 2
    assert not sys.stderr.isatty() and capsys.readouterr().out == ""


def test_garbage_that_its_record_vouches_for_is_refused(here: Path, capsys):
    place = everything(here)[0]
    found = json.loads((place / "record.json").read_text())
    found["curve_sha256"] = hashlib.sha256(b"PAR1 nothing PAR1").hexdigest()
    (place / "record.json").write_text(json.dumps(found))
    (place / "curve.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert "curve.parquet is corrupt" in refused(capsys, "frame", "first")


def test_a_pipe_in_a_record_s_place_is_not_waited_for(here: Path, capsys):
    place = everything(here)[0]
    (place / "record.json").unlink()
    os.mkfifo(place / "record.json")
    assert "a file is expected there" in refused(capsys, "frame", "first")


def test_more_seeds_than_anybody_trains_are_refused_at_once(here: Path, capsys):
    assert "at most 1,000" in refused(capsys, "run", "alpha", "toy/a", "--seeds", "100000000")


def test_reports_and_exports_are_written_over_no_file_of_a_run(tmp_path: Path) -> None:
    out = tmp_path / "record.json"
    out.write_text("{}")
    for command in ("report", "export"):
        with pytest.raises(UserError, match="is a file of a run: name another"):
            outcomes.refuse_file_of_a_run(out)
        done = main([command, "--root", str(tmp_path), "--out", str(out)])
        assert done == 2 and out.read_text() == "{}"


@pytest.mark.parametrize("root", ["nowhere", "here"])
def test_a_report_of_a_folder_without_runs_is_refused(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    assert main(["report", "--root", str(tmp_path / root)]) == 2
    assert "is no folder of results" in capsys.readouterr().err
    assert not list(tmp_path.rglob("report.html"))


def test_results_that_are_a_file_are_refused_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for command in (["plan"], ["report"], ["export"]):
        assert main([*command, "--results", str(tmp_path / "file")]) == 2
        assert "--results is a folder, but" in capsys.readouterr().err
