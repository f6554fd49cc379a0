"""Chains of banks on the CPU: all layers of one set's rows while they are in the cache, forward and backward.

A batch of small matrices, layer after layer, is read from memory once a layer. Here every group of rows goes through
its own set in one call, 64 rows at a time, and no set is copied to where it is used. Sums are taken row after row, so a
run's bits depend neither on its pack nor on zeros behind its last row. On other devices a chain is its banks, one after
the other.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from partage.assignment import Assignment
from partage.bank import Bank, Rows
from partage.pointwise import F, compiled
from partage.tiles import LANES, flip, product, whole

BLOCK = 64  # rows that go through all layers together


class Link(NamedTuple):
    bank: Bank
    sharing: Assignment
    relu: bool  # behind the bank


def chain(rows: Rows, links: Sequence[Link]) -> Float32[Tensor, "R G T M O"]:
    """Rows through banks, each with its own assignment (all of one set, or none)."""
    if rows.device.type != "cpu":
        for bank, sharing, relu in links:
            rows = bank(rows, sharing, relu=relu)
        return rows
    groups, where = rows.shape[:2], rows.shape[2:4]
    x = rows.reshape(groups.numel(), where.numel(), -1).contiguous()
    weights, tables = zip(*(link.bank.parameters_of_rows() for link in links), strict=True)
    plan = tuple(link.sharing.numpy() for link in links), np.array([link.relu for link in links])
    if torch.is_grad_enabled():
        y = Chain.apply(x, plan, *weights, *tables)
    else:
        y = _forward(x, plan, weights, tables)[-1][..., : weights[-1].shape[-1]]
    return y.unflatten(1, where).unflatten(0, groups)  # type: ignore[union-attr]


class Chain(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, plan: Any, *parameters: Tensor) -> Tensor:
        weights, tables = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
        layers = _forward(x, plan, weights, tables)
        ctx.plan, ctx.entries = plan, [table.shape for table in tables]
        ctx.save_for_backward(x, *weights, *layers)
        return layers[-1][..., : weights[-1].shape[-1]]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, *saved = ctx.saved_tensors
        index, relu = ctx.plan
        weights, layers = saved[: len(relu)], saved[len(relu) :]
        d_weights = [torch.zeros_like(w) for w in weights]
        d_tables = [x.new_zeros(shape) for shape in ctx.entries]
        wanted, last = ctx.needs_input_grad[0], grad_outputs[0].contiguous()
        dx = torch.empty_like(x) if wanted else None
        lists = (tuple(y.numpy() for y in each) for each in (weights, layers, d_weights, d_tables))
        _backward_all(x.numpy(), index, relu, *lists, last.numpy(), (x if dx is None else dx).numpy(), wanted)
        return dx, None, *d_weights, *d_tables


def _forward(x: Tensor, plan: Any, weights: Sequence[Tensor], tables: Sequence[Tensor]) -> list[Tensor]:
    """The rows behind each link, their width filled up with zeros to whole registers."""
    index, relu = plan
    layers = [x.new_empty(*x.shape[:2], -(-w.shape[-1] // LANES) * LANES) for w in weights]
    lists = (tuple(y.detach().numpy() for y in each) for each in (weights, tables, layers))
    _forward_all(x.detach().numpy(), index, relu, *lists)
    return layers


@compiled
def _forward_all(x, index, relu, weights, tables, layers):
    groups, links = x.shape[0] // weights[0].shape[0], len(weights)
    starts = np.zeros(links + 1, np.int64)  # of sets whose rows have to be filled up
    for link in range(links):
        inputs, outputs = weights[link].shape[2:]
        starts[link + 1] = starts[link] + (inputs * whole(outputs) if outputs % LANES else 0)
    filled = np.zeros(starts[links], np.float32)
    for k in range(x.shape[0]):
        r, g = k // groups, k % groups
        for link in range(links):
            w, width = weights[link][r, index[link][r, g]], layers[link].shape[2]
            if w.shape[1] % LANES:
                for i in range(w.shape[0]):
                    for o in range(w.shape[1]):
                        filled[starts[link] + i * width + o] = w[i, o]
        for first in range(0, x.shape[1], BLOCK):
            last = min(first + BLOCK, x.shape[1])
            before = x[k]
            for link in range(links):
                used = index[link][r, g]
                now, w, table = layers[link][k], weights[link][r, used], tables[link][r, used]
                inputs, outputs, ld, width = w.shape[0], w.shape[1], before.shape[1], now.shape[1]
                for m in range(first, last):
                    row, bias = now[m], table[m % len(table)]
                    for o in range(outputs):
                        row[o] = bias[o]
                    for o in range(outputs, width):
                        row[o] = F(0)
                right, start = (filled, starts[link]) if outputs % LANES else (w.reshape(-1), 0)
                product(before.reshape(-1), first * ld, ld, 1, right, start, width,
                        now.reshape(-1), first * width, width, last - first, inputs, width)  # fmt: skip
                if relu[link]:
                    for m in range(first, last):
                        row = now[m]
                        for o in range(width):
                            row[o] = row[o] if row[o] > F(0) else F(0)
                before = now


@compiled
def _backward_all(x, index, relu, weights, layers, d_weights, d_tables, d_last, dx, wanted):
    groups, links = x.shape[0] // weights[0].shape[0], len(weights)
    starts, flips = np.zeros(links + 1, np.int64), np.zeros(links + 1, np.int64)
    widest = whole(x.shape[2])
    for link in range(links):
        inputs, outputs = weights[link].shape[2:]
        starts[link + 1] = starts[link] + (inputs * whole(outputs) if outputs % LANES else 0)
        flips[link + 1] = flips[link] + outputs * whole(inputs)
        widest = max(widest, whole(outputs))
    filled, flipped = np.zeros(starts[links], np.float32), np.zeros(flips[links], np.float32)
    grad, grad_before = np.zeros(BLOCK * widest, np.float32), np.zeros(BLOCK * widest, np.float32)
    for k in range(x.shape[0]):
        r, g = k // groups, k % groups
        filled[:] = 0
        for link in range(links):
            if link or wanted:
                flip(weights[link][r, index[link][r, g]], flipped, flips[link])
        for first in range(0, x.shape[1], BLOCK):
            last = min(first + BLOCK, x.shape[1])
            for m in range(first, last):
                row, out = d_last[k, m], grad[(m - first) * layers[links - 1].shape[2] :]
                for o in range(len(row)):
                    out[o] = row[o]
                for o in range(len(row), layers[links - 1].shape[2]):
                    out[o] = F(0)
            for behind in range(links):
                link = links - 1 - behind
                used = index[link][r, g]
                now, w, dw, d_table = layers[link][k], weights[link], d_weights[link][r, used], d_tables[link][r, used]
                inputs, outputs, width = w.shape[2], w.shape[3], now.shape[1]
                for m in range(first, last):
                    out, row, total = (
                        grad[(m - first) * width : (m - first + 1) * width],
                        now[m],
                        d_table[m % len(d_table)],
                    )
                    if relu[link]:
                        for o in range(width):
                            out[o] = out[o] if row[o] > F(0) else F(0)
                    for o in range(outputs):
                        total[o] += out[o]
                before = layers[link - 1][k] if link else x[k]
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
                    row, out = grad[(m - first) * whole(x.shape[2]) :], dx[k, m]
                    for i in range(len(out)):
                        out[i] = row[i]
        for link in range(links):
            dw, width = d_weights[link][r, index[link][r, g]], layers[link].shape[2]
            if dw.shape[1] % LANES:
                for i in range(dw.shape[0]):
                    for o in range(dw.shape[1]):
                        dw[i, o] += filled[starts[link] + i * width + o]
