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

from partage import Refusal
from partage.sims.draw import digest, kept

F = np.float32
ONE, TWO, HALF = F(1), F(2), F(0.5)
LOG2_E, LN2_HIGH, LN2_LOW = F(1 / math.log(2)), F(0.693359375), F(math.log(2) - 0.693359375)
LIMIT = F(87)  # exp(+-87) is still a normal float32
C2, C3, C4, C5, C6 = (F(1 / math.factorial(n)) for n in range(2, 7))
# error_model="numpy": a check for division by zero in each lane would forbid vectorising.
SOURCES = digest(Path(__file__).with_name(f"{name}.py") for name in ("pointwise", "tiles", "chain"))  # what others call
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


@inlined
def columns(row):
    """A row's four columns."""
    hidden = len(row) // 4
    return row[:hidden], row[hidden : 2 * hidden], row[2 * hidden : 3 * hidden], row[3 * hidden :]


@compiled
def gate_rows(gates, before, after):
    """A GRU's states after rows whose gates' sums stand in four columns: new from h, reset, update, new from x.

    Leaves in them (what the new state takes from h, r, z, n), which is what `gate_gradients` needs.
    """
    hidden = after.shape[1]
    for m in range(after.shape[0]):
        from_h, rr, zz, nn = columns(gates[m])
        h, out = before[m], after[m]
        for j in range(hidden):
            r, z = sigmoid(rr[j]), sigmoid(zz[j])
            n = TWO * sigmoid(TWO * (nn[j] + r * from_h[j])) - ONE  # tanh
            rr[j], zz[j], nn[j] = r, z, n
            out[j] = n + z * (h[j] - n)


@compiled
def gate_gradients(grad, gates, before, d_gates, dh, total):
    """Gradients of the four sums, of the state before less its part through them, and their sum over rows (float64)."""
    hidden = grad.shape[1]
    for m in range(grad.shape[0]):
        from_h, rr, zz, nn = columns(gates[m])
        d_from_h, d_r, d_z, d_n = columns(d_gates[m])
        out, h, d = grad[m], before[m], dh[m]
        for j in range(hidden):
            r, z, n = rr[j], zz[j], nn[j]
            new = out[j] * (ONE - z) * (ONE - n * n)
            d_from_h[j] = new * r
            d_r[j] = new * from_h[j] * r * (ONE - r)
            d_z[j] = out[j] * (h[j] - n) * z * (ONE - z)
            d_n[j] = new
            d[j] = out[j] * z
        row = d_gates[m]
        for j in range(4 * hidden):
            total[j] += np.float64(row[j])


@compiled
def _categorical(logits, avail, level, chosen):
    least = 0
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
        least = min(least, last)
    return least


def categorical(
    logits: Float32[Tensor, "*X A"], avail: Bool[Tensor, "*X A"], level: Float32[Tensor, "*X"]
) -> Int64[Tensor, "*X"]:
    """The action at `level`, uniform in [0, 1), of the distribution function of the softmax over what is available.

    Raises `Refusal` where logits are NaN (CPU).
    """
    if logits.device.type == "cpu":
        chosen, rows = torch.empty(level.shape, dtype=torch.int64), (-1, logits.shape[-1])
        least = _categorical(
            logits.reshape(rows).numpy(),
            avail.reshape(rows).numpy(),
            level.reshape(-1).numpy(),
            chosen.view(-1).numpy(),
        )
        if least < 0:
            raise Refusal(
                "The policies to act with are not numbers (NaN): the training that made them has diverged; look at its "
                "gradient_norm, and lower the learning rate."
            )
        return chosen
    mass = logits.masked_fill(~avail, -torch.inf).softmax(-1).cumsum(-1)
    return (mass <= level[..., None] * mass[..., -1:]).sum(-1)


@compiled
def _log_softmax(x, out):
    for m in range(x.shape[0]):
        row, to, top = x[m], out[m], x[m, 0]
        for a in range(row.shape[0]):
            top = max(top, row[a])
        total = F(0)
        for a in range(row.shape[0]):
            total += exp(row[a] - top)
        top += np.log(total)
        for a in range(row.shape[0]):
            to[a] = row[a] - top


@compiled
def _log_softmax_backward(out, d_out, dx):
    for m in range(out.shape[0]):
        row, d, to, total = out[m], d_out[m], dx[m], F(0)
        for a in range(row.shape[0]):
            total += d[a]
        for a in range(row.shape[0]):
            to[a] = d[a] - exp(row[a]) * total


class LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Float32[Tensor, "M A"]:
        out = torch.empty(x.shape)
        _log_softmax(x.detach().numpy(), out.numpy())
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Float32[Tensor, "M A"]:
        (out,) = ctx.saved_tensors
        dx = torch.empty_like(out)
        _log_softmax_backward(out.numpy(), grad_outputs[0].contiguous().numpy(), dx.numpy())
        return dx


def log_softmax(x: Float32[Tensor, "*X A"]) -> Float32[Tensor, "*X A"]:
    """torch's own takes several times as long over so few actions."""
    if x.device.type != "cpu":
        return x.log_softmax(-1)
    return LogSoftmax.apply(x.reshape(-1, x.shape[-1])).view(x.shape)  # type: ignore[attr-defined]
