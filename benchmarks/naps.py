"""A checkout with the real package, workflow and profiles, and a sheet of toy tasks that mostly
sleep: for tests of the workflow and of its faults."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from partage.runs import record

ROOT = Path(__file__).resolve().parents[1]

ENV = '''# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = []
# ///
"""Roll call that sleeps: `nap` seconds a step; stumbles when it is first started, if told to.

Says when a second update is due: then all code is compiled.
"""

import os
import time
from pathlib import Path

from partage import envs


class Sleepy:
    def __init__(self, inner, nap, task):
        self.inner, self.nap, self.task, self.steps = inner, nap, task, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def step(self, actions):
        time.sleep(self.nap)
        self.steps += 1
        if self.steps == 6:  # an update is 5
            with open("training.txt", "a") as file:
                file.write(f"{self.task}\\n")
        return self.inner.step(actions)


def make(task, seeds, copies, engine="batched", nap=0.0, stumble=False, **options):
    with open("started.txt", "a") as file:
        file.write(f"{task} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")
    if stumble and not Path("stumbled").exists():
        Path("stumbled").touch()
        raise RuntimeError("stumbled, as told")
    return Sleepy(envs.make("roll_call/4x4-8", seeds, copies, engine=engine, **options), nap, task)
'''
HEAD = """
[nap]
steps = 1600
seeds = 1
log_every = 400
test_every = 0
test_episodes = 0
time_limit = "terminal"
facts.agents = 4
"""
ALGORITHMS = """
[fps]
learner = "a2c"
label = "Full sharing"
colour = "#0072B2"
settings = { sharing = "full", copies = 8 }
"""
FIGURE = """
[naps]
paper = "none"
title = "Naps"
caption = "naps.rst"
tasks = {tasks}
algorithms = ["fps"]
metric = "train_return"
x = "updates"
x_label = "updates"
y_label = "return"
"""
TABLE = """
[sizes]
paper = "none"
title = "Sizes"
tasks = {tasks}
facts = ["agents"]
"""
CALLS = 1600 // 8  # steps of all copies together
HALF_WRITTEN = ("*.pyc.*", "*.tmp.*")  # by Python and Numba, which rename them within moments


def checkout(root: Path, **tasks: str) -> Path:
    """Write it, with what is compiled already; `tasks` are the lines of each task's entry."""
    ignore = shutil.ignore_patterns("sheets", "logs", *HALF_WRITTEN)
    for name in ("src", "containers", "workflow"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore, symlinks=True)
    (root / "envs").symlink_to("src/partage/envs")
    for name in ("Snakefile", "pyproject.toml", "requirements.lock"):
        shutil.copy2(ROOT / name, root)
    (root / "profiles").symlink_to("workflow/profiles")
    (root / "envs/nap.py").write_text(ENV)
    config = root / "src/partage/config/sheets"
    config.mkdir()
    entries = [f"[nap.task.{name}]\n{lines}\n" for name, lines in tasks.items()]
    (config / "tasks.toml").write_text("\n".join([HEAD, *entries]))
    (config / "algorithms.toml").write_text(ALGORITHMS)
    (config / "figures.toml").write_text(FIGURE.format(tasks=[f"nap/{name}" for name in tasks]))
    (config / "tables.toml").write_text(TABLE.format(tasks=[f"nap/{name}" for name in tasks]))
    for sheet in (ROOT / "src/partage/config/sheets").glob("*.toml"):  # all others are empty
        (config / sheet.name).touch()
    return root


def lasting(seconds: float) -> str:
    """A task's line: how long its steps take together."""
    return f"options.nap = {seconds / CALLS}"


def snakemake(root: Path, *options: str) -> subprocess.Popen[str]:
    """It, under way; what it says goes to ``said.txt``."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
    }
    with open(root / "said.txt", "a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *options],
            cwd=root,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )


def ended(root: Path, process: subprocess.Popen[str], seconds: float) -> str:
    """All it said, when it has ended well."""
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        code = f"still at it after {seconds} s"
    said = (root / "said.txt").read_text()
    assert code == 0, f"{code}\n{said[-6000:]}"
    return said


def until(
    what: str, true: Callable[[], object], process: subprocess.Popen[str] | None = None
) -> None:
    """Wait for it, at most four minutes, and only as long as the process goes on that is to bring
    it about.
    """
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline, f"not after 240 s: {what}"
        assert process is None or process.poll() is None, f"snakemake has ended before: {what}"
        time.sleep(0.2)


def run(root: Path, task: str, results: str = "results") -> Path:
    return root / results / "smoke/runs/fps/nap" / task / "0"


def begun(root: Path, task: str) -> bool:
    """Whether it trains."""
    path = root / "training.txt"
    return path.exists() and task in path.read_text().split()


def outcomes(
    root: Path, tasks: Sequence[str], results: str = "results"
) -> dict[str, tuple[pd.DataFrame, dict]]:
    return {task: record.read(run(root, task, results)) for task in tasks}


def starts(root: Path) -> dict[str, set[str]]:
    """Task -> the processes that began to train it."""
    found: dict[str, set[str]] = {}
    for line in (root / "started.txt").read_text().splitlines():
        found.setdefault(line.split()[0], set()).add(line.split()[1])
    return found
