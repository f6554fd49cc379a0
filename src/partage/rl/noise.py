"""Random numbers of R runs side by side, each run's from a generator of its own.

A run so draws the same numbers alone as in a pack. All draws are made on the CPU: they are the same
whatever device trains. Within a part of training on a card they are sent there (`rl.graphs`).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor

from partage.rl.graphs import from_host


def generators(seeds: Sequence[int]) -> list[Generator]:
    """Return one CPU generator per run, started from the run's seed."""
    return [Generator().manual_seed(seed) for seed in seeds]


def uniform(generators: Sequence[Generator], *shape: int) -> Float32[Tensor, "R ..."]:
    """Draw numbers in [0, 1) of this shape for each run."""
    return from_host(
        lambda: torch.stack([torch.rand(shape, generator=g) for g in generators]), generators
    )


def normal(generators: Sequence[Generator], *shape: int) -> Float32[Tensor, "R ..."]:
    """Draw standard normal numbers of this shape for each run."""
    return from_host(
        lambda: torch.stack([torch.randn(shape, generator=g) for g in generators]), generators
    )


def restore(generators: Sequence[Generator], states: Sequence[Tensor]) -> None:
    """Set generators back to where their ``get_state`` was called."""
    for generator, state in zip(generators, states, strict=True):
        generator.set_state(state)


class Streams:
    """A learner's generators, those of R runs for each purpose; some runs end before others.

    All runs draw together. What was drawn for one that took no part is as if it never had been.
    """

    def __init__(self, generators: list[Generator]) -> None:
        self.generators = generators  # the list itself: what is appended later counts
        # where each was when its run last took part
        self.settled: list[Tensor] = [generator.get_state() for generator in generators]

    def settle(self, active: Bool[Tensor, "R"]) -> None:
        """Note where the generators of runs that took part are by now; put the others back."""
        known, runs = len(self.settled), len(active)
        self.settled += [g.get_state() for g in self.generators[known:]]
        taking_part = active.tolist()
        for number, generator in enumerate(self.generators):
            if taking_part[number % runs]:
                self.settled[number] = generator.get_state()
            else:
                generator.set_state(self.settled[number])

    def restore(self, states: Sequence[Tensor]) -> None:
        """Set all generators back to where their ``get_state`` was called."""
        restore(self.generators, states)
        self.settled = [generator.get_state() for generator in self.generators]
