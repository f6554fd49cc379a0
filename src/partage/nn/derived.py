"""Sets derived from a base that all share and a code of each set: what all derivations are made of.

``bank.derivation = LowRank(bank, sets, generators)`` makes `bank` a bank of so many sets, each of
which is computed from the bank's own parameters, the base, and from what the derivation holds of
it, its code. They are computed whenever sets are selected: once an update, and without gradient
once an episode. Everything behind `Bank.select` takes them for parameters.

What a derivation draws it draws after the base, from the generators that it is given; so networks
are built as those of full sharing are, and then derived from. What is drawn and not trained is a
buffer. Runs never meet: a run's sets are the same bits in any pack.

`products` says how much of what one set learns reaches another (`partage.nn.tangents`). The
derivations: `masks` cut weights, `adapters` add to them or choose among their columns, `generated`
weights are sums of what is shared.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Generator, Tensor

from partage.nn.bank import Sets
from partage.nn.dense import Layer
from partage.sharing import assignment

Products = Float32[Tensor, "R S S"]
Met = Float32[Tensor, "S I"]  # 1: the set's agent has this input; 0: another agent's id


@runtime_checkable
class Derivation(Protocol):
    """How a bank's sets follow from its base."""

    count: int  # of the sets

    def __call__(self, base: Sets) -> Sets:
        """Return the sets."""
        ...

    def products(self, base: Sets, met: Met) -> Products:
        """Return the inner products of the sets' tangents (`partage.nn.tangents`)."""
        ...


def spread(x: Float32[Tensor, "R 1 *P"], sets: int) -> Float32[Tensor, "R S *P"]:
    """Return a base once for each set, without copies of it."""
    return x.expand(-1, sets, *x.shape[2:])


def draw(
    generators: Sequence[Generator], *shape: int, fill: Callable[[Tensor, Generator], Any]
) -> Float32[Tensor, "R *X"]:
    """Return numbers of each run from its own generator, as `fill` fills a tensor with them."""
    drawn = torch.empty(len(generators), *shape)
    for of_run, generator in zip(drawn, generators, strict=True):
        fill(of_run, generator)
    return drawn


def uniform(low: float, high: float) -> Callable[[Tensor, Generator], Tensor]:
    """Return what fills a tensor with uniform numbers."""
    return lambda x, generator: x.uniform_(low, high, generator=generator)


def multiply(
    left: Float32[Tensor, "R S M K"],
    right: Float32[Tensor, "R S K O"],
    add: Float32[Tensor, "R S O"] | None = None,
) -> Float32[Tensor, "R S M O"]:
    """Return products of matrices, run by run and set by set; `add` is added to each row.

    They are the house's own, since the library's have other bits in another batch.
    """
    runs, sets = right.shape[:2]
    table = right.new_zeros(runs, sets, right.shape[3]) if add is None else add
    layer = Layer(right.contiguous(), table.unsqueeze(2), assignment.none(runs, sets))
    return layer(left[:, :, None].contiguous()).squeeze(2)


def in_common(met: Met) -> Float32[Tensor, "S S"]:
    """Return how many inputs the agents of two sets have in common, each with itself all its."""
    return met @ met.T
