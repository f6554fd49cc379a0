"""Choices among what is available, C copies of N agents at once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from partage.kernels import careful, compiled


class Noise(NamedTuple):
    """The noise of an episode's choices (`partage.rl.exploration`); of no instants: greedy."""

    at_random: Bool[np.ndarray, "R T B N"]
    preference: Float32[np.ndarray, "R T B N A"]


@careful
def best(values, avail):
    """Return the available action of the largest value; an available one if they are no numbers."""
    chosen, top = -1, values[0]
    for a in range(len(avail)):
        value = values[a]
        if avail[a] and (chosen < 0 or value > top or (value != value and top == top)):
            chosen, top = a, value
    return max(chosen, 0)


@compiled
def choose(values, avail, noise, t, chosen):
    """Write everyone's best option ``[C, N]``, or any available one where the noise says so.

    `values` ``[M, A]`` are rows of agents in turn; `avail` is ``[C, N, A]``.
    """
    copies, agents = chosen.shape
    of_run = copies // len(noise.at_random)
    explore = noise.at_random.shape[1] > 0
    for c in range(copies):
        r, b = c // of_run, c % of_run
        for n in range(agents):
            if explore and noise.at_random[r, t, b, n]:
                chosen[c, n] = best(noise.preference[r, t, b, n], avail[c, n])
            else:
                chosen[c, n] = best(values[c * agents + n], avail[c, n])
