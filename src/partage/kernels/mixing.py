"""QMIX's monotonic mixing and its gradients, one pass over memory each."""

import numpy as np

from partage.kernels import compiled
from partage.kernels.pointwise import F, exp


@compiled
def mix_rows(q, w1, b1, w2, total, hidden):
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
def mix_gradients(grad, q, w1, w2, hidden, d_q, d_w1, d_b1, d_w2):
    for m in range(q.shape[0]):
        g, h, last, d_bias, d_last = grad[m], hidden[m], w2[m], d_b1[m], d_w2[m]
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
