"""The real workflow on a real SLURM on this machine: ``make test-slurm``."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from small import edit

from benchmarks import naps, slurm

pytestmark = pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing() or "it can run")
PROFILE = "profiles/slurm"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Path]:
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as folder:
        yield folder


def quickened(root: Path, minutes: int) -> Path:
    """The profile itself, with GPUs and the waits of a toy: a limit of minutes, a first look after
    three seconds.
    """
    profile = root / "workflow/profiles/slurm/profile.yaml"
    asked = {"slurm_partition": "gpu", "gpu": 1, "runtime": minutes, "mem_mb": "attempt * 100"}
    lines = [f"\n    {name}: {value}" for name, value in asked.items()]
    edit(profile, "# set-resources:\n#   train:", f"set-resources:\n  train:{''.join(lines)}")
    edit(profile, "status-checks: 20", "status-checks: 3")
    return root


def job_of(task: str) -> list[str]:
    return [
        number
        for number, comment in slurm.jobs("RUNNING").items()
        if f"nap_{task}_" in comment.replace("/", "_")
    ]


@pytest.fixture(scope="module")
def eventful(cluster: Path, tmp_path_factory) -> Path:
    """A workflow in which one run fails, one is cancelled and one reaches its time limit, each
    once.
    """
    tasks = {
        "smooth": naps.lasting(1),
        "fails": "options.stumble = true",
        "cancelled": naps.lasting(25),
        "limited": naps.lasting(90),
    }
    root = quickened(naps.checkout(tmp_path_factory.mktemp("eventful"), **tasks), minutes=1)
    command = ["--workflow-profile", PROFILE]
    process = naps.snakemake(root, *command)
    try:
        naps.until(
            "the run to be cancelled has begun",
            lambda: job_of("cancelled") and naps.begun(root, "cancelled"),
            process,
        )
        subprocess.run(["scancel", *job_of("cancelled")], check=True)
        naps.ended(root, process, 480)
    finally:
        process.kill()
    return root


def test_a_figure_is_made_through_the_queue_with_a_gpu_for_each_run(eventful: Path):
    assert (eventful / "results/smoke/figures/naps.png").stat().st_size > 0
    gpus = {line.split()[2] for line in (eventful / "started.txt").read_text().splitlines()}
    assert gpus == {"0", "1"}
    assert not slurm.jobs()


def test_a_run_that_fails_is_tried_again_and_both_attempts_keep_their_logs(eventful: Path):
    assert len(naps.starts(eventful)["fails"]) == 2
    logs = [path.read_text() for path in eventful.glob("logs/slurm/**/*fails*/*.log")]
    assert len(logs) == 2 and any("stumbled, as told" in log for log in logs)


@pytest.mark.parametrize("task", ["cancelled", "limited"])
def test_a_run_that_is_cancelled_or_reaches_its_limit_goes_on_from_its_checkpoint(
    eventful: Path, task: str
):
    curve, made = naps.outcomes(eventful, [task])[task]
    assert made["resumed"] >= 1 and len(naps.starts(eventful)[task]) == made["resumed"] + 1
    smooth = naps.outcomes(eventful, ["smooth"])["smooth"][0]
    assert curve.equals(smooth)  # to the last bit: only their naps differ


def test_when_the_main_process_is_killed_no_run_is_lost_and_none_is_trained_twice(
    cluster: Path, tmp_path: Path
):
    tasks = {name: naps.lasting(seconds) for name, seconds in (("a", 10), ("b", 30))}
    root = quickened(naps.checkout(tmp_path / "killed", **tasks), minutes=5)
    command = ["--workflow-profile", PROFILE]
    process = naps.snakemake(root, *command)
    naps.until(
        "all runs have begun", lambda: all(naps.begun(root, task) for task in tasks), process
    )
    process.kill()
    process.wait()
    naps.until("the first run has ended", lambda: (naps.run(root, "a") / "record.json").exists())
    assert slurm.jobs(), "jobs outlive the main process"
    naps.ended(root, naps.snakemake(root, *command, "--unlock"), 60)
    naps.ended(root, naps.snakemake(root, *command), 400)
    assert {task: len(pids) for task, pids in naps.starts(root).items()} == dict.fromkeys(tasks, 1)
    assert all(made["resumed"] == 0 for _, made in naps.outcomes(root, list(tasks)).values())
    assert (root / "results/smoke/figures/naps.png").exists() and not slurm.jobs()
