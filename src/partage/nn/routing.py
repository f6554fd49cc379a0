"""Sharing that changes from instant to instant: rows sorted by the set that they go through.

Where an assignment has a time axis, weights cannot be picked once for all. Instead every run's rows
(instants, then copies x agents) are put in the order of their sets, and in a set in the order of
time: each set then multiplies one stretch of rows, exactly as many as use it, and nothing is
computed twice. What lies behind an episode's end may be left out, and moves no sum where it is not.

Runs on the CPU; elsewhere `partage.nn.routed.RoutedQ` multiplies rows that are zeros but at the
place of their own set.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from partage.kernels.gru import Order
from partage.kernels.routing import sort_rows


class Routes(NamedTuple):
    """The sorted order of ``[R, T, M]`` rows. Stretches are numbered k = run * sets + set."""

    to: Int64[Tensor, "L"]  # the row that each sorted row is; L = R * T * M, less those left out
    order: Order  # whose cells are the stretches'
    bounds: Int64[np.ndarray, "K1"]  # where each stretch's rows begin, and the last one's end


def routes(index: Int64[Tensor, "R T M"], sets: int) -> Routes:
    """Sort rows by the set that `index` names; those of a negative one are left out.

    One run, two instants of three rows (numbers 0 to 2, then 3 to 5) and two sets. Set 0 is used by
    row 1 at first, then by rows 3 and 4; set 1 by rows 0 and 2, then by row 5:

    >>> way = routes(torch.tensor([[[1, 0, 1], [0, 0, 1]]]), sets=2)
    >>> way.to.tolist(), way.bounds.tolist()
    ([1, 3, 4, 0, 2, 5], [0, 3, 6])

    Sorted row 1 is row 3, the second instant of the row that began as number 0, which is sorted row
    3 now. Sorted row 0 is row 1, and begins with state 1 of the first states (-1 - 1 = -2):

    >>> way.order.before.tolist()
    [-2, 3, 0, -1, -3, 4]

    At the first instant set 0 has sorted row 0 and set 1 has rows 3 and 4; at the second set 0 has
    rows 1 and 2, and set 1 row 5:

    >>> way.order.bounds.tolist()
    [[[0, 1], [3, 5]], [[1, 3], [5, 6]]]

    Raises `ValueError` where rows name a set that is not there.
    """
    bounds, to, before = sort_rows(index.contiguous().numpy(), sets)
    stretches = len(index) * sets
    order = Order(before, bounds, sets, np.arange(stretches))
    return Routes(torch.from_numpy(to), order, np.append(bounds[0, :, 0], bounds[-1, -1, 1]))


class InOrder(torch.autograd.Function):
    """Sorted rows ``[L, F]`` where they came from, and zeros where rows were left out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Tensor, rows: int) -> Tensor:
        """Return `rows` rows; `to` names the one that each sorted row is."""
        ctx.to = to
        return x.new_zeros(rows, x.shape[1]).index_copy_(0, to, x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of the sorted rows."""
        return grad_outputs[0].index_select(0, ctx.to), None, None
