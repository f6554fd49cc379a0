"""What a cell costs that was not measured, by the cells of its learner that were.

What acts and what learns costs by a power law of the arithmetic of its networks on the task
(`partage.config.work`): the one through the two measured cells around it, or through the outermost
two where it lies beyond all. Environments are measured on every task, and so is how long episodes
are, under random play.
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
    # games in processes of their own hide what acting takes
    actors = [cell for cell in like if cell.step_seconds > 2 * tasks[cell.task].step_seconds]

    def scaled(
        amount: Callable[[work.Settings, Played], float],
        cost: Callable[[Measured], float],
        among: Sequence[Measured] = like,
    ) -> float:
        points = {amount(cell.settings, tasks[cell.task]): cost(cell) for cell in among}
        points.pop(0, None)  # of learners that have no such thing
        return power_law(points, amount(settings, task))

    def acting(cell: Measured) -> float:
        return cell.step_seconds - tasks[cell.task].step_seconds

    def testing(cell: Measured) -> float:
        return max(cell.test_seconds - tasks[cell.task].step_seconds, 0.0)

    return dataclasses.replace(
        wanted,
        step_seconds=task.step_seconds + scaled(work.of_step, acting, actors),
        test_seconds=task.step_seconds + scaled(work.of_step, testing, actors),
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

    Between two places it is the power law through them; beyond all it goes on from the nearest with
    the exponent of the outermost two, of 0 to 1. Where one place is measured it is in
    proportion to that.

    >>> power_law({1.0: 2.0}, 200.0), round(power_law({1.0: 2.0, 100.0: 8.0}, 10.0), 9)
    (400.0, 4.0)
    """
    if not points or not x:
        return 0.0
    left, right = min(points), max(points)
    inside = left <= x <= right
    if inside:
        left = max(place for place in points if place <= x)
        right = min(place for place in points if place >= x)
    exponent = 1.0
    if left < right and points[left] and points[right]:
        exponent = math.log(points[right] / points[left]) / math.log(right / left)
    if not inside:
        exponent = min(max(exponent, 0.0), 1.0)
    nearest = right if x > right else left
    return points[nearest] * (x / nearest) ** exponent


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
