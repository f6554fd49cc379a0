"""Sharing that changes from instant to instant: rows sorted by the parameter set that they go through.

Where an assignment has a time axis, weights cannot be picked once for all. Instead every run's rows (instants, then
copies x agents) are put in the order of their sets, and in a set in the order of time: each set then multiplies one
stretch of rows, exactly as many as use it, and nothing is computed twice. What lies behind the end of the longest
episode comes last in each stretch, so padding moves no sum.

Runs on the CPU; elsewhere `partage.nets.RoutedQ` computes all sets and selects.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from partage.bank import product_over_rows
from partage.pointwise import offset_, offset_backward
from partage.recurrence import Order


class Routes(NamedTuple):
    """The sorted order of ``[R, T, M]`` rows. Stretches are numbered k = run * sets + set."""

    to: Int64[Tensor, "L"]  # the row that each sorted row is; L = R * T * M
    back: Int64[Tensor, "L"]  # the sorted row that each row is
    at: Int64[Tensor, "R TM"]  # the set of each sorted row
    order: Order
    spans: list[slice]  # K: the rows of each stretch


def routes(index: Int64[Tensor, "R T M"], sets: int) -> Routes:
    """Sort rows by the set that `index` names."""
    runs, time, rows = index.shape
    at, order = index.flatten(1).sort(stable=True)
    back = torch.empty_like(order).scatter_(1, order, torch.arange(time * rows).expand_as(order))
    run = torch.arange(runs)[:, None]
    first = run * time * rows
    earlier = order - rows
    before = torch.where(earlier < 0, -1 - (order + run * rows), back.gather(1, earlier.clamp(min=0)) + first)
    counts = (index[:, None] == torch.arange(sets)[:, None, None]).sum(-1)  # [R, S, T]
    ends = counts.flatten().cumsum(0)
    bounds = torch.stack((ends - counts.flatten(), ends), -1).view(-1, time, 2).transpose(0, 1).contiguous().numpy()
    spans = [slice(int(start), int(stop)) for start, stop in zip(bounds[0, :, 0], bounds[-1, :, 1], strict=True)]
    flat = ((order + first).flatten(), (back + first).flatten())
    return Routes(*flat, at, Order(before.flatten().numpy(), bounds, sets), spans)


class Reorder(torch.autograd.Function):
    """``x [L, F]`` in another order, and back for its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return x.index_select(0, to)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return grad_outputs[0].index_select(0, ctx.back), None, None


def _products(x: Tensor, weight: Tensor, spans: list[slice]) -> Float32[Tensor, "L O"]:
    """Each stretch times its own weight ``[K, I, O]``."""
    y = x.new_empty(len(x), weight.shape[2])
    for span, own in zip(spans, weight, strict=True):
        torch.mm(x[span], own, out=y[span])
    return y


def _gradients(x: Tensor, grad: Tensor, spans: list[slice]) -> Float32[Tensor, "K I O"]:
    """Of the weights: ``x^T grad`` of each stretch, summed block by block."""
    return torch.cat([product_over_rows(x[span][None], grad[span][None]) for span in spans])


class RoutedAffine(torch.autograd.Function):
    """Sorted ``x [L, I]`` through ``weight [K, I, O]`` and ``bias [R, S, O]`` of its set, ReLU if asked."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, routes: Routes, relu: bool) -> Tensor:
        y = _products(x, weight, routes.spans)
        offset_(y.view(*routes.at.shape, -1), bias, routes.at, relu)
        ctx.save_for_backward(x, weight, y)
        ctx.routes, ctx.relu, ctx.sets = routes, relu, bias.shape[1]
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight, y), at, spans = ctx.saved_tensors, ctx.routes.at, ctx.routes.spans
        shape = (*at.shape, y.shape[1])
        grad, d_bias = offset_backward(grad_outputs[0].reshape(shape), y.view(shape), ctx.sets, at, ctx.relu)
        grad = grad.flatten(0, 1)
        dx = _products(grad, weight.transpose(1, 2), spans) if ctx.needs_input_grad[0] else None
        return dx, _gradients(x, grad, spans), d_bias, None, None
