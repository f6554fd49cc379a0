"""Masks: each set is the base where it keeps it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor, nn

from partage.errors import UserError
from partage.kernels.masks import shrink_gradients, shrink_rows
from partage.nn.bank import Bank, Sets
from partage.nn.derived import Met, Products, draw, spread, uniform
from partage.nn.pointwise import elementwise

START = 5.0  # thresholds begin between -10 and -5, each for itself   (Kaleidoscope)


class LearnedMask(nn.Module):
    """``sign(W) max(|W| - sigmoid(s), 0)`` with thresholds s of each set   (Kaleidoscope).

    The bias is the base's. A weight that a set cuts has no gradient from it.
    """

    def __init__(self, bank: Bank, sets: int, generators: Sequence[Generator]) -> None:
        super().__init__()
        self.count = sets
        shape = sets, *bank.weight.shape[2:]
        self.thresholds = nn.Parameter(draw(generators, *shape, fill=uniform(-2 * START, -START)))

    def forward(self, base: Sets) -> Sets:
        return Sets(shrink(base.weight, self.thresholds), spread(base.bias, self.count))

    @torch.no_grad()
    def mask(self, base: Sets) -> Bool[Tensor, "R S I O"]:
        """Return which weights each set keeps."""
        return shrink(base.weight, self.thresholds) != 0

    def products(self, base: Sets, met: Met) -> Products:
        """Return how many weights and biases two sets both keep.

        What thresholds themselves learn, at most a sixteenth of that, is left out.
        """
        return _both(self.mask(base).float(), met) + base.bias.shape[2]


def shrink(
    weight: Float32[Tensor, "R 1 I O"], thresholds: Float32[Tensor, "R S I O"]
) -> Float32[Tensor, "R S I O"]:
    """Return ``sign(w) max(|w| - sigmoid(s), 0)`` for the thresholds of each set."""
    if weight.device.type != "cpu":
        return shrink_torch(weight, thresholds)
    return Shrunk.apply(weight, thresholds)  # type: ignore[return-value]


def shrink_torch(
    weight: Float32[Tensor, "R 1 I O"], thresholds: Float32[Tensor, "R S I O"]
) -> Float32[Tensor, "R S I O"]:
    """Do as `shrink` in torch's own operations, on any device."""
    kept = weight.abs() - elementwise(torch.sigmoid, thresholds)
    return weight.sign() * kept.relu()


class Shrunk(torch.autograd.Function):
    """`shrink` for torch's gradients (CPU)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, thresholds: Tensor) -> Tensor:
        """Return the weights of each set."""
        ctx.save_for_backward(weight, thresholds)
        out = torch.empty(thresholds.shape)
        shrink_rows(*_laid_out(weight, thresholds), out.flatten(2).numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of what `forward` was given."""
        weight, thresholds = ctx.saved_tensors
        d_weight, d_thresholds = torch.zeros(weight.shape), torch.empty(thresholds.shape)
        shrink_gradients(
            *_laid_out(weight, thresholds),
            grad_outputs[0].contiguous().flatten(2).numpy(),
            d_weight.flatten(1).numpy(),
            d_thresholds.flatten(2).numpy(),
        )
        return d_weight, d_thresholds


def _laid_out(weight: Tensor, thresholds: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's numbers end to end, as the compiled functions take them."""
    return (
        weight.detach().contiguous().flatten(1).numpy(),
        thresholds.detach().contiguous().flatten(2).numpy(),
    )


def check_keep(keep: float) -> None:
    """Raise `UserError` for a rate that is none, or keeps nothing."""
    if not 0 < keep <= 1:  # NaN neither
        raise UserError(f"A mask keeps a share of weights above 0 and at most 1, not {keep}.")


class FixedMask(nn.Module):
    """``W`` and bias where a set keeps them, zero elsewhere, for good   (SNP-PS).

    ``weight [R, S, I, O]`` and ``bias [R, S, O]`` say what is kept; `whole_neurons` makes them of
    neurons.
    """

    weight: Bool[Tensor, "R S I O"]
    bias: Bool[Tensor, "R S O"]

    def __init__(self, weight: Bool[Tensor, "R S I O"], bias: Bool[Tensor, "R S O"]) -> None:
        super().__init__()
        self.count = weight.shape[1]
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, base: Sets) -> Sets:
        weight, bias = spread(base.weight, self.count), spread(base.bias, self.count)
        return Sets(weight * self.weight, bias * self.bias)

    def products(self, base: Sets, met: Met) -> Products:
        """Return how many weights and biases two sets both keep."""
        bias = self.bias.float()
        return _both(self.weight.float(), met) + bias @ bias.transpose(1, 2)


def whole_neurons(
    inputs: Bool[Tensor, "R S I"], outputs: Bool[Tensor, "R S O"]
) -> tuple[Bool[Tensor, "R S I O"], Bool[Tensor, "R S O"]]:
    """Return the masks of `FixedMask` that keep these neurons before and behind the layer."""
    return inputs[..., None] & outputs[:, :, None], outputs


def drawn_mask(
    generators: Sequence[Generator], keep: float, *shape: int
) -> Bool[Tensor, "R *shape"]:
    """Return masks that keep each entry with probability `keep`, independently.

    Raises `UserError` for a rate that is none, or keeps nothing.
    """
    check_keep(keep)
    return draw(generators, *shape, fill=uniform(0, 1)) < keep


def _both(kept: Float32[Tensor, "R S I O"], met: Met) -> Products:
    """Return how many weights two sets both keep, of inputs that both their agents have."""
    counted = (kept * met[..., None]).flatten(2)
    return counted @ counted.transpose(1, 2)
