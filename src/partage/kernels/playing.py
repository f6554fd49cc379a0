"""Whole episodes or segments in one compiled call: observe, act, step, write down.

C = R x B copies.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partage import _jit
from partage.kernels import FAST_MATH, SOURCES
from partage.kernels.policies import act
from partage.sims import compilation
from partage.sims.in_place import restart, step

compiled = _jit.compiler(SOURCES + compilation.SOURCES, fastmath=set(FAST_MATH))


class Records(NamedTuple):
    """Where T transitions go, and the T + 1 instants around them."""

    obs: Float32[np.ndarray, "R B T1 N O"]
    state: Float32[np.ndarray, "R B T1 S"]
    avail_actions: Bool[np.ndarray, "R B T1 N A"]
    alive: Bool[np.ndarray, "R B T1 N"]
    actions: Int64[np.ndarray, "R B T N"]
    reward: Float32[np.ndarray, "R B T N"]
    terminated: Bool[np.ndarray, "R B T"]
    truncated: Bool[np.ndarray, "R B T"]
    filled: Bool[np.ndarray, "R B T"]
    score: Float32[np.ndarray, "R B T"]
    feature: Float32[np.ndarray, "R B T"]
    # what episodes end on whose clock runs out; of no instants: none does
    final_obs: Float32[np.ndarray, "R B T N O"]
    final_state: Float32[np.ndarray, "R B T S"]


@compiled
def _write_instant(out, t, buffers):
    """Write what is seen at instant t."""
    copies = out.filled.shape[1]
    for c in range(len(buffers.live)):
        r, b = c // copies, c % copies
        out.obs[r, b, t] = buffers.obs[c]
        out.state[r, b, t] = buffers.state[c]
        out.avail_actions[r, b, t] = buffers.avail_actions[c]
        out.alive[r, b, t] = buffers.alive[c]


@compiled
def _write_transition(out, t, actions, buffers, filled):
    """Write what was chosen at instant t, and what came of it."""
    copies = out.filled.shape[1]
    for c in range(len(buffers.live)):
        r, b = c // copies, c % copies
        out.actions[r, b, t] = actions[c]
        out.reward[r, b, t] = buffers.reward[c]
        out.terminated[r, b, t] = buffers.terminated[c] and filled[c]
        out.truncated[r, b, t] = buffers.truncated[c]
        out.filled[r, b, t] = filled[c]
        out.score[r, b, t] = buffers.score[c]
        out.feature[r, b, t] = buffers.feature[c]


@compiled
def _step(actor, game, out, t, actions, filled):
    """Play a step, and write down the instant before it and what came of it."""
    _write_instant(out, t, game.buffers)
    act(actor, game.buffers, t, actions)
    step(game, actions)
    _write_transition(out, t, actions, game.buffers, filled)


@compiled
def play_episodes(actor, game, out, live, first, last):
    """Play from instant `first` to `last`, or until no copy is `live` ``[C]`` (it changes).

    Returns how many steps were taken since the episodes began.
    """
    actions, ends = np.empty((len(live), out.actions.shape[3]), np.int64), game.buffers
    for t in range(first, last):
        _step(actor, game, out, t, actions, live)
        live &= ~(ends.terminated | ends.truncated)
        if not live.any():
            last = t + 1
            break
    _write_instant(out, last, game.buffers)
    return last


@compiled
def play_segment(actor, game, out, counts):
    """Play all transitions, those of the copies that count are filled; episodes follow at once."""
    buffers, copies, time = game.buffers, out.filled.shape[1], out.filled.shape[2]
    actions = np.empty((len(counts), out.actions.shape[3]), np.int64)
    for t in range(time):
        _step(actor, game, out, t, actions, counts)
        for c in np.flatnonzero(buffers.truncated):
            out.final_obs[c // copies, c % copies, t] = buffers.obs[c]
            out.final_state[c // copies, c % copies, t] = buffers.state[c]
        ended = buffers.terminated | buffers.truncated
        if ended.any():
            restart(game, ended)
    _write_instant(out, time, buffers)
