"""Rows through layers and back, block by block while they are in the cache."""

import numpy as np

from partage.kernels import compiled
from partage.kernels.gemm import BLOCK, LANES, flip, product, whole
from partage.kernels.pointwise import F


@compiled
def _begin(rows, table, entries, passed, hot):
    """Each row with its biases, and zeros where its last register is not full; `passed` rows of its
    set came before.
    """
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
def backward_all(
    x, bounds, hot, relu, entries, index, weights, layers, d_weights, d_tables, d_last, dx, wanted
):
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
                now, w, dw, d_table = (
                    layers[link],
                    weights[link],
                    d_weights[link][r, used],
                    d_tables[link][r, used],
                )
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
