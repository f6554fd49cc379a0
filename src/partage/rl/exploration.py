"""Epsilon-greedy choices: epsilon falls with each run's own steps.

The noise of an episode is drawn when it begins: how long the episodes of other runs of the pack
last must not move a run's generators.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.kernels.choices import Noise
from partage.nn.per_run import Each
from partage.nn.pointwise import greedy
from partage.rl.losses import linear_schedule
from partage.rl.noise import generators, uniform
from partage.sims.contract import stream


class ExplorationNoise(NamedTuple):
    """Where to choose at random in a whole episode, and what.

    A random choice is the available option of the largest preference.
    """

    at_random: Bool[Tensor, "R T B N"]
    preference: Float32[Tensor, "R T B N A"]  # uniform, from 1 to 2


def in_place(noise: ExplorationNoise | None) -> Noise:
    """Return noise as compiled code takes it; None: there is none, all is greedy."""
    if noise is None:
        return Noise(np.empty((1, 0, 0, 0), bool), np.empty((1, 0, 0, 0, 0), np.float32))
    return Noise(noise.at_random.numpy(), noise.preference.numpy())


class Exploration:
    """The noise of one learner's choices, each run's from its own generator."""

    def __init__(
        self, seeds: Sequence[int], start: Each[float], end: Each[float], anneal: Each[int]
    ) -> None:
        self.start, self.end, self.anneal = start, end, anneal
        self.generators = generators([stream(seed, "actions") for seed in seeds])
        self.steps = torch.zeros(len(seeds), dtype=torch.int64)  # environment steps seen so far
        self.since = torch.zeros_like(self.steps)  # where epsilon's schedule began

    def move(self, device: torch.device) -> None:
        """Count steps on a device."""
        self.steps, self.since = self.steps.to(device), self.since.to(device)

    def epsilon(self) -> Float32[Tensor, "R"]:
        """Return each run's probability of a random choice."""
        return linear_schedule(self.start, self.end, self.anneal, self.steps - self.since)

    def episode_noise(
        self, times: int, copies: int, n_agents: int, options: int
    ) -> ExplorationNoise:
        """Draw the noise of so many choices of every agent."""
        noise = uniform(self.generators, times, copies, n_agents, options + 1)
        epsilon = self.epsilon().to(noise.device)
        at_random = noise[..., 0] < epsilon[:, None, None, None]
        return ExplorationNoise(at_random, 1 + noise[..., 1:])


def choose(
    values: Float32[Tensor, "R B N A"],
    avail: Bool[Tensor, "R B N A"],
    noise: ExplorationNoise | None,
    t: int,
) -> Int64[Tensor, "R B N"]:
    """Return the best available option, or any available one where the noise says so.

    `t` counts the episode's choices; without noise the best is always chosen. It is where `avail`
    is.
    """
    best = greedy(values, avail.to(values.device)).to(avail.device)
    if noise is None:
        return best
    at_random, preference = (x[:, t].to(avail.device) for x in noise)
    any_available = (avail * preference).argmax(-1)
    return torch.where(at_random, any_available, best)
