"""Rows through layers and back, block by block while they are in the cache.

K = R * G groups of rows: R runs, and in each G groups whose rows go through the same sets.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from partage.kernels import compiled, inlined
from partage.kernels.gemm import (
    BLOCK,
    LANES,
    Matrix,
    add_product,
    columns_from,
    padded_width,
    rows_from,
    transpose_into,
)
from partage.kernels.pointwise import F


class Rows(NamedTuple):
    """M rows, sorted by group."""

    x: Float32[np.ndarray, "M I"]
    bounds: Int64[np.ndarray, "K1"]  # group k has the rows from bounds[k] to bounds[k + 1]
    hot: Int64[
        np.ndarray, "M"
    ]  # the place of the one in the first layer's one-hot inputs; -1: none


class Layers(NamedTuple):
    """One entry a layer."""

    weights: tuple[Float32[np.ndarray, "R S I O"], ...]
    # the set that each group goes through (of one set, agents that are one group may be listed)
    sharing: tuple[Int64[np.ndarray, "R G"], ...]
    entries: Int64[np.ndarray, "layers"]  # of an agent in the table of biases
    relu: Bool[np.ndarray, "layers"]  # behind it


class Gradients(NamedTuple):
    """What comes back from the last layer, and where the gradients of all else go."""

    d_out: Float32[np.ndarray, "M O"]
    d_weights: tuple[Float32[np.ndarray, "R S I O"], ...]  # added to
    d_tables: tuple[Float64[np.ndarray, "R S E O"], ...]  # added to
    dx: Float32[np.ndarray, "M I"]  # any array where it is not wanted
    wants_dx: bool


class Scratch(NamedTuple):
    """Working memory of `backward_all`, all of it flat. Layers follow one another."""

    padded: Float32[np.ndarray, "P"]  # gradients of weights whose rows fill no whole registers
    padded_starts: Int64[np.ndarray, "layers1"]
    transposed: Float32[np.ndarray, "Q"]  # weights [O, I], rows padded to whole registers
    transposed_starts: Int64[np.ndarray, "layers1"]
    d_after: Float32[np.ndarray, "X"]  # gradients of a block behind a layer, and before it
    d_before: Float32[np.ndarray, "X"]


@inlined
def _groups(rows, layers):
    """Return how many groups of rows a run has: G, or 1 where all agents' rows are one group."""
    return (len(rows.bounds) - 1) // layers.weights[0].shape[0]


@inlined
def _entry(agent, entries, hot):
    """Return the place of an agent's biases in the table."""
    return agent * entries + (hot + 1 if entries > 1 else 0)


@compiled
def _write_biases(rows, table, entries, passed, hot):
    """Begin each row with its biases, and with zeros where its last register is not full.

    `passed` rows of the group came before: agents stand in turn along them.
    """
    agents, outputs = len(table) // entries, table.shape[1]
    agent = passed % agents
    for m in range(len(rows)):
        row, bias = rows[m], table[_entry(agent, entries, hot[m])]
        for o in range(outputs):
            row[o] = bias[o]
        for o in range(outputs, len(row)):
            row[o] = F(0)
        agent = agent + 1 if agent + 1 < agents else 0


@compiled
def _relu(rows):
    """Set what is negative to zero."""
    for m in range(len(rows)):
        row = rows[m]
        for o in range(len(row)):
            row[o] = row[o] if row[o] > F(0) else F(0)


@compiled
def _padded_starts(weights):
    """Return where each layer's padded weights begin; those that need no padding have none."""
    starts = np.zeros(len(weights) + 1, np.int64)
    for n in range(len(weights)):
        inputs, outputs = weights[n].shape[2:]
        size = inputs * padded_width(outputs) if outputs % LANES else 0
        starts[n + 1] = starts[n] + size
    return starts


