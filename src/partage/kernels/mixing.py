"""QMIX's mixer and its hypernetworks, block by block while they are in the cache, and back.

R runs; M rows are (instant, copy) pairs; N agents; S numbers of a state; U units of a hypernetwork
and E of the mixer's hidden layer, both whole registers. The first layers of all hypernetworks are
one, of F = 2U + 2E columns: for w1, for w2, b1 itself, for v. The others have a ReLU behind them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from partage.kernels import compiled
from partage.kernels.gemm import BLOCK, Matrix, add_product, columns_from, rows_from
from partage.kernels.mlp import relu
from partage.kernels.pointwise import F, exp


class Rows(NamedTuple):
    """What is mixed, and by what; the first may be gradients."""

    q: Float32[np.ndarray, "R M N"]
    state: Float32[np.ndarray, "R M S"]


class Hyper(NamedTuple):
    """The hypernetworks; or their gradients, to which is added, the biases' in float64."""

    first: Float32[np.ndarray, "R S F"]
    first_bias: Float[np.ndarray, "R F"]
    w1: Float32[np.ndarray, "R U NE"]
    w1_bias: Float[np.ndarray, "R NE"]
    w2: Float32[np.ndarray, "R U E"]
    w2_bias: Float[np.ndarray, "R E"]
    v: Float32[np.ndarray, "R E"]
    v_bias: Float[np.ndarray, "R"]


class Kept(NamedTuple):
    """What the gradients need; of one block where M is BLOCK and there are more rows."""

    first: Float32[np.ndarray, "R M F"]  # behind the first layers
    w1: Float32[np.ndarray, "R M NE"]
    w2: Float32[np.ndarray, "R M E"]
    hidden: Float32[np.ndarray, "R M E"]  # behind the mixer's ELU


@compiled
def _write_bias(rows, bias):
    """Begin every row with the bias."""
    for m in range(len(rows)):
        row = rows[m]
        for j in range(len(row)):
            row[j] = bias[j]


@compiled
def _hyper_block(state, nets, kept, run, a, to, count):
    """Bring rows a to a + count of a run's states through the hypernetworks, to `to` on."""
    units, embed = nets.w2.shape[1:]
    first, w1, w2 = kept.first[run], kept.w1[run], kept.w2[run]
    width, block = first.shape[1], first[to : to + count]
    _write_bias(block, nets.first_bias[run])
    left, right = rows_from(state[run], a), rows_from(nets.first[run], 0)
    add_product(left, right, rows_from(first, to), count, state.shape[2], width)
    relu(block[:, : 2 * units])  # b1 itself has none
    relu(block[:, 2 * units + embed :])
    _write_bias(w1[to : to + count], nets.w1_bias[run])
    _write_bias(w2[to : to + count], nets.w2_bias[run])
    flat, start = first.reshape(-1), to * width
    for_w1, for_w2 = Matrix(flat, start, width, 1), Matrix(flat, start + units, width, 1)
    target = rows_from(w1, to)
    add_product(for_w1, rows_from(nets.w1[run], 0), target, count, units, w1.shape[1])
    add_product(for_w2, rows_from(nets.w2[run], 0), rows_from(w2, to), count, units, embed)


@compiled
def _mix_row(q, first, w1, last, v, hidden):
    """Return ``|w2| . ELU(|w1| q + b1)`` and what `v` adds; the ELU's values go to `hidden`."""
    embed = len(hidden)
    b1, for_v = first[len(first) - 2 * embed :], first[len(first) - embed :]
    for e in range(embed):
        hidden[e] = b1[e]
    for n in range(len(q)):
        w, value = w1[n * embed :], q[n]
        for e in range(embed):
            hidden[e] += abs(w[e]) * value
    for e in range(embed):
        hidden[e] = hidden[e] if hidden[e] > F(0) else exp(hidden[e]) - F(1)
    mixed = F(0)
    for e in range(embed):
        mixed += abs(last[e]) * hidden[e] + v[e] * for_v[e]
    return mixed


@compiled
def mix_rows(rows, nets, kept, total):
    """Write the mixed values to ``total [R, M]``."""
    q, (runs, count) = rows.q, total.shape
    every = kept.first.shape[1] == count
    for run in range(runs):
        first, w1, w2, hidden = kept.first[run], kept.w1[run], kept.w2[run], kept.hidden[run]
        for a in range(0, count, BLOCK):
            b, to = min(a + BLOCK, count), a if every else 0
            _hyper_block(rows.state, nets, kept, run, a, to, b - a)
            for m in range(a, b):
                k = m - a + to
                mixed = _mix_row(q[run, m], first[k], w1[k], w2[k], nets.v[run], hidden[k])
                total[run, m] = mixed + nets.v_bias[run]


