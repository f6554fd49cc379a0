"""Roll call: every agent sees the same clock, and agent n scores by naming n mod A.

The keystone test of parameter sharing: agents that share a policy see the same and so do the same,
hence the best return of a deterministic policy is known for any partition (`ceiling`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from torch import Tensor

from partage.sims.buffers import Buffers
from partage.sims.compilation import compiled, inlined
from partage.sims.games.ceilings import greedy
from partage.sims.games.tasks import Game
from partage.sims.kernel import Kernel


class Rules(NamedTuple):
    """A task's constants."""

    n_actions: int
    horizon: int


class World(NamedTuple):
    """What changes: nothing but the clock, which `Buffers` has."""


def ceiling(
    horizon: int, n_agents: int, n_actions: int, partition: Sequence[int] | Int64[Tensor, "N"]
) -> float:
    """Return the best return of a deterministic policy where agents share by `partition`.

    Agent n uses the policy number ``partition[n]``. A policy names one action a step, which is
    right for those of its agents whose number mod A it is: the best it can do is its largest such
    group. With as many actions as agents that is one agent per set in use:

    >>> ceiling(8, 4, 4, [0, 0, 0, 0]), ceiling(8, 4, 4, [0, 1, 0, 1])
    (2.0, 4.0)
    >>> ceiling(8, 4, 4, [3, 2, 1, 0]), ceiling(8, 4, 2, [0, 0, 0, 0])
    (8.0, 4.0)
    """
    game = Game("roll_call", n_agents, n_actions, horizon)
    return greedy(game, [int(policy) for policy in partition])


def kernel(n_actions: int, horizon: int) -> Kernel:
    """Return the compiled simulator, of any number of copies."""
    return Kernel(Rules(n_actions, horizon), World(), begin, advance, begin_copy, advance_copy)


@inlined
def observe(rules: Rules, buffers: Buffers, copy: int) -> None:
    """Write the time step, one-hot, to every agent and as the state.

    When the episode is over, all is zero.
    """
    time = buffers.clock[copy]
    buffers.obs[copy] = 0
    buffers.state[copy] = 0
    if time < rules.horizon:
        buffers.obs[copy, :, time] = 1
        buffers.state[copy, time] = 1


@inlined
def begin_copy(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Start a copy's episode."""
    observe(rules, buffers, copy)


@inlined
def advance_copy(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"], copy: int
) -> None:
    """Move a copy by a step."""
    n_agents = actions.shape[1]
    right = 0
    for n in range(n_agents):
        right += actions[copy, n] == n % rules.n_actions
    buffers.reward[copy] = right / n_agents
    buffers.score[copy] += np.float32(right / n_agents)
    observe(rules, buffers, copy)


@compiled
def begin(rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    """Start an episode in the copies marked."""
    for copy in range(len(where)):
        if where[copy]:
            begin_copy(rules, world, buffers, copy)


@compiled
def advance(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"]
) -> None:
    """Move the live copies by a step."""
    for copy in range(len(actions)):
        if buffers.live[copy]:
            advance_copy(rules, world, buffers, actions, copy)
