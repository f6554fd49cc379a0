"""Products of rows and weights on a card, and of rows over time: what makes gradients of weights.

There a gradient is a sum over thousands of rows, of which the library makes one long loop in a few
blocks. Instant by instant it is many short ones side by side, that are then added up.
"""

from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor

FEW = 64  # stretches: as many fill a card without that


def summed_products(
    x: Float32[Tensor, "A B M I"], y: Float32[Tensor, "A B M O"], time: int
) -> Float32[Tensor, "K I O"]:
    """Return the sums over all rows and instants of the products of two rows' numbers.

    The first axes are K stretches and instants; `time` says which of them are the instants.
    """
    if x.shape[1 - time] <= FEW:
        return (x.transpose(2, 3) @ y).sum(time)
    x, y = (z.movedim(time, 1).flatten(1, 2) for z in (x, y))
    return x.transpose(1, 2) @ y


class Multiplied(torch.autograd.Function):
    """`multiplied` for torch's gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """Return the rows behind the weights."""
        ctx.save_for_backward(x, weight)
        return (x.flatten(1, 2) @ weight).unflatten(1, x.shape[1:3])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        (x, weight), d_y = ctx.saved_tensors, grad_outputs[0]
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = d_y.flatten(1, 2) @ weight.transpose(1, 2)
            d_x = d_x.unflatten(1, x.shape[1:3])
        return d_x, summed_products(x, d_y, 1)


class BehindOwn(torch.autograd.Function):
    """`behind_own` for torch's gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, own: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return each row behind its own set."""
        ctx.save_for_backward(x, own, weight)
        wide = beside(x, own).flatten(1, 2)
        # what is multiplied is added to the biases where they lie
        out = (own.flatten(1, 2) @ bias).baddbmm_(wide, weight.flatten(1, 2))
        return out.unflatten(1, x.shape[1:3])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        (x, own, weight), d_y = ctx.saved_tensors, grad_outputs[0]
        wide, d_x = beside(x, own), None
        if ctx.needs_input_grad[0]:
            d_wide = beside(d_y, own).flatten(1, 2)
            d_x = d_wide @ weight.transpose(2, 3).flatten(1, 2)
            d_x = d_x.unflatten(1, x.shape[1:3])
        d_weight = summed_products(wide, d_y, 1).view_as(weight)
        return d_x, None, d_weight, summed_products(own, d_y, 1)


def behind_own(
    x: Float32[Tensor, "K T M I"],
    own: Float32[Tensor, "K T M S"],
    weight: Float32[Tensor, "K S I O"],
    bias: Float32[Tensor, "K S O"],
) -> Float32[Tensor, "K T M O"]:
    """Return rows behind the set of their own: `own` is one there, and zero at all others."""
    return BehindOwn.apply(x, own, weight, bias)  # type: ignore[return-value]


def beside(x: Float32[Tensor, "*L F"], own: Float32[Tensor, "*L S"]) -> Float32[Tensor, "*L SF"]:
    """Return rows at the place of their own set, zeros at those of all others."""
    return (own[..., None] * x[..., None, :]).flatten(-2)


def multiplied(
    x: Float32[Tensor, "K T M I"], weight: Float32[Tensor, "K I O"]
) -> Float32[Tensor, "K T M O"]:
    """Return rows behind the weights of their stretch."""
    return Multiplied.apply(x, weight)  # type: ignore[return-value]