@compiled
def _row_gradients(grad, q, w1, last, hidden, back):
    """Write the gradients of what `_mix_row` read, but for the first layers of w1 and w2.

    `back` are those of q, the first layers, w1 and w2.
    """
    d_q, d_first, d_w1, d_last = back
    embed = len(hidden)
    d_b1 = d_first[len(d_first) - 2 * embed :]
    for e in range(embed):
        d_b1[e] = grad * abs(last[e]) * (F(1) if hidden[e] > F(0) else hidden[e] + F(1))
        d_last[e] = grad * hidden[e] * np.sign(last[e])
    for n in range(len(q)):
        w, dw, value, total = w1[n * embed :], d_w1[n * embed :], q[n], F(0)
        for e in range(embed):
            dw[e] = value * d_b1[e] * np.sign(w[e])
        for e in range(embed):
            total += abs(w[e]) * d_b1[e]
        d_q[n] = total


@compiled
def _value_gradients(grad, first, v, d_first, d_v):
    """Write the gradients of the first layer of v, and add those of its second."""
    embed = len(v)
    for_v, d_for_v = first[len(first) - embed :], d_first[len(first) - embed :]
    for e in range(embed):
        d_for_v[e] = grad * v[e] if for_v[e] > F(0) else F(0)
        d_v[e] += grad * for_v[e]


@compiled
def _add_rows(rows, total):
    """Add the rows to their total."""
    for m in range(len(rows)):
        row = rows[m]
        for j in range(len(row)):
            total[j] += np.float64(row[j])


@compiled
def _block_back(rows, kept, transposed, gradients, blocks, run, a, count):
    """Bring a block's gradients of w1 and w2 back through the hypernetworks."""
    d_first, d_w1, d_w2 = blocks
    units, width = gradients.w2.shape[1], d_first.shape[1]
    before, columns = kept.first[run], d_w1.shape[1]
    second = (
        (d_w1, gradients.w1[run], transposed[0][run], 0),
        (d_w2, gradients.w2[run], transposed[1][run], units),
    )
    for d_out, d_weight, weight, start in second:
        columns = d_out.shape[1]
        left = Matrix(before.reshape(-1), a * width + start, 1, width)
        add_product(left, rows_from(d_out, 0), rows_from(d_weight, 0), units, count, columns)
        target = Matrix(d_first.reshape(-1), start, width, 1)
        add_product(rows_from(d_out, 0), rows_from(weight, 0), target, count, columns, units)
    for m in range(count):
        row, d_row = before[a + m], d_first[m]
        for j in range(2 * units):
            d_row[j] = d_row[j] if row[j] > F(0) else F(0)
    state, target = rows.state[run], rows_from(gradients.first[run], 0)
    add_product(columns_from(state, a), rows_from(d_first, 0), target, state.shape[1], count, width)
    _add_rows(d_first[:count], gradients.first_bias[run])
    _add_rows(d_w1[:count], gradients.w1_bias[run])
    _add_rows(d_w2[:count], gradients.w2_bias[run])


@compiled
def mix_gradients(d_total, rows, nets, kept, transposed, d_q, gradients):
    """Write the gradients of q to ``d_q [R, M, N]``, and add the hypernetworks' to `gradients`.

    Given those of the totals ``[R, M]``, what `mix_rows` left, all rows of it, and the second
    layers of w1 and w2 transposed.
    """
    d_first = np.zeros((BLOCK, kept.first.shape[2]), np.float32)
    d_w1 = np.zeros((BLOCK, kept.w1.shape[2]), np.float32)
    d_w2 = np.zeros((BLOCK, kept.w2.shape[2]), np.float32)
    blocks, (runs, count) = (d_first, d_w1, d_w2), d_total.shape
    for run in range(runs):
        first, w1, w2, hidden = kept.first[run], kept.w1[run], kept.w2[run], kept.hidden[run]
        v, d_v = nets.v[run], gradients.v[run]
        for a in range(0, count, BLOCK):
            b = min(a + BLOCK, count)
            d_first[:] = F(0)
            for m in range(a, b):
                k, grad = m - a, d_total[run, m]
                back = d_q[run, m], d_first[k], d_w1[k], d_w2[k]
                _row_gradients(grad, rows.q[run, m], w1[m], w2[m], hidden[m], back)
                _value_gradients(grad, first[m], v, d_first[k], d_v)
                gradients.v_bias[run] += np.float64(grad)
            _block_back(rows, kept, transposed, gradients, blocks, run, a, b - a)
