# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = []
# ///
"""Dispersion, ``vmas/dispersion-4``: agents at one spot spread to food, by VMAS's physics.

The number is that of agents, and of foods. The rules are in `sims.particles.dispersion`, written
anew and held to vmas 1.5.2 by a test.

Options: ``reward="team"`` pays everyone 1 for each food eaten, ``"own"`` shares it among those who
came at once (vmas: ``share_reward``); ``food_radius`` is 0.05, or 0.02 as BenchMARL has it;
``waiting="costs"`` takes 0.01 in a step without a reward (vmas: ``penalise_by_time``);
``time_limit`` says what the end of the 100 steps is called. The score is the return so far.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from partage.errors import UserError, one_of
from partage.sims.batch import Batched
from partage.sims.contract import Env
from partage.sims.options import choose
from partage.sims.particles.dispersion import kernel, spec

CHOICES = {
    "reward": ("team", "own"),
    "food_radius": (0.05, 0.02),
    "waiting": ("free", "costs"),
    "time_limit": ("truncation", "terminal"),
}


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return the copies of the task. Raises `UserError` for what does not exist."""
    one_of("engine of vmas", engine, ["batched"])
    chosen = choose(options, **CHOICES)
    found = re.fullmatch(r"dispersion-([1-9]\d{0,2})", task)
    if found is None:
        raise UserError(
            f"Unknown task vmas/{task}: expected dispersion-<agents>, such as dispersion-4."
        )
    n_agents, common = int(found[1]), chosen["reward"] == "team"
    costs = chosen["waiting"] == "costs"
    sim = partial(kernel, n_agents, chosen["food_radius"], common, costs)
    return Batched(spec(n_agents, common), sim, seeds, copies, chosen["time_limit"])