@compiled
def _pad_weights(layers, run, group, padded, starts):
    """Copy a group's weights whose rows fill no whole registers, padded with zeros."""
    for n in range(len(layers.weights)):
        weight = layers.weights[n][run, layers.sharing[n][run, group]]
        if weight.shape[1] % LANES:
            width = padded_width(weight.shape[1])
            for i in range(weight.shape[0]):
                for o in range(weight.shape[1]):
                    padded[starts[n] + i * width + o] = weight[i, o]


@compiled
def _forward_block(rows, layers, tables, outputs, padded, starts, k, first):
    """Bring the rows of group k from `first` on, at most BLOCK of them, through all layers."""
    groups = _groups(rows, layers)
    run, group = k // groups, k % groups
    count = min(BLOCK, rows.bounds[k + 1] - first)
    before, start = rows.x, first
    for n in range(len(layers.weights)):
        used = layers.sharing[n][run, group]
        weight, table, after = layers.weights[n][run, used], tables[n][run, used], outputs[n]
        width = after.shape[1]
        to = first if len(after) == len(rows.x) else 0
        block = after[to : to + count]
        _write_biases(block, table, layers.entries[n], first - rows.bounds[k], rows.hot[first:])
        if weight.shape[1] % LANES:
            right = Matrix(padded, starts[n], width, 1)
        else:
            right = rows_from(weight, 0)
        left, target = rows_from(before, start), rows_from(after, to)
        add_product(left, right, target, count, weight.shape[0], width)
        if layers.relu[n]:
            _relu(block)
        before, start = after, to


