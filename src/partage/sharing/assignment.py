"""Assignments: which parameter set each agent of each run goes through, as an index ``[R, N]``.

Two assignments share alike when their partitions are equal: the sets' own numbers mean nothing.
Everything here is pure.
"""

from collections.abc import Hashable, Sequence
from functools import cache

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

Assignment = Int64[Tensor, "R N"]


def full(runs: int, n_agents: int) -> Assignment:
    """Return the assignment in which everyone goes through set 0.

    >>> full(1, 3).tolist()
    [[0, 0, 0]]
    """
    return torch.zeros(runs, n_agents, dtype=torch.int64)


def none(runs: int, n_agents: int) -> Assignment:
    """Return the assignment in which agent n goes through set n: nobody shares.

    >>> none(2, 3).tolist()
    [[0, 1, 2], [0, 1, 2]]
    """
    return torch.arange(n_agents).expand(runs, n_agents).contiguous()


def by(labels: Sequence[Hashable], runs: int = 1) -> Assignment:
    """Return the assignment in which agents with equal labels share, the same in all `runs`.

    Sets are numbered in order of first appearance.

    >>> by(["red", "blue", "red"]).tolist()
    [[0, 1, 0]]
    """
    set_of: dict[Hashable, int] = {}
    for label in labels:
        set_of.setdefault(label, len(set_of))
    index = torch.tensor([set_of[label] for label in labels])
    return index.expand(runs, len(labels)).contiguous()


def partition(assignment: Assignment) -> Assignment:
    """Return the canonical one of all assignments that share alike.

    Its sets are numbered in order of first appearance.

    >>> partition(torch.tensor([[7, 2, 7]])).tolist()
    [[0, 1, 0]]
    """
    return torch.cat([by(row) for row in assignment.tolist()])


def sets_in_use(assignment: Assignment) -> Int64[Tensor, "R"]:
    """Return how many sets each run uses.

    >>> sets_in_use(torch.tensor([[0, 0, 0], [0, 1, 0]])).tolist()
    [1, 2]
    """
    return torch.tensor([len(set(row)) for row in assignment.tolist()])


def pick(parameter: Float32[Tensor, "R S *P"], assignment: Assignment) -> Float32[Tensor, "R G *P"]:
    """Return each agent's own set of a bank's parameter.

    Where there is one set, or agent n uses set n, the parameter itself is returned, uncopied. An
    assignment that lies on a card is not looked at.
    """
    runs, sets = parameter.shape[:2]
    if sets == 1:
        return parameter
    if assignment.device.type != "cpu":
        return _pick_unasked(parameter, assignment)
    if _is_none(assignment, sets):
        return parameter
    if not 0 <= int(assignment.min()) <= int(assignment.max()) < sets:
        raise ValueError(f"agents go through sets 0 to {sets - 1}, but some are to use another")
    first_set_of_run = torch.arange(runs)[:, None] * sets
    places = (assignment + first_set_of_run).flatten().to(parameter.device)
    return parameter.flatten(0, 1).index_select(0, places).unflatten(0, assignment.shape)


def _pick_unasked(
    parameter: Float32[Tensor, "R S *P"], assignment: Assignment
) -> Float32[Tensor, "R G *P"]:
    """Do as `pick`, whoever goes through what.

    Sets are multiplied by ones and zeros, as a gradient that is added up place by place would come
    in another order each time.
    """
    ones = assignment[..., None] == torch.arange(parameter.shape[1], device=assignment.device)
    picked = ones.to(parameter.dtype) @ parameter.flatten(2)
    return picked.unflatten(2, parameter.shape[2:])


def _is_none(assignment: Assignment, sets: int) -> bool:
    """Return whether agent n uses set n of so many sets."""
    runs, n_agents = assignment.shape
    return sets == n_agents and torch.equal(assignment, _none_cached(runs, n_agents))


_none_cached = cache(none)
