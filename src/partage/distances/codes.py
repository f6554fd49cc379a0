"""A conditional variational auto-encoder, small and trained often: it makes Gaussian codes.

``given -> ReLU -> (mean, log variance)``, a draw z, and ``(z, seen) -> ReLU -> ReLU -> target``.
MPD codes policies with it (the distance), SePS agents' ids. Its networks have 32 or 64 units, its
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

LATENT = 10  # dimensions of a code   (MPD §3.2; SePS has the same)
EPOCHS = 10  # of a code's training   (MADPS; SePS has the same)
ENCODER = 2  # layers; the decoder's come behind them

Sizes = Sequence[tuple[int, int]]  # inputs and outputs of each layer


class Code(NamedTuple):
    """The trained auto-encoder of each of R runs, its five layers laid end to end."""

    flat: Float32[Tensor, "R P"]
    sizes: tuple[tuple[int, int], ...]  # inputs and outputs of each layer

    @torch.no_grad()
    def encode(
        self, *given: Float32[Tensor, "R S _"]
    ) -> tuple[Float32[Tensor, "R S Z"], Float32[Tensor, "R S Z"]]:
        """Return mean and log variance of the codes of what is given, its parts side by side."""
        encoder = _layers(self.flat, self.sizes)[:ENCODER]
        mean, log_var = _apply(encoder, torch.cat(given, -1)).chunk(2, -1)
        return mean, log_var

    @torch.no_grad()
    def decode(
        self, z: Float32[Tensor, "R S Z"], *seen: Float32[Tensor, "R S _"]
    ) -> Float32[Tensor, "R S C"]:
        """Return the reconstruction from codes and what is seen beside them."""
        decoder = _layers(self.flat, self.sizes)[ENCODER:]
        return _apply(decoder, torch.cat((z, *seen), -1))


def _layers(flat: Float32[Tensor, "R P"], sizes: Sizes) -> list[Layer]:
    """Return the encoder's layers, then the decoder's, as views of the flat parameters."""
    layers, start, everyone = [], 0, assignment.full(len(flat), 1)
    for number, (inputs, outputs) in enumerate(sizes):
        bias_start = start + inputs * outputs
        end = bias_start + outputs
        weight, bias = flat[:, start:bias_start], flat[:, bias_start:end]
        last_of_its_half = number in (ENCODER - 1, len(sizes) - 1)
        layers.append(
            Layer(
                weight=weight.view(-1, 1, inputs, outputs),
                table=bias.view(-1, 1, 1, outputs),
                sharing=everyone,
                relu=not last_of_its_half,
            )
        )
        start = end
    return layers


def _apply(layers: Sequence[Layer], x: Float32[Tensor, "R S I"]) -> Float32[Tensor, "R S O"]:
    """Return what comes out of the layers."""
    return apply_layers(x[:, None, None], layers)[:, 0, 0]


def enough(count: int, what: str) -> None:
    """Raise `UserError` where a run has less than one batch to learn a code from."""
    if count < BATCH:
        raise UserError(
            f"{what} needs at least {BATCH} valid observations (one batch of its code), "
            f"but a run has {count}: collect more (data, in updates; --episodes)."
        )


def fit(
    given: Float32[Tensor, "R S G"],
    seen: Float32[Tensor, "R S D"],
    target: Float32[Tensor, "R S C"],
    valid: Bool[Tensor, "R S"],
    generators: Sequence[Generator],
    hidden: int,
    kl: float,
) -> Code:
    """Return a new code for each run, drawn and trained with the run's own generator.

    Minimises the squared error of the reconstruction of `target` plus `kl` times the divergence
    from N(0, I), each summed over a batch (MPD eq. 8). An epoch has as many batches as the samples
    fill; where some are not valid, the others come again. A run's code is as if it were alone.
    """
    shapes = {tuple(x.shape[:2]) for x in (given, seen, target, valid)}
    if len(shapes) > 1 or len(generators) != len(given):
        raise ValueError(f"a code is learned from as many samples of all kinds, not {shapes}")
    encoder_widths = [given.shape[-1], hidden, 2 * LATENT]
    decoder_widths = [LATENT + seen.shape[-1], hidden, hidden, target.shape[-1]]
    sizes = (*pairwise(encoder_widths), *pairwise(decoder_widths))
    flat = torch.stack([_draw_parameters(sizes, generator) for generator in generators])
    for r, generator in enumerate(generators):
        _train(flat[r], sizes, given[r], seen[r], target[r], valid[r], generator, kl)
    return Code(flat, sizes)


def _train(
    parameters: Float32[Tensor, "P"],
    sizes: Sizes,
    given: Float32[Tensor, "S G"],
    seen: Float32[Tensor, "S D"],
    target: Float32[Tensor, "S C"],
    valid: Bool[Tensor, "S"],
    generator: Generator,
    kl: float,
) -> None:
    """Train one run's code, in place."""
    gradient = torch.zeros_like(parameters)
    layers, gradients = _layers(parameters[None], sizes), _layers(gradient[None], sizes)
    encoder = _half(layers[:ENCODER], gradients[:ENCODER], wants_dx=False)
    decoder = _half(layers[ENCODER:], gradients[ENCODER:], wants_dx=True)
    first, second = np.zeros((2, len(parameters)), dtype=F)
    adam = Adam(parameters.numpy(), gradient.numpy(), first, second)
    given, seen, target = given.contiguous(), seen.contiguous(), target.contiguous()
    count, steps = len(given) // BATCH * BATCH, 0
    for _ in range(EPOCHS):
        samples = Samples(
            given=given.numpy(),
            seen=seen.numpy(),
            target=target.numpy(),
            order=_order(valid, count, generator).numpy(),
            noise=torch.randn(count, LATENT, generator=generator).numpy(),
        )
        epoch(adam, encoder, decoder, samples, F(kl), steps)
        steps += count // BATCH


def _draw_parameters(sizes: Sizes, generator: Generator) -> Float32[Tensor, "P"]:
    """Draw the parameters of all layers, laid end to end."""
    parts = []
    for inputs, outputs in sizes:
        weight, bias = torch.empty(inputs, outputs), torch.empty(outputs)
        linear_init(weight, bias, generator)
        parts += [weight.flatten(), bias]
    return torch.cat(parts)


def _order(valid: Bool[Tensor, "S"], count: int, generator: Generator) -> Int64[Tensor, "K"]:
    """Draw the order of `count` valid samples: each comes once before any comes again."""
    places = valid.nonzero().flatten()
    passes = math.ceil(count / len(places))
    orders = [torch.randperm(len(places), generator=generator) for _ in range(passes)]
    return torch.cat([places[order] for order in orders])[:count]


def _half(layers: Sequence[Layer], gradients: Sequence[Layer], wants_dx: bool) -> Half:
    """Return the encoder or the decoder as the compiled functions take it, one batch long."""
    inputs, outputs = layers[0].weight.shape[2], layers[-1].weight.shape[3]
    widths = [padded_width(layer.weight.shape[3]) for layer in layers]
    return Half(
        rows=Rows(
            x=np.empty((BATCH, inputs), F),
            bounds=np.array([0, BATCH]),
            hot=np.full(BATCH, -1),
        ),
        layers=Layers(
            weights=tuple(layer.weight.numpy() for layer in layers),
            sharing=tuple(layer.sharing.numpy() for layer in layers),
            entries=np.array([layer.entries for layer in layers]),
            relu=np.array([layer.relu for layer in layers]),
        ),
        tables=tuple(layer.table.numpy() for layer in layers),
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
