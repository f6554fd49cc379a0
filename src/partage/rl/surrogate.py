"""PPO's losses of each act, before their mean: pure functions, each with its hand-computed test."""

from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

from partage.nn.per_run import Each, along, each

HUBER = 10.0  # the error from which on the loss grows in a straight line   (on-policy)


def policy_terms(
    ratio: Float32[Tensor, "*X"], advantage: Float32[Tensor, "*X"], clip: Each[float]
) -> Float32[Tensor, "*X"]:
    """Return ``-min(ratio A, clipped ratio A)``   (Schulman et al. 2017, eq. 7)."""
    bounds = each(lambda x: 1 - x, clip), each(lambda x: 1 + x, clip)
    least: Any = along(bounds[0], ratio)
    most: Any = along(bounds[1], ratio)
    clipped = ratio.clamp(least, most)
    return -torch.minimum(ratio * advantage, clipped * advantage)


def value_terms(
    value: Float32[Tensor, "*X"],
    old: Float32[Tensor, "*X"],
    target: Float32[Tensor, "*X"],
    clip: float,
    huber: bool = False,
) -> Float32[Tensor, "*X"]:
    """Return half the squared error, or the greater one of a value kept within `clip` of the old.

    0 keeps it nowhere. With `huber` the loss is Huber's.
    """
    loss = _huber(value - target) if huber else (value - target).square() / 2
    if clip == 0:
        return loss
    near = old + (value - old).clamp(-clip, clip)
    return torch.maximum(loss, value_terms(near, old, target, 0, huber))


def _huber(error: Float32[Tensor, "*X"]) -> Float32[Tensor, "*X"]:
    return functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=HUBER)


def entropy_of(log_probability: Float32[Tensor, "*X A"]) -> Float32[Tensor, "*X"]:
    """Return the entropy of distributions given by the logarithms of their probabilities."""
    return -(log_probability.exp() * log_probability).sum(-1)


def annealed(rate: float, update: int, updates: int) -> float:
    """Return the learning rate of the update of this number, from 0 on   (JaxMARL).

    It falls by equal steps, and stays at the last of them, ``rate / updates``; 0 updates: it is
    constant.
    """
    if not updates:
        return rate
    return rate * (1 - min(update, updates - 1) / updates)
