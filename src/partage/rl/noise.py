"""Random numbers of R runs side by side, each run's from a generator of its own.

A run so draws the same numbers alone as in a pack. All draws are made on the CPU: they are the same
whatever device trains.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Generator, Tensor


def generators(seeds: Sequence[int]) -> list[Generator]:
    """Return one CPU generator per run, started from the run's seed."""
    return [Generator().manual_seed(seed) for seed in seeds]


def uniform(generators: Sequence[Generator], *shape: int) -> Float32[Tensor, "R ..."]:
    """Draw numbers in [0, 1) of this shape for each run."""
    return torch.stack([torch.rand(shape, generator=generator) for generator in generators])


def normal(generators: Sequence[Generator], *shape: int) -> Float32[Tensor, "R ..."]:
    """Draw standard normal numbers of this shape for each run."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def restore(generators: Sequence[Generator], states: Sequence[Tensor]) -> None:
    """Set generators back to where their ``get_state`` was called."""
    for generator, state in zip(generators, states, strict=True):
        generator.set_state(state)
