"""What a run asks a scheduler for: memory and time, by what it costs (standard library only)."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from partage.config import costs
from partage.config.calibration import Calibration
from partage.config.recipe import Recipe
from partage.config.request import Request
from partage.errors import UserError

MB, MINUTE, HOUR = 10**6, 60, 3600
SPARE_MEMORY = 1.3  # times the bill: the episodes of trained agents are of other lengths
GROWTH = 1.5  # of the memory from one attempt to the next
SPARE_TIME = 2  # times the bill: a node may be slower
LEAST_MINUTES = 30
UNKNOWN_MEMORY = 6000  # MB of a run that the calibration does not know


class Ask(NamedTuple):
    """What a job asks for: memory in MB, time in minutes."""

    memory: int
    minutes: int


def ask(
    recipe: Recipe | None,
    calibration: Calibration | None,
    device: str,
    most_hours: int,
    attempt: int = 1,
) -> Ask:
    """Return what the job of a run asks for; a run that is not known asks for what others may.

    Memory grows with the attempt, up to what the run takes if no episode ends before its limit.
    Time does not: a run goes on from its checkpoint. It is at most `most_hours`, and just that on a
    GPU or another engine than the one measured, whose speed the calibration does not have.
    """
    growth = GROWTH ** (attempt - 1)
    if recipe is None or calibration is None or recipe.task not in calibration.tasks:
        return Ask(round(UNKNOWN_MEMORY * growth), 60 * most_hours)
    cost = costs.of(recipe, calibration)
    memory = SPARE_MEMORY * min(growth * cost.memory, cost.most_memory)
    minutes = max(SPARE_TIME * cost.cpu_seconds / MINUTE, LEAST_MINUTES)
    if device != "cpu" or not costs.knows_speed(recipe, calibration):
        minutes = math.inf
    return Ask(math.ceil(memory / MB), math.ceil(min(minutes, 60 * most_hours)))


def memory_of_pack(
    pack: Sequence[Recipe], calibration: Calibration, device: str, most_hours: int, attempt: int = 1
) -> int:
    """Return the MB that the job of a pack of several cells asks for: that of all together.

    One process trains them, so what a process takes without any run is counted once.
    """
    each = [ask(recipe, calibration, device, most_hours, attempt).memory for recipe in pack]
    counted_twice = SPARE_MEMORY * calibration.base_bytes * (len(pack) - 1)
    return math.ceil(sum(each) - counted_twice / MB)


def remark(
    recipes: Iterable[Recipe], calibration: Calibration | None, most_hours: int, attempts: int
) -> str:
    """Return a line on runs that need more time than all their attempts have; "" without any."""
    if calibration is None:
        return ""
    known = [each for each in recipes if costs.knows_speed(each, calibration)]
    hours = [costs.of(each, calibration).cpu_seconds / HOUR for each in known]
    late = [each for each in hours if each > most_hours * attempts]
    if not late:
        return ""
    return (
        f"{len(late)} runs need more than {attempts} jobs of {most_hours} hours (the longest about "
        f"{max(late):,.0f} hours): say --retries {math.ceil(SPARE_TIME * max(late) / most_hours)}, "
        "or --config seeds_per_run=1, or what hours the partition has (job_hours)."
    )


def refuse_shared_gpus(request: Request, on_a_cluster: bool) -> None:
    """Raise `UserError` where runs are to share a GPU that a cluster gives to one of them."""
    if on_a_cluster and request.runs_per_gpu > 1:
        raise UserError(
            f"runs_per_gpu={request.runs_per_gpu} is for the GPUs of one machine, and a cluster "
            "gives each job GPUs of its own: leave it out, and let a run fill its GPU with more "
            "seeds (seeds_per_run)."
        )
