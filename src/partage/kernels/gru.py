"""A bank of GRUs through time and back."""

import numpy as np

from partage.kernels import compiled
from partage.kernels.gemm import BLOCK, product
from partage.kernels.pointwise import F, gate_gradients, gate_rows


@compiled
def _gather(out, source, first, states, a, b):
    """The states that rows a to b start from."""
    for row in range(a, b):
        came = source[row]
        h, to = first[-1 - came] if came < 0 else states[came], out[row - a]
        for j in range(len(to)):
            to[j] = h[j]


@compiled
def walk_forward(x, first, wx, wh, bias, gates, states, before, bounds, sets, keep):
    inputs, hidden = wx.shape[1], wh.shape[1]
    h = np.empty((BLOCK, hidden), np.float32)
    for group in range(bounds.shape[1] // sets):
        for t in range(bounds.shape[0]):
            for k in range(group * sets, (group + 1) * sets):
                for a in range(bounds[t, k, 0], bounds[t, k, 1], BLOCK):
                    b = min(a + BLOCK, bounds[t, k, 1])
                    at = a if keep else 0
                    _gather(h, before, first, states, a, b)
                    for row in range(a, b):
                        gate, offset = gates[at + row - a], bias[k]
                        for j in range(4 * hidden):
                            gate[j] = offset[j]
                        if not inputs:
                            fed, given = gate[hidden:], x[row]
                            for j in range(3 * hidden):
                                fed[j] += given[j]
                    flat = gates.reshape(-1)
                    product(x.reshape(-1), a * inputs, inputs, 1, wx[k].reshape(-1), 0, 3 * hidden,
                            flat, (4 * at + 1) * hidden, 4 * hidden, b - a, inputs, 3 * hidden)  # fmt: skip
                    product(h.reshape(-1), 0, hidden, 1, wh[k].reshape(-1), 0, 3 * hidden,
                            flat, 4 * at * hidden, 4 * hidden, b - a, hidden, 3 * hidden)  # fmt: skip
                    gate_rows(gates[at : at + b - a], h, states[a:b])


@compiled
def walk_backward(
    x,
    first,
    wx_back,
    wh_back,
    gates,
    states,
    grad,
    dx,
    d_first,
    d_wx,
    d_wh,
    d_bias,
    before,
    bounds,
    sets,
):
    inputs, hidden = d_wx.shape[1], d_wh.shape[1]
    h, dh = np.empty((BLOCK, hidden), np.float32), np.empty((BLOCK, hidden), np.float32)
    d_gates = np.empty((BLOCK, 4 * hidden), np.float32)
    for group in range(bounds.shape[1] // sets):
        for t in range(bounds.shape[0] - 1, -1, -1):
            for k in range(group * sets, (group + 1) * sets):
                for a in range(bounds[t, k, 0], bounds[t, k, 1], BLOCK):
                    b = min(a + BLOCK, bounds[t, k, 1])
                    _gather(h, before, first, states, a, b)
                    gate_gradients(grad[a:b], gates[a:b], h, d_gates, dh, d_bias[k])
                    flat = d_gates.reshape(-1)
                    product(flat, 0, 4 * hidden, 1, wh_back[k].reshape(-1), 0, hidden,
                            dh.reshape(-1), 0, hidden, b - a, 3 * hidden, hidden)  # fmt: skip
                    product(h.reshape(-1), 0, 1, hidden, flat, 0, 4 * hidden,
                            d_wh[k].reshape(-1), 0, 3 * hidden, hidden, b - a, 3 * hidden)  # fmt: skip
                    product(x.reshape(-1), a * inputs, 1, inputs, flat, hidden, 4 * hidden,
                            d_wx[k].reshape(-1), 0, 3 * hidden, inputs, b - a, 3 * hidden)  # fmt: skip
                    for row in range(a, b):
                        out, fed, came = dx[row], d_gates[row - a, hidden:], before[row]
                        for j in range(len(out)):
                            out[j] = F(0) if inputs else fed[j]
                        earlier, d = d_first[-1 - came] if came < 0 else grad[came], dh[row - a]
                        for j in range(hidden):
                            earlier[j] += d[j]
                    product(flat, hidden, 4 * hidden, 1, wx_back[k].reshape(-1), 0, inputs,
                            dx.reshape(-1), a * inputs, inputs, b - a, 3 * hidden, inputs)  # fmt: skip
