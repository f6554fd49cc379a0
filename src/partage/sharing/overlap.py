"""How much is shared: one scale from sets of one's own (0) to one set for all (1).

``overlap [R, S, S]`` says of any two sets how much of what one learns reaches the other; two
numbers sum the agents' matrix up: its `degree`, and how many sets of their own would share as
little. Everything here is pure.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor

from partage.sharing.assignment import Assignment


@dataclass(frozen=True)
class Shares:
    """Who goes through which of S sets, and how much any two sets share, measured when asked."""

    index: Assignment
    measure: Callable[[], Float32[Tensor, "R S S"]]

    def overlap(self) -> Float32[Tensor, "R N N"]:
        """Return how much any two agents share."""
        return of_agents(self.index, self.measure().cpu())


def of_assignment(index: Assignment) -> Float32[Tensor, "R N N"]:
    """Return how much any two agents share where sets are parameters: all or nothing.

    >>> of_assignment(torch.tensor([[0, 0, 1]])).tolist()
    [[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    return (index[:, :, None] == index[:, None]).float()


def of_agents(index: Assignment, overlap: Float32[Tensor, "R S S"]) -> Float32[Tensor, "R N N"]:
    """Return how much any two agents share, given how much their sets do."""
    run = torch.arange(len(index))[:, None, None]
    return overlap[run, index[:, :, None], index[:, None]]


def cosine(products: Float32[Tensor, "R S S"]) -> Float32[Tensor, "R S S"]:
    """Return the cosines of vectors, given their inner products.

    One of length 0, as that of a set that keeps nothing, shares nothing but with itself.

    >>> cosine(torch.tensor([[[4.0, 1.0], [1.0, 1.0]]])).tolist()
    [[[1.0, 0.5], [0.5, 1.0]]]
    """
    products = products.double()
    squares = products.diagonal(dim1=1, dim2=2)
    both = (squares[:, :, None] * squares[:, None]).sqrt()
    cosines = torch.where(both > 0, products / both, 0.0).clamp(-1, 1)
    own = torch.eye(products.shape[1], dtype=torch.bool, device=products.device)
    return torch.where(own, 1.0, cosines).float()


def degree(overlap: Float32[Tensor, "R N N"]) -> Float32[Tensor, "R"]:
    """Return the mean overlap of two different agents: full sharing 1, none 0; of one agent, 1.

    >>> degree(of_assignment(torch.tensor([[0, 0, 1]]))).tolist()
    [0.3333333432674408]
    """
    count = overlap.shape[1]
    if count == 1:
        return torch.ones(len(overlap))
    others = overlap.sum((1, 2)) - overlap.diagonal(dim1=1, dim2=2).sum(1)
    return others / (count * (count - 1))


def effective_sets(overlap: Float32[Tensor, "R N N"]) -> Float32[Tensor, "R"]:
    """Return how many sets of their own share as little: full sharing 1, none N.

    >>> effective_sets(of_assignment(torch.tensor([[0, 0, 1]]))).tolist()
    [1.7999999523162842]
    """
    return overlap.shape[1] ** 2 / overlap.sum((1, 2))
