"""A conditional variational auto-encoder, small and trained often: what it is given becomes a
Gaussian code.

``given -> ReLU -> (mean, log variance)``, a draw z, and ``(z, seen) -> ReLU -> ReLU -> told``. MPD
codes policies with it (the distance), SePS agents' ids. Its networks have 32 or 64 units, its
batches 128 samples: a framework's overhead would be a multiple of the arithmetic, so an epoch is
one compiled function, and always on the CPU.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor

from partage.errors import UserError
from partage.kernels.auto_encoder import BATCH, Adam, Half, Samples, epoch
from partage.kernels.gemm import padded_width
from partage.kernels.mlp import Layers, Rows
from partage.kernels.mlp_backward import Gradients
from partage.kernels.pointwise import F
from partage.nn.bank import linear_init
from partage.nn.dense import Layer, apply_layers
from partage.sharing import assignment

LATENT, EPOCHS = 10, 10  # MPD §3.2, MADPS; SePS has the same
ENCODER = 2  # layers; the decoder's come behind them


class Code(NamedTuple):
    """The trained auto-encoder of each of R runs, its five layers laid end to end."""

    flat: Float32[Tensor, "R P"]
    sizes: tuple[tuple[int, int], ...]  # inputs and outputs of each layer

    @torch.no_grad()
    def encode(
        self, *given: Float32[Tensor, "R S _"]
    ) -> tuple[Float32[Tensor, "R S Z"], Float32[Tensor, "R S Z"]]:
        """Mean and log variance of the codes of what is given (its parts side by side)."""
        mean, log_var = _through(
            torch.cat(given, -1), _links(self.flat, self.sizes)[:ENCODER]
        ).chunk(2, -1)
        return mean, log_var

    @torch.no_grad()
    def decode(
        self, z: Float32[Tensor, "R S Z"], *seen: Float32[Tensor, "R S _"]
    ) -> Float32[Tensor, "R S C"]:
        """What a code tells."""
        return _through(torch.cat((z, *seen), -1), _links(self.flat, self.sizes)[ENCODER:])


def _links(flat: Float32[Tensor, "R P"], sizes: Sequence[tuple[int, int]]) -> list[Layer]:
    """The encoder's layers, then the decoder's: views of them."""
    links, start, everyone = [], 0, assignment.full(len(flat), 1)
    for layer, (i, o) in enumerate(sizes):
        weight, bias = flat[:, start : start + i * o], flat[:, start + i * o : start + (i + 1) * o]
        start += (i + 1) * o
        last = layer in (ENCODER - 1, len(sizes) - 1)
        links.append(
            Layer(weight.view(-1, 1, i, o), bias.view(-1, 1, 1, o), everyone, relu=not last)
        )
    return links


def _through(x: Float32[Tensor, "R S I"], links: Sequence[Layer]) -> Float32[Tensor, "R S O"]:
    return apply_layers(x[:, None, None], links)[:, 0, 0]


def enough(count: int, what: str) -> None:
    """Raises `UserError` where a run has less than one batch to learn a code from."""
    if count < BATCH:
        raise UserError(
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

    Minimises the squared error of what is told plus `kl` times the divergence from N(0, I), each
    summed over a batch (MPD eq. 8). An epoch has as many batches as the samples fill; where some
    are not valid, the others come again.
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
        halves = (
            _half(links[:ENCODER], gradients[:ENCODER], False),
            _half(links[ENCODER:], gradients[ENCODER:], True),
        )
        first, second = np.zeros((2, len(theta)), dtype=F)
        adam = Adam(theta.numpy(), grad.numpy(), first, second)
        ours = [x[r].contiguous().numpy() for x in (given, seen, told)]
        steps = 0
        for _ in range(EPOCHS):
            order = _order(valid[r], count, generator).numpy()
            noise = torch.randn(count, LATENT, generator=generator).numpy()
            samples = Samples(ours[0], ours[1], ours[2], order, noise)
            epoch(adam, *halves, samples, F(kl), steps)
            steps += count // BATCH
    return Code(flat, sizes)


def _drawn(sizes: Sequence[tuple[int, int]], generator: Generator) -> Float32[Tensor, "P"]:
    parts = []
    for i, o in sizes:
        weight, bias = torch.empty(i, o), torch.empty(o)
        linear_init(weight, bias, generator)
        parts += [weight.flatten(), bias]
    return torch.cat(parts)


def _order(valid: Bool[Tensor, "S"], count: int, generator: Generator) -> Int64[Tensor, "K"]:
    """`count` valid samples, each once before any comes again."""
    where = valid.nonzero().flatten()
    passes = math.ceil(count / len(where))
    return torch.cat(
        [where[torch.randperm(len(where), generator=generator)] for _ in range(passes)]
    )[:count]


def _half(links: Sequence[Layer], gradients: Sequence[Layer], wants_dx: bool) -> Half:
    inputs, outputs = links[0].weight.shape[2], links[-1].weight.shape[3]
    widths = [padded_width(link.weight.shape[3]) for link in links]
    return Half(
        rows=Rows(
            x=np.empty((BATCH, inputs), F),
            bounds=np.array([0, BATCH]),
            hot=np.full(BATCH, -1),
        ),
        layers=Layers(
            weights=tuple(link.weight.numpy() for link in links),
            sharing=tuple(link.sharing.numpy() for link in links),
            entries=np.array([link.entries for link in links]),
            relu=np.array([link.relu for link in links]),
        ),
        tables=tuple(link.table.numpy() for link in links),
        outputs=tuple(np.empty((BATCH, width), F) for width in widths),
        gradients=Gradients(
            d_out=np.empty((BATCH, outputs), F),
            d_weights=tuple(d.weight.numpy() for d in gradients),
            d_tables=tuple(np.empty(d.table.shape) for d in gradients),
            dx=np.empty((BATCH, inputs), F),
            wants_dx=wants_dx,
        ),
        d_biases=tuple(d.table.numpy() for d in gradients),
    )
