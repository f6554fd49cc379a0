"""Sharing that changes from instant to instant: rows sorted by the parameter set that they go through.

Where an assignment has a time axis, weights cannot be picked once for all. Instead every run's rows (instants, then
copies x agents) are put in the order of their sets, and in a set in the order of time: each set then multiplies one
stretch of rows, exactly as many as use it, and nothing is computed twice. What lies behind the end of the longest
episode comes last in each stretch, so padding moves no sum.

Runs on the CPU; elsewhere `partage.nets.RoutedQ` computes all sets and selects.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from partage.bank import product_over_rows
from partage.pointwise import backward_rows, compiled, forward_rows, offset_, offset_backward


class Routes(NamedTuple):
    """The sorted order of ``[R, T, M]`` rows. Stretches are numbered k = run * sets + set."""

    to: Int64[Tensor, "L"]  # the row that each sorted row is; L = R * T * M
    back: Int64[Tensor, "L"]  # the sorted row that each row is
    at: Int64[Tensor, "R TM"]  # the set of each sorted row
    before: np.ndarray  # [L]: the sorted row one instant earlier; in the first instant -1 less the row of h
    bounds: np.ndarray  # [T, K, 2]: where the rows of stretch k at instant t begin and end
    spans: list[slice]  # K: the rows of each stretch
    sizes: list[int]  # K * T: how many rows each has at each instant

    @property
    def instants(self) -> int:
        return len(self.bounds)


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
    return Routes(*flat, at, before.flatten().numpy(), bounds, spans, counts.flatten().tolist())


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


class RoutedGRU(torch.autograd.Function):
    """The states ``[L, H]`` after sorted ``x [L, I]``, from ``h [R * M, H]`` on; no gradient goes to `h`.

    The equations and the gradient's columns are those of `partage.recurrence`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, wx: Tensor, bx: Tensor, wh: Tensor, bh: Tensor, routes: Routes
    ) -> Tensor:
        hidden, time = h.shape[1], routes.instants
        from_x, from_h = _products(x, wx, routes.spans), x.new_empty(len(x), 3 * hidden)
        before, states = x.new_empty(2, len(x), hidden)
        arrays = [one.detach().numpy() for one in (from_x, from_h, before, states, bx, bh)]
        come, products = before.split(routes.sizes), from_h.split(routes.sizes)
        first = h.contiguous().numpy()
        for t in range(time):
            _arrive(arrays[2], arrays[3], first, routes.before, routes.bounds, t)
            for k, own in enumerate(wh):
                torch.mm(come[k * time + t], own, out=products[k * time + t])
            _forward(*arrays, routes.bounds, t)
        ctx.save_for_backward(x, from_x, from_h, before, wx, wh)
        ctx.routes = routes
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (x, from_x, from_h, before, wx, wh), routes = ctx.saved_tensors, ctx.routes
        hidden, time = before.shape[1], routes.instants
        grad, dh = grad_outputs[0].clone(), torch.zeros_like(before)
        gates = x.new_empty(len(x), 4 * hidden)
        d_bias = torch.zeros(len(wx), 4 * hidden, dtype=torch.float64)
        arrays = [one.numpy() for one in (dh, grad, from_x, from_h, before, gates, d_bias)]
        wx_back, wh_back = (w.transpose(1, 2).contiguous() for w in (wx, wh.roll(hidden, -1)))
        by_h, earlier = gates[:, : 3 * hidden].split(routes.sizes), dh.split(routes.sizes)
        for t in reversed(range(time)):
            _backward(*arrays, routes.bounds, t)
            for k, own in enumerate(wh_back):
                earlier[k * time + t].addmm_(by_h[k * time + t], own)
            if t:
                _return(arrays[1], arrays[0], routes.before, routes.bounds, t)
        d_wh = _gradients(before, gates[:, : 3 * hidden], routes.spans)
        by_x, d_bias = gates[:, hidden:], d_bias.float()
        d_wx = _gradients(x, by_x, routes.spans)
        dx = _products(by_x, wx_back, routes.spans) if ctx.needs_input_grad[0] else None
        d_bh = d_bias[:, : 3 * hidden].roll(-hidden, -1)
        return dx, None, d_wx, d_bias[:, hidden:], d_wh.roll(-hidden, -1), d_bh, None


@compiled
def _arrive(before, states, first, source, bounds, t):
    """The states that the rows of an instant start from."""
    for k in range(bounds.shape[1]):
        for row in range(bounds[t, k, 0], bounds[t, k, 1]):
            came = source[row]
            h, out = first[-1 - came] if came < 0 else states[came], before[row]
            for j in range(len(out)):
                out[j] = h[j]


@compiled
def _return(grad, dh, source, bounds, t):
    """Add the gradient of the states that an instant started from to that of the states before."""
    for k in range(bounds.shape[1]):
        for row in range(bounds[t, k, 0], bounds[t, k, 1]):
            out, g = grad[source[row]], dh[row]
            for j in range(len(out)):
                out[j] += g[j]


@compiled
def _forward(from_x, from_h, before, states, bx, bh, bounds, t):
    for k in range(bounds.shape[1]):
        a, b = bounds[t, k]
        forward_rows(from_x[a:b], from_h[a:b], before[a:b], states[a:b], bx[k], bh[k])


@compiled
def _backward(dh, grad, from_x, from_h, before, gates, total, bounds, t):
    for k in range(bounds.shape[1]):
        a, b = bounds[t, k]
        backward_rows(dh[a:b], grad[a:b], from_x[a:b], from_h[a:b], before[a:b], gates[a:b], total[k])
