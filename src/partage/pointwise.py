"""The pointwise steps of the banks and their GRU, fused: one pass over memory instead of several.

`math.exp` is not vectorised by Numba, so the exponential is the textbook one: split off the power of two, a Taylor
polynomial of degree 6 on what is left (relative error below 2e-7 in float32). Fast-math flags are limited to those
under which every lane and every loop remainder computes the same bits.
"""

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numba import int32, njit
from torch import Tensor

from partage.sims.draw import digest, kept

F = np.float32
ONE, TWO, HALF = F(1), F(2), F(0.5)
LOG2_E, LN2_HIGH, LN2_LOW = F(1 / math.log(2)), F(0.693359375), F(math.log(2) - 0.693359375)
LIMIT = F(87)  # exp(+-87) is still a normal float32
C2, C3, C4, C5, C6 = (F(1 / math.factorial(n)) for n in range(2, 7))
# error_model="numpy": a check for division by zero in each lane would forbid vectorising.
SOURCES = digest(Path(__file__).with_name(f"{name}.py") for name in ("pointwise", "tiles"))  # what others call
JIT = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "nnan", "ninf"}}


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compiled by Numba and kept on disk (unwrapped: the tests wrap functions in a type checker)."""
    return kept(njit(**JIT, **options)(inspect.unwrap(function)), SOURCES)


def inlined(function: Callable[..., Any]) -> Any:
    return compiled(function, inline="always")


@inlined
def exp(x):
    x = min(max(x, -LIMIT), LIMIT)
    n = np.floor(x * LOG2_E + HALF)
    g = x - n * LN2_HIGH - n * LN2_LOW
    p = (((((C6 * g + C5) * g + C4) * g + C3) * g + C2) * g + ONE) * g + ONE
    return p * np.int32((int32(n) + int32(127)) << int32(23)).view(np.float32)  # 2**n, written into the exponent bits


@inlined
def sigmoid(x):
    return ONE / (ONE + exp(-x))


@compiled
def forward_rows(from_x, from_h, before, after, bx, bh):
    hidden = before.shape[1]
    both = bx + bh
    br, bz, bxn, bhn = both[:hidden], both[hidden : 2 * hidden], bx[2 * hidden :], bh[2 * hidden :]
    for m in range(before.shape[0]):
        xr, xz, xn = from_x[m, :hidden], from_x[m, hidden : 2 * hidden], from_x[m, 2 * hidden :]
        hr, hz, hn = from_h[m, :hidden], from_h[m, hidden : 2 * hidden], from_h[m, 2 * hidden :]
        h, out = before[m], after[m]
        for j in range(hidden):
            r = sigmoid(xr[j] + hr[j] + br[j])
            z = sigmoid(xz[j] + hz[j] + bz[j])
            new = hn[j] + bhn[j]
            n = TWO * sigmoid(TWO * (xn[j] + bxn[j] + r * new)) - ONE  # tanh
            hr[j], hz[j], hn[j], xn[j] = r, z, new, n
            out[j] = n + z * (h[j] - n)


@compiled
def backward_rows(dh, grad, from_x, from_h, before, gates, total):
    hidden = dh.shape[1]
    for m in range(dh.shape[0]):
        rr, zz, hn, nn = (
            from_h[m, :hidden],
            from_h[m, hidden : 2 * hidden],
            from_h[m, 2 * hidden :],
            from_x[m, 2 * hidden :],
        )
        g0, g1, g2, g3 = (
            gates[m, :hidden],
            gates[m, hidden : 2 * hidden],
            gates[m, 2 * hidden : 3 * hidden],
            gates[m, 3 * hidden :],
        )
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
        row = gates[m]
        for j in range(4 * hidden):
            total[j] += np.float64(row[j])


@compiled
def _forward_all(from_x, from_h, states, bx, bh, t):
    for k in range(states.shape[0]):
        forward_rows(from_x[k, t], from_h[k, t], states[k, t], states[k, t + 1], bx[k], bh[k])


@compiled
def _backward_all(dh, grad, from_x, from_h, states, gates, total, t, at):
    for k in range(states.shape[0]):
        backward_rows(dh[k], grad[k, t], from_x[k, t], from_h[k, t], states[k, t], gates[k, at], total[k])


def gru_forward(from_x: Tensor, from_h: Tensor, states: Tensor, bx: Tensor, bh: Tensor) -> Callable[[int], None]:
    """``step(t)``: gates from ``from_x[:, t] + from_h[:, t]`` and biases, ``states[:, t + 1]`` from ``states[:, t]``.

    Leaves r, z and W_hn h + b_hn in `from_h`, and n in the third part of `from_x`.
    """
    if states.device.type == "cpu":
        arrays = [x.detach().numpy() for x in (from_x, from_h, states, bx, bh)]
        return lambda t: _forward_all(*arrays, t)
    hidden = states.shape[-1]

    def step(t: int) -> None:
        from_h[:, t] += bh.unsqueeze(1)
        from_x[:, t] += bx.unsqueeze(1)
        gates, hn, h = from_h[:, t, :, : 2 * hidden], from_h[:, t, :, 2 * hidden :], states[:, t]
        gates.add_(from_x[:, t, :, : 2 * hidden]).sigmoid_()
        n = from_x[:, t, :, 2 * hidden :]
        n.addcmul_(gates[..., :hidden], hn).tanh_()
        torch.lerp(n, h, gates[..., hidden:], out=states[:, t + 1])

    return step


def gru_backward(
    dh: Tensor, grad: Tensor, from_x: Tensor, from_h: Tensor, states: Tensor, gates: Tensor, total: Tensor
) -> Callable[[int, int], None]:
    """``step(t, at)``: `dh` (gradient of the state after t, less `grad`) becomes its direct part before t.

    The gradients before the gates go to ``gates[:, at]``, and their sum over rows is added to `total` (float64).
    """
    if states.device.type == "cpu":
        arrays = [x.numpy() for x in (dh, grad, from_x, from_h, states, gates, total)]
        return lambda t, at: _backward_all(*arrays, t, at)
    hidden = states.shape[-1]

    def step(t: int, at: int) -> None:
        r, z, hn = from_h[:, t].split(hidden, -1)
        n, h = from_x[:, t, :, 2 * hidden :], states[:, t]
        out = dh + grad[:, t]
        new = out * (1 - z) * (1 - n * n)
        gates[:, at] = torch.cat((new * r, new * hn * r * (1 - r), out * (h - n) * z * (1 - z), new), -1)
        total.add_(gates[:, at].double().sum(1))
        dh.copy_(out * z)

    return step


@compiled
def _offset(y, table, at, relu):
    for k in range(y.shape[0]):
        for m in range(y.shape[1]):
            row, offset = y[k, m], table[k, at[k % at.shape[0], m]]
            if relu:
                for j in range(row.shape[0]):
                    v = row[j] + offset[j]
                    row[j] = v if v > F(0) else F(0)
            else:
                for j in range(row.shape[0]):
                    row[j] += offset[j]


@compiled
def _offset_backward(grad, y, at, relu, masked, total):
    for k in range(y.shape[0]):
        for m in range(y.shape[1]):
            g, out, v, row = grad[k, m], masked[k, m], y[k, m], total[k, at[k % at.shape[0], m]]
            if relu:
                for j in range(g.shape[0]):
                    out[j] = g[j] if v[j] > F(0) else F(0)
            for j in range(g.shape[0]):
                row[j] += np.float64(out[j])


def offset_(y: Tensor, table: Tensor, at: Tensor, relu: bool) -> None:
    """``y[k, m] += table[k, at[k, m]]`` in place, then ReLU if asked; `at` may have one row for all k."""
    if y.device.type == "cpu":
        _offset(y.numpy(), table.detach().numpy(), at.numpy(), relu)
        return
    y += table[torch.arange(len(y), device=y.device)[:, None], at]
    if relu:
        y.relu_()


def offset_backward(grad: Tensor, y: Tensor, entries: int, at: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """Gradients of what `offset_` was added to, and of its table ``[K, E, O]`` (summed row by row, in float64)."""
    total = torch.zeros(len(y), entries, y.shape[-1], dtype=torch.float64, device=y.device)
    masked = torch.empty_like(grad) if relu else grad
    if y.device.type == "cpu":
        _offset_backward(grad.numpy(), y.numpy(), at.numpy(), relu, masked.numpy(), total.numpy())
        return masked, total.float()
    if relu:
        torch.mul(grad, y > 0, out=masked)
    index = at.expand(y.shape[:2])[..., None].expand(y.shape)
    return masked, total.scatter_add_(1, index, masked.double()).float()


@compiled
def _categorical(logits, avail, level, chosen):
    for m in range(logits.shape[0]):
        row, allowed, top = logits[m], avail[m], -LIMIT
        for a in range(row.shape[0]):
            top = max(top, row[a]) if allowed[a] else top
        total = F(0)
        for a in range(row.shape[0]):
            total += exp(row[a] - top) if allowed[a] else F(0)
        reach, mass, last = level[m] * total, F(0), -1
        while mass <= reach and last + 1 < row.shape[0]:  # to the first action that lifts the mass above the level
            last += 1
            mass += exp(row[last] - top) if allowed[last] else F(0)
        chosen[m] = last


def categorical(
    logits: Float32[Tensor, "*X A"], avail: Bool[Tensor, "*X A"], level: Float32[Tensor, "*X"]
) -> Int64[Tensor, "*X"]:
    """The action at `level`, uniform in [0, 1), of the distribution function of the softmax over what is available."""
    if logits.device.type == "cpu":
        chosen, rows = torch.empty(level.shape, dtype=torch.int64), (-1, logits.shape[-1])
        _categorical(
            logits.reshape(rows).numpy(),
            avail.reshape(rows).numpy(),
            level.reshape(-1).numpy(),
            chosen.view(-1).numpy(),
        )
        return chosen
    mass = logits.masked_fill(~avail, -torch.inf).softmax(-1).cumsum(-1)
    return (mass <= level[..., None] * mass[..., -1:]).sum(-1)
