"""Who goes through which parameter set: an integer index ``[R, N]`` (run, agent) -> set. Everything
here is pure.

Two assignments share alike when their partitions are equal: the sets' own numbers mean nothing.
"""

from collections.abc import Hashable, Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
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
    """The canonical member of all assignments that share alike: sets renumbered in order of first
    appearance.

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


def pick(parameter: Float32[Tensor, "R S *P"], assignment: Assignment) -> Float32[Tensor, "R G *P"]:
    """Each agent's own set (all of them, untouched, where there is one set or agent n uses set n)."""
    runs, sets = parameter.shape[:2]
    if sets == 1 or (sets == assignment.shape[1] and torch.equal(assignment, _own(runs, sets))):
        return parameter
    places = (assignment + torch.arange(runs)[:, None] * sets).flatten().to(parameter.device)
    return parameter.flatten(0, 1).index_select(0, places).unflatten(0, assignment.shape)


_own = cache(none)


class Move(NamedTuple):
    """One agent's block taking another set: `partner` is whom it fused with, or parted from."""

    run: int
    block: str  # "front" or "back"
    agent: int
    partner: int
    source: int  # the set whose parameters it has from here on
    # the set it uses from here on; the same as `source` in a fusion, a copy of it in a division
    target: int


def fuse_divide(
    distance: Float32[Tensor, "R N N"],
    front: Assignment,
    back: Assignment,
    fuse: float,
    fuse_back: float,
    divide: float,
) -> tuple[Assignment, Assignment, list[Move]]:
    """Who shares from here on, by the distance of policies   (MPD §2, Algorithm 1, its defects
    repaired).

    Pairs i < j in ascending order. Different fronts and closer than `fuse`: j takes i's front. One
    front: closer than `fuse_back`, j takes i's back; farther than `divide`, j takes a copy of the
    front into a set that nobody uses. What j takes is the set that i has by now, if the policy it
    came from is near j as well, else the one that i had before (Net^N and Net^O of the text). An
    agent divides at most once a call, not after a fusion, and only from whom it shared with before
    it, so there is always a free set. Backs are never divided: agents that share both have one
    policy and stay together.
    """
    moved, moves = [], []
    for r, (d, *before) in enumerate(
        zip(distance.tolist(), front.tolist(), back.tolist(), strict=True)
    ):
        now, own = (
            [list(row) for row in before],
            [list(row) for row in before],
        )  # own: where each one's policy lies
        origin = [list(range(len(d))) for _ in before]  # whose policy each one has
        divided: set[int] = set()

        def take(block: int, i: int, j: int, near: float) -> None:
            whose = origin[block][i] if d[origin[block][i]][j] < near else i  # noqa: B023 (called at once)
            origin[block][j], now[block][j] = whose, own[block][whose]  # noqa: B023
            moves.append(Move(r, ("front", "back")[block], j, whose, now[block][j], now[block][j]))  # noqa: B023

        for i, j in combinations(range(len(d)), 2):
            if now[0][i] != now[0][j]:
                if d[i][j] < fuse:
                    take(0, i, j, fuse)
            elif d[i][j] < fuse_back:
                if now[1][i] != now[1][j]:
                    take(1, i, j, fuse_back)
            elif (
                d[i][j] > divide
                and before[0][i] == before[0][j]
                and origin[0][j] == j
                and j not in divided
            ):
                free = min(set(range(len(d))) - set(before[0]) - set(own[0]))
                moves.append(Move(r, "front", j, i, now[0][j], free))
                now[0][j] = own[0][j] = free
                divided.add(j)
        moved.append(now)
    result = torch.tensor(moved)
    return result[:, 0].contiguous(), result[:, 1].contiguous(), moves


def fuse_divide_literal(
    distance: Float32[Tensor, "R N N"],
    front: Assignment,
    back: Assignment,
    fuse: float,
    fuse_back: float,
    divide: float,
) -> tuple[Assignment, Assignment, list[Move]]:
    """As MADPS's public code does it: a set's number is taken for an agent's, in every reading of
    ``FL[i]``.

    After the first rule that applies to i, the next i follows (also after a back is "fused" with
    itself, which changes nothing and bars everything behind it); a division copies set i into set
    j, whoever uses them.
    """
    moved, moves = [], []
    for r, (d, *now) in enumerate(
        zip(distance.tolist(), front.tolist(), back.tolist(), strict=True)
    ):
        for i in range(len(d)):
            for j in range(i + 1, len(d)):
                same = now[0][i] == now[0][j]
                near = fuse_back if same else fuse
                if d[i][j] < near:
                    block = now[int(same)]
                    block[j] = block[i] if d[block[i]][j] < near else i
                    moves.append(Move(r, "back" if same else "front", j, i, block[j], block[j]))
                    break
                if same and d[i][j] > divide:
                    now[0][j] = j
                    moves.append(Move(r, "front", j, i, i, j))
                    break
        moved.append(now)
    result = torch.tensor(moved)
    return result[:, 0].contiguous(), result[:, 1].contiguous(), moves
