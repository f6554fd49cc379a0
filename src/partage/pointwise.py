"""The pointwise steps of the GRU, fused: one pass over memory instead of a dozen.

`math.exp` is not vectorised by Numba, so the exponential is the textbook one: split off the power of two, a Taylor
polynomial of degree 6 on what is left (relative error below 2e-7 in float32). Fast-math flags are limited to those
under which every lane and every loop remainder computes the same bits.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numba import int32, njit
from torch import Tensor

F = np.float32
ONE, TWO, HALF = F(1), F(2), F(0.5)
LOG2_E, LN2_HIGH, LN2_LOW = F(1 / math.log(2)), F(0.693359375), F(math.log(2) - 0.693359375)
LIMIT = F(87)  # exp(+-87) is still a normal float32
C2, C3, C4, C5, C6 = (F(1 / math.factorial(n)) for n in range(2, 7))
# error_model="numpy": a check for division by zero in each lane would forbid vectorising.
JIT = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "nnan", "ninf"}}


@njit(inline="always", **JIT)
def exp(x):
    x = min(max(x, -LIMIT), LIMIT)
    n = np.floor(x * LOG2_E + HALF)
    g = x - n * LN2_HIGH - n * LN2_LOW
    p = (((((C6 * g + C5) * g + C4) * g + C3) * g + C2) * g + ONE) * g + ONE
    return p * np.int32((int32(n) + int32(127)) << int32(23)).view(np.float32)  # 2**n, written into the exponent bits


@njit(inline="always", **JIT)
def sigmoid(x):
    return ONE / (ONE + exp(-x))


@njit(**JIT)
def _forward_rows(from_x, from_h, before, after):
    hidden = before.shape[1]
    for m in range(before.shape[0]):
        xr, xz, xn = from_x[m, :hidden], from_x[m, hidden : 2 * hidden], from_x[m, 2 * hidden :]
        hr, hz, hn = from_h[m, :hidden], from_h[m, hidden : 2 * hidden], from_h[m, 2 * hidden :]
        h, out = before[m], after[m]
        for j in range(hidden):
            r = sigmoid(xr[j] + hr[j])
            z = sigmoid(xz[j] + hz[j])
            n = TWO * sigmoid(TWO * (xn[j] + r * hn[j])) - ONE  # tanh
            hr[j], hz[j], xn[j] = r, z, n
            out[j] = n + z * (h[j] - n)


@njit(**JIT)
def _backward_rows(dh, grad, from_x, from_h, before, gates):
    hidden = dh.shape[1]
    for m in range(dh.shape[0]):
        rr, zz, hn, nn = from_h[m, :hidden], from_h[m, hidden : 2 * hidden], from_h[m, 2 * hidden :], from_x[m, 2 * hidden :]
        g0, g1, g2, g3 = gates[m, :hidden], gates[m, hidden : 2 * hidden], gates[m, 2 * hidden : 3 * hidden], gates[m, 3 * hidden :]
        d, g, h = dh[m], grad[m], before[m]
        for j in range(hidden):
            r, z, n = rr[j], zz[j], nn[j]
            out = d[j] + g[j]
            new = out * (ONE - z) * (ONE - n * n)
            g0[j] = new * r
            g1[j] = new * hn[j] * r * (ONE - r)
            g2[j] = out * (h[j] - n) * z * (ONE - z)
            g3[j] = new
            d[j] = out * z


@njit(**JIT)
def _forward_all(from_x, from_h, states, t):
    for k in range(states.shape[0]):
        _forward_rows(from_x[k, t], from_h[k, t], states[k, t], states[k, t + 1])


@njit(**JIT)
def _backward_all(dh, grad, from_x, from_h, states, gates, t):
    for k in range(states.shape[0]):
        _backward_rows(dh[k], grad[k, t], from_x[k, t], from_h[k, t], states[k, t], gates[k, t])


def gru_forward(from_x: Tensor, from_h: Tensor, states: Tensor) -> Callable[[int], None]:
    """``step(t)``: gates from ``from_x[:, t] + from_h[:, t]``, ``states[:, t + 1]`` from ``states[:, t]``.

    Leaves r and z in `from_h` (its third part keeps W_hn h + b_hn) and n in the third part of `from_x`.
    """
    if states.device.type == "cpu":
        arrays = [x.numpy() for x in (from_x, from_h, states)]
        return lambda t: _forward_all(*arrays, t)
    hidden = states.shape[-1]

    def step(t: int) -> None:
        gates, hn, h = from_h[:, t, :, : 2 * hidden], from_h[:, t, :, 2 * hidden :], states[:, t]
        gates.add_(from_x[:, t, :, : 2 * hidden]).sigmoid_()
        n = from_x[:, t, :, 2 * hidden :]
        n.addcmul_(gates[..., :hidden], hn).tanh_()
        torch.lerp(n, h, gates[..., hidden:], out=states[:, t + 1])

    return step


def gru_backward(
    dh: Tensor, grad: Tensor, from_x: Tensor, from_h: Tensor, states: Tensor, gates: Tensor
) -> Callable[[int], None]:
    """``step(t)``: `dh` (gradient of the state after t, less `grad`) becomes its direct part before t; fills `gates`."""
    if states.device.type == "cpu":
        arrays = [x.numpy() for x in (dh, grad, from_x, from_h, states, gates)]
        return lambda t: _backward_all(*arrays, t)
    hidden = states.shape[-1]

    def step(t: int) -> None:
        r, z, hn = from_h[:, t].split(hidden, -1)
        n, h = from_x[:, t, :, 2 * hidden :], states[:, t]
        out = dh + grad[:, t]
        new = out * (1 - z) * (1 - n * n)
        gates[:, t] = torch.cat((new * r, new * hn * r * (1 - r), out * (h - n) * z * (1 - z), new), -1)
        dh.copy_(out * z)

    return step
