"""Gradients of rows back through layers, block by block while they are in the cache."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from partage.kernels import compiled
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
from partage.kernels.mlp import bias_entry, groups_per_run, padded_starts
from partage.kernels.pointwise import F


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


@compiled
def _scratch(rows, layers):
    """Return working memory for the gradients of these layers."""
    starts = padded_starts(layers.weights)
    transposed_starts = np.zeros(len(starts), np.int64)
    widest = padded_width(rows.x.shape[1])
    for n in range(len(layers.weights)):
        inputs, outputs = layers.weights[n].shape[2:]
        transposed_starts[n + 1] = transposed_starts[n] + outputs * padded_width(inputs)
        widest = max(widest, padded_width(outputs))
    depth = len(layers.weights)
    padded = np.zeros(starts[depth], np.float32)
    transposed = np.zeros(transposed_starts[depth], np.float32)
    d_after = np.zeros(BLOCK * widest, np.float32)
    d_before = np.zeros(BLOCK * widest, np.float32)
    return Scratch(padded, starts, transposed, transposed_starts, d_after, d_before)


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
        row, total = (
            d_block[m * width : (m + 1) * width],
            d_table[bias_entry(agent, entries, hot[m])],
        )
        for o in range(outputs):
            total[o] += row[o]
        agent = agent + 1 if agent + 1 < agents else 0


@compiled
def _backward_block(rows, layers, outputs, gradients, scratch, k, first):
    """Bring the gradients of the rows of group k from `first` on back through all layers."""
    groups = groups_per_run(rows, layers)
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
    groups = groups_per_run(rows, layers)
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
