"""`Buffers`: the arrays that a simulator writes and torch reads.

Loads no torch: a worker process that runs a simulator needs none.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt64

# The fields of one instant; an episode has one instant more than it has transitions.
INSTANT_FIELDS = ("obs", "state", "avail_actions", "alive")


class Buffers(NamedTuple):
    """Arrays that a simulator writes and torch reads without a copy.

    The first axis C = R x B counts the copies. A simulator reads `clock`, which already counts the
    step it is in, `live`, `key` and `counter` (see `random_numbers`). It writes the observation,
    state, masks, reward (of live copies), `terminated` (a real end) and `score`; `feature` too,
    where a task has one.
    """

    obs: Float32[np.ndarray, "C N O"]
    state: Float32[np.ndarray, "C S"]
    avail_actions: Bool[np.ndarray, "C N A"]
    alive: Bool[np.ndarray, "C N"]
    reward: Float32[np.ndarray, "C N"]
    terminated: Bool[np.ndarray, "C"]
    truncated: Bool[np.ndarray, "C"]
    score: Float32[np.ndarray, "C"]
    feature: Float32[np.ndarray, "C"]
    clock: Int64[np.ndarray, "C"]  # steps taken in this episode
    live: Bool[np.ndarray, "C"]  # an episode is going on
    key: UInt64[np.ndarray, "C"]
    counter: UInt64[np.ndarray, "C"]
