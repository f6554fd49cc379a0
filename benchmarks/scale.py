"""What 100 to 10,000 runs cost beside training: ``python -m benchmarks.scale [--cells 100 ...]
[--slurm | --plan]``.

Planning, Snakemake's own work on the graph, files and bytes, collecting and drawing: measured on
made-up runs, whose curves have the size of real ones. With --slurm (root): the rate at which a
throw-away cluster's queue takes jobs, and what a job costs that trains nothing. The numbers stand
in docs/scale.md.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks import environments, naps, slurm
from partage.config import plan
from partage.config.recipe import Recipe, run_dir, write_recipes
from partage.runs import record
from partage.runs.code_stamps import code

TASKS = 10  # panels of the one figure
METRICS = ("train_return", "policy_loss", "value_loss", "entropy", "gradient_norm", "test_return")
REDRAWN = "mpd-fig3"  # the figure with most panels and strips
BLOCKS = {
    "mdps": ("front", "back"),
    "bdps": ("roles", "groups"),
}  # what moves, in the strips of these algorithms
AGENTS = 15  # rows of a strip
POINTS = 100  # of each metric: what a run of paper scale has


class Cost(NamedTuple):
    seconds: float  # on the wall
    cpu: float  # seconds
    memory: float  # MiB, at most


def spent(root: Path, *command: str) -> Cost:
    """Run a command that has to succeed."""
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    before, memory = os.times(), 0.0
    with open(root / "said.txt", "wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=root, env=environment, stdout=said, stderr=said
        )
        while process.poll() is None:
            with suppress(
                OSError
            ):  # what the kernel says of a child that has ended would count this process's memory
                found = re.search(
                    r"VmHWM:\s*(\d+)", Path(f"/proc/{process.pid}/status").read_text()
                )
                memory = max(memory, int(found[1]) / 1024 if found else 0)
            time.sleep(0.02)
    after = os.times()
    if process.returncode:
        raise RuntimeError(
            f"{command} ended with {process.returncode}:\n{(root / 'said.txt').read_text()[-3000:]}"
        )
    cpu = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Cost(time.monotonic() - began, cpu, memory)


def prepared(root: Path, cells: int) -> list[Recipe]:
    """A checkout with that many runs of one seed; their recipes."""
    naps.checkout(root, **{f"t{number}": "" for number in range(TASKS)})
    sheet = root / "src/partage/config/sheets/tasks.toml"
    sheet.write_text(sheet.read_text().replace("seeds = 1", f"seeds = {cells // TASKS}"))
    sheets = plan.load(root)
    return sheets.recipes(
        sheets.select_figures(), plan.Request(seeds_per_run=1, results=str(root / "results"))
    )


def finished(root: Path, recipes: Sequence[Recipe]) -> None:
    """Made-up outcomes of all, as `record.write` leaves them; every task has the same curves."""
    steps = np.tile(np.arange(1, POINTS + 1) * 16, len(METRICS))
    frame = {"env_steps": steps, "updates": steps // 8, "metric": np.repeat(METRICS, POINTS)}
    curves: dict[int, bytes] = {}
    ran = code("a2c", "nap", root)
    for recipe in recipes:
        folder, seed = run_dir(root / "results/smoke", recipe), recipe.seeds[0]
        if seed not in curves:
            values = np.random.default_rng(seed).normal(size=len(steps))
            made = {"recipe": asdict(recipe), "recipe_hash": recipe.hash, "code": ran}
            record.write(folder, pd.DataFrame({"seed": seed, **frame, "value": values}), made)
            curves[seed] = (folder / "curve.parquet").read_bytes()
            continue
        made = {"schema": record.SCHEMA, "recipe": asdict(recipe), "recipe_hash": recipe.hash}
        made |= {"code": ran, "curve_sha256": sha256(curves[seed]).hexdigest()}
        for place in (folder, folder / "kept"):
            place.mkdir(parents=True, exist_ok=True)
            (place / "curve.parquet").write_bytes(curves[seed])
            (place / "record.json").write_text(json.dumps(made))


def measured(cells: int) -> dict[str, str]:
    """One row of the table."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / "checkout"
        recipes = prepared(root, cells)
        asked = ("--cores", "1", "--config", "seeds_per_run=1", "--quiet", "all")
        written = spent(root, "partage", "plan", "--seeds-per-run", "1", "--write")
        first = spent(root, "snakemake", "--dry-run", *asked)
        finished(root, recipes)
        files = [path for path in (root / "results").rglob("*") if path.is_file()]
        frame = spent(root, "partage", "frame", "naps", "--seeds-per-run", "1")
        drawn = spent(root, "partage", "draw", "naps", "--seeds-per-run", "1")
        spent(root, "partage", "table", "sizes")
        again = spent(root, "snakemake", "--dry-run", *asked)
        return {
            "runs": f"{cells:,}",
            "recipes written": f"{written.seconds:.1f} s ({written.cpu:.1f})",
            "dry run, nothing made": (
                f"{first.seconds:.1f} s ({first.cpu:.1f}), {first.memory:.0f} MiB"
            ),
            "dry run, all made": f"{again.seconds:.1f} s ({again.cpu:.1f}), {again.memory:.0f} MiB",
            "files, size": (
                f"{len(files):,}, {sum(path.stat().st_size for path in files) / 2**20:.0f} MiB"
            ),
            "frame": f"{frame.seconds:.1f} s ({frame.cpu:.1f}), {frame.memory:.0f} MiB",
            "figure": f"{drawn.seconds:.1f} s ({drawn.cpu:.1f})",
        }


