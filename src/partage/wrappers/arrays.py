"""The suite's two ideas on anybody's arrays: how far apart policies are, and who shares next.

Arrays may be NumPy's or torch's; results are of the same kind. Nothing of an environment, a learner
or a run is needed.
"""

from numbers import Real
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor

from partage.distances import distance
from partage.distances.distance import Experience
from partage.errors import UserError, at_least
from partage.rl.noise import generators
from partage.sharing import fuse_divide as rules
from partage.sharing.fuse_divide import Move
from partage.sims.contract import stream
from partage.wrappers.numbers import whole_number
from partage.wrappers.samples import (
    Array,
    Samples,
    like,
    owners_part,
    read_samples,
    to_float,
    to_int,
)


def policy_distance(
    probs: Array,
    obs: Array,
    *,
    valid: Array | None = None,
    target: Array | None = None,
    kind: str = "wasserstein",
    seed: int = 0,
) -> Any:
    """Return how far apart every two of N agents' policies are, ``[N, N]`` (MPD eq. 1).

    ``probs [N, S, A]`` are the act probabilities of every agent on the same S observations ``obs
    [S, O]``. A code of the policies is learned first, observation s by what agent s mod N would do
    (who met it, where ``[.., N, O]`` was laid side by side); then all agents' codes are compared on
    all observations.

    ``valid [S]``: False leaves an observation out (padding, a dead agent's). ``target [S, C]``:
    what the code must tell; the owner's act probabilities by default. `kind`: wasserstein,
    bhattacharyya or hellinger, of codes; vanilla_bhattacharyya or vanilla_hellinger, of act
    probabilities themselves. `seed` draws the code. Raises `UserError` for arrays that these
    are not.
    """
    samples = read_samples(probs, obs, valid, target, kind)
    (generator,) = generators([stream(whole_number("seed", seed), "distance codes")])
    return like(measure_samples(samples, kind, generator), probs)


def measure_samples(samples: Samples, kind: str, generator: Generator) -> Float32[Tensor, "N N"]:
    """Return the distances of checked samples; the code is drawn and learned with `generator`."""
    own = owners_part(samples.probs)
    parts = (samples.obs, own, samples.target, samples.valid)
    experience = Experience(*(part[None] for part in parts))  # of one run
    code = distance.learn(experience, [generator]) if kind in distance.CODED else None
    everyone = samples.probs.transpose(0, 1)[None]  # [1, S, N, A]
    found = distance.measure(
        [kind], code, experience.obs, experience.valid, lambda part: everyone[:, part]
    )
    if kind in distance.CODED and not found[kind].isfinite().all():
        largest = max(float(x[samples.valid].abs().max()) for x in (samples.obs, samples.target))
        raise UserError(
            f"The code that the {kind} distance learns went astray, its distances are NaN or "
            f"infinite: observations and targets are best of size 1, but are up to {largest:.3g}, "
            f"so scale them."
        )
    return found[kind][0]


def fuse_divide(
    distances: Array,
    front: Array,
    back: Array,
    *,
    fuse: float = 1.0,
    fuse_back: float = 0.5,
    divide: float = 2.0,
) -> tuple[Any, Any, list[Move]]:
    """Return who shares fronts and backs from here on, and the moves that lead there (MPD Alg. 1).

    ``distances [N, N]`` are those of the policies, ``front [N]`` and ``back [N]`` the number of the
    set, from 0 to N - 1, that each agent uses; or all three have a first axis of R runs. Agents
    nearer than `fuse` take one front, nearer than `fuse_back` times that one back as well, and
    those farther apart than `divide` times that part again. A move whose source is not its target
    divides: the set `target` becomes a copy of `source`. Raises `UserError` for arrays that these
    are not.
    """
    check_thresholds(fuse, fuse_back, divide)
    d = to_float(distances, "distances")
    fronts, backs = to_int(front, "front"), to_int(back, "back")
    _check_distances(d)
    _check_assignment(fronts, d, "front")
    _check_assignment(backs, d, "back")
    if d.dim() == 3:
        new_front, new_back, moves = _move(d, fronts, backs, fuse, fuse_back, divide)
    else:
        parts = _move(d[None], fronts[None], backs[None], fuse, fuse_back, divide)
        new_front, new_back, moves = parts[0][0], parts[1][0], parts[2]
    return like(new_front, front), like(new_back, back), moves


def check_thresholds(fuse: float, fuse_back: float, divide: float) -> None:
    """Raise `UserError` unless these are numbers, and agents fuse before they divide."""
    for name, value in (("fuse", fuse), ("fuse_back", fuse_back), ("divide", divide)):
        if not isinstance(value, Real):
            raise UserError(f"{name} is a number, but {value!r} came.")
    if not (fuse > 0 and fuse_back > 0):  # NaN neither
        raise UserError(
            f"Agents fuse below a distance fuse > 0, and backs below fuse_back > 0 times that, "
            f"but they are {fuse} and {fuse_back}."
        )
    at_least("divide, a multiple of fuse,", divide, max(1.0, fuse_back))


def _move(
    d: Float32[Tensor, "R N N"],
    front: Int64[Tensor, "R N"],
    back: Int64[Tensor, "R N"],
    fuse: float,
    fuse_back: float,
    divide: float,
) -> tuple[Tensor, Tensor, list[Move]]:
    """Return what Algorithm 1 makes of R runs; thresholds of backs and divisions are multiples."""
    return rules.fuse_divide(d, front, back, fuse, fuse * fuse_back, fuse * divide)


def _check_distances(d: Tensor) -> None:
    """Raise `UserError` unless these are distances of every pair of agents."""
    if d.dim() not in (2, 3) or d.shape[-1] != d.shape[-2]:
        raise UserError(
            f"distances is [N, N], or [R, N, N] of R runs, but its shape is {list(d.shape)}."
        )
    if d.shape[-1] < 2:
        raise UserError("Sharing takes two agents at least, but distances is of one.")
    if d.isnan().any() or (d < 0).any():
        raise UserError("distances are from 0 to infinity, but some are negative or NaN.")
    if torch.diagonal(d, dim1=-2, dim2=-1).any():
        raise UserError("An agent is 0 apart from itself, but the diagonal of distances is not 0.")
    if not torch.allclose(d, d.transpose(-1, -2), rtol=1e-4, atol=1e-6):
        raise UserError(
            "distances are the same both ways, but the matrix is not symmetric: give (d + d.T) / 2."
        )


def _check_assignment(sets: Tensor, d: Tensor, name: str) -> None:
    """Raise `UserError` unless each agent has the number of one of N sets."""
    if sets.shape != d.shape[:-1]:
        raise UserError(
            f"{name} has a set for each agent, so its shape is {list(d.shape[:-1])} beside "
            f"distances {list(d.shape)}, but is {list(sets.shape)}."
        )
    agents = d.shape[-1]
    if (sets < 0).any() or (sets >= agents).any():
        raise UserError(
            f"{name} holds numbers of sets from 0 to {agents - 1}, as many as agents, but has "
            f"{int(sets.min())} to {int(sets.max())}."
        )
