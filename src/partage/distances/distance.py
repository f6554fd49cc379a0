"""Multi-agent policy distance: how far apart agents' policies are, by what their actions mean
(MPD §1).

A conditional code ``p_i(z | o) = f(z | pi_i(. | o), o)`` is learned from what agents did; the
distance of two agents is that of their codes on the same observations, averaged over all valid ones
(eq. 1). Every agent's policy is queried on every agent's observations, so all need one observation
size and one action size.

**Reference code.** Sizes, Adam, batch and epochs are MADPS's; a new code is drawn and learned at
every measurement. **Departures.** Bhattacharyya and Hellinger distances are those of the whole
code, averaged over observations (the code averages the first over dimensions and derives the second
from that average). Act probabilities are those of the policies that are measured, on what agents
met in the last `data` updates (the code keeps those of the time). Where observations are invalid,
the data are gone through in a new order until there were as many batches as without: runs of a pack
keep step.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor

from partage.distances import codes
from partage.distances.codes import Code
from partage.errors import UserError, one_of

HIDDEN, KL = 32, 0.01  # MADPS; MPD §3.2
CHUNK = 500  # observations whose codes and pairs are in memory at once

Matrix = Float32[Tensor, "*X N N"]


class Experience(NamedTuple):
    """What agents met and did, of all agents pooled: S observations of each run."""

    obs: Float32[Tensor, "R S O"]
    probs: Float32[
        Tensor, "R S A"
    ]  # act probabilities of the agent that met it, availability left aside
    target: Float32[
        Tensor, "R S C"
    ]  # what the code must tell: those among the available actions, or a feature c
    valid: Bool[Tensor, "R S"]  # False: padding, or a dead agent's   (MPD §1.1)


def pool(
    obs: Sequence[Tensor],
    probs: Sequence[Tensor],
    target: Sequence[Tensor],
    valid: Sequence[Tensor],
) -> Experience:
    """One `Experience` of what each agent met by itself, ``[R, S_n, ...]``: for policies from
    elsewhere.

    Raises `UserError` where agents differ in their sizes.
    """
    for what, parts in (("observation", obs), ("action", probs)):
        if len(sizes := {part.shape[-1] for part in parts}) > 1:
            raise UserError(
                f"The policy distance asks every agent about every other's observations, so all need one {what} size, "
                f"but these have {sorted(sizes)}: pad them to one size, or measure the groups apart."
            )
    return Experience(*(torch.cat(list(parts), 1) for parts in (obs, probs, target, valid)))


def told(
    what: str,
    probs: Float32[Tensor, "*X N A"],
    avail: Bool[Tensor, "*X N A"],
    feature: Float32[Tensor, "*X N F"],
) -> Float32[Tensor, "*X N C"]:
    """What a code must tell: the "actions" among the available ones, or the "task"'s own feature
    (MPD §1.2).
    """
    if what == "task":
        return feature
    among = probs * avail
    return among / among.sum(-1, keepdim=True).clamp(min=1e-12)


def check(experience: Experience) -> None:
    """A `UserError` where nothing can be measured: too few observations, or policies that are not
    numbers.
    """
    codes.enough(int(experience.valid.sum(1).min()), "The policy distance")
    for what in ("obs", "probs", "target"):
        broken = ~getattr(experience, what).isfinite().all(-1) & experience.valid
        if broken.any():
            run = int(broken.any(1).nonzero()[0])
            raise UserError(
                f"The policy distance needs numbers, but in run {run} of the pack {int(broken[run].sum())} of the "
                f"{what} are NaN or infinite: the training has diverged; look at its gradient_norm, and lower the "
                "learning rate."
            )


def learn(experience: Experience, generators: Sequence[Generator]) -> Code:
    """A new code of the policies of each run: of (act probabilities, observation), decoded beside
    the observation.
    """
    check(experience)
    given = torch.cat((experience.probs, experience.obs), -1)
    return codes.fit(
        given, experience.obs, experience.target, experience.valid, generators, HIDDEN, KL
    )


def wasserstein(mean: Float32[Tensor, "*X N Z"], std: Float32[Tensor, "*X N Z"]) -> Matrix:
    """2-Wasserstein distance of diagonal Gaussians, of every pair: a Euclidean one, so one matrix
    product.
    """
    points = torch.cat((mean, std), -1)
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def bhattacharyya(mean: Float32[Tensor, "*X N Z"], std: Float32[Tensor, "*X N Z"]) -> Matrix:
    """Bhattacharyya distance of diagonal Gaussians, of every pair (no metric: the triangle
    inequality fails).
    """
    variance = std.square()
    both = variance.unsqueeze(-2) + variance.unsqueeze(-3)
    apart = ((mean.unsqueeze(-2) - mean.unsqueeze(-3)).square() / both).sum(-1) / 4
    log_std = std.log().sum(-1)
    return (
        apart + 0.5 * ((both / 2).log().sum(-1) - log_std.unsqueeze(-1) - log_std.unsqueeze(-2))
    ).clamp(min=0)


def hellinger(mean: Float32[Tensor, "*X N Z"], std: Float32[Tensor, "*X N Z"]) -> Matrix:
    """Hellinger distance of diagonal Gaussians, of every pair."""
    return (-torch.expm1(-bhattacharyya(mean, std))).clamp(min=0).sqrt()


def vanilla_bhattacharyya(probs: Float32[Tensor, "*X N A"]) -> Matrix:
    """Bhattacharyya distance of act probabilities themselves: infinite where two policies never do
    the same.
    """
    overlap = probs.sqrt() @ probs.sqrt().transpose(-1, -2)
    return -overlap.clamp(max=1.0).log()


def vanilla_hellinger(probs: Float32[Tensor, "*X N A"]) -> Matrix:
    """Hellinger distance of act probabilities themselves, of every pair."""
    root = probs.sqrt()
    return torch.cdist(root, root, compute_mode="donot_use_mm_for_euclid_dist") / 2**0.5


CODED = {"wasserstein": wasserstein, "bhattacharyya": bhattacharyya, "hellinger": hellinger}
VANILLA = {"vanilla_bhattacharyya": vanilla_bhattacharyya, "vanilla_hellinger": vanilla_hellinger}


def known(kind: str) -> str:
    """The name of a distance, or a `UserError`."""
    if kind == "vanilla_wasserstein":
        raise UserError(
            "There is no vanilla Wasserstein distance: it needs a cost of taking one action for another, and the "
            f"numbers of actions mean nothing (MPD §3.1). Use one of {', '.join((*CODED, *VANILLA))}."
        )
    one_of("distance", kind, (*CODED, *VANILLA))
    return kind


@torch.no_grad()
def measure(
    kinds: Sequence[str],
    code: Code | None,
    obs: Float32[Tensor, "R S O"],
    valid: Bool[Tensor, "R S"],
    query: Callable[[slice], Float32[Tensor, "R C N A"]],
) -> dict[str, Float32[Tensor, "R N N"]]:
    """Mean distance of every pair of agents over the valid observations   (MPD eq. 1).

    `query` gives every agent's act probabilities on the same slice of observations; each agent's
    are encoded once.
    """
    totals: dict[str, Tensor] = {}
    for start in range(0, obs.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        probs, keep = query(part), valid[:, part, None, None]
        mean = std = probs
        if code and any(kind in CODED for kind in kinds):
            seen = obs[:, part, None].expand(*probs.shape[:3], -1)
            mean, log_var = (
                x.unflatten(1, probs.shape[1:3])
                for x in code.encode(probs.flatten(1, 2), seen.flatten(1, 2))
            )
            std = (0.5 * log_var).exp()
        for kind in kinds:
            pairs = CODED[kind](mean, std) if kind in CODED else VANILLA[known(kind)](probs)
            one = pairs.masked_fill(~keep, 0.0).double().sum(1)
            totals[kind] = totals[kind] + one if kind in totals else one
    count = valid.sum(1)[:, None, None]
    return {kind: _symmetric((total / count).float()) for kind, total in totals.items()}


def _symmetric(x: Float32[Tensor, "R N N"]) -> Float32[Tensor, "R N N"]:
    """Both triangles from the upper one, nothing on the diagonal: rounding is not a distance."""
    upper = x.triu(1)
    return upper + upper.transpose(1, 2)
