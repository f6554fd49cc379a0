"""How much better than expected each act was: pure functions, each with its hand-computed test.

Time limits are `partage.rl.losses`'s: what is `terminated` has no future; what is `truncated` has
one, which ends the sum over later steps all the same.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.nn.per_run import Each, along, each
from partage.rl.losses import total

PerAgent = Float32[Tensor, "R B T N"]
Normalise = Literal["batch", "minibatch", "agent", "none"]
EPSILON = 1e-8  # added to a standard deviation   (JaxMARL)


def gae(
    reward: PerAgent,
    value: PerAgent,
    next_value: PerAgent,
    terminated: Bool[Tensor, "R B T"],
    truncated: Bool[Tensor, "R B T"],
    gamma: Each[float],
    lam: Each[float],
) -> PerAgent:
    """Return the generalised advantages   (Schulman et al. 2016).

    A_t = delta_t + gamma * lam * A_{t+1}, delta_t = r_t + gamma * V(next) - V_t; `next_value` is
    of what followed each transition within its episode.
    """
    future = along(gamma, next_value) * next_value.masked_fill(terminated[..., None], 0.0)
    delta = reward + future - value
    ended = (terminated | truncated)[..., None]
    advantage, following = torch.empty_like(delta), torch.zeros_like(delta[:, :, -1])
    decay = along(each(lambda one, other: one * other, gamma, lam), following)
    for t in reversed(range(delta.shape[2])):
        following = delta[:, :, t] + decay * following.masked_fill(ended[:, :, t], 0.0)
        advantage[:, :, t] = following
    return advantage


def n_step_targets(
    reward: PerAgent,
    next_value: PerAgent,
    terminated: Bool[Tensor, "R B T"],
    truncated: Bool[Tensor, "R B T"],
    gamma: Each[float],
    steps: int,
) -> PerAgent:
    """Return each agent's next `steps` rewards and the value behind them   (EPyMARL).

    There are fewer of them where the episode ends, or what was collected does.
    """
    bootstrap = next_value.masked_fill(terminated[..., None], 0.0)
    ends = (terminated | truncated)[..., None].clone()
    ends[:, :, -1] = True
    discount = along(gamma, bootstrap)
    target = reward + discount * bootstrap
    for _ in range(steps - 1):
        one_later = target.roll(-1, 2)  # what comes round to the last instant is not used
        target = reward + discount * torch.where(ends, bootstrap, one_later)
    return target


def normalised(
    advantage: PerAgent, counts: Bool[Tensor, "R B T N"], per_agent: bool = False
) -> PerAgent:
    """Return advantages of mean 0 and standard deviation 1 (biased) over what counts, run by run.

    One mean and deviation for all agents together, or with `per_agent` for each by itself.
    """
    if per_agent:
        each = zip(advantage.split(1, 3), counts.split(1, 3), strict=True)
        return torch.cat([normalised(x, own_counts) for x, own_counts in each], 3)
    mean = mean_of(advantage, counts)[:, None, None, None]
    variance = mean_of((advantage - mean).square(), counts)[:, None, None, None]
    return (advantage - mean) / (variance.sqrt() + EPSILON)


def mean_of(x: PerAgent, counts: Bool[Tensor, "R B T _"]) -> Float32[Tensor, "R"]:
    """Return each run's mean over what counts, 0 where nothing does; padding cannot change it."""
    counts = counts.expand_as(x)
    return total((x * counts).sum(3)) / counts.sum((1, 2, 3)).clamp(min=1)
