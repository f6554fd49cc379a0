"""Chains of banks: all layers of one set's rows while they are in the cache, forward and backward.

A batch of small matrices, layer after layer, is read from memory once a layer. On the CPU every stretch of rows goes
through its own set in one call, 64 rows at a time, and no set is copied to where it is used. Sums are taken row after
row, so a run's bits depend neither on its pack nor on zeros behind its last row. On other devices a chain is its links,
one after the other, in torch's own operations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from partage.assignment import Assignment, pick
from partage.pointwise import F, compiled
from partage.tiles import BLOCK, LANES, flip, product, whole


class Link(NamedTuple):
    """One layer: which of R runs' S sets each of G groups goes through. It holds until the next update.

    A group's agents stand in turn along its rows, and each has its own biases in the table: one, or where inputs are
    one-hot one for every place of the one, the first (-1) for none.
    """

    weight: Float32[Tensor, "R S I O"]
    table: Float32[Tensor, "R S E O"]  # E = agents x entries
    sharing: Assignment  # [R, G]
    entries: int = 1  # of an agent
    relu: bool = False  # behind it

    def __call__(
        self, rows: Float32[Tensor, "R G T M I"], hot: Int64[Tensor, "R G T M"] | None = None
    ) -> Float32[Tensor, "R G T M O"]:
        """`hot` is the place of the one in the one-hot inputs of each row (-1: they are all zero)."""
        return chain(rows, [self], hot)


def chain(
    rows: Float32[Tensor, "R G T M I"], links: Sequence[Link], hot: Int64[Tensor, "R G T M"] | None = None
) -> Float32[Tensor, "R G T M O"]:
    """Rows through links, each with its own assignment (all of one set, or none); the first alone may be one-hot."""
    shape = rows.shape[:4]
    if rows.device.type != "cpu":
        return _elsewhere(rows.flatten(2, 3), links, None if hot is None else hot.flatten(2)).unflatten(2, shape[2:])
    bounds = np.arange(shape[:2].numel() + 1) * shape[2:].numel()
    return through(rows.flatten(0, 3), bounds, links, hot).unflatten(0, shape)


def through(
    x: Float32[Tensor, "L I"], bounds: np.ndarray, links: Sequence[Link], hot: Tensor | None = None
) -> Float32[Tensor, "L O"]:
    """Sorted rows through links: those of group k = run * G + g lie from ``bounds[k]`` to ``bounds[k + 1]``."""
    at = torch.full((len(x),), -1) if hot is None else hot.flatten()
    plan = bounds, at.numpy(), *(np.array([getattr(link, name) for link in links]) for name in ("relu", "entries"))
    index = tuple(link.sharing.contiguous().numpy() for link in links)
    weights, tables = zip(*((link.weight.contiguous(), link.table.contiguous()) for link in links), strict=True)
    if torch.is_grad_enabled():
        return Chain.apply(x, (*plan, index), *weights, *tables)  # type: ignore[return-value]
    return _forward(x, (*plan, index), weights, tables, False)[-1][:, : weights[-1].shape[-1]]


def _elsewhere(x: Float32[Tensor, "R G M I"], links: Sequence[Link], hot: Tensor | None) -> Float32[Tensor, "R G M O"]:
    for n, (weight, table, sharing, entries, relu) in enumerate(links):
        places = torch.arange(x.shape[2], device=x.device) % (table.shape[2] // entries) * entries
        at = places.expand(x.shape[:3]) if n or hot is None else places + hot + 1
        offset = (
            pick(table, sharing).expand(*x.shape[:2], -1, -1).gather(2, at[..., None].expand(*at.shape, table.shape[3]))
        )
        x = x @ pick(weight, sharing) + offset
        x = x.relu() if relu else x
    return x


class Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: Any, *parameters: Tensor) -> Float32[Tensor, "L O"]:
        weights, tables = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
        layers = _forward(x, plan, weights, tables, True)
        ctx.plan, ctx.entries = plan, [table.shape for table in tables]
        ctx.save_for_backward(x, *weights, *layers)
        return layers[-1][:, : weights[-1].shape[-1]]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        weights, layers = saved[: len(ctx.entries)], saved[len(ctx.entries) :]
        d_weights = [torch.zeros_like(w) for w in weights]
        d_tables = [x.new_zeros(shape, dtype=torch.float64) for shape in ctx.entries]
        wanted, last = ctx.needs_input_grad[0], grad_outputs[0].contiguous()
        dx = torch.empty_like(x, memory_format=torch.contiguous_format) if wanted else None
        lists = (tuple(y.numpy() for y in each) for each in (weights, layers, d_weights, d_tables))
        backward_all(
            x.contiguous().numpy(), *ctx.plan, *lists, last.numpy(), (last if dx is None else dx).numpy(), wanted
        )
        return dx, None, *d_weights, *(d_table.float() for d_table in d_tables)


def _forward(x: Tensor, plan: Any, weights: Sequence[Tensor], tables: Sequence[Tensor], keep: bool) -> list[Tensor]:
    """The rows behind each link, their width filled up with zeros to whole registers.

    Of those between links one block alone where they are not kept: nothing leaves the cache but the last.
    """
    heights = [len(x) if keep else BLOCK] * (len(weights) - 1) + [len(x)]
    layers = [x.new_empty(rows, -(-w.shape[-1] // LANES) * LANES) for rows, w in zip(heights, weights, strict=True)]
    lists = (tuple(y.detach().numpy() for y in each) for each in (weights, tables, layers))
    forward_all(x.detach().contiguous().numpy(), *plan, *lists)
    return layers


@compiled
def _begin(rows, table, entries, passed, hot):
    """Each row with its biases, and zeros where its last register is not full; `passed` rows of its set came before."""
    agents, outputs = len(table) // entries, table.shape[1]
    agent = passed % agents
    for m in range(len(rows)):
        row, bias = rows[m], table[agent * entries + (hot[m] + 1 if entries > 1 else 0)]
        for o in range(outputs):
            row[o] = bias[o]
        for o in range(outputs, len(row)):
            row[o] = F(0)
        agent = agent + 1 if agent + 1 < agents else 0


@compiled
def _end(grad, rows, first, last, relu, d_table, entries, start, hot):
    """Gradients before the ReLU of these rows, in place, and those of their biases."""
    agents, outputs, width = len(d_table) // entries, d_table.shape[1], rows.shape[1]
    agent = (first - start) % agents
    for m in range(first, last):
        out, row = grad[(m - first) * width : (m - first + 1) * width], rows[m]
        total = d_table[agent * entries + (hot[m] + 1 if entries > 1 else 0)]
        if relu:
            for o in range(width):
                out[o] = out[o] if row[o] > F(0) else F(0)
        for o in range(outputs):
            total[o] += out[o]
        agent = agent + 1 if agent + 1 < agents else 0


@compiled
def forward_all(x, bounds, hot, relu, entries, index, weights, tables, layers):
    groups, links = (len(bounds) - 1) // weights[0].shape[0], len(weights)
    starts = np.zeros(links + 1, np.int64)  # of sets whose rows have to be filled up
    for link in range(links):
        inputs, outputs = weights[link].shape[2:]
        starts[link + 1] = starts[link] + (inputs * whole(outputs) if outputs % LANES else 0)
    filled = np.zeros(starts[links], np.float32)
    for k in range(len(bounds) - 1):
        r, g = k // groups, k % groups
        for link in range(links):
            w, width = weights[link][r, index[link][r, g]], layers[link].shape[1]
            if w.shape[1] % LANES:
                for i in range(w.shape[0]):
                    for o in range(w.shape[1]):
                        filled[starts[link] + i * width + o] = w[i, o]
        for first in range(bounds[k], bounds[k + 1], BLOCK):
            rows, before, at = min(BLOCK, bounds[k + 1] - first), x, first
            for link in range(links):
                used = index[link][r, g]
                now, w, table = layers[link], weights[link][r, used], tables[link][r, used]
                inputs, outputs, ld, width = w.shape[0], w.shape[1], before.shape[1], now.shape[1]
                to = first if len(now) == len(x) else 0
                _begin(now[to : to + rows], table, entries[link], first - bounds[k], hot[first:])
                right, start = (filled, starts[link]) if outputs % LANES else (w.reshape(-1), 0)
                product(before.reshape(-1), at * ld, ld, 1, right, start, width,
                        now.reshape(-1), to * width, width, rows, inputs, width)  # fmt: skip
                if relu[link]:
                    for m in range(to, to + rows):
                        row = now[m]
                        for o in range(width):
                            row[o] = row[o] if row[o] > F(0) else F(0)
                before, at = now, to


@compiled
def backward_all(x, bounds, hot, relu, entries, index, weights, layers, d_weights, d_tables, d_last, dx, wanted):
    groups, links = (len(bounds) - 1) // weights[0].shape[0], len(weights)
    starts, flips = np.zeros(links + 1, np.int64), np.zeros(links + 1, np.int64)
    widest = whole(x.shape[1])
    for link in range(links):
        inputs, outputs = weights[link].shape[2:]
        starts[link + 1] = starts[link] + (inputs * whole(outputs) if outputs % LANES else 0)
        flips[link + 1] = flips[link] + outputs * whole(inputs)
        widest = max(widest, whole(outputs))
    filled, flipped = np.zeros(starts[links], np.float32), np.zeros(flips[links], np.float32)
    grad, grad_before = np.zeros(BLOCK * widest, np.float32), np.zeros(BLOCK * widest, np.float32)
    for k in range(len(bounds) - 1):
        r, g = k // groups, k % groups
        filled[:] = 0
        for link in range(links):
            if link or wanted:
                flip(weights[link][r, index[link][r, g]], flipped, flips[link])
        for first in range(bounds[k], bounds[k + 1], BLOCK):
            last = min(first + BLOCK, bounds[k + 1])
            for m in range(first, last):
                row, out = d_last[m], grad[(m - first) * layers[links - 1].shape[1] :]
                for o in range(len(row)):
                    out[o] = row[o]
                for o in range(len(row), layers[links - 1].shape[1]):
                    out[o] = F(0)
            for behind in range(links):
                link = links - 1 - behind
                used = index[link][r, g]
                now, w, dw, d_table = layers[link], weights[link], d_weights[link][r, used], d_tables[link][r, used]
                inputs, outputs, width = w.shape[2], w.shape[3], now.shape[1]
                _end(grad, now, first, last, relu[link], d_table, entries[link], bounds[k], hot)
                before = layers[link - 1] if link else x
                ld = before.shape[1]
                into, start = (filled, starts[link]) if outputs % LANES else (dw.reshape(-1), 0)
                product(before.reshape(-1), first * ld, 1, ld, grad, 0, width,
                        into, start, width, inputs, last - first, width)  # fmt: skip
                if link or wanted:
                    ld = whole(inputs)
                    grad_before[: (last - first) * ld] = F(0)
                    product(grad, 0, width, 1, flipped, flips[link], ld,
                            grad_before, 0, ld, last - first, outputs, ld)  # fmt: skip
                    grad, grad_before = grad_before, grad
            if wanted:
                for m in range(first, last):
                    row, out = grad[(m - first) * whole(x.shape[1]) :], dx[m]
                    for i in range(len(out)):
                        out[i] = row[i]
        for link in range(links):
            dw, width = d_weights[link][r, index[link][r, g]], layers[link].shape[1]
            if dw.shape[1] % LANES:
                for i in range(dw.shape[0]):
                    for o in range(dw.shape[1]):
                        dw[i, o] += filled[starts[link] + i * width + o]
