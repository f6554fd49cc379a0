"""Rows through layers, block by block while they are in the cache (and back: `mlp_backward`).

K = R * G groups of rows: R runs, and in each G groups whose rows go through the same sets.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partage.kernels import compiled, inlined
from partage.kernels.gemm import (
    BLOCK,
    LANES,
    Matrix,
    add_product,
    padded_width,
    rows_from,
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


@inlined
def groups_per_run(rows, layers):
    """Return how many groups of rows a run has: G, or 1 where all agents' rows are one group."""
    return (len(rows.bounds) - 1) // layers.weights[0].shape[0]


@inlined
def bias_entry(agent, entries, hot):
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
        row, bias = rows[m], table[bias_entry(agent, entries, hot[m])]
        for o in range(outputs):
            row[o] = bias[o]
        for o in range(outputs, len(row)):
            row[o] = F(0)
        agent = agent + 1 if agent + 1 < agents else 0


@compiled
def relu(rows):
    """Set what is negative to zero."""
    for m in range(len(rows)):
        row = rows[m]
        for o in range(len(row)):
            row[o] = row[o] if row[o] > F(0) else F(0)


@compiled
def padded_starts(weights):
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
    groups = groups_per_run(rows, layers)
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
            relu(block)
        before, start = after, to


@compiled
def check_indices(rows, layers, tables):
    """Raise `ValueError` where a group names a set, or a row a place, that is not there."""
    groups = groups_per_run(rows, layers)
    for n in range(len(layers.weights)):
        runs, sets = layers.weights[n].shape[:2]
        sharing = layers.sharing[n]
        # of one set, agents that are one group may be listed
        too_many = sharing.shape[1] != groups and (sets > 1 or sharing.shape[1] < groups)
        if too_many or runs * groups + 1 != len(rows.bounds):
            raise ValueError("rows have other groups than their layers' sharing")
        for run in range(runs):
            for group in range(groups):
                if sharing[run, group] < 0 or sharing[run, group] >= sets:
                    raise ValueError("a group of rows goes through a set that is not there")
        entries = layers.entries[n]
        if entries > 1:
            for m in range(len(rows.hot)):
                if rows.hot[m] < -1 or rows.hot[m] >= entries - 1:
                    raise ValueError("a row has a one in a place that its layer has not")


@compiled
def forward_all(rows, layers, tables, outputs):
    """Bring all rows through all layers.

    `tables` holds the layers' biases ``[R, S, E, O]``. ``outputs[n]`` receives the rows behind
    layer n, padded to whole registers: all of them ``[M, O]``, or where it is that small the last
    block's ``[BLOCK, O]`` only.
    """
    check_indices(rows, layers, tables)
    starts = padded_starts(layers.weights)
    padded = np.zeros(starts[len(starts) - 1], np.float32)
    groups = groups_per_run(rows, layers)
    for k in range(len(rows.bounds) - 1):
        _pad_weights(layers, k // groups, k % groups, padded, starts)
        for first in range(rows.bounds[k], rows.bounds[k + 1], BLOCK):
            _forward_block(rows, layers, tables, outputs, padded, starts, k, first)
