"""What agents met, transition by transition: SePS and HetDPS learn their codes from it."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

from partage.rl.losses import are_numbers
from partage.rl.rollout import Rollout

# what is known (o, a), what is predicted (o', r), and whether it counts: [R, N, B * T, ..] each
Transitions = tuple[Tensor, Tensor, Tensor]


def of(rollout: Rollout, n_actions: int) -> Transitions:
    """Return what is known, what is predicted, and whether it counts, agent by agent.

    The dead's do not count, nor does what led to a terminal end: what came next was another's
    beginning. At a time limit the episode's own last observation is what came next.
    """
    actions = functional.one_hot(rollout.actions, n_actions)
    next_obs = rollout.obs[:, :, 1:]
    if rollout.final_obs is not None:
        truncated = rollout.truncated[..., None, None]
        next_obs = torch.where(truncated, rollout.final_obs, next_obs)
    known = torch.cat((rollout.obs[:, :, :-1], actions.float()), -1)
    predicted = torch.cat((next_obs, rollout.reward[..., None]), -1)
    goes_on = (rollout.filled & ~rollout.terminated)[..., None]
    valid = (rollout.alive[:, :, :-1] & goes_on)[..., None]
    return _by_agent(known), _by_agent(predicted), _by_agent(valid)


def joined(
    collected: Sequence[Transitions], active: Bool[Tensor, "R"] | None = None
) -> tuple[Transitions, Bool[Tensor, "R"]]:
    """Return all that was collected as one, and the runs of which it can be looked at.

    They are those that are `active` (None: all are) and have numbers; of the others all is zero,
    and valid.
    """
    known, predicted, valid = (torch.cat(parts, 2) for parts in zip(*collected, strict=True))
    counts = are_numbers(known) & are_numbers(predicted)
    counts = counts if active is None else counts & active
    if not counts.all():  # the others are to be clustered all the same
        known, predicted, valid = only(counts, known, predicted, valid)
    return (known, predicted, valid), counts


def only(counts: Bool[Tensor, "R"], known: Tensor, predicted: Tensor, valid: Tensor) -> Transitions:
    """Return transitions that are zero, and count, in the runs that do not."""
    counts = counts[:, None, None, None]
    known, predicted = torch.where(counts, known, 0.0), torch.where(counts, predicted, 0.0)
    return known, predicted, valid | ~counts


def _by_agent(x: Float32[Tensor, "R B T N F"] | Bool[Tensor, "R B T N F"]) -> Tensor:
    """Return ``[R, N, B * T, F]``."""
    return x.permute(0, 3, 1, 2, 4).flatten(2, 3)
