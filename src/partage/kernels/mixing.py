"""QMIX's monotonic mixing and its gradients, one pass over memory each."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from partage.kernels import compiled
from partage.kernels.pointwise import F, exp


class Mixing(NamedTuple):
    """The agents' values and what the hypernetworks made of the state; or the gradients of these.

    M rows are (instant, copy) pairs, N agents, E the units of the hidden layer.
    """

    q: Float32[np.ndarray, "M N"]
    w1: Float32[np.ndarray, "M N E"]
    b1: Float32[np.ndarray, "M E"]
    w2: Float32[np.ndarray, "M E"]


@compiled
def mix_rows(inputs, total, hidden):
    """Write ``|w2| . ELU(|w1| q + b1)`` to ``total [M]``, and the ELU's values ``[M, E]``."""
    q, w1, b1, w2 = inputs.q, inputs.w1, inputs.b1, inputs.w2
    for m in range(q.shape[0]):
        h, bias, last = hidden[m], b1[m], w2[m]
        for e in range(h.shape[0]):
            h[e] = bias[e]
        for n in range(q.shape[1]):
            w, value = w1[m, n], q[m, n]
            for e in range(h.shape[0]):
                h[e] += abs(w[e]) * value
        for e in range(h.shape[0]):
            h[e] = h[e] if h[e] > F(0) else exp(h[e]) - F(1)
        mixed = F(0)
        for e in range(h.shape[0]):
            mixed += abs(last[e]) * h[e]
        total[m] = mixed


@compiled
def mix_gradients(d_total, inputs, hidden, gradients):
    """Write the gradients of all that was mixed, given those of the totals ``[M]``."""
    q, w1, w2 = inputs.q, inputs.w1, inputs.w2
    d_q, d_w1, d_b1, d_w2 = gradients.q, gradients.w1, gradients.b1, gradients.w2
    for m in range(q.shape[0]):
        g, h, last, d_bias, d_last = d_total[m], hidden[m], w2[m], d_b1[m], d_w2[m]
        for e in range(h.shape[0]):
            d_bias[e] = g * abs(last[e]) * (F(1) if h[e] > F(0) else h[e] + F(1))
            d_last[e] = g * h[e] * np.sign(last[e])
        for n in range(q.shape[1]):
            w, dw, value, back = w1[m, n], d_w1[m, n], q[m, n], F(0)
            for e in range(h.shape[0]):
                dw[e] = value * d_bias[e] * np.sign(w[e])
            for e in range(h.shape[0]):
                back += abs(w[e]) * d_bias[e]
            d_q[m, n] = back