@compiled
def forward_all(rows, layers, tables, outputs):
    """Bring all rows through all layers.

    `tables` holds the layers' biases ``[R, S, E, O]``. ``outputs[n]`` receives the rows behind
    layer n, padded to whole registers: all of them ``[M, O]``, or where it is that small the last
    block's ``[BLOCK, O]`` only.
    """
    starts = _padded_starts(layers.weights)
    padded = np.zeros(starts[len(starts) - 1], np.float32)
    groups = _groups(rows, layers)
    for k in range(len(rows.bounds) - 1):
        _pad_weights(layers, k // groups, k % groups, padded, starts)
        for first in range(rows.bounds[k], rows.bounds[k + 1], BLOCK):
            _forward_block(rows, layers, tables, outputs, padded, starts, k, first)


@compiled
def _scratch(rows, layers):
    """Return working memory for the gradients of these layers."""
    padded_starts = _padded_starts(layers.weights)
    transposed_starts = np.zeros(len(padded_starts), np.int64)
    widest = padded_width(rows.x.shape[1])
    for n in range(len(layers.weights)):
        inputs, outputs = layers.weights[n].shape[2:]
        transposed_starts[n + 1] = transposed_starts[n] + outputs * padded_width(inputs)
        widest = max(widest, padded_width(outputs))
    layers_end = len(padded_starts) - 1
    padded = np.zeros(padded_starts[layers_end], np.float32)
    transposed = np.zeros(transposed_starts[layers_end], np.float32)
    d_after = np.zeros(BLOCK * widest, np.float32)
    d_before = np.zeros(BLOCK * widest, np.float32)
    return Scratch(padded, padded_starts, transposed, transposed_starts, d_after, d_before)


@compiled
def _copy_in(d_out, first, last, d_block, width):
    """Copy the last layer's gradients into a block of rows of this width, padded with zeros."""
    for m in range(first, last):
        row, out = d_out[m], d_block[(m - first) * width :]
        for o in range(len(row)):
            out[o] = row[o]
        for o in range(len(row), width):
            out[o] = F(0)


@compiled
def _copy_out(d_block, width, first, last, dx):
    """Copy a block's gradients to where those of the inputs go."""
    for m in range(first, last):
        row, out = d_block[(m - first) * width :], dx[m]
        for i in range(len(out)):
            out[i] = row[i]


@compiled
def _before_relu(d_block, rows, first, last, relu):
    """Turn gradients behind the ReLU into those before it, in place."""
    width = rows.shape[1]
    if relu:
        for m in range(first, last):
            out, row = d_block[(m - first) * width : (m - first + 1) * width], rows[m]
            for o in range(width):
                out[o] = out[o] if row[o] > F(0) else F(0)


@compiled
def _add_bias_gradients(d_block, width, d_table, entries, hot, passed):
    """Add each row's gradients to those of its biases; `passed` rows of the group came before."""
    agents, outputs = len(d_table) // entries, d_table.shape[1]
    agent = passed % agents
    for m in range(len(hot)):
        row, total = d_block[m * width : (m + 1) * width], d_table[_entry(agent, entries, hot[m])]
        for o in range(outputs):
            total[o] += row[o]
        agent = agent + 1 if agent + 1 < agents else 0


@compiled
def _backward_block(rows, layers, outputs, gradients, scratch, k, first):
    """Bring the gradients of the rows of group k from `first` on back through all layers."""
    groups = _groups(rows, layers)
    run, group = k // groups, k % groups
    last = min(first + BLOCK, rows.bounds[k + 1])
    count, depth = last - first, len(layers.weights)
    d_after, d_before = scratch.d_after, scratch.d_before
    _copy_in(gradients.d_out, first, last, d_after, outputs[depth - 1].shape[1])
    for n in range(depth - 1, -1, -1):
        used = layers.sharing[n][run, group]
        d_weight, d_table = gradients.d_weights[n][run, used], gradients.d_tables[n][run, used]
        (inputs, n_outputs), width = d_weight.shape, outputs[n].shape[1]
        hot, passed = rows.hot[first:last], first - rows.bounds[k]
        _before_relu(d_after, outputs[n], first, last, layers.relu[n])
        _add_bias_gradients(d_after, width, d_table, layers.entries[n], hot, passed)
        before = outputs[n - 1] if n else rows.x
        if n_outputs % LANES:
            target = Matrix(scratch.padded, scratch.padded_starts[n], width, 1)
        else:
            target = rows_from(d_weight, 0)
        back = Matrix(d_after, 0, width, 1)
        add_product(columns_from(before, first), back, target, inputs, count, width)
        if n or gradients.wants_dx:
            wide = padded_width(inputs)
            d_before[: count * wide] = F(0)
            transposed = Matrix(scratch.transposed, scratch.transposed_starts[n], wide, 1)
            add_product(back, transposed, Matrix(d_before, 0, wide, 1), count, n_outputs, wide)
            d_after, d_before = d_before, d_after
    if gradients.wants_dx:
        _copy_out(d_after, padded_width(rows.x.shape[1]), first, last, gradients.dx)


@compiled
def _add_padded(layers, gradients, run, group, padded, starts):
    """Add the padded gradients of a group's weights to where they belong."""
    for n in range(len(layers.weights)):
        d_weight = gradients.d_weights[n][run, layers.sharing[n][run, group]]
        if d_weight.shape[1] % LANES:
            width = padded_width(d_weight.shape[1])
            for i in range(d_weight.shape[0]):
                for o in range(d_weight.shape[1]):
                    d_weight[i, o] += padded[starts[n] + i * width + o]


@compiled
def backward_all(rows, layers, outputs, gradients):
    """Bring gradients back through all layers; `outputs` is what `forward_all` left, all rows."""
    scratch = _scratch(rows, layers)
    groups = _groups(rows, layers)
    for k in range(len(rows.bounds) - 1):
        run, group = k // groups, k % groups
        scratch.padded[:] = F(0)
        for n in range(len(layers.weights)):
            if n or gradients.wants_dx:
                weight = layers.weights[n][run, layers.sharing[n][run, group]]
                transpose_into(weight, scratch.transposed, scratch.transposed_starts[n])
        for first in range(rows.bounds[k], rows.bounds[k + 1], BLOCK):
            _backward_block(rows, layers, outputs, gradients, scratch, k, first)
        _add_padded(layers, gradients, run, group, scratch.padded, scratch.padded_starts)
