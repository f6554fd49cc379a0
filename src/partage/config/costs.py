"""What a run costs: CPU time, memory and disk, from a calibration (standard library only)."""

from collections.abc import Sequence
from dataclasses import dataclass

from partage.config import predictions, work
from partage.config.calibration import Calibration, Measured, Played
from partage.config.recipe import Recipe
from partage.errors import UserError

SAVING = 1.05  # of what is held: the most memory that writing a checkpoint takes
SLOTS = 2  # checkpoints that a run under way keeps, of all but the episodes, which both share
POINT = 40  # bytes of a point of a curve on the disk, of both copies
METRICS = 10  # that a mark logs
PERIODS = {
    "mdps": "period",
    "mdps_ppo": "period",
    "hetdps": "period",
}  # the setting that says after how many updates an event recurs
ONCE = ("seps", "seps_ppo", "adaps")  # learners with one event in a run


@dataclass(frozen=True)
class Cost:
    """What a run takes, all its seeds side by side."""

    cpu_seconds: float
    memory: float  # bytes, with episodes as long as under random play
    most_memory: float  # bytes, if no episode ended before its limit
    kept: float  # bytes on the disk that it leaves
    underway: float  # bytes of its checkpoints while it trains
    predicted: bool  # from other cells


def knows_speed(recipe: Recipe, calibration: Calibration) -> bool:
    """Return whether the recipe's task was measured, on the engine that plays it."""
    task = calibration.tasks.get(recipe.task)
    return task is not None and task.engine == recipe.engine


def of(recipe: Recipe, calibration: Calibration) -> Cost:
    """Return what a run costs, its time by the engine measured (see `knows_speed`).

    Raises `UserError` for a task that was not calibrated.
    """
    if recipe.task not in calibration.tasks:
        raise UserError(
            f"Task {recipe.task} is not in the calibration: measure it as well with "
            "`partage calibrate --anew`."
        )
    task, runs, steps = calibration.tasks[recipe.task], len(recipe.seeds), recipe.steps
    cell, predicted = _cell(recipe, calibration)
    updates = steps / work.steps_an_update(recipe.settings, task)
    tests = steps / recipe.test_every + 1 if recipe.test_every else 0
    seconds = (
        steps * cell.step_seconds
        + updates * cell.update_seconds
        + tests * recipe.test_episodes * task.length * cell.test_seconds
        + _events(recipe, updates) * cell.event_seconds
    )
    held = _replay(recipe, task, task.length)
    beside = calibration.base_bytes + runs * cell.working_bytes
    return Cost(
        cpu_seconds=calibration.start_seconds + runs * seconds,
        memory=beside + SAVING * runs * held,
        most_memory=beside + SAVING * runs * _replay(recipe, task, task.horizon),
        kept=runs * (cell.kept_bytes + POINT * METRICS * steps / recipe.log_every),
        underway=runs * (held + SLOTS * cell.kept_bytes),
        predicted=predicted,
    )


def memory_of_pack(recipes: Sequence[Recipe], calibration: Calibration) -> float:
    """Return the bytes of memory that one process takes for several recipes side by side."""
    base = calibration.base_bytes
    return base + sum(of(recipe, calibration).memory - base for recipe in recipes)


def _cell(recipe: Recipe, calibration: Calibration) -> tuple[Measured, bool]:
    """Return what a run of the recipe's cell costs, and whether that is predicted."""
    wanted = Measured(
        recipe.algorithm, recipe.learner, recipe.task, recipe.settings, len(recipe.seeds)
    )
    for cell in calibration.cells:
        same = (cell.learner, cell.task, cell.settings) == (
            wanted.learner,
            wanted.task,
            wanted.settings,
        )
        if same:
            return cell, cell.runs != wanted.runs
    return predictions.predict(wanted, calibration.cells, calibration.tasks), True


def _replay(recipe: Recipe, task: Played, length: float) -> float:
    """Return the bytes of a run's replay at its end, with episodes of this many steps."""
    capacity = float(recipe.settings.get("buffer", 0))
    return min(capacity * length, recipe.steps) * task.step_bytes


def _events(recipe: Recipe, updates: float) -> float:
    """Return how often what is rare and dear happens in a run."""
    if recipe.learner in PERIODS:
        return updates // float(recipe.settings[PERIODS[recipe.learner]])
    return float(recipe.learner in ONCE)
