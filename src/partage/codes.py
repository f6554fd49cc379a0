"""A conditional variational auto-encoder, small and trained often: what it is given becomes a Gaussian code.

``given -> ReLU -> (mean, log variance)``, a draw z, and ``(z, seen) -> ReLU -> ReLU -> told``. MPD codes policies with
it (the distance), SePS agents' ids. Its networks have 32 or 64 units, its batches 128 samples: a framework's overhead
would be a multiple of the arithmetic, so an epoch is one compiled function, and always on the CPU.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor

from partage import Refusal, assignment
from partage.bank import torch_linear
from partage.chain import Link, backward_all, chain, forward_all
from partage.pointwise import HALF, ONE, TWO, F, compiled, exp
from partage.tiles import whole

LATENT, BATCH, EPOCHS = 10, 128, 10  # MPD §3.2, MADPS; SePS has the same
ENCODER = 2  # layers; the decoder's come behind them
LR, BETA1, BETA2, EPS = 3e-4, 0.9, 0.999, 1e-8  # Adam   (MPD §3.2)


class Code(NamedTuple):
    """The trained auto-encoder of each of R runs, its five layers laid end to end."""

    flat: Float32[Tensor, "R P"]
    sizes: tuple[tuple[int, int], ...]  # inputs and outputs of each layer

    @torch.no_grad()
    def encode(self, *given: Float32[Tensor, "R S _"]) -> tuple[Float32[Tensor, "R S Z"], Float32[Tensor, "R S Z"]]:
        """Mean and log variance of the codes of what is given (its parts side by side)."""
        mean, log_var = _through(torch.cat(given, -1), _links(self.flat, self.sizes)[:ENCODER]).chunk(2, -1)
        return mean, log_var

    @torch.no_grad()
    def decode(self, z: Float32[Tensor, "R S Z"], *seen: Float32[Tensor, "R S _"]) -> Float32[Tensor, "R S C"]:
        """What a code tells."""
        return _through(torch.cat((z, *seen), -1), _links(self.flat, self.sizes)[ENCODER:])


def _links(flat: Float32[Tensor, "R P"], sizes: Sequence[tuple[int, int]]) -> list[Link]:
    """The encoder's layers, then the decoder's: views of them."""
    links, start, everyone = [], 0, assignment.full(len(flat), 1)
    for layer, (i, o) in enumerate(sizes):
        weight, bias = flat[:, start : start + i * o], flat[:, start + i * o : start + (i + 1) * o]
        start += (i + 1) * o
        last = layer in (ENCODER - 1, len(sizes) - 1)
        links.append(Link(weight.view(-1, 1, i, o), bias.view(-1, 1, 1, o), everyone, relu=not last))
    return links


def _through(x: Float32[Tensor, "R S I"], links: Sequence[Link]) -> Float32[Tensor, "R S O"]:
    return chain(x[:, None, None], links)[:, 0, 0]


def enough(count: int, what: str) -> None:
    """Raises `Refusal` where a run has less than one batch to learn a code from."""
    if count < BATCH:
        raise Refusal(
            f"{what} needs at least {BATCH} valid observations (one batch of its code), but a run has {count}: "
            "collect more (data, in updates; --episodes)."
        )


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
        theta, grad = flat[r], torch.zeros_like(flat[r])
        links, gradients = (_links(x[None], sizes) for x in (theta, grad))
        halves = _half(links[:ENCODER], gradients[:ENCODER]), _half(links[ENCODER:], gradients[ENCODER:])
        adam = theta.numpy(), grad.numpy(), np.zeros((2, len(theta)), dtype=F)
        data = [x[r].contiguous().numpy() for x in (given, seen, told)]
        steps = 0
        for _ in range(EPOCHS):
            order = _order(valid[r], count, generator).numpy()
            noise = torch.randn(count, LATENT, generator=generator).numpy()
            _epoch(*adam, *halves, *data, order, noise, F(kl), steps)
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


def _half(links: Sequence[Link], gradients: Sequence[Link]) -> Half:
    return Half(
        bounds=np.array([0, BATCH]),
        hot=np.full(BATCH, -1),
        relu=np.array([link.relu for link in links]),
        entries=np.array([link.entries for link in links]),
        index=tuple(link.sharing.numpy() for link in links),
        weights=tuple(link.weight.numpy() for link in links),
        tables=tuple(link.table.numpy() for link in links),
        layers=tuple(np.empty((BATCH, whole(link.weight.shape[3])), F) for link in links),
        d_weights=tuple(d.weight.numpy() for d in gradients),
        d_tables=tuple(np.empty(d.table.shape) for d in gradients),
        d_biases=tuple(d.table.numpy() for d in gradients),
    )


@compiled
def _forward(half, x):
    forward_all(x, half.bounds, half.hot, half.relu, half.entries, half.index, half.weights, half.tables, half.layers)
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
def _epoch(theta, grad, moments, encoder, decoder, given, seen, told, order, noise, kl, steps):
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
                d_code[k, z + j] = d * noise[start + k, j] * HALF * std + kl * HALF * (std * std - ONE)
        _backward(encoder, x, d_code, x, False)
        step = steps + batch + 1
        scale = F(LR * math.sqrt(1 - BETA2**step) / (1 - BETA1**step))
        eps_hat = F(EPS * math.sqrt(1 - BETA2**step))
        for p in range(len(theta)):
            first[p] += F(1 - BETA1) * (grad[p] - first[p])
            second[p] += F(1 - BETA2) * (grad[p] * grad[p] - second[p])
            theta[p] -= scale * first[p] / (np.sqrt(second[p]) + eps_hat)
