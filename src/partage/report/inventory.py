"""The runs of a plan as they lie below a folder, and what of a figure can be drawn of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from partage.analysis import frames
from partage.config import study
from partage.config.plan import Figure, Request
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.runs import record


class Run(NamedTuple):
    """One run of the plan, finished or missing.

    A finished run has a record; its curve may have been let go of once it was drawn.
    """

    recipe: Recipe
    folder: Path
    curve: pd.DataFrame | None
    record: dict[str, Any]  # what record.json holds; empty where the run is missing
    missing_because: str = ""

    @property
    def is_finished(self) -> bool:
        """Return whether there is a run that counts."""
        return bool(self.record)


class FigurePart(NamedTuple):
    """As much of a figure as its finished runs make up: some tasks, the same algorithms on each."""

    figure: Figure  # with these tasks, algorithms and claims alone
    frame: pd.DataFrame
    is_whole: bool


class Hours(NamedTuple):
    """What a run cost."""

    cpu: float
    gpu: float


def find_runs(recipes: Sequence[Recipe], root: Path) -> list[Run]:
    """Return the run of every recipe, finished or missing.

    A run that was made by another recipe than the config files give today does not count.
    """
    return [_find_run(recipe, run_dir(root, recipe)) for recipe in recipes]


def _find_run(recipe: Recipe, folder: Path) -> Run:
    if not (folder / "record.json").is_file():
        return Run(recipe, folder, None, {}, "not made yet")
    try:
        curve, made = record.read(folder, recipe)
    except UserError as error:
        return Run(recipe, folder, None, {}, str(error))
    return Run(recipe, folder, curve, made)


def drawable_part(figure: Figure, runs: Sequence[Run]) -> FigurePart | None:
    """Return the part of a figure that its finished runs make up; None where they make up nothing.

    The part has the tasks that are whole. Where none is, it has the task with most algorithms, and
    those. Raises `UserError` where the runs cannot be drawn together.
    """
    lacking = {(run.recipe.task, run.recipe.algorithm) for run in runs if run.curve is None}
    drawn: dict[str, list[str]] = {task: [] for task in figure.tasks}
    whole = list(figure.tasks)
    for algorithm, task in figure.pairs():
        if (task, algorithm) not in lacking:
            drawn[task].append(algorithm)
        elif task in whole:
            whole.remove(task)
    fullest = max(figure.tasks, key=lambda task: len(drawn[task]))
    if not drawn[fullest]:
        return None
    tasks = whole or [fullest]
    shown = set().union(*(drawn[task] for task in tasks))
    algorithms = [name for name in figure.algorithms if name in shown]
    part = restrict(figure, tasks, algorithms)
    is_whole = (tasks, algorithms) == (figure.tasks, figure.algorithms)
    return FigurePart(part, _join(part, runs), is_whole)


def restrict(figure: Figure, tasks: list[str], algorithms: list[str]) -> Figure:
    """Return the figure with these tasks and algorithms, and what it shows of them."""
    return figure._replace(
        tasks=tasks,
        algorithms=algorithms,
        claims=[claim for claim in figure.claims if {claim.of, *claim.than} <= set(algorithms)],
        strip=figure.strip if figure.strip in algorithms else "",
        also=figure.also if algorithms[0] == figure.algorithms[0] else {},
    )


def _join(figure: Figure, runs: Sequence[Run]) -> pd.DataFrame:
    """Return the figure's frame of its finished runs."""
    parts = []
    for run in runs:
        in_figure = run.recipe.task in figure.tasks and run.recipe.algorithm in figure.algorithms
        if in_figure and run.curve is not None:
            parts.append((run.folder, run.curve, run.record))
    return frames.join(figure, parts)


def make_command(figure: Figure, recipe: Recipe, request: Request) -> str:
    """Return the command that makes all that a figure lacks, like this recipe, as it was asked."""
    wanted = {
        "scale": recipe.scale,
        "engine": recipe.engine,
        "results": request.results,
        "figures": figure.name,
        "seeds_per_run": request.seeds_per_run,
        "seed_count": request.seed_count,
    }
    options = [f"{key}={value}" for key, value in wanted.items() if getattr(Request, key) != value]
    return study.snakemake(" ".join(options))


def hours(made: dict[str, Any]) -> Hours:
    """Return what a run cost, as its record has it; what an imported run cost is not known (0)."""
    on_gpu = str(made.get("device", "")).startswith("cuda")
    gpu_seconds = made.get("wall_seconds", 0.0) if on_gpu else 0.0
    return Hours(made.get("cpu_seconds", 0.0) / 3600, gpu_seconds / 3600)


def cells(runs: Sequence[Run]) -> int:
    """Return how many cells the runs have: an algorithm on a task with a seed is one."""
    return sum(len(run.recipe.seeds) for run in runs)
