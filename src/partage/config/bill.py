"""The bill: what the runs of figures take, before they are made (standard library only)."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from partage.config import costs, outcomes
from partage.config.calibration import Calibration
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError

HOUR, GIB = 3600, 2**30


class Line(NamedTuple):
    """What some runs take: those that are not made yet."""

    name: str
    runs: int
    made: int  # of them; they cost nothing any more
    steps: int  # environment steps of all runs
    cpu_hours: float
    memory: float  # GiB of the run that takes most, its seeds side by side
    most_memory: float  # GiB of it if no episode ended before its limit
    kept: float  # GiB on the disk that all leave
    underway: float  # GiB of the checkpoints of all while they train
    predicted: int  # runs of cells that were not measured
    longest: str  # the run that takes most time
    longest_hours: float


def line(name: str, recipes: Iterable[Recipe], root: Path, calibration: Calibration) -> Line:
    """Return what some runs take, each once."""
    recipes = list(recipes)
    todo = [each for each in recipes if not outcomes.is_made(run_dir(root, each), each)]
    for recipe in todo:
        _refuse_another_engine(recipe, calibration)
    each = [costs.of(recipe, calibration) for recipe in todo]
    hours = {
        f"{r.algorithm} on {r.task}": cost.cpu_seconds / HOUR
        for r, cost in zip(todo, each, strict=True)
    }
    longest = max(hours, key=lambda name: hours[name], default="")
    return Line(
        name=name,
        runs=len(recipes),
        made=len(recipes) - len(todo),
        steps=sum(recipe.steps * len(recipe.seeds) for recipe in recipes),
        cpu_hours=sum(cost.cpu_seconds for cost in each) / HOUR,
        longest=longest,
        longest_hours=hours.get(longest, 0.0),
        memory=max((cost.memory for cost in each), default=0) / GIB,
        most_memory=max((cost.most_memory for cost in each), default=0) / GIB,
        kept=sum(cost.kept for cost in each) / GIB,
        underway=sum(cost.underway for cost in each) / GIB,
        predicted=sum(cost.predicted for cost in each),
    )


def _refuse_another_engine(recipe: Recipe, calibration: Calibration) -> None:
    """Raise `UserError` where a task was measured on another engine than plays it."""
    task = calibration.tasks.get(recipe.task)
    if task is not None and task.engine != recipe.engine:
        raise UserError(
            f"The bill knows how fast the engine {task.engine} plays {recipe.task}, but the engine "
            f"{recipe.engine} is asked for, which no calibration measures: leave out --engine."
        )
