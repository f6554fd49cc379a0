"""Targets and losses: pure functions of tensors, each with its hand-computed test.

Time limits: a transition that is `terminated` has no future; one that is `truncated` has one, and
bootstraps.
"""

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from partage.nn.per_run import Each, along, each


def n_step_returns(
    reward: Float32[Tensor, "R B T N"],
    next_value: Float32[Tensor, "R B T N"],
    terminated: Bool[Tensor, "R B T"],
    truncated: Bool[Tensor, "R B T"],
    gamma: Each[float],
) -> Float32[Tensor, "R B T N"]:
    """Return what each agent gets from each step on   (A2C; MPD §3.2).

    G_t = r_t + gamma * (0 if terminated, V(next) if truncated or last, else G_{t+1}).
    """
    returns = torch.empty_like(reward)
    future = next_value[:, :, -1]
    for t in reversed(range(reward.shape[2])):
        future = torch.where(truncated[:, :, t, None], next_value[:, :, t], future)
        future = future.masked_fill(terminated[:, :, t, None], 0.0)
        future = reward[:, :, t] + along(gamma, future) * future
        returns[:, :, t] = future
    return returns


def td_target(
    reward: Float32[Tensor, "R B T"],
    next_value: Float32[Tensor, "R B T"],
    terminated: Bool[Tensor, "R B T"],
    gamma: Each[float],
) -> Float32[Tensor, "R B T"]:
    """Return y = r + gamma * V(next)   (QMIX; BDPS eq. 9).

    There is no future where the task terminated.
    """
    return reward + along(gamma, next_value) * next_value.masked_fill(terminated, 0.0)


def masked_mse(
    prediction: Float32[Tensor, "R B T"],
    target: Float32[Tensor, "R B T"],
    mask: Bool[Tensor, "R B T"],
) -> Float32[Tensor, "R"]:
    """Return the mean squared error of each run over its real transitions, those of the mask."""
    error = (prediction - target).masked_fill(~mask, 0.0)
    return total(error.square()) / mask.sum((1, 2)).clamp(min=1)


def total(x: Float[Tensor, "R B T"]) -> Float[Tensor, "R"]:
    """Return each run's sum over copies and time, one instant after the other.

    In this order zeros behind the episodes' ends cannot change it.
    """
    return x.transpose(1, 2).flatten(1).cumsum(1)[:, -1]


def are_numbers(x: Float[Tensor, "R *X"]) -> Bool[Tensor, "R"]:
    """Return the runs in which nothing is NaN or infinite."""
    return x.isfinite().flatten(1).all(1)


def linear_schedule(
    start: Each[float], end: Each[float], steps: Each[float], now: Tensor
) -> Tensor:
    """Return `start` at 0, `end` from `steps` on, and a straight line between."""
    span = each(lambda before, after: after - before, start, end)
    gone = (now / along(steps, now)).clamp(max=1.0)
    return along(start, now) + along(span, now) * gone
