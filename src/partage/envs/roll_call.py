# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = []
# ///
"""Roll call, ``roll_call/<agents>x<actions>-<horizon>``: the keystone test of parameter sharing.

Its best return is known for any partition. Agent n scores by naming n mod A, all see the same
clock, the team's reward is the share of agents that are right. The clock is in the observation, so
the end of the episode is a real end unless ``time_limit="truncation"``.
"""

import re
from collections.abc import Sequence
from typing import Any

from partage.errors import UserError, one_of
from partage.sims import roll_call as rules
from partage.sims.contract import Env, Spec
from partage.sims.devices import DEVICES, batched
from partage.sims.options import choose


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return the copies of the task. Raises `UserError` for what does not exist."""
    one_of("engine of roll_call", engine, ["batched"])
    chosen = choose(options, time_limit=("terminal", "truncation"), device=DEVICES)
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)-([1-9]\d*)", task)
    if found is None:
        raise UserError(
            f"Unknown task roll_call/{task}: expected <agents>x<actions>-<horizon>, such as 4x4-8."
        )
    n_agents, n_actions, horizon = map(int, found.groups())
    spec = Spec(
        n_agents=n_agents,
        n_actions=n_actions,
        obs_dim=horizon,
        state_dim=horizon,
        horizon=horizon,
        common_reward=True,
    )
    kernel = rules.kernel(n_actions, horizon)
    return batched(chosen["device"], spec, lambda _: kernel, seeds, copies, chosen["time_limit"])
