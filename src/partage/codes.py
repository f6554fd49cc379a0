"""A conditional variational auto-encoder, small and trained often: what it is given becomes a Gaussian code.

``given -> ReLU -> (mean, log variance)``, a draw z, and ``(z, seen) -> ReLU -> ReLU -> told``. MPD codes policies with
it (the distance), SePS agents' ids. Its networks have 32 or 64 units, its batches 128 samples: a framework's overhead
would be a multiple of the arithmetic, so training is one compiled function, sample by sample, and always on the CPU.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor

from partage.bank import torch_linear
from partage.pointwise import compiled, exp, inlined

LATENT, BATCH, EPOCHS = 10, 128, 10  # MPD §3.2, MADPS; SePS has the same
LR, BETA1, BETA2, EPS = 3e-4, 0.9, 0.999, 1e-8  # Adam   (MPD §3.2)
F = np.float32
ZERO, HALF, ONE, TWO = F(0), F(0.5), F(1), F(2)


class Code(NamedTuple):
    """The trained auto-encoder of each of R runs, its five layers laid end to end."""

    flat: Float32[Tensor, "R P"]
    sizes: tuple[tuple[int, int], ...]  # inputs and outputs of each layer

    @torch.no_grad()
    def encode(self, *given: Float32[Tensor, "R S _"]) -> tuple[Float32[Tensor, "R S Z"], Float32[Tensor, "R S Z"]]:
        """Mean and log variance of the codes of what is given (its parts side by side)."""
        mean, log_var = self._through(torch.cat(given, -1), 0, 2).chunk(2, -1)
        return mean, log_var

    @torch.no_grad()
    def decode(self, z: Float32[Tensor, "R S Z"], *seen: Float32[Tensor, "R S _"]) -> Float32[Tensor, "R S C"]:
        """What a code tells."""
        return self._through(torch.cat((z, *seen), -1), 2, 5)

    def _through(self, x: Tensor, first: int, last: int) -> Tensor:
        start = sum((i + 1) * o for i, o in self.sizes[:first])
        for layer in range(first, last):
            i, o = self.sizes[layer]
            weight, bias = self.flat[:, start : start + i * o], self.flat[:, start + i * o : start + (i + 1) * o]
            start += (i + 1) * o
            x = torch.baddbmm(bias[:, None], x, weight.unflatten(1, (i, o)))
            if layer not in (1, 4):
                x = x.relu_()
        return x


def fit(
    given: Float32[Tensor, "R S G"],
    seen: Float32[Tensor, "R S D"],
    told: Float32[Tensor, "R S C"],
    valid: Bool[Tensor, "R S"],
    generators: Sequence[Generator],
    hidden: int,
    kl: float,
) -> Code:
    """A new code for each run, drawn and trained with the run's own generator: as if it were alone.

    Minimises the squared error of what is told plus `kl` times the divergence from N(0, I), each summed over a batch
    (MPD eq. 8). An epoch has as many batches as the samples fill; where some are not valid, the others come again.
    """
    widths = (
        [given.shape[-1], hidden, 2 * LATENT],
        [LATENT + seen.shape[-1], hidden, hidden, told.shape[-1]],
    )
    sizes = tuple(pair for part in widths for pair in pairwise(part))
    flat = torch.stack([_drawn(sizes, generator) for generator in generators])
    count = given.shape[1] // BATCH * BATCH
    for r, generator in enumerate(generators):
        theta = flat[r].numpy()
        moments = np.zeros((2, len(theta)), dtype=F)
        data = [x[r].contiguous().numpy() for x in (given, seen, told)]
        steps = 0
        for _ in range(EPOCHS):
            order = _order(valid[r], count, generator).numpy()
            noise = torch.randn(count, LATENT, generator=generator).numpy()
            _epoch(theta, moments, np.array(sizes), *data, order, noise, F(kl), steps)
            steps += count // BATCH
    return Code(flat, sizes)


def _drawn(sizes: Sequence[tuple[int, int]], generator: Generator) -> Float32[Tensor, "P"]:
    parts = []
    for i, o in sizes:
        weight, bias = torch.empty(i, o), torch.empty(o)
        torch_linear(weight, bias, generator)
        parts += [weight.flatten(), bias]
    return torch.cat(parts)


def _order(valid: Bool[Tensor, "S"], count: int, generator: Generator) -> Int64[Tensor, "K"]:
    """`count` valid samples, each once before any comes again."""
    where = valid.nonzero().flatten()
    passes = math.ceil(count / len(where))
    return torch.cat([where[torch.randperm(len(where), generator=generator)] for _ in range(passes)])[:count]


@inlined
def _parts(flat: Any, sizes: Any, layer: int) -> Any:
    """Weight and bias of a layer."""
    start = 0
    for before in range(layer):
        start += (sizes[before, 0] + 1) * sizes[before, 1]
    i, o = sizes[layer]
    return flat[start : start + i * o].reshape(i, o), flat[start + i * o : start + (i + 1) * o]


@inlined
def _forward(x, weight, bias, y, relu):
    for j in range(len(y)):
        y[j] = bias[j]
    for i in range(len(x)):
        v, row = x[i], weight[i]
        if v != ZERO:
            for j in range(len(y)):
                y[j] += v * row[j]
    if relu:
        for j in range(len(y)):
            y[j] = max(y[j], ZERO)


@inlined
def _backward(x, dy, d_weight, d_bias):
    """Add the gradients of a layer's parameters."""
    for j in range(len(dy)):
        d_bias[j] += dy[j]
    for i in range(len(x)):
        v, row = x[i], d_weight[i]
        if v != ZERO:
            for j in range(len(dy)):
                row[j] += v * dy[j]


