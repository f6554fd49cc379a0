"""The real Snakefile, run by the real Snakemake on a small checkout with a stand-in trainer."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calibrated import calibration_of
from small import ROOT, SECOND, STAND_IN_HEAD, edit, workflow

from partage.config import calibration, plan
from partage.config.jobs import ask
from partage.config.recipe import write_recipes
from partage.config.request import Request

pytestmark = pytest.mark.xdist_group("workflow")  # what the tests share is made once

STAND_IN = (
    STAND_IN_HEAD
    + """from partage.config.recipe import Recipe
path = Path(sys.argv[4])
recipe = Recipe.load(path)
with open("trained.txt", "a") as file:
    file.write(f"{{recipe.algorithm}} {{recipe.task}}\\n")
record.write(path.parent, curve(recipe), outcome(recipe))
"""
)


def snakemake(root: Path, *options: str, config: str = "") -> subprocess.CompletedProcess[str]:
    python = f"python={root / 'python'}"
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--config",
        python,
        *config.split(),
        *options,
    ]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, env=environment
    )


def jobs(root: Path, *options: str, config: str = "") -> dict[str, int]:
    """What a dry run would do: {rule: how many jobs}."""
    ran = snakemake(root, "--dry-run", *options, config=config)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    table = re.search(
        r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", ran.stdout + ran.stderr, re.DOTALL
    )
    rows = [line.split() for line in table.group(1).splitlines()] if table else []
    return {rule: int(count) for rule, count in rows if rule not in ("total", "all")}


def trained(root: Path) -> list[str]:
    return sorted((root / "trained.txt").read_text().splitlines())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A workspace in which everything has been made once."""
    root = workflow(tmp_path_factory.mktemp("workflow"))
    stand_in = root / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable, tests=str(ROOT / "tests")))
    stand_in.chmod(0o755)
    ran = snakemake(root)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, with all times kept. Edits made at once would carry the time of the files they
    follow.
    """
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy, symlinks=True)
    time.sleep(0.01)
    return copy


def test_one_command_makes_runs_frames_figures_and_tables(finished: Path):
    results = finished / "results/smoke"
    assert trained(finished) == ["alpha toy/a", "beta toy/a"]
    for name in (
        "frames/first.parquet",
        "figures/first.png",
        "figures/first.svg",
        "figures/first.pdf",
        "tables/first.csv",
        "tables/first-claims.csv",
        "tables/first.md",
        "tables/first.tex",
        "tables/sizes.csv",
        "tables/sizes.md",
        "tables/sizes.tex",
    ):
        assert (results / name).stat().st_size > 0
    assert {path.name for path in (results / "runs/alpha/toy/a/0-1").iterdir()} == {
        "curve.parquet",
        "record.json",
        "recipe.json",
        "kept",
    }


def test_a_second_invocation_has_nothing_to_do(root: Path):
    ran = snakemake(root)
    assert ran.returncode == 0 and "Nothing to be done" in ran.stdout + ran.stderr


def test_an_edited_setting_retrains_only_its_cells_and_redraws(root: Path):
    before = (root / "results/smoke/runs/beta/toy/a/0-1/record.json").stat().st_mtime_ns
    edit(root / "src/partage/config/sheets/algorithms.toml", "hidden = 16", "hidden = 17")
    assert jobs(root) == {"train": 1, "frame": 1, "draw": 1, "table": 1}  # it is listed, too
    assert snakemake(root).returncode == 0
    assert trained(root) == ["alpha toy/a", "alpha toy/a", "beta toy/a"]
    assert (root / "results/smoke/runs/beta/toy/a/0-1/record.json").stat().st_mtime_ns == before
    assert jobs(root) == {}


SETTINGS = "src/partage/config/sheets/algorithms.toml"


def contents(root: Path) -> dict[str, bytes]:
    """Return what all result files hold."""
    files = (path for path in (root / "results").rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def test_a_dry_run_writes_nothing_and_an_edit_that_is_undone_trains_nothing(root: Path):
    before = contents(root)
    edit(root / SETTINGS, "hidden = 16", "hidden = 17")
    assert jobs(root)["train"] == 1 and contents(root) == before
    assert jobs(root, config="scale=lab")["train"] == 2 and contents(root) == before
    sheets = plan.load(root)  # as `partage plan --write` does
    recipes = sheets.recipes(sheets.select_figures(), Request())
    write_recipes(root / "results/smoke", recipes)
    edit(root / SETTINGS, "hidden = 17", "hidden = 16")
    ran = snakemake(root)
    assert ran.returncode == 0 and "Nothing to be done" in ran.stdout + ran.stderr
    assert trained(root) == ["alpha toy/a", "beta toy/a"]


def test_a_setting_edited_while_its_run_trains_is_trained_though_the_outcome_is_newer(root: Path):
    edit(root / SETTINGS, "hidden = 16", "hidden = 17")
    for path in (root / "results/smoke/runs").rglob("*"):
        os.utime(path, (4e9, 4e9))  # far newer than any recipe
    assert jobs(root) == {"train": 1, "frame": 1, "draw": 1, "table": 1}


def test_copied_runs_are_trained_again_where_they_are_of_other_recipes_alone(root: Path):
    shutil.rmtree(root / ".snakemake")
    for name in ("recipe.json", "kept"):  # as a clone has them: no notes, times by chance
        for path in (root / "results/smoke/runs").rglob(name):
            os.utime(path, (4e9, 4e9))
    assert jobs(root) == {}
    edit(root / SETTINGS, "hidden = 16", "hidden = 17")
    assert jobs(root)["train"] == 1


def test_a_corrupt_record_is_made_again(root: Path):
    (root / "results/smoke/runs/beta/toy/a/0-1/record.json").write_text("{")
    assert jobs(root) == {"train": 1, "frame": 1, "draw": 1}


def test_fewer_seeds_are_drawn_without_training(root: Path):
    config = "seeds_per_run=1"
    assert snakemake(root, config=config).returncode == 0
    shutil.rmtree(root / ".snakemake")
    edit(root / "src/partage/config/sheets/tasks.toml", "smoke = 2, lab", "smoke = 1, lab")
    assert jobs(root, config=config) == {"frame": 1, "draw": 1}


def test_only_what_is_asked_for_is_made_again(root: Path):
    with (root / "src/partage/config/sheets/figures.toml").open("a") as file:
        file.write(SECOND)
    tasks = root / "src/partage/config/sheets/tasks.toml"
    edit(tasks, "settings.anneal = { smoke = 5", "settings.anneal = { smoke = 6")  # beta's alone
    assert jobs(root, "--", "results/smoke/figures/second.png") == {
        "train": 1,
        "frame": 1,
        "draw": 1,
    }


def test_a_setting_of_another_scale_changes_nothing(root: Path):
    edit(root / "src/partage/config/sheets/algorithms.toml", "paper = 1e-3", "paper = 5e-3")
    assert jobs(root) == {}


def test_an_edited_default_of_a_learner_retrains_the_cells_that_use_it(root: Path):
    edit(root / "src/partage/learners/two.py", "hidden: int = 64", "hidden: int = 65")
    assert jobs(root) == {"train": 1, "frame": 1, "draw": 1}


def test_a_comment_in_a_learner_costs_nothing(root: Path):
    path = root / "src/partage/learners/one.py"
    path.write_text(path.read_text() + "# a comment\n")
    (root / "src/partage/env.py").open("a").write("# a comment\n")
    assert jobs(root) == {}


def test_an_edited_drawing_file_redraws_and_never_retrains(root: Path):
    edit(root / "src/partage/plots/curves.py", "MIDDLE_WIDTH = 1.8", "MIDDLE_WIDTH = 5.0")
    assert jobs(root) == {"draw": 1}
    before = (root / "results/smoke/figures/first.png").read_bytes()
    assert snakemake(root).returncode == 0
    assert (root / "results/smoke/figures/first.png").read_bytes() != before
    assert trained(root) == ["alpha toy/a", "beta toy/a"]


@pytest.mark.parametrize(
    ("sheet", "old", "new"),
    [("figures", "A figure", "The figure"), ("algorithms", "Beta", "Better")],
)
def test_an_edited_title_or_label_redraws_and_never_retrains(
    root: Path, sheet: str, old: str, new: str
):
    edit(root / f"src/partage/config/sheets/{sheet}.toml", f'"{old}"', f'"{new}"')
    assert jobs(root) == {"draw": 1}


def test_the_report_is_asked_for_by_name_and_follows_what_it_shows(root: Path):
    assert jobs(root, "report") == {"report": 1}
    assert snakemake(root, "--", "report").returncode == 0
    page = (root / "results/smoke/report.html").read_text()
    assert "4 of 4 cells" in page and "A figure" in page and jobs(root, "report") == {}
    edit(root / "src/partage/config/sheets/algorithms.toml", '"Beta"', '"Better"')
    assert jobs(root, "report") == {"draw": 1, "report": 1}
    assert trained(root) == ["alpha toy/a", "beta toy/a"]


def test_an_absolute_metric_is_asked_for_by_name_of_the_runs_that_are_tested(root: Path):
    assert jobs(root, "absolutes") == {"absolutes": 1}
    for old, new in (
        ("test_every = 0", "test_every = 50"),
        ("test_episodes = 0", "test_episodes = 2"),
    ):
        edit(root / "src/partage/config/sheets/tasks.toml", old, new)
    assert jobs(root, "absolutes") == {"train": 2, "absolute": 2, "absolutes": 1}


def test_an_edited_table_is_written_again_and_nothing_else(root: Path):
    edit(root / "src/partage/config/sheets/tables.toml", '"hidden", "lr"', '"lr"')
    assert jobs(root) == {"table": 1}


def test_a_new_figure_runs_only_what_it_lacks(root: Path):
    with (root / "src/partage/config/sheets/figures.toml").open("a") as file:
        file.write(SECOND)
    assert jobs(root) == {"train": 1, "frame": 1, "draw": 1}


def test_a_deleted_run_is_noticed(root: Path):
    shutil.rmtree(root / "results/smoke/runs/beta/toy/a/0-1")
    assert jobs(root)["train"] == 1


def test_more_seeds_train_only_the_new_ones(root: Path):
    edit(root / "src/partage/config/sheets/tasks.toml", "smoke = 2, lab = 3", "smoke = 7, lab = 3")
    # packs of five: 0-1 becomes 0-4, and 5-6 is new; with one seed a run only seeds 2-6 would be
    assert jobs(root)["train"] == 4


def test_another_engine_has_a_folder_of_its_own(root: Path):
    assert jobs(root, config="engine=package") == {"train": 2, "frame": 1, "draw": 1, "table": 1}
    assert not (root / "results/smoke-package").exists()  # jobs are only listed
    run = "results/smoke-package/runs/alpha/toy/a/0-1/record.json"
    assert jobs(root, "--", run, config="engine=package") == {"train": 1}


def test_a_moved_checkout_and_another_interpreter_retrain_nothing(root: Path):
    # the fixture has copied the checkout to another place already
    (root / "python").rename(root / "elsewhere")
    assert jobs(root, config=f"python={root / 'elsewhere'}") == {}


def test_the_command_that_stale_prints_makes_a_run_again(root: Path):
    run = "results/smoke/runs/alpha/toy/a/0-1/record.json"
    assert jobs(root, "--force", "--", run, config="scale=smoke engine=batched") == {"train": 1}


def test_a_failed_run_stops_no_other_and_says_why(root: Path):
    for name in ("alpha", "beta"):
        shutil.rmtree(root / f"results/smoke/runs/{name}/toy/a/0-1")
    edit(
        root / "python",
        "recipe = Recipe.load(path)",
        'recipe = Recipe.load(path)\nassert recipe.algorithm != "alpha", "out of luck"',
    )
    ran = snakemake(root)
    assert ran.returncode != 0 and "out of luck" in ran.stdout + ran.stderr
    assert (root / "results/smoke/runs/beta/toy/a/0-1/record.json").is_file()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("scale=papr", "did you mean 'paper'"),
        ("results=python/x", "Not a directory"),
        ("device=tpu", "cpu, cuda"),
    ],
)
def test_a_mistake_is_one_sentence_while_the_workflow_is_read(
    finished: Path, config: str, words: str
):
    ran = snakemake(finished, "--dry-run", config=config)
    said = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
    assert (
        ran.returncode == 2
        and words in said[-1]
        and said[-1].startswith("partage: ")
        and "Traceback" not in ran.stderr
    )


def test_a_dry_run_of_the_whole_paper_scale_plan_has_a_job_for_each_run(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-n",
        "--cores",
        "2",
        "--config",
        "scale=paper",
        f"results={tmp_path}",
    ]
    sheets = plan.load()
    figures = [sheets.figures[name] for name in sheets.ready()[0] if name in sheets.figures]
    runs = sheets.recipes(figures, Request(scale="paper", seeds_per_run=1))
    ran = subprocess.run(
        [*command, "seeds_per_run=1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len(runs) > 600 and re.search(f"train +{len(runs)}", ran.stdout + ran.stderr)


def test_a_job_asks_for_the_memory_and_the_time_that_the_bill_says_of_its_run(root: Path):
    made = calibration_of("toy/a", learner="one")
    (root / "results" / calibration.FILE).write_text(made.text())
    edit(root / SETTINGS, "hidden = 16", "hidden = 17")
    slurm = ["--workflow-profile", "profiles/slurm", "--dry-run"]
    ran = snakemake(root, *slurm)
    sheets = plan.load(root)
    (wanted,) = sheets.recipes_of("alpha", "toy/a", Request())
    asked = ask(wanted, made, "cpu", 24)
    assert f"mem_mb={asked.memory}," in ran.stdout + ran.stderr, ran.stderr
    assert f"runtime={asked.minutes}," in ran.stdout + ran.stderr
    assert asked.minutes != ask(wanted, None, "cpu", 24).minutes
    ran = snakemake(root, *slurm, config="device=cuda runs_per_gpu=2")
    assert ran.returncode == 2 and "runs_per_gpu=2 is for the GPUs of one machine" in ran.stderr
    (root / "results" / calibration.FILE).write_text("{")
    ran = snakemake(root, *slurm)
    assert ran.returncode == 2 and "calibration.json is corrupt" in ran.stderr


def test_a_reference_that_is_brought_redraws_its_figures_and_never_retrains(root: Path):
    rows = "".join(f"7,{n * 10},{n},train_return,{n}\n" for n in range(10))
    (root / "theirs.csv").write_text("seed,env_steps,updates,metric,value\n" + rows)
    words = ["import", "theirs.csv", "theirs", "toy/a", "--reference", "--licence", "own"]
    partage = [sys.executable, "-m", "partage", *words]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    subprocess.run(partage, cwd=root, check=True, env=environment)
    assert jobs(root) == {"draw": 1}
    (root / "results/references/theirs.toml").write_text('licence = "none"\n')
    ran = snakemake(root, "--dry-run")
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[1:] == [
        "partage: results/references/theirs.toml lacks the keys 'title', 'files', 'curves'."
    ]


FAILING = """#!/bin/sh
case "$*" in *"partage train"*) echo "partage: the disk is on fire."; exit 2;; esac
exec "{python}" "$@"
"""


def reproduce(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "partage", "reproduce", "--cores", "2", *options]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, env=environment
    )


def test_reproducing_ends_with_the_page_and_keeps_snakemake_s_words_in_a_file(root: Path):
    ran = reproduce(root, f"python={root / 'python'}")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "results/smoke/report.html\n" and ran.stderr == ""
    assert (root / "results/smoke/report.html").is_file()
    assert "Finished jobid" in (root / "results/smoke/logs/reproduce.log").read_text()


def test_where_a_rule_fails_its_last_lines_are_told_and_where_the_rest_is(root: Path):
    failing = root / "failing"
    failing.write_text(FAILING.format(python=sys.executable))
    failing.chmod(0o755)
    edit(root / SETTINGS, "hidden = 16", "hidden = 17")
    ran = reproduce(root, "--figures", "first", f"python={failing}")
    own = "results/smoke/logs/train/alpha/toy/a/0-1.log"
    assert ran.returncode == 1 and ran.stdout == ""
    assert (
        f"partage: the rule train failed ({own}):\n    partage: the disk is on fire." in ran.stderr
    )
    assert "all that it said is in results/smoke/logs/reproduce.log" in ran.stderr
