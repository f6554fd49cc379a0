"""Sampling from a softmax, and its logarithm: compiled on the CPU, torch's own elsewhere."""

from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.errors import UserError
from partage.kernels.pointwise import categorical_rows, log_softmax_gradients, log_softmax_rows


def categorical(
    logits: Float32[Tensor, "*X A"], avail: Bool[Tensor, "*X A"], level: Float32[Tensor, "*X"]
) -> Int64[Tensor, "*X"]:
    """The action at `level`, uniform in [0, 1), of the distribution function of the softmax over
    what is available.

    Raises `UserError` where logits are NaN (CPU).
    """
    if logits.device.type == "cpu":
        chosen, rows = torch.empty(level.shape, dtype=torch.int64), (-1, logits.shape[-1])
        least = categorical_rows(
            logits.reshape(rows).numpy(),
            avail.reshape(rows).numpy(),
            level.reshape(-1).numpy(),
            chosen.view(-1).numpy(),
        )
        if least < 0:
            raise UserError(
                "The policies to act with are not numbers (NaN): the training that made them has diverged; look at its "
                "gradient_norm, and lower the learning rate."
            )
        return chosen
    mass = logits.masked_fill(~avail, -torch.inf).softmax(-1).cumsum(-1)
    return (mass <= level[..., None] * mass[..., -1:]).sum(-1)


class LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Float32[Tensor, "M A"]:
        out = torch.empty(x.shape)
        log_softmax_rows(x.detach().numpy(), out.numpy())
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Float32[Tensor, "M A"]:
        (out,) = ctx.saved_tensors
        dx = torch.empty_like(out)
        log_softmax_gradients(out.numpy(), grad_outputs[0].contiguous().numpy(), dx.numpy())
        return dx


def log_softmax(x: Float32[Tensor, "*X A"]) -> Float32[Tensor, "*X A"]:
    """torch's own takes several times as long over so few actions."""
    if x.device.type != "cpu":
        return x.log_softmax(-1)
    return LogSoftmax.apply(x.reshape(-1, x.shape[-1])).view(x.shape)  # type: ignore[attr-defined]
