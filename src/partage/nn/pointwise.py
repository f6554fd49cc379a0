"""Sampling from a softmax, and its logarithm: compiled on the CPU, torch's own elsewhere."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional

from partage.kernels.pointwise import categorical_rows, log_softmax_gradients, log_softmax_rows

ALIGNED = 64  # floats: a multiple of what torch computes at once in every register


def add_up(terms: Iterable[Tensor]) -> Tensor:
    """Return the sum of tensors of one shape, added one by one.

    Torch's sum over a stack of five or more has other last bits where the pack is another.
    """
    return functools.reduce(torch.add, terms)


def categorical(
    logits: Float32[Tensor, "*X A"], avail: Bool[Tensor, "*X A"], level: Float32[Tensor, "*X"]
) -> Int64[Tensor, "*X"]:
    """Return the action at `level` of the distribution function of a softmax.

    The softmax is over what is available; with levels that are uniform in [0, 1) the actions are
    samples of it. Where logits are no numbers it is the first available action, on every device:
    `partage.runs.divergence` ends that run, and others of its pack go on. Raises `ValueError` for
    shapes that do not fit.
    """
    if logits.shape != avail.shape or logits.shape[:-1] != level.shape or not avail.shape[-1]:
        raise ValueError(
            f"categorical takes logits and avail [.., A] and level [..], but their shapes are "
            f"{list(logits.shape)}, {list(avail.shape)} and {list(level.shape)}"
        )
    if logits.device.type != "cpu":
        return categorical_torch(logits, avail, level)
    chosen, n_actions = torch.empty(level.shape, dtype=torch.int64), logits.shape[-1]
    least = categorical_rows(
        logits.reshape(-1, n_actions).numpy(),
        avail.reshape(-1, n_actions).numpy(),
        level.reshape(-1).numpy(),
        chosen.view(-1).numpy(),
    )
    return legal(chosen, avail) if least < 0 else chosen


def categorical_torch(
    logits: Float32[Tensor, "*X A"], avail: Bool[Tensor, "*X A"], level: Float32[Tensor, "*X"]
) -> Int64[Tensor, "*X"]:
    """Do as `categorical` in torch's own operations, on any device."""
    mass = logits.masked_fill(~avail, -torch.inf).softmax(-1).cumsum(-1)
    chosen = (mass <= level[..., None] * mass[..., -1:]).sum(-1)
    return legal(torch.where(mass[..., -1].isnan(), -1, chosen), avail)


def legal(chosen: Int64[Tensor, "*X"], avail: Bool[Tensor, "*X A"]) -> Int64[Tensor, "*X"]:
    """Return what was chosen, or the first available where that is no action one can take."""
    place = chosen.clamp(0, avail.shape[-1] - 1)
    possible = (place == chosen) & avail.gather(-1, place[..., None]).squeeze(-1)
    return torch.where(possible, chosen, avail.to(torch.uint8).argmax(-1))


def elementwise(f: Callable[[Tensor], Tensor], x: Float32[Tensor, "R *X"]) -> Tensor:
    """Return ``f(x)`` of an elementwise function of torch's, each run's bits whatever its pack.

    Torch computes sigmoid, ELU, softplus, SiLU and powers in whole vector registers, and what is
    left at the end of a tensor in another way, with other last bits. Here each run's numbers are
    padded to whole registers.
    """
    rows = x.reshape(len(x), -1)
    width = rows.shape[1]
    padded = functional.pad(rows, (0, -width % ALIGNED)).contiguous()
    return f(padded)[:, :width].reshape(x.shape)


def greedy(values: Float32[Tensor, "*X A"], avail: Bool[Tensor, "*X A"]) -> Int64[Tensor, "*X"]:
    """Return the available action of the largest value; an available one if they are no numbers."""
    lowest = torch.finfo(values.dtype).min  # still more than what is not available has
    return values.clamp(min=lowest).masked_fill(~avail, -torch.inf).argmax(-1)


class LogSoftmax(torch.autograd.Function):
    """The logarithm of the softmax of rows, for torch's gradients (CPU)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Float32[Tensor, "M A"]:
        """Return the logarithm of the softmax of each row."""
        out = torch.empty(x.shape)
        log_softmax_rows(x.detach().numpy(), out.numpy())
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Float32[Tensor, "M A"]:
        """Return the gradients of what `forward` was given."""
        (out,) = ctx.saved_tensors
        dx = torch.empty_like(out)
        log_softmax_gradients(out.numpy(), grad_outputs[0].contiguous().numpy(), dx.numpy())
        return dx


def log_softmax(x: Float32[Tensor, "*X A"]) -> Float32[Tensor, "*X A"]:
    """Return the logarithm of the softmax over actions.

    On the CPU torch's own, its twin, takes several times as long over so few of them.
    """
    if x.device.type != "cpu" or not x.numel():
        return x.log_softmax(-1)
    if x.dtype != torch.float32:
        raise ValueError(f"log_softmax takes float32, not {x.dtype}")
    return LogSoftmax.apply(x.reshape(-1, x.shape[-1])).view(x.shape)  # type: ignore[attr-defined]
