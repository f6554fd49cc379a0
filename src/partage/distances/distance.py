"""Multi-agent policy distance: how far apart policies are, by what their actions mean (MPD §1).

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

HIDDEN = 32  # units of a code's layers   (MADPS)
KL = 0.01  # weight of a code's divergence   (MPD §3.2)
CHUNK = 500  # observations whose codes and pairs are in memory at once

PairwiseDistances = Float32[Tensor, "*X N N"]


class Experience(NamedTuple):
    """What agents met and did, of all agents pooled: S observations of each run."""

    obs: Float32[Tensor, "R S O"]
    # act probabilities of the agent that met the observation, availability left aside
    probs: Float32[Tensor, "R S A"]
    # what the code must reconstruct: probabilities among the available actions, or a feature c
    target: Float32[Tensor, "R S C"]
    valid: Bool[Tensor, "R S"]  # False: padding, or a dead agent's   (MPD §1.1)


def pool(
    obs: Sequence[Tensor],
    probs: Sequence[Tensor],
    target: Sequence[Tensor],
    valid: Sequence[Tensor],
) -> Experience:
    """Return one `Experience` of what each agent met by itself, ``[R, S_n, ...]`` each.

    It is for policies from elsewhere. Raises `UserError` where agents differ in their sizes.
    """
    _check_one_size("observation", obs)
    _check_one_size("action", probs)
    return Experience(*(torch.cat(list(parts), 1) for parts in (obs, probs, target, valid)))


def _check_one_size(what: str, parts: Sequence[Tensor]) -> None:
    """Raise `UserError` where the agents' observations or actions differ in size."""
    sizes = sorted({part.shape[-1] for part in parts})
    if len(sizes) > 1:
        raise UserError(
            "The policy distance asks every agent about every other's observations, so all need "
            f"one {what} size, but these have {sizes}: pad them to one size, or measure the groups "
            "apart."
        )


def code_target(
    feature_kind: str,
    probs: Float32[Tensor, "*X N A"],
    avail: Bool[Tensor, "*X N A"],
    feature: Float32[Tensor, "*X N F"],
) -> Float32[Tensor, "*X N C"]:
    """Return what a code must reconstruct from an agent's action   (MPD §1.2).

    "actions" is the act probabilities among the available actions, "task" the task's own `feature`.
    """
    if feature_kind == "task":
        return feature
    among_available = probs * avail
    return among_available / among_available.sum(-1, keepdim=True).clamp(min=1e-12)


def only(experience: Experience, runs: Bool[Tensor, "R"]) -> Experience:
    """Return an experience in which all is zero, and valid, but what these runs met."""
    if runs.all():
        return experience
    counts = runs[:, None, None]
    return Experience(
        obs=torch.where(counts, experience.obs, 0.0),
        probs=torch.where(counts, experience.probs, 0.0),
        target=torch.where(counts, experience.target, 0.0),
        valid=experience.valid | ~runs[:, None],
    )


def check_experience(experience: Experience) -> None:
    """Raise `UserError` for too few observations, or numbers that are NaN or infinite."""
    codes.enough(int(experience.valid.sum(1).min()), "The policy distance")
    for what in ("obs", "probs", "target"):
        broken = ~getattr(experience, what).isfinite().all(-1) & experience.valid
        if broken.any():
            run = int(broken.any(1).nonzero()[0])
            raise UserError(
                f"The policy distance needs numbers, but in run {run} of the pack "
                f"{int(broken[run].sum())} of the {what} are NaN or infinite: the training has "
                "diverged; look at its gradient_norm, and lower the learning rate."
            )


def learn(experience: Experience, generators: Sequence[Generator]) -> Code:
    """Return a new code of each run's policies, drawn and trained with its own generator.

    It codes (act probabilities, observation), and is decoded beside the observation. Raises
    `UserError` where nothing can be learned (see `check_experience`).
    """
    check_experience(experience)
    given = torch.cat((experience.probs, experience.obs), -1)
    return codes.fit(
        given, experience.obs, experience.target, experience.valid, generators, HIDDEN, KL
    )


def wasserstein(
    mean: Float32[Tensor, "*X N Z"], std: Float32[Tensor, "*X N Z"]
) -> PairwiseDistances:
    """Return the 2-Wasserstein distance of every pair of diagonal Gaussians.

    It is Euclidean in (mean, standard deviation).
    """
    points = torch.cat((mean, std), -1)
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def bhattacharyya(
    mean: Float32[Tensor, "*X N Z"], std: Float32[Tensor, "*X N Z"]
) -> PairwiseDistances:
    """Return the Bhattacharyya distance of every pair of diagonal Gaussians.

    It is no metric: the triangle inequality fails.
    """
    # of the whole code, where MADPS has the mean over its dimensions [M13]
    variance = std.square()
    sums = variance.unsqueeze(-2) + variance.unsqueeze(-3)
    by_means = ((mean.unsqueeze(-2) - mean.unsqueeze(-3)).square() / sums).sum(-1) / 4
    log_std = std.log().sum(-1)
    log_ratio = (sums / 2).log().sum(-1) - log_std.unsqueeze(-1) - log_std.unsqueeze(-2)
    return (by_means + 0.5 * log_ratio).clamp(min=0)