def complete() -> dict[str, str]:
    """The papers' whole plan, made up: a dry run, its report, and one figure redrawn after a change
    of the code.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / "checkout"
        naps.checkout(root)
        for name in ("src/partage/config/sheets", "results/reference"):
            shutil.copytree(naps.ROOT / name, root / name, dirs_exist_ok=True)
        sheets, request = (
            plan.load(root).at("paper"),
            plan.Request(scale="paper", results=str(root / "results")),
        )
        figures = [
            sheets.figures[name]
            for name in sheets.ready(request.figures)[0]
            if name in sheets.figures
        ]
        recipes = sheets.recipes(figures, request)
        write_recipes(request.root, recipes)
        shown = {
            name
            for each in figures
            for name in (each.metric, *(each.beside or ()), *(each.also or ()))
        }
        for recipe in recipes:
            moving = [name for name in BLOCKS if recipe.algorithm.startswith(name)]
            strips = [
                f"sharing/{block}/{n}"
                for name in moving
                for block in BLOCKS[name]
                for n in range(AGENTS)
            ]
            names = [*sorted(shown), *strips]
            steps = np.linspace(1, recipe.steps, POINTS).astype(int)
            steps = np.tile(steps, len(names))
            columns = {
                "env_steps": steps,
                "updates": steps // 40,
                "metric": np.repeat(names, POINTS),
            }
            values = np.random.default_rng(0).integers(3, size=len(names) * POINTS).astype(float)
            frame = pd.concat(
                [pd.DataFrame({"seed": seed, **columns, "value": values}) for seed in recipe.seeds]
            )
            made = {"recipe": asdict(recipe), "recipe_hash": recipe.hash}
            made |= {"code": code(recipe.learner, recipe.task.partition("/")[0], root)}
            record.write(run_dir(request.root, recipe), frame, made)
        asked = (
            "--cores",
            "1",
            "--config",
            "scale=paper",
            "--quiet",
            "all",
            "--",
            f"results/paper/figures/{REDRAWN}.png",
        )
        dry = spent(root, "snakemake", "--dry-run", *asked[:6])
        report = spent(root, "partage", "report", "--scale", "paper")
        spent(root, "snakemake", *asked)
        with (root / "src/partage/plots/curves.py").open("a") as file:
            file.write("# changed\n")
        redrawn = spent(root, "snakemake", *asked)
        size = (request.root / "report.html").stat().st_size / 2**20
        return {
            "runs, cells": f"{len(recipes):,}, {sum(len(recipe.seeds) for recipe in recipes):,}",
            "dry run": f"{dry.seconds:.1f} s ({dry.cpu:.1f})",
            "report": f"{report.seconds:.1f} s ({report.cpu:.1f}), {size:.0f} MiB",
            f"{REDRAWN} redrawn": f"{redrawn.seconds:.1f} s ({redrawn.cpu:.1f})",
        }


def queued(cells: int) -> dict[str, str]:
    """How fast a queue that starts nothing takes jobs."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        slurm.cluster(Path(folder) / "slurm"),
    ):
        slurm.said("scontrol", "update", "PartitionName=cpu", "State=DOWN")
        root = Path(folder).resolve() / "checkout"
        prepared(root, cells)
        process = snakemake(root, cells)
        while len(slurm.jobs()) < cells:
            time.sleep(0.5)
            if process.poll() is not None:
                raise RuntimeError((root / "said.txt").read_text()[-3000:])
        times = sorted(
            datetime.fromisoformat(when) for when in slurm.said("squeue", "-h", "-o", "%V").split()
        )
        rate = cells / max(
            (times[-1] - times[0]).total_seconds(), 1
        )  # SLURM says when, to the second
        process.kill()
        process.wait()
        slurm.said("scancel", "--user=root")
        return {"jobs": f"{cells:,}", "taken by the queue": f"{rate:.1f} jobs/s"}


def through(cells: int) -> dict[str, str]:
    """What a job costs that only finds its run finished: SLURM, two start-ups of Snakemake, one of
    torch.
    """
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        slurm.cluster(Path(folder) / "slurm", 2),
    ):
        root = Path(folder).resolve() / "checkout"
        recipes = prepared(root, cells)
        finished(root, recipes)
        for recipe in recipes:
            for name in record.OUTCOME:
                (run_dir(root / "results/smoke", recipe) / name).unlink()
        began = time.monotonic()
        naps.ended(root, snakemake(root, cells), 1200)
        seconds = time.monotonic() - began
        return {
            "jobs": f"{cells:,}",
            "made, 4 at a time": f"{seconds:.0f} s, {seconds / cells:.1f} s a job",
        }


def snakemake(root: Path, cells: int) -> subprocess.Popen[str]:
    quick = [
        "--slurm-init-seconds-before-status-checks",
        "5",
        "--set-resources",
        "train:mem_mb=100",
    ]
    asked = [
        "--workflow-profile",
        "profiles/slurm",
        "--jobs",
        str(cells),
        *quick,
        "--config",
        "seeds_per_run=1",
    ]
    return naps.snakemake(root, *asked)


def table(rows: Sequence[dict[str, str]]) -> str:
    return pd.DataFrame(rows).to_markdown(index=False)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--slurm", action="store_true")
    parser.add_argument("--plan", action="store_true", help="of the papers' complete plan instead")
    asked = parser.parse_args()
    print(f"{environments.machine()}, load average {os.getloadavg()[0]:.1f}\n", flush=True)
    if asked.plan:
        print(table([complete()]))
    elif asked.slurm:
        print(table([queued(cells) for cells in asked.cells]), "\n", flush=True)
        print(table([through(20)]))
    else:
        print(table([measured(cells) for cells in asked.cells]))


if __name__ == "__main__":
    main()
