"""What there is of a plan, and what is missing: runs as they lie below a root, and as much of a
figure as they make.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from partage.analysis import frames
from partage.config.plan import Figure, Request
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.runs import record


class Run(NamedTuple):
    """One run of the plan."""

    recipe: Recipe
    place: Path
    curve: pd.DataFrame | None  # None: there is none that counts
    made: dict[str, Any]  # its record; empty where there is none that counts
    why: str  # there is none


class Part(NamedTuple):
    """As much of a figure as its finished runs make up: some tasks, and the same algorithms on
    each.
    """

    figure: Figure
    rows: pd.DataFrame
    whole: bool


def look(recipes: Sequence[Recipe], root: Path) -> list[Run]:
    """Every run; those that were made by another recipe than the sheets give today do not count."""
    return [_look(recipe, run_dir(root, recipe)) for recipe in recipes]


def _look(recipe: Recipe, place: Path) -> Run:
    if not (place / "record.json").is_file():
        return Run(recipe, place, None, {}, "not made yet")
    try:
        return Run(recipe, place, *record.read(place, recipe), "")
    except UserError as refusal:
        return Run(recipe, place, None, {}, str(refusal))


def part(figure: Figure, runs: Sequence[Run]) -> Part | None:
    """The tasks that are whole; where none is, the task that has most, with the algorithms it has.
    None: nothing is.
    """
    lacking = {(run.recipe.task, run.recipe.algorithm) for run in runs if run.curve is None}
    wanted = {
        task: [name for name in figure.algorithms if figure.draws(name, task)]
        for task in figure.tasks
    }
    has = {
        task: [name for name in wanted[task] if (task, name) not in lacking]
        for task in figure.tasks
    }
    tasks = [task for task in figure.tasks if has[task] == wanted[task]]
    most = max(figure.tasks, key=lambda task: len(has[task]))
    if not has[most]:
        return None
    shown = {name for task in tasks or [most] for name in has[task]}
    tasks, algorithms = tasks or [most], [name for name in figure.algorithms if name in shown]
    claims = [claim for claim in figure.claims if {claim.of, *claim.than} <= set(algorithms)]
    fitting = figure._replace(
        tasks=tasks,
        algorithms=algorithms,
        claims=claims,
        strip=figure.strip if figure.strip in algorithms else "",
        also=figure.also if algorithms[0] == figure.algorithms[0] else {},
    )
    kept = [run for run in runs if run.recipe.task in tasks and run.recipe.algorithm in algorithms]
    rows = frames.join(
        fitting, [(run.place, run.curve, run.made) for run in kept if run.curve is not None]
    )
    return Part(fitting, rows, (tasks, algorithms) == (figure.tasks, figure.algorithms))


def command(figure: Figure, recipe: Recipe, results: str = "results") -> str:
    """What makes all that a figure lacks."""
    asked = {
        "scale": recipe.scale,
        "engine": recipe.engine,
        "results": results,
        "figures": figure.name,
    }
    config = " ".join(
        f"{key}={value}" for key, value in asked.items() if getattr(Request, key) != value
    )
    return f".venv/bin/snakemake --cores all --config {config}"


def hours(made: dict[str, Any]) -> tuple[float, float]:
    """CPU-hours and GPU-hours of a run, as its record has them; an imported one's are not known
    (0).
    """
    gpu = made["wall_seconds"] if str(made.get("device", "")).startswith("cuda") else 0.0
    return made.get("cpu_seconds", 0.0) / 3600, gpu / 3600
