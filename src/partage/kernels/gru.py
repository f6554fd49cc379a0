"""A bank of GRUs through time and back.

L rows are sorted by stretch and in a stretch by time. H units and I inputs are padded to whole
registers. I = 0 where a table holds what the inputs' weights would give, and each row names its
entry. Gates stand in four columns: new from h, reset, update, new from x.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from partage.kernels import compiled
from partage.kernels.gemm import BLOCK, Matrix, add_product, columns_from, rows_from
from partage.kernels.pointwise import F, gate_gradients, gate_rows


class Order(NamedTuple):
    """Where sorted rows come from and go through. Stretches count as k = group * sets + set."""

    # the sorted row one instant earlier; in the first instant -1 - f for row f of the first states
    before: Int64[np.ndarray, "L"]
    bounds: Int64[np.ndarray, "T K 2"]  # where the rows of stretch k at instant t begin and end
    sets: int  # among which the rows of a group may move
    cells: Int64[np.ndarray, "K"]  # the cell that the rows of each stretch go through


class Walk(NamedTuple):
    """The rows of a walk through time, the states it starts from, and what it leaves."""

    x: Float32[np.ndarray, "L I"]  # [E, 3H], the table, where I = 0
    fed: Int64[np.ndarray, "L"]  # each row's entry in the table; read where I = 0
    first: Float32[np.ndarray, "F H"]
    gates: Float32[np.ndarray, "L 4H"]  # [BLOCK, 4H] where they are not kept
    states: Float32[np.ndarray, "L H"]


class Cells(NamedTuple):
    """The weights of C cells."""

    wx: Float32[np.ndarray, "C I 3H"]
    wh: Float32[np.ndarray, "C H 3H"]
    bias: Float32[np.ndarray, "C 4H"]


class TransposedCells(NamedTuple):
    """The weights of C cells as gradients go back through them."""

    wx: Float32[np.ndarray, "C 3H I"]
    wh: Float32[np.ndarray, "C 3H H"]


class Gradients(NamedTuple):
    """The gradients of the states, to which later instants add theirs, and where the others go."""

    d_states: Float32[np.ndarray, "L H"]
    dx: Float32[np.ndarray, "L I"]  # [E, 3H] where I = 0: added to
    d_first: Float32[np.ndarray, "F H"]
    d_wx: Float32[np.ndarray, "C I 3H"]
    d_wh: Float32[np.ndarray, "C H 3H"]
    d_bias: Float64[np.ndarray, "C 4H"]


@compiled
def _gather(out, walk, before, a, b):
    """Write the states that rows a to b start from."""
    for row in range(a, b):
        came = before[row]
        h, to = walk.first[-1 - came] if came < 0 else walk.states[came], out[row - a]
        for j in range(len(to)):
            to[j] = h[j]


@compiled
def _begin_gates(gates, bias, walk, a, b, hidden, inputs):
    """Begin the sums of the gates of rows a to b: biases, and what the table gives them."""
    for row in range(a, b):
        gate = gates[row - a]
        for j in range(4 * hidden):
            gate[j] = bias[j]
        if not inputs:
            from_x, given = gate[hidden:], walk.x[walk.fed[row]]
            for j in range(3 * hidden):
                from_x[j] += given[j]


@compiled
def _step(walk, cells, h, c, a, b, to):
    """Bring rows a to b through cell c from the states `h` on; their gates go to `to` on."""
    inputs, hidden = cells.wx.shape[1], cells.wh.shape[1]
    count = b - a
    gates = walk.gates[to : to + count]
    _begin_gates(gates, cells.bias[c], walk, a, b, hidden, inputs)
    flat, start, width = walk.gates.reshape(-1), to * 4 * hidden, 4 * hidden
    left = Matrix(walk.x.reshape(-1), a * inputs, inputs, 1)
    last_three = Matrix(flat, start + hidden, width, 1)
    add_product(left, rows_from(cells.wx[c], 0), last_three, count, inputs, 3 * hidden)
    first_three = Matrix(flat, start, width, 1)
    add_product(rows_from(h, 0), rows_from(cells.wh[c], 0), first_three, count, hidden, 3 * hidden)
    gate_rows(gates, h, walk.states[a:b])


@compiled
def walk_forward(walk, cells, order, keep_gates):
    """Bring all rows through time, group after group, instant after instant, set after set."""
    h = np.empty((BLOCK, cells.wh.shape[1]), np.float32)
    bounds, sets = order.bounds, order.sets
    for group in range(bounds.shape[1] // sets):
        for t in range(bounds.shape[0]):
            for k in range(group * sets, (group + 1) * sets):
                for a in range(bounds[t, k, 0], bounds[t, k, 1], BLOCK):
                    b = min(a + BLOCK, bounds[t, k, 1])
                    _gather(h, walk, order.before, a, b)
                    _step(walk, cells, h, order.cells[k], a, b, a if keep_gates else 0)


@compiled
def _nothing_comes_back(d_states, a, b):
    """Return whether no gradient reaches the states of rows a to b.

    Their bits are compared: under fast-math a number that is none may pass for zero.
    """
    for row in range(a, b):
        for bits in d_states[row].view(np.int32):
            if bits != 0:
                return False
    return True


@compiled
def _hand_back(gradients, walk, before, d_gates, dh, a, b, inputs):
    """Begin the gradients of rows a to b, and add those of the states that they came from."""
    hidden = dh.shape[1]
    for row in range(a, b):
        came, from_x = before[row], d_gates[row - a, hidden:]
        out = gradients.dx[row if inputs else walk.fed[row]]
        for j in range(len(out)):
            out[j] = F(0) if inputs else out[j] + from_x[j]
        earlier = gradients.d_first[-1 - came] if came < 0 else gradients.d_states[came]
        d = dh[row - a]
        for j in range(hidden):
            earlier[j] += d[j]


@compiled
def _step_back(walk, cells, before, gradients, h, dh, d_gates, c, a, b):
    """Bring the gradients of rows a to b back through cell c by one instant.

    `h` are the states that they started from; `dh` and `d_gates` are working memory.
    """
    inputs, hidden = gradients.d_wx.shape[1], gradients.d_wh.shape[1]
    count, columns = b - a, 3 * hidden
    gate_gradients(gradients.d_states[a:b], walk.gates[a:b], h, d_gates, dh, gradients.d_bias[c])
    flat, width = d_gates.reshape(-1), 4 * hidden
    first_three, last_three = Matrix(flat, 0, width, 1), Matrix(flat, hidden, width, 1)
    add_product(first_three, rows_from(cells.wh[c], 0), rows_from(dh, 0), count, columns, hidden)
    d_wh, d_wx = rows_from(gradients.d_wh[c], 0), rows_from(gradients.d_wx[c], 0)
    add_product(columns_from(h, 0), first_three, d_wh, hidden, count, columns)
    x = Matrix(walk.x.reshape(-1), a * inputs, 1, inputs)
    add_product(x, last_three, d_wx, inputs, count, columns)
    _hand_back(gradients, walk, before, d_gates, dh, a, b, inputs)
    dx = Matrix(gradients.dx.reshape(-1), a * inputs, inputs, 1)
    add_product(last_three, rows_from(cells.wx[c], 0), dx, count, columns, inputs)


@compiled
def walk_backward(walk, cells, order, gradients):
    """Bring gradients back through time; `walk` is what `walk_forward` left, all gates kept."""
    inputs, hidden = gradients.d_wx.shape[1], gradients.d_wh.shape[1]
    h, dh = np.empty((BLOCK, hidden), np.float32), np.empty((BLOCK, hidden), np.float32)
    d_gates = np.empty((BLOCK, 4 * hidden), np.float32)
    bounds, sets = order.bounds, order.sets
    for group in range(bounds.shape[1] // sets):
        for t in range(bounds.shape[0] - 1, -1, -1):
            for k in range(group * sets, (group + 1) * sets):
                for a in range(bounds[t, k, 0], bounds[t, k, 1], BLOCK):
                    b = min(a + BLOCK, bounds[t, k, 1])
                    if _nothing_comes_back(gradients.d_states, a, b):
                        if inputs:
                            gradients.dx[a:b] = F(0)
                        continue
                    c = order.cells[k]
                    _gather(h, walk, order.before, a, b)
                    _step_back(walk, cells, order.before, gradients, h, dh, d_gates, c, a, b)