def hellinger(mean: Float32[Tensor, "*X N Z"], std: Float32[Tensor, "*X N Z"]) -> PairwiseDistances:
    """Return the Hellinger distance of every pair of diagonal Gaussians."""
    return (-torch.expm1(-bhattacharyya(mean, std))).clamp(min=0).sqrt()


def vanilla_bhattacharyya(probs: Float32[Tensor, "*X N A"]) -> PairwiseDistances:
    """Return the Bhattacharyya distance of every pair of act probabilities themselves.

    It is infinite where two policies never do the same.
    """
    overlap = probs.sqrt() @ probs.sqrt().transpose(-1, -2)
    return -overlap.clamp(max=1.0).log()


def vanilla_hellinger(probs: Float32[Tensor, "*X N A"]) -> PairwiseDistances:
    """Return the Hellinger distance of every pair of act probabilities themselves."""
    root = probs.sqrt()
    return torch.cdist(root, root, compute_mode="donot_use_mm_for_euclid_dist") / 2**0.5


# by the name of the kind: distances of codes, and of act probabilities themselves
CODED = {"wasserstein": wasserstein, "bhattacharyya": bhattacharyya, "hellinger": hellinger}
VANILLA = {"vanilla_bhattacharyya": vanilla_bhattacharyya, "vanilla_hellinger": vanilla_hellinger}


def known(kind: str) -> str:
    """Return the name of a kind of distance; raise `UserError` if there is none of that name."""
    if kind == "vanilla_wasserstein":
        raise UserError(
            "There is no vanilla Wasserstein distance: it needs a cost of taking one action for "
            "another, and the numbers of actions mean nothing (MPD §3.1). "
            f"Use one of {', '.join((*CODED, *VANILLA))}."
        )
    one_of("distance", kind, (*CODED, *VANILLA))
    return kind


@torch.no_grad()
def measure(
    kinds: Sequence[str],
    code: Code | None,
    obs: Float32[Tensor, "R S O"],
    valid: Bool[Tensor, "R S"],
    probabilities_on: Callable[[slice], Float32[Tensor, "R C N A"]],
) -> dict[str, Float32[Tensor, "R N N"]]:
    """Return the distance of every pair of agents by each kind   (MPD eq. 1).

    It is the mean over the valid observations. `probabilities_on` gives every agent's act
    probabilities on the same slice of observations; each agent's are encoded once. `code` may be
    None where no kind needs it. Raises `UserError` for an unknown kind.
    """
    coded = any(kind in CODED for kind in kinds)
    totals: dict[str, Tensor] = {}
    for start in range(0, obs.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        probs, counts = probabilities_on(part), valid[:, part, None, None]
        mean = std = probs
        if code and coded:
            mean, std = _encode_everyone(code, probs, obs[:, part])
        for kind in kinds:
            pairs = CODED[kind](mean, std) if kind in CODED else VANILLA[known(kind)](probs)
            total = pairs.masked_fill(~counts, 0.0).double().sum(1)
            totals[kind] = totals[kind] + total if kind in totals else total
    count = valid.sum(1)[:, None, None]
    return {kind: _symmetric((total / count).float()) for kind, total in totals.items()}


def _encode_everyone(
    code: Code, probs: Float32[Tensor, "R C N A"], obs: Float32[Tensor, "R C O"]
) -> tuple[Float32[Tensor, "R C N Z"], Float32[Tensor, "R C N Z"]]:
    """Return mean and standard deviation of every agent's code on the same observations."""
    observations_and_agents = probs.shape[1:3]
    obs_of_everyone = obs[:, :, None].expand(*probs.shape[:3], -1)
    mean, log_var = code.encode(probs.flatten(1, 2), obs_of_everyone.flatten(1, 2))
    mean = mean.unflatten(1, observations_and_agents)
    log_var = log_var.unflatten(1, observations_and_agents)
    return mean, (0.5 * log_var).exp()


def _symmetric(x: Float32[Tensor, "R N N"]) -> Float32[Tensor, "R N N"]:
    """Return both triangles from the upper one, nothing on the diagonal.

    What rounding leaves there is not a distance.
    """
    upper = x.triu(1)
    return upper + upper.transpose(1, 2)
