# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = []
# ///
"""Roll call, ``roll_call/<agents>x<actions>-<horizon>``: the keystone test of parameter sharing.

Its best return is known for any partition. Agent n scores by naming n mod A, all see the same
clock, the team's reward is the share of agents that are right. The clock is in the observation, so
the end of the episode is a real end unless ``time_limit="truncation"``.
"""

from collections.abc import Sequence
from typing import Any

from partage.errors import one_of
from partage.sims import roll_call as rules
from partage.sims.contract import Env
from partage.sims.devices import DEVICES, batched
from partage.sims.games.tasks import named
from partage.sims.options import choose


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return the copies of the task. Raises `UserError` for what does not exist."""
    one_of("engine of roll_call", engine, ["batched"])
    chosen = choose(options, time_limit=("terminal", "truncation"), device=DEVICES)
    game = named(f"roll_call/{task}")
    kernel = rules.kernel(game.n_actions, game.horizon)
    types = tuple(f"says {n % game.n_actions}" for n in range(game.n_agents))
    spec = game.spec(True)._replace(types=types)
    return batched(chosen["device"], spec, lambda _: kernel, seeds, copies, chosen["time_limit"])
