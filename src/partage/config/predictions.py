"""What a cell costs that was not measured, by the cells of its learner that were.

What acts and what learns costs in proportion to the arithmetic of its networks on the task
(`partage.config.work`): by the power law through the two measured cells whose arithmetic lies
around it, or in proportion to the nearest where it lies beyond all. Environments are measured on
every task, and so is how long episodes are, under random play.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from partage.config import work
from partage.config.calibration import Measured, Played
from partage.errors import UserError

Tasks = Mapping[str, Played]
ALIKE = ("sharing", "levels")  # settings that decide how much a learner has to compute


class Error(NamedTuple):
    """How far predictions lie from what was measured."""

    median: float  # as a share of what was measured
    worst: float  # signed
    where: str  # the cell of the worst


def predict(wanted: Measured, cells: Sequence[Measured], tasks: Tasks) -> Measured:
    """Return `wanted` with its costs predicted from the measured `cells`.

    Raises `UserError` where no learner of its kind was measured.
    """
    like, task, settings = _most_alike(wanted, cells), tasks[wanted.task], wanted.settings

    def scaled(
        amount: Callable[[work.Settings, Played], float], cost: Callable[[Measured], float]
    ) -> float:
        points = {amount(cell.settings, tasks[cell.task]): cost(cell) for cell in like}
        points.pop(0, None)  # of learners that have no such thing
        return power_law(points, amount(settings, task))

    def acting(cell: Measured) -> float:
        return max(cell.step_seconds - tasks[cell.task].step_seconds, 0.0)

    def testing(cell: Measured) -> float:
        return max(cell.test_seconds - tasks[cell.task].step_seconds, 0.0)

    return dataclasses.replace(
        wanted,
        step_seconds=task.step_seconds + scaled(work.of_step, acting),
        test_seconds=task.step_seconds + scaled(work.of_step, testing),
        update_seconds=scaled(work.of_update, lambda cell: cell.update_seconds),
        event_seconds=scaled(work.of_event, lambda cell: cell.event_seconds),
        working_bytes=scaled(work.of_update, lambda cell: cell.working_bytes),
        kept_bytes=scaled(work.of_step, lambda cell: cell.kept_bytes),
    )


def _most_alike(wanted: Measured, cells: Sequence[Measured]) -> Sequence[Measured]:
    """Return the measured cells of the same learner and sharing, of the learner, or of the kind."""
    recurrent = work.is_recurrent(wanted.settings)
    kind = [cell for cell in cells if work.is_recurrent(cell.settings) == recurrent]
    learner = [cell for cell in kind if cell.learner == wanted.learner]
    same = [cell for cell in learner if _sharing(cell) == _sharing(wanted)]
    if found := same or learner or kind:
        return found
    raise UserError(
        f"No learner like {wanted.learner} is in the calibration: measure it anew with "
        "`partage calibrate --anew`."
    )


def _sharing(cell: Measured) -> list[object]:
    return [cell.settings.get(name) for name in ALIKE]


def power_law(points: Mapping[float, float], x: float) -> float:
    """Return the value at `x` by what is measured at other places.

    Between two places it is the power law through them, beyond all in proportion to the nearest.

    >>> power_law({1.0: 2.0, 100.0: 20.0}, 200.0), round(power_law({1.0: 2.0, 100.0: 8.0}, 10.0), 9)
    (40.0, 4.0)
    """
    if not points or not x:
        return 0.0
    nearest = min(points, key=lambda place: abs(math.log(x / place)))
    below = [place for place in points if place <= x]
    above = [place for place in points if place >= x]
    if not below or not above or nearest == x:
        return points[nearest] * x / nearest
    left, right = max(below), min(above)
    low, high = points[left], points[right]
    if not low or not high:
        return points[nearest]
    share = math.log(x / left) / math.log(right / left)
    return low ** (1 - share) * high**share


def error(cells: Sequence[Measured], tasks: Tasks) -> Error | None:
    """Return how well what each measured cell takes is predicted from the others of its learner.

    None where no learner was measured twice.
    """
    off: dict[str, float] = {}
    for cell in cells:
        others = [other for other in cells if other is not cell and other.learner == cell.learner]
        if others:
            predicted = a_step(predict(cell, others, tasks), tasks)
            off[f"{cell.algorithm} on {cell.task}"] = predicted / a_step(cell, tasks) - 1
    if not off:
        return None
    worst = max(off, key=lambda name: abs(math.log1p(off[name])))
    return Error(statistics.median(map(abs, off.values())), off[worst], worst)


def a_step(cell: Measured, tasks: Tasks) -> float:
    """Return the CPU-seconds that training takes a step: acting, and the share of an update."""
    steps = work.steps_an_update(cell.settings, tasks[cell.task])
    return cell.step_seconds + cell.update_seconds / steps
