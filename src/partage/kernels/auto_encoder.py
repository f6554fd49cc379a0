"""An epoch of a small conditional auto-encoder's training, in one compiled call."""

import math
from typing import Any, NamedTuple

import numpy as np

from partage.kernels import compiled
from partage.kernels.mlp import backward_all, forward_all
from partage.kernels.pointwise import HALF, ONE, TWO, F, exp

BATCH = 128  # samples of a batch   (MPD §3.2, MADPS; SePS has the same)
LR, BETA1, BETA2, EPS = 3e-4, 0.9, 0.999, 1e-8  # Adam   (MPD §3.2)


class Half(NamedTuple):
    """The encoder or the decoder of one run, as the compiled chains take it, one batch long."""

    bounds: Any  # of the batch
    hot: Any  # no inputs are one-hot
    relu: Any
    entries: Any
    index: Any
    weights: Any
    tables: Any
    layers: Any
    d_weights: Any
    d_tables: Any  # float64 sums, and where they go
    d_biases: Any


@compiled
def _forward(half, x):
    forward_all(
        x,
        half.bounds,
        half.hot,
        half.relu,
        half.entries,
        half.index,
        half.weights,
        half.tables,
        half.layers,
    )
    return half.layers[len(half.layers) - 1]


@compiled
def _backward(half, x, d_out, dx, wanted):
    for d in half.d_weights:
        d[:] = 0
    for d in half.d_tables:
        d[:] = 0
    backward_all(x, half.bounds, half.hot, half.relu, half.entries, half.index, half.weights, half.layers,
                  half.d_weights, half.d_tables, d_out, dx, wanted)  # fmt: skip
    for k in range(len(half.d_biases)):
        half.d_biases[k][:] = half.d_tables[k]


@compiled
def epoch(theta, grad, moments, encoder, decoder, given, seen, told, order, noise, kl, steps):
    """Go through the samples in this order, one Adam step a batch."""
    z = noise.shape[1]
    x, into = np.empty((BATCH, given.shape[1]), F), np.empty((BATCH, z + seen.shape[1]), F)
    target = np.empty((BATCH, told.shape[1]), F)
    d_code, d_into, d_out = np.empty((BATCH, 2 * z), F), np.empty_like(into), np.empty_like(target)
    first, second = moments[0], moments[1]
    for batch in range(len(order) // BATCH):
        start = batch * BATCH
        for k in range(BATCH):
            sample = order[start + k]
            x[k], into[k, z:], target[k] = given[sample], seen[sample], told[sample]
        code = _forward(encoder, x)
        for k in range(BATCH):
            for j in range(z):
                into[k, j] = code[k, j] + noise[start + k, j] * exp(HALF * code[k, z + j])
        out = _forward(decoder, into)
        for k in range(BATCH):
            for j in range(target.shape[1]):
                d_out[k, j] = TWO * (out[k, j] - target[k, j])
        _backward(decoder, into, d_out, d_into, True)
        for k in range(BATCH):
            for j in range(z):
                mean, std, d = code[k, j], exp(HALF * code[k, z + j]), d_into[k, j]
                d_code[k, j] = d + kl * mean
                d_code[k, z + j] = d * noise[start + k, j] * HALF * std + kl * HALF * (
                    std * std - ONE
                )
        _backward(encoder, x, d_code, x, False)
        step = steps + batch + 1
        scale = F(LR * math.sqrt(1 - BETA2**step) / (1 - BETA1**step))
        eps_hat = F(EPS * math.sqrt(1 - BETA2**step))
        for p in range(len(theta)):
            first[p] += F(1 - BETA1) * (grad[p] - first[p])
            second[p] += F(1 - BETA2) * (grad[p] * grad[p] - second[p])
            theta[p] -= scale * first[p] / (np.sqrt(second[p]) + eps_hat)
