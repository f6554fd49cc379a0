"""Epsilon-greedy choices: epsilon falls with each run's own steps; an episode's dice are cast when
it begins.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.rl.losses import linear_schedule
from partage.rl.noise import generators, uniform
from partage.sims.contract import stream


class ExplorationNoise(NamedTuple):
    """Where to choose at random for a whole episode, and what: the available option of the largest
    whim.
    """

    wander: Bool[Tensor, "R T B N"]
    whim: Float32[Tensor, "R T B N A"]  # from 1 to 2


class Exploration:
    """The noise of one learner's choices, each run's from its own generator."""

    def __init__(self, seeds: Sequence[int], start: float, end: float, anneal: int) -> None:
        self.start, self.end, self.anneal = start, end, anneal
        self.generators = generators([stream(seed, "actions") for seed in seeds])
        self.steps = torch.zeros(len(seeds), dtype=torch.int64)  # environment steps seen so far
        self.since = torch.zeros_like(self.steps)  # where epsilon's schedule began

    def epsilon(self) -> Float32[Tensor, "R"]:
        return linear_schedule(self.start, self.end, self.anneal, self.steps - self.since)

    def episode_noise(
        self, times: int, copies: int, n_agents: int, options: int
    ) -> ExplorationNoise:
        """ExplorationNoise for so many choices of every agent."""
        noise = uniform(self.generators, times, copies, n_agents, options + 1)
        return ExplorationNoise(
            noise[..., 0] < self.epsilon()[:, None, None, None], 1 + noise[..., 1:]
        )


def choose(
    values: Float32[Tensor, "R B N A"],
    avail: Bool[Tensor, "R B N A"],
    dice: ExplorationNoise | None,
    t: int,
) -> Int64[Tensor, "R B N"]:
    """The best available option, or where the dice say so any available one (None: never)."""
    best = values.masked_fill(~avail.to(values.device), -torch.inf).argmax(-1).cpu()
    if dice is None:
        return best
    return torch.where(dice.wander[:, t], (avail * dice.whim[:, t]).argmax(-1), best)
