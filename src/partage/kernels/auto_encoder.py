"""An epoch of a small conditional auto-encoder's training, in one compiled call.

Samples are S, parameters P; Z is the length of a code. The decoder reads ``(z, seen)``.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from partage.kernels import compiled
from partage.kernels.mlp import Layers, Rows, forward_all
from partage.kernels.mlp_backward import Gradients, backward_all
from partage.kernels.pointwise import HALF, ONE, TWO, F, exp

BATCH = 128  # samples of a batch   (MPD §3.2, MADPS; SePS has the same)
LR, BETA1, BETA2, EPS = 3e-4, 0.9, 0.999, 1e-8  # Adam   (MPD §3.2)


class Half(NamedTuple):
    """The encoder or the decoder, and what a batch leaves in it."""

    rows: Rows  # one batch: its x is written to
    layers: Layers
    tables: tuple[Float32[np.ndarray, "1 1 1 O"], ...]  # biases
    outputs: tuple[Float32[np.ndarray, "batch O"], ...]  # behind each layer, padded
    gradients: Gradients  # its sums of biases' gradients are float64
    d_biases: tuple[Float32[np.ndarray, "1 1 1 O"], ...]  # where those sums go


class Adam(NamedTuple):
    """All parameters of both halves laid end to end ``[P]``, and Adam's moments."""

    theta: Float32[np.ndarray, "P"]
    grad: Float32[np.ndarray, "P"]
    first: Float32[np.ndarray, "P"]
    second: Float32[np.ndarray, "P"]


class Samples(NamedTuple):
    """What an epoch learns from, and in which order."""

    given: Float32[np.ndarray, "S G"]  # what becomes a code
    seen: Float32[np.ndarray, "S D"]  # what the decoder sees besides
    target: Float32[np.ndarray, "S C"]  # what it is to tell
    order: Int64[np.ndarray, "K"]  # the samples, batch after batch
    noise: Float32[np.ndarray, "K Z"]  # standard normal


@compiled
def _forward(half):
    """Bring the batch through this half; return what comes out."""
    forward_all(half.rows, half.layers, half.tables, half.outputs)
    return half.outputs[len(half.outputs) - 1]


@compiled
def _backward(half):
    """Bring the gradients of what came out back through this half."""
    for d_weight in half.gradients.d_weights:
        d_weight[:] = 0
    for d_table in half.gradients.d_tables:
        d_table[:] = 0
    backward_all(half.rows, half.layers, half.outputs, half.gradients)
    for n in range(len(half.d_biases)):
        half.d_biases[n][:] = half.gradients.d_tables[n]


@compiled
def _take_batch(samples, start, x, decoded, target):
    """Copy a batch to where the encoder and the decoder read it."""
    z = samples.noise.shape[1]
    for k in range(BATCH):
        sample = samples.order[start + k]
        x[k] = samples.given[sample]
        decoded[k, z:] = samples.seen[sample]
        target[k] = samples.target[sample]


@compiled
def _draw_codes(code, noise, start, decoded):
    """Write ``mean + std * noise`` of each sample's code to where the decoder reads it."""
    z = noise.shape[1]
    for k in range(BATCH):
        for j in range(z):
            decoded[k, j] = code[k, j] + noise[start + k, j] * exp(HALF * code[k, z + j])


@compiled
def _error_gradients(out, target, d_out):
    """Write the gradients of the squared error."""
    for k in range(BATCH):
        for j in range(target.shape[1]):
            d_out[k, j] = TWO * (out[k, j] - target[k, j])


@compiled
def _code_gradients(code, noise, start, d_decoded, kl, d_code):
    """Write the gradients of means and log variances: of the error, and of kl * divergence."""
    z = noise.shape[1]
    for k in range(BATCH):
        for j in range(z):
            mean, std, d = code[k, j], exp(HALF * code[k, z + j]), d_decoded[k, j]
            d_code[k, j] = d + kl * mean
            d_code[k, z + j] = d * noise[start + k, j] * HALF * std + kl * HALF * (std * std - ONE)


@compiled
def _adam_step(adam, step):
    """Take Adam's step number `step`, counted from 1."""
    theta, grad, first, second = adam.theta, adam.grad, adam.first, adam.second
    scale = F(LR * math.sqrt(1 - BETA2**step) / (1 - BETA1**step))
    eps_hat = F(EPS * math.sqrt(1 - BETA2**step))
    for p in range(len(theta)):
        first[p] += F(1 - BETA1) * (grad[p] - first[p])
        second[p] += F(1 - BETA2) * (grad[p] * grad[p] - second[p])
        theta[p] -= scale * first[p] / (np.sqrt(second[p]) + eps_hat)


@compiled
def epoch(adam, encoder, decoder, samples, kl, steps):
    """Go through the samples in their order, one Adam step a batch; `steps` were taken before."""
    target = np.empty((BATCH, samples.target.shape[1]), F)
    for batch in range(len(samples.order) // BATCH):
        start = batch * BATCH
        _take_batch(samples, start, encoder.rows.x, decoder.rows.x, target)
        code = _forward(encoder)
        _draw_codes(code, samples.noise, start, decoder.rows.x)
        out = _forward(decoder)
        _error_gradients(out, target, decoder.gradients.d_out)
        _backward(decoder)
        d_code, d_decoded = encoder.gradients.d_out, decoder.gradients.dx
        _code_gradients(code, samples.noise, start, d_decoded, kl, d_code)
        _backward(encoder)
        _adam_step(adam, steps + batch + 1)
