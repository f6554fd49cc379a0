"""Choices that hold for a period of several steps: RODE's roles, BDPS's roles and groups."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor
from torch.nn import functional

from partage.learners._off_policy import Settings
from partage.nn.mixer import Mixer
from partage.rl.losses import masked_mse, td_target


class PeriodValues(NamedTuple):
    """The values of a choice that holds for a period, by the networks or the target networks."""

    at: Callable[[Tensor], Tensor]  # instants [R, B, P] -> value of each option [R, B, P, N, G]
    mixer: Mixer


def gather_time(
    x: Shaped[Tensor, "R B T *X"], times: Int64[Tensor, "R B P"]
) -> Shaped[Tensor, "R B P *X"]:
    """Return `x` at instants that each copy has of its own."""
    index = times.reshape(*times.shape, *[1] * (x.dim() - 3)).expand(*times.shape, *x.shape[3:])
    return x.gather(2, index)


def choices_in_force(
    choices: Int64[Tensor, "R B T N"], length: Int64[Tensor, "R B"], period: int
) -> Int64[Tensor, "R B T1 N"]:
    """Return the choice that holds at every instant, where one is made every `period` steps.

    After an episode's last choice that one stays; `length` is the episode's, in steps.
    """
    last_period = (length - 1).clamp(min=0) // period
    period_of = torch.arange(choices.shape[2] + 1, device=choices.device) // period
    return gather_time(choices, period_of.minimum(last_period[..., None]) * period)


def period_loss(
    online: PeriodValues,
    target: PeriodValues,
    choices: Int64[Tensor, "R B T N"],
    period: int,
    batch: dict[str, Tensor],
    settings: Settings,
) -> Float32[Tensor, "R"]:
    """Return the loss of a choice that holds for `period` steps   (RODE; BDPS eq. 8).

    It is a QMIX task of its own. A period's rewards are added up, and what follows it is discounted
    once. The last period may be shorter.
    """
    state, length = batch["state"], batch["filled"].sum(2, keepdim=True)
    every_start = torch.arange(0, batch["filled"].shape[2], period, device=length.device)
    start = every_start.expand(*length.shape[:2], -1)  # [R, B, P]
    end = (start + period).minimum(length)
    reward, terminations = _sum_by_period(batch, period)
    with torch.no_grad():
        next_values = target.at(end)
        choosing = next_values
        if settings.double_q:
            choosing = online.at(end)
        best = choosing.argmax(-1, keepdim=True)
        next_chosen = next_values.gather(-1, best).squeeze(-1)
        next_total = target.mixer(next_chosen, gather_time(state, end))
        y = td_target(reward, next_total, terminations > 0, settings.gamma)
    values = online.at(start)
    chosen = values.gather(-1, gather_time(choices, start)[..., None]).squeeze(-1)
    return masked_mse(online.mixer(chosen, gather_time(state, start)), y, start < length)


def _sum_by_period(
    batch: dict[str, Tensor], period: int
) -> tuple[Float32[Tensor, "R B P"], Float32[Tensor, "R B P"]]:
    """Return each period's team reward, and how many of its real transitions are terminal."""
    # stacked: one memory layout, and so one order of summation, whatever the batch's
    both = torch.stack((batch["team_reward"], batch["terminated"].float()))
    missing = -both.shape[-1] % period  # steps, to a whole number of periods
    both = functional.pad(both * batch["filled"], (0, missing))
    reward, terminations = both.unflatten(-1, (-1, period)).sum(-1)
    return reward, terminations
