"""Sharing that changes from instant to instant: rows sorted by the set that they go through.

Where an assignment has a time axis, weights cannot be picked once for all. Instead every run's rows
(instants, then copies x agents) are put in the order of their sets, and in a set in the order of
time: each set then multiplies one stretch of rows, exactly as many as use it, and nothing is
computed twice. What lies behind the end of the longest episode comes last in each stretch, so
padding moves no sum.

Runs on the CPU; elsewhere `partage.nn.networks.RoutedQ` computes all sets and selects.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from partage.kernels.gru import Order


class Routes(NamedTuple):
    """The sorted order of ``[R, T, M]`` rows. Stretches are numbered k = run * sets + set."""

    to: Int64[Tensor, "L"]  # the row that each sorted row is; L = R * T * M
    back: Int64[Tensor, "L"]  # the sorted row that each row is
    order: Order
    bounds: Int64[np.ndarray, "K1"]  # where each stretch's rows begin, and the last one's end


def routes(index: Int64[Tensor, "R T M"], sets: int) -> Routes:
    """Sort rows by the set that `index` names.

    One run, two instants of three rows (numbers 0 to 2, then 3 to 5) and two sets. Set 0 is used by
    row 1 at first, then by rows 3 and 4; set 1 by rows 0 and 2, then by row 5:

    >>> way = routes(torch.tensor([[[1, 0, 1], [0, 0, 1]]]), sets=2)
    >>> way.to.tolist(), way.bounds.tolist()
    ([1, 3, 4, 0, 2, 5], [0, 3, 6])

    Row 0 became sorted row 3, row 1 sorted row 0, and so on:

    >>> way.back.tolist()
    [3, 0, 4, 1, 2, 5]

    Sorted row 1 is row 3, the second instant of the row that began as number 0, which is sorted row
    3 now. Sorted row 0 is row 1, and begins with state 1 of the first states (-1 - 1 = -2):

    >>> way.order.before.tolist()
    [-2, 3, 0, -1, -3, 4]

    At the first instant set 0 has sorted row 0 and set 1 has rows 3 and 4; at the second set 0 has
    rows 1 and 2, and set 1 row 5:

    >>> way.order.bounds.tolist()
    [[[0, 1], [3, 5]], [[1, 3], [5, 6]]]
    """
    runs, time, rows = index.shape
    to = index.flatten(1).argsort(stable=True)  # [R, T * M], in each run
    back = _inverse(to)
    bounds = _bounds(index, sets)
    first = torch.arange(runs)[:, None] * (time * rows)  # of each run
    stretches = np.append(bounds[0, :, 0], runs * time * rows)
    if stretches[-1] != bounds[-1, -1, 1]:
        raise ValueError(f"rows go through sets 0 to {sets - 1}, but some name another set")
    order = Order(_one_instant_earlier(to, back, rows).numpy(), bounds, sets)
    return Routes((to + first).flatten(), (back + first).flatten(), order, stretches)


def _inverse(order: Int64[Tensor, "R P"]) -> Int64[Tensor, "R P"]:
    """Return where each number stands in each run's order of 0 to P - 1."""
    places = torch.arange(order.shape[1]).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def _one_instant_earlier(
    to: Int64[Tensor, "R P"], back: Int64[Tensor, "R P"], rows: int
) -> Int64[Tensor, "L"]:
    """Return the sorted row that each one was an instant before.

    In the first instant that is -1 less the row of the first states, which all runs' rows share.
    """
    runs, count = to.shape
    run = torch.arange(runs)[:, None]
    earlier = to - rows  # negative in the first instant
    state = -1 - (to + run * rows)
    sorted_row = back.gather(1, earlier.clamp(min=0)) + run * count
    return torch.where(earlier < 0, state, sorted_row).flatten()


def _bounds(index: Int64[Tensor, "R T M"], sets: int) -> Int64[np.ndarray, "T K 2"]:
    """Return where the sorted rows of each stretch at each instant begin and end."""
    time = index.shape[1]
    uses = index[:, None] == torch.arange(sets)[:, None, None]  # [R, S, T, M]
    counts = uses.sum(-1).flatten()
    ends = counts.cumsum(0)
    begin_end = torch.stack((ends - counts, ends), -1).view(-1, time, 2)
    return begin_end.transpose(0, 1).contiguous().numpy()


class Reorder(torch.autograd.Function):
    """``x [L, F]`` in another order, and back for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Tensor, back: Tensor) -> Tensor:
        """Return the rows that `to` names; `back` names them in the opposite direction."""
        ctx.back = back
        return x.index_select(0, to)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient in the order of the rows that came in."""
        return grad_outputs[0].index_select(0, ctx.back), None, None