@inlined
def _down(dy, turned, x, dx):
    """Gradient of a layer's input ``x = ReLU(..)``; `turned` is its weight transposed, one row an output."""
    for i in range(len(dx)):
        dx[i] = ZERO
    for j in range(len(dy)):
        v, row = dy[j], turned[j]
        for i in range(len(dx)):
            dx[i] += v * row[i]
    for i in range(len(dx)):
        dx[i] = dx[i] if x[i] > ZERO else ZERO


@compiled
def _epoch(theta, moments, sizes, given, seen, told, order, noise, kl, steps):
    """Go through the samples in this order, one Adam step a batch."""
    hidden, z = sizes[0, 1], noise.shape[1]
    grad = np.zeros_like(theta)
    w1, b1 = _parts(theta, sizes, 0)
    w2, b2 = _parts(theta, sizes, 1)
    w3, b3 = _parts(theta, sizes, 2)
    w4, b4 = _parts(theta, sizes, 3)
    w5, b5 = _parts(theta, sizes, 4)
    g1, c1 = _parts(grad, sizes, 0)
    g2, c2 = _parts(grad, sizes, 1)
    g3, c3 = _parts(grad, sizes, 2)
    g4, c4 = _parts(grad, sizes, 3)
    g5, c5 = _parts(grad, sizes, 4)
    h1, d1 = np.empty(hidden, F), np.empty(hidden, F)
    h3, d3 = np.empty(hidden, F), np.empty(hidden, F)
    h4, d4 = np.empty(hidden, F), np.empty(hidden, F)
    code, d_code = np.empty(2 * z, F), np.empty(2 * z, F)
    into, d_into = np.empty(z + seen.shape[1], F), np.empty(z, F)
    out = np.empty(told.shape[1], F)
    always = np.ones(z, F)
    for batch in range(len(order) // BATCH):
        t2, t4, t5 = w2.T.copy(), w4.T.copy(), w5.T.copy()
        t3 = w3[:z].T.copy()
        grad[:] = ZERO
        for k in range(batch * BATCH, (batch + 1) * BATCH):
            x, condition, target, eps = given[order[k]], seen[order[k]], told[order[k]], noise[k]
            _forward(x, w1, b1, h1, True)
            _forward(h1, w2, b2, code, False)
            for j in range(z):
                into[j] = code[j] + eps[j] * exp(HALF * code[z + j])
            into[z:] = condition
            _forward(into, w3, b3, h3, True)
            _forward(h3, w4, b4, h4, True)
            _forward(h4, w5, b5, out, False)
            for j in range(len(out)):
                out[j] = TWO * (out[j] - target[j])
            _backward(h4, out, g5, c5)
            _down(out, t5, h4, d4)
            _backward(h3, d4, g4, c4)
            _down(d4, t4, h3, d3)
            _backward(into, d3, g3, c3)
            _down(d3, t3, always, d_into)
            for j in range(z):
                std = exp(HALF * code[z + j])
                d_code[j] = d_into[j] + kl * code[j]
                d_code[z + j] = d_into[j] * eps[j] * HALF * std + kl * HALF * (std * std - ONE)
            _backward(h1, d_code, g2, c2)
            _down(d_code, t2, h1, d1)
            _backward(x, d1, g1, c1)
        step = steps + batch + 1
        scale = F(LR * math.sqrt(1 - BETA2**step) / (1 - BETA1**step))
        eps_hat = F(EPS * math.sqrt(1 - BETA2**step))
        first, second = moments[0], moments[1]
        for p in range(len(theta)):
            first[p] += F(1 - BETA1) * (grad[p] - first[p])
            second[p] += F(1 - BETA2) * (grad[p] * grad[p] - second[p])
            theta[p] -= scale * first[p] / (np.sqrt(second[p]) + eps_hat)
