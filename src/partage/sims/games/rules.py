"""Specialisation and synchronisation: only the pattern of what all do counts, not who does what.

Agents name an action each; k(a) of the N agents name action a.

    specialisation   agent n earns 1 / k(a_n)     the team's mean is (distinct actions) / N
    synchronisation  agent n earns k(a_n) / N     the team's mean is the sum over a of k(a)^2 / N^2

The team's mean is everyone's reward, or each has its own. These are the N-agent games of HyperMARL
(Tessera et al. 2024) as far as they can be read, whose two-player case pays 1 and 0.5. No
observation holds an id: what tells agents apart is the learner's.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partage.sims.buffers import Buffers
from partage.sims.compilation import compiled, inlined
from partage.sims.games.tasks import Game
from partage.sims.kernel import Kernel

NONE_YET = -1  # the last action when an episode begins


class Rules(NamedTuple):
    """A game's constants."""

    specialises: bool
    n_actions: int
    horizon: int
    sees_clock: bool
    sees_own: bool
    common_reward: bool


class World(NamedTuple):
    """What changes, one row per copy."""

    last: Int64[np.ndarray, "C N"]  # each agent's last action


def kernel(game: Game, common_reward: bool, copies: int) -> Kernel:
    """Return the compiled game of that many copies."""
    rules = Rules(
        specialises=game.kind == "specialisation",
        n_actions=game.n_actions,
        horizon=game.horizon,
        sees_clock=game.view == "clock",
        sees_own=game.view == "own",
        common_reward=common_reward,
    )
    world = World(np.full((copies, game.n_agents), NONE_YET))
    return Kernel(rules, world, begin, advance)


@inlined
def write_joint_action(
    rules: Rules, entries: Float32[np.ndarray, "O"], place: int, last: Int64[np.ndarray, "N"]
) -> None:
    """Write everyone's last action, one-hot, from `place` on; zeros when there is none yet."""
    for action in last:
        if action != NONE_YET:
            entries[place + action] = 1
        place += rules.n_actions


@inlined
def observe(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Write what all see: the time, zeros when it is over; or who did what at the last step."""
    buffers.obs[copy] = 0
    buffers.state[copy] = 0
    time = buffers.clock[copy]
    last = world.last[copy]
    if rules.sees_clock:
        if time < rules.horizon:
            buffers.obs[copy, :, time] = 1
            buffers.state[copy, time] = 1
        return
    write_joint_action(rules, buffers.state[copy], 0, last)
    for n in range(len(last)):
        place = 0
        if rules.sees_own:
            if last[n] != NONE_YET:
                buffers.obs[copy, n, last[n]] = 1
            place = rules.n_actions
        write_joint_action(rules, buffers.obs[copy, n], place, last)


@inlined
def earn(rules: Rules, buffers: Buffers, actions: Int64[np.ndarray, "N"], copy: int) -> None:
    """Pay each agent by how many chose as it did; or all of them the team's mean."""
    total = 0.0
    for n in range(len(actions)):
        alike = 0
        for other in actions:
            alike += other == actions[n]
        earned = 1 / alike if rules.specialises else alike / len(actions)
        buffers.reward[copy, n] = earned
        total += earned
    if rules.common_reward:
        total /= len(actions)
        buffers.reward[copy] = total
    buffers.score[copy] += np.float32(total)


@compiled
def begin(rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    """Start an episode in the copies marked."""
    for copy in range(len(where)):
        if where[copy]:
            world.last[copy] = NONE_YET
            observe(rules, world, buffers, copy)


@compiled
def advance(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"]
) -> None:
    """Move the live copies by a step."""
    for copy in range(len(actions)):
        if buffers.live[copy]:
            world.last[copy] = actions[copy]
            earn(rules, buffers, actions[copy], copy)
            observe(rules, world, buffers, copy)
