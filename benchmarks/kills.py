"""Kills the workflow at random and looks what is left: ``python -m benchmarks.kills [--kills 50]
[--slurm]``.

Tiny runs are trained and drawn once in peace. Then the same is begun anew, and again and again one
of its processes gets SIGKILL: a trainer, the shell around one (its worker), a process of a pool
that plays for a trainer, the main process, with --slurm also a node's daemon. After that comes
one run in peace. Curves and frames must be the same to the last bit (where a pool's process was
killed, that run's must be whole: its episode is void, and another is played), no process and no
temporary file be left. Exits with 1 where they are not. docs/reliability.md has what came out.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path

from benchmarks import naps, slurm
from partage.runs import record

TASKS = {"nap": naps.lasting(4)}
ALGORITHMS = """
[nps]
learner = "a2c"
label = "No sharing"
colour = "#E69F00"
settings = { sharing = "none", copies = 8 }
[qmix]
learner = "qmix"
label = "QMIX"
colour = "#009E73"
settings = { sharing = "full", batch = 4, buffer = 16, hidden = 16 }
"""
POOLED = """
[grf]
engine = "package"
steps = 8_000
seeds = 2
log_every = 1_000
test_every = 0
test_episodes = 0
time_limit = "terminal"
[grf.task.academy_3_vs_1_with_keeper]
label = "played in worker processes"
"""
POOL_FIGURE = """
[pooled]
paper = "none"
title = "Played in worker processes"
caption = "naps.rst"
tasks = ["grf/academy_3_vs_1_with_keeper"]
algorithms = ["fps"]
metric = "train_return"
x = "updates"
y_label = "return"
"""
KINDS = ["main process", "worker", "pool worker", "trainer", "slurmd"]
STARTS = "starts of the main process"
PATIENCE = 60  # s that a kill waits for work that is half done
POOL_WORKER = "partage.sims.workers.worker"  # as its command line has it
OFTEN = """#!/bin/sh
# the Python of the jobs: a trainer saves a checkpoint twice a second
case "$3" in train) exec "{python}" "$@" --checkpoint-every 0.5 ;; *) exec "{python}" "$@" ;; esac
"""


def prepared(root: Path) -> Path:
    """Three algorithms, four seeds in packs of two: six runs of some seconds; and one whose
    simulators live in worker processes, where football is installed.
    """
    naps.checkout(root, **TASKS)
    config = root / "src/partage/config/sheets"
    with (config / "algorithms.toml").open("a") as file:
        file.write(ALGORITHMS)
    for sheet, old, new in (
        ("figures", '["fps"]', '["fps", "nps", "qmix"]'),
        ("tasks", "seeds = 1", "seeds = 4"),
    ):
        path = config / f"{sheet}.toml"
        path.write_text(path.read_text().replace(old, new))
    entries = (("tasks", POOLED), ("figures", POOL_FIGURE))
    if find_spec("gfootball") is None:
        print("gfootball is not installed (make football): no process of a pool to kill")
        entries = ()
    for sheet, entry in entries:
        with (config / f"{sheet}.toml").open("a") as file:
            file.write(entry)
    python = root / "python"
    python.write_text(OFTEN.format(python=sys.executable))
    python.chmod(0o755)
    return root


def options(root: Path, on_slurm: bool) -> list[str]:
    where = [
        "--workflow-profile",
        "profiles/slurm",
        "--slurm-init-seconds-before-status-checks",
        "2",
    ]
    where += ["--set-resources", "train:mem_mb=100"]
    return [
        *(where if on_slurm else ["--cores", "2"]),
        "--config",
        "seeds_per_run=2",
        f"python={root / 'python'}",
    ]


def in_peace(root: Path, on_slurm: bool) -> None:
    naps.ended(root, naps.snakemake(root, *options(root, on_slurm), "--unlock"), 300)
    naps.ended(root, naps.snakemake(root, *options(root, on_slurm)), 1200)


def results(root: Path) -> dict[str, str]:
    """Path -> digest, of every curve and frame; every curve is one that its record vouches for."""
    below = root / "results"
    runs = [path.parent for path in below.glob("smoke/runs/*/*/*/*/recipe.json")]
    found = {str(run.relative_to(below)): record.read(run)[0].to_csv() for run in runs}
    found |= {
        str(path.relative_to(below)): path.read_bytes().hex()
        for path in below.glob("smoke/frames/*")
    }
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in found.items()}


def of_pool(name: str, found: dict[str, str]) -> bool:
    """Whether a curve or frame that is there was played in a pool."""
    return name in found and ("/grf/" in name or name.endswith("frames/pooled.parquet"))


def processes(root: Path) -> dict[int, str]:
    """Every process that works in the folder, with its command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (path / "cwd").resolve() == root and int(path.name) != os.getpid():
                found[int(path.name)] = (
                    (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found


def victims(root: Path, main: int) -> dict[str, list[int]]:
    """The processes of each kind that there are now."""
    running = processes(root)
    trains = [(number, line) for number, line in running.items() if "partage train" in line]
    shells = [
        number for number, line in trains if "bash -c" in line or "/bin/sh" in line.split(" ")[0]
    ]
    found = {
        "main process": [main],
        "worker": shells,
        "pool worker": [number for number, line in running.items() if POOL_WORKER in line],
        "trainer": [number for number, _ in trains if number not in shells],
    }
    return {kind: numbers for kind, numbers in found.items() if numbers}


def saved_since(root: Path, began: float) -> bool:
    """Whether a run has saved a checkpoint since then, so that it has something to go on from."""
    slots = (root / "results").glob("smoke/runs/*/*/*/*/checkpoint/[ab]")
    return any(slot.stat().st_mtime > began for slot in slots)


def wait(root: Path, main: subprocess.Popen[str]) -> None:
    """Let some time pass, or wait until a run has saved itself, or until a pool plays."""
    began, until = time.time(), time.monotonic() + PATIENCE
    what = random.choice(["some time", "a checkpoint", "a pool"])
    time.sleep(random.uniform(0.5, 4))
    while what != "some time" and main.poll() is None and time.monotonic() < until:
        with suppress(OSError):  # a checkpoint may be cleared away while it is looked at
            if what == "a checkpoint" and saved_since(root, began):
                break
        if what == "a pool" and "pool worker" in victims(root, main.pid):
            break
        time.sleep(0.2)


def disturb(root: Path, kills: int, cluster: Path | None, only: list[str]) -> Counter[str]:
    """Kill until it has been done `kills` times, of the kinds in `only` where any are named; what
    was killed how often, and how often the main process began.
    """
    count: Counter[str] = Counter()
    main = naps.snakemake(root, *options(root, bool(cluster)))
    while count.total() - count[STARTS] < kills:
        wait(root, main)
        if cluster and slurm.revive(cluster):
            print("the controller had ended by itself", file=sys.stderr, flush=True)
        if main.poll() is not None:
            if main.returncode == 0:  # all made: forget one run, so that there is something to kill
                again = random.choice(list((root / "results/smoke/runs").glob("*/*/*/*")))
                subprocess.run(["rm", "-r", str(again)], check=True)
            naps.ended(root, naps.snakemake(root, *options(root, bool(cluster)), "--unlock"), 300)
            main = naps.snakemake(root, *options(root, bool(cluster)))
            count[STARTS] += 1
            continue
        there = victims(root, main.pid)
        kinds = [*there, "slurmd"] if cluster else [*there]
        kinds = [kind for kind in kinds if not only or kind in only]
        if not kinds:
            continue  # none of them runs now
        kind = random.choice(kinds)
        if kind == "slurmd" and cluster:
            node = random.choice(slurm.NODES)
            slurm.kill(cluster, node)
            time.sleep(random.uniform(0.2, 2))
            slurm.start(node)
        else:
            with suppress(ProcessLookupError):
                os.kill(random.choice(there[kind]), signal.SIGKILL)
        count[kind] += 1
        print(f"killed: {kind}", file=sys.stderr, flush=True)
    main.kill()
    main.wait()
    return count


def left(root: Path) -> list[str]:
    """What should not be there in the end."""
    until = time.monotonic() + 30
    while processes(root) and time.monotonic() < until:
        time.sleep(0.5)
    kinds = ("**/.*.tmp", "**/checkpoint")
    files = [str(path) for kind in kinds for path in (root / "results").glob(kind)]
    return [*files, *processes(root).values()]


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--slurm",
        action="store_true",
        help="on a throw-away cluster (benchmarks.slurm; needs root)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=KINDS,
        help="kill these alone: without pool workers football's curve must be equal as well",
    )
    asked = parser.parse_args()
    if asked.only == ["slurmd"] and not asked.slurm:
        parser.error("slurmd runs on a cluster only: add --slurm, or kill other processes as well")
    if asked.only == ["pool worker"] and find_spec("gfootball") is None:
        parser.error("pools play football here, and gfootball is not installed: make football")
    random.seed(asked.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = Path(folder).resolve()
        calm, disturbed = prepared(place / "calm"), prepared(place / "disturbed")
        in_peace(calm, False)
        began = time.monotonic()
        with slurm.cluster(place / "slurm") if asked.slurm else nullcontext() as cluster:
            count = disturb(disturbed, asked.kills, cluster, asked.only)
            in_peace(disturbed, asked.slurm)
            remains = left(disturbed)
        expected, found = results(calm), results(disturbed)
        changed = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        # an episode whose process is killed is void and another is played: those curves may differ
        others = [name for name in changed if count["pool worker"] and of_pool(name, found)]
        wrong = [name for name in changed if name not in others]
        resumed = sum(
            record.read(path.parent)[1]["resumed"]
            for path in disturbed.glob("results/smoke/runs/*/*/*/*/record.json")
        )
        print(
            f"{', '.join(f'{kind}: {n}' for kind, n in sorted(count.items()))}; "
            f"{time.monotonic() - began:.0f} s"
        )
        print(f"{len(expected)} curves and frames, {len(wrong)} of them lost or different: {wrong}")
        print(f"whole, but of other episodes, as a pool's were void: {others}")
        print(f"runs went on from a checkpoint {resumed} times; left over: {remains}")
        return int(bool(wrong or remains))


if __name__ == "__main__":
    sys.exit(main())
