"""Sharing as points of a curve: how much of it there is, which pairs and which agents moved."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.sharing.overlap import degree, effective_sets

MOVED = 0.01  # a pair is written where its overlap has moved by more since it was


def points(
    block: str, matrix: Float32[Tensor, "N N"], written: Float32[Tensor, "N N"] | None
) -> Iterator[tuple[str, float]]:
    """Yield what is to be written of one run's block: metric and value.

    ``degree/<block>`` and ``sets/<block>`` always; ``overlap/<block>/<i>-<j>`` for the pairs i < j
    that have moved away from what was last `written` of them (None: nothing).
    """
    yield f"degree/{block}", float(degree(matrix[None]))
    yield f"sets/{block}", float(effective_sets(matrix[None]))
    for i, j in moved(matrix, written).triu(1).nonzero().tolist():
        yield f"overlap/{block}/{i}-{j}", float(matrix[i, j])


def after(
    matrix: Float32[Tensor, "N N"], written: Float32[Tensor, "N N"] | None
) -> Float32[Tensor, "N N"]:
    """Return what has been written of a block's pairs after `points`."""
    return matrix if written is None else torch.where(moved(matrix, written), matrix, written)


def moved(
    matrix: Float32[Tensor, "N N"], written: Float32[Tensor, "N N"] | None
) -> Bool[Tensor, "N N"]:
    """Return which pairs are to be written; what is no number is."""
    if written is None:
        return torch.ones_like(matrix, dtype=torch.bool)
    return ~((matrix - written).abs() <= MOVED)


def moves(before: Sequence[int], now: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Yield (fuse or divide, agent, partner) for each agent whose set changed.

    It fused with the first agent whose set before was the one it has now; where nobody had that, it
    left the first who had its old one.

    >>> list(moves([0, 0, 2], [0, 1, 0]))
    [('divide', 1, 0), ('fuse', 2, 0)]
    """
    for agent, (old, new) in enumerate(zip(before, now, strict=True)):
        if new != old:
            fused = new in before
            partner = before.index(new if fused else old)
            if partner != agent:  # else alone in its set, before and after
                yield ("fuse" if fused else "divide"), agent, partner
