"""Sharing that changes from instant to instant: rows sorted by the parameter set that they go
through.

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
    bounds: np.ndarray  # [K + 1]: where each stretch's rows begin, and end


def routes(index: Int64[Tensor, "R T M"], sets: int) -> Routes:
    """Sort rows by the set that `index` names."""
    runs, time, rows = index.shape
    order = index.flatten(1).argsort(stable=True)
    back = torch.empty_like(order).scatter_(1, order, torch.arange(time * rows).expand_as(order))
    run = torch.arange(runs)[:, None]
    first = run * time * rows
    earlier = order - rows
    before = torch.where(
        earlier < 0, -1 - (order + run * rows), back.gather(1, earlier.clamp(min=0)) + first
    )
    counts = (index[:, None] == torch.arange(sets)[:, None, None]).sum(-1)  # [R, S, T]
    ends = counts.flatten().cumsum(0)
    bounds = (
        torch.stack((ends - counts.flatten(), ends), -1)
        .view(-1, time, 2)
        .transpose(0, 1)
        .contiguous()
        .numpy()
    )
    flat = ((order + first).flatten(), (back + first).flatten())
    return Routes(
        *flat,
        Order(before.flatten().numpy(), bounds, sets),
        np.append(bounds[0, :, 0], runs * time * rows),
    )


class Reorder(torch.autograd.Function):
    """``x [L, F]`` in another order, and back for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return x.index_select(0, to)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return grad_outputs[0].index_select(0, ctx.back), None, None
