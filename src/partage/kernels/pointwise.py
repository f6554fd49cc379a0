"""The pointwise steps of the banks and their GRU, fused: one pass over memory instead of several.

`math.exp` is not vectorised by Numba, so the exponential is the textbook one: split off the power
of two, a Taylor polynomial of degree 6 on what is left (relative error below 2e-7 in float32).
"""

import math

import numpy as np
from numba import int32

from partage.kernels import compiled, inlined

F = np.float32
ONE, TWO, HALF = F(1), F(2), F(0.5)
LOG2_E, LN2_HIGH, LN2_LOW = F(1 / math.log(2)), F(0.693359375), F(math.log(2) - 0.693359375)
LIMIT = F(87)  # exp(+-87) is still a normal float32
C2, C3, C4, C5, C6 = (F(1 / math.factorial(n)) for n in range(2, 7))


@inlined
def exp(x):
    """Return e to the power of a float32, within the range of normal float32 numbers."""
    x = min(max(x, -LIMIT), LIMIT)
    n = np.floor(x * LOG2_E + HALF)
    g = x - n * LN2_HIGH - n * LN2_LOW
    p = (((((C6 * g + C5) * g + C4) * g + C3) * g + C2) * g + ONE) * g + ONE
    # 2**n, written into the exponent bits
    return p * np.int32((int32(n) + int32(127)) << int32(23)).view(np.float32)


@inlined
def sigmoid(x):
    """Return 1 / (1 + e^-x)."""
    return ONE / (ONE + exp(-x))


@inlined
def gate_columns(row):
    """Return the four columns of a row of gates: new from h, reset, update, new from x."""
    hidden = len(row) // 4
    return row[:hidden], row[hidden : 2 * hidden], row[2 * hidden : 3 * hidden], row[3 * hidden :]


@compiled
def gate_rows(gates, before, after):
    """Write a GRU's states ``after [M, H]`` rows whose gates' sums are ``gates [M, 4H]``.

    Leaves in the gates' four columns (what the new state takes from h, r, z, n), which is what
    `gate_gradients` needs.
    """
    hidden = after.shape[1]
    for m in range(after.shape[0]):
        from_h, rr, zz, nn = gate_columns(gates[m])
        h, out = before[m], after[m]
        for j in range(hidden):
            r, z = sigmoid(rr[j]), sigmoid(zz[j])
            n = TWO * sigmoid(TWO * (nn[j] + r * from_h[j])) - ONE  # tanh
            rr[j], zz[j], nn[j] = r, z, n
            out[j] = n + z * (h[j] - n)


@compiled
def gate_gradients(grad, gates, before, d_gates, dh, total):
    """Write the gradients of the gates' sums ``d_gates [M, 4H]``, given those of the states.

    Those of the states before, less their part through the gates, go to ``dh [M, H]``; the sums'
    total over rows is added to ``total [4H]`` (float64).
    """
    hidden = grad.shape[1]
    for m in range(grad.shape[0]):
        from_h, rr, zz, nn = gate_columns(gates[m])
        d_from_h, d_r, d_z, d_n = gate_columns(d_gates[m])
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
def categorical_rows(logits, avail, level, chosen):
    """Write each row's action at this level of its distribution function to ``chosen [M]``.

    For logits and available actions ``[M, A]``, levels ``[M]`` in [0, 1). It is -1 where that is no
    available action, as the logits are no numbers. Returns the least action.
    """
    least = 0
    for m in range(logits.shape[0]):
        row, allowed, top = logits[m], avail[m], -LIMIT
        for a in range(row.shape[0]):
            top = max(top, row[a]) if allowed[a] else top
        total = F(0)
        for a in range(row.shape[0]):
            total += exp(row[a] - top) if allowed[a] else F(0)
        threshold, mass, last = level[m] * total, F(0), -1
        # to the first action that lifts the mass above the level
        while mass <= threshold and last + 1 < row.shape[0]:
            last += 1
            mass += exp(row[last] - top) if allowed[last] else F(0)
        last = last if last >= 0 and allowed[last] else -1
        chosen[m] = last
        least = min(least, last)
    return least


@compiled
def log_softmax_rows(x, out):
    """Write the logarithm of the softmax of each row of ``x [M, A]``."""
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
def log_softmax_gradients(out, d_out, dx):
    """Write the gradients of what `log_softmax_rows` was given, all ``[M, A]``."""
    for m in range(out.shape[0]):
        row, d, to, total = out[m], d_out[m], dx[m], F(0)
        for a in range(row.shape[0]):
            total += d[a]
        for a in range(row.shape[0]):
            to[a] = d[a] - exp(row[a]) * total
