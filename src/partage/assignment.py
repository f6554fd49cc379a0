"""Who goes through which parameter set: an integer index ``[R, N]`` (run, agent) -> set. Everything here is pure.

Two assignments share alike when their partitions are equal: the sets' own numbers mean nothing.
"""

from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

Assignment = Int64[Tensor, "R N"]


def full(runs: int, n_agents: int) -> Assignment:
    """Everyone through set 0.

    >>> full(1, 3).tolist()
    [[0, 0, 0]]
    """
    return torch.zeros(runs, n_agents, dtype=torch.int64)


def none(runs: int, n_agents: int) -> Assignment:
    """Agent n through set n: nobody shares.

    >>> none(2, 3).tolist()
    [[0, 1, 2], [0, 1, 2]]
    """
    return torch.arange(n_agents).expand(runs, n_agents).contiguous()


def by(labels: Sequence[Hashable], runs: int = 1) -> Assignment:
    """Agents with equal labels share; sets are numbered in order of first appearance.

    >>> by(["red", "blue", "red"]).tolist()
    [[0, 1, 0]]
    """
    order: dict[Hashable, int] = {}
    index = [order.setdefault(label, len(order)) for label in labels]
    return torch.tensor(index).expand(runs, len(index)).contiguous()


def partition(assignment: Assignment) -> Assignment:
    """The canonical member of all assignments that share alike: sets renumbered in order of first appearance.

    >>> partition(torch.tensor([[7, 2, 7]])).tolist()
    [[0, 1, 0]]
    """
    return torch.cat([by(row) for row in assignment.tolist()])


def sets_in_use(assignment: Assignment) -> Int64[Tensor, "R"]:
    """How many sets each run uses.

    >>> sets_in_use(torch.tensor([[0, 0, 0], [0, 1, 0]])).tolist()
    [1, 2]
    """
    return torch.tensor([len(set(row)) for row in assignment.tolist()])
