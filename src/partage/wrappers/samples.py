"""Read anybody's arrays, NumPy's or torch's, and say in one sentence what is wrong with them.

Axes: N agents, S observations, O numbers of an observation, A actions.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.distances import distance
from partage.errors import UserError
from partage.kernels.auto_encoder import BATCH

Array = np.ndarray | Tensor | Sequence[Any]

SUM_TOLERANCE = 0.01  # how far act probabilities may be from 1 in all: half precision is near


class Samples(NamedTuple):
    """What every agent would do on the same S observations."""

    probs: Float32[Tensor, "N S A"]
    obs: Float32[Tensor, "S O"]
    target: Float32[Tensor, "S C"]  # what the code must tell
    valid: Bool[Tensor, "S"]


def read_samples(
    probs: Array,
    obs: Array,
    valid: Array | None = None,
    target: Array | None = None,
    kind: str = "wasserstein",
) -> Samples:
    """Return the arrays as tensors. Raises `UserError` for what no distance can be measured on."""
    distance.known(kind)
    asked, seen = to_float(probs, "probs"), to_float(obs, "obs")
    _check_axes(asked, seen, "permute" if isinstance(probs, Tensor) else "transpose")
    if len(asked) < 2:
        raise UserError("A policy distance is one of two agents at least, but probs has only one.")
    counts = _read_valid(valid, len(seen))
    _check_values(asked, seen, counts)
    _check_count(int(counts.sum()), kind)
    told = owners_part(asked) if target is None else _read_target(target, counts)
    return Samples(asked, seen, told, counts)


def owners_part(x: Float32[Tensor, "N S A"]) -> Float32[Tensor, "S A"]:
    """Return of each observation s the part of agent s mod N, who counts as having met it.

    It is so where what all agents met, ``[.., N, O]``, is laid side by side.
    """
    every = torch.arange(x.shape[1])
    return x[every % len(x), every]


def to_float(x: Array, name: str) -> Tensor:
    """Return the numbers as a tensor of 32 bits on the CPU. Raises `UserError` for what is none."""
    if isinstance(x, Tensor):
        numbers = x.detach().to_dense().cpu()
    else:
        numbers = _to_tensor(x, f"{name} is an array of numbers", words_too=True)
    if numbers.is_complex():
        raise UserError(f"{name} holds real numbers, but is {numbers.dtype}: give their real part.")
    return numbers.to(torch.float32)


def to_int(x: Array, name: str) -> Tensor:
    """Return whole numbers as a tensor on the CPU. Raises `UserError` for others."""
    if isinstance(x, Tensor):
        numbers = x.detach().to_dense().cpu()
    else:
        numbers = _to_tensor(x, f"{name} holds the numbers of sets")
    if numbers.dtype == torch.bool or numbers.is_floating_point() or numbers.is_complex():
        raise UserError(f"{name} holds the numbers of sets, whole ones, but is {numbers.dtype}.")
    return numbers.long()


def _to_tensor(x: Array, expected: str, words_too: bool = False) -> Tensor:
    """Return an array of its own. Raises `UserError` for ragged lists and the like.

    With `words_too`, what only looks like numbers (objects, words) is read as floats.
    """
    try:
        array = np.array(x)
        if words_too and array.dtype.kind in "OSU":
            array = array.astype(np.float32)
        return torch.from_numpy(array)
    except (TypeError, ValueError) as error:
        raise UserError(f"{expected}, but is none ({error}).") from error


def like(result: Tensor, given: Array) -> Any:
    """Return a tensor where a tensor was given, on its device; else a NumPy array."""
    return result.to(given.device) if isinstance(given, Tensor) else result.numpy()


def _check_axes(probs: Tensor, obs: Tensor, method: str) -> None:
    """Raise `UserError` unless probs is [N, S, A] and obs is [S, O], of the same S."""
    if obs.dim() == 3:
        raise UserError(
            f"obs is [S, O], the observations that all agents are asked about, but has the shape "
            f"{list(obs.shape)}: lay what each agent met side by side, [S * N, O], and ask every "
            f"agent about all of it."
        )
    if probs.dim() != 3 or obs.dim() != 2:
        raise UserError(
            f"probs is [N, S, A] and obs is [S, O] (agents, observations, actions), but their "
            f"shapes are {list(probs.shape)} and {list(obs.shape)}."
        )
    if 0 in (probs.shape[2], obs.shape[1]):
        raise UserError(
            f"There are actions and numbers of an observation to compare, but the shapes of probs "
            f"and obs are {list(probs.shape)} and {list(obs.shape)}."
        )
    if probs.shape[1] == len(obs) and _sum_to_one(probs):
        return
    for order in permutations(range(3)):
        turned = probs.permute(order)
        if order != (0, 1, 2) and turned.shape[1] == len(obs) and _sum_to_one(turned):
            raise UserError(
                f"probs has its axes in the order [{_axis_names(order)}], but [N, S, A] (agents, "
                f"observations, actions) is expected: give probs.{method}{order}."
            )
    if probs.shape[1] == obs.shape[1] != len(obs):
        raise UserError(
            "obs has its axes in the order [O, S], but [S, O] (observations, their numbers) is "
            "expected: give obs.T."
        )
    if probs.shape[1] != len(obs):
        raise UserError(
            f"probs [N, S, A] tells of {probs.shape[1]} observations, but obs [S, O] holds "
            f"{len(obs)}: their shapes are {list(probs.shape)} and {list(obs.shape)}."
        )


def _axis_names(order: Sequence[int]) -> str:
    """Return the names of the axes as they lie: those that `order` would bring to N, S, A."""
    names = {axis: name for axis, name in zip(order, "NSA", strict=True)}
    return ", ".join(names[axis] for axis in range(3))


def _sum_to_one(probs: Tensor) -> bool:
    """Return whether the last axis's sums are 1, most of them: some may be of invalid places."""
    near = (probs.sum(-1) - 1).abs() < SUM_TOLERANCE
    return bool(2 * near.sum() > near.numel()) and bool((probs[near] >= 0).all())


def _read_valid(valid: Array | None, count: int) -> Bool[Tensor, "S"]:
    """Return which observations count: all of them where nothing is said."""
    if valid is None:
        return torch.ones(count, dtype=torch.bool)
    marks = to_float(valid, "valid")
    if tuple(marks.shape) != (count,):
        raise UserError(
            f"valid is [S], a True or False for each of the {count} observations, but its shape "
            f"is {list(marks.shape)}."
        )
    if not ((marks == 0) | (marks == 1)).all():
        raise UserError("valid holds True and False, but has other numbers as well.")
    return marks.bool()


def _read_target(target: Array, valid: Bool[Tensor, "S"]) -> Float32[Tensor, "S C"]:
    """Return what the code must tell of each observation."""
    told = to_float(target, "target")
    if told.dim() != 2 or len(told) != len(valid) or told.shape[1] == 0:
        raise UserError(
            f"target is [S, C], C numbers to tell of each of the {len(valid)} observations, but "
            f"its shape is {list(told.shape)}."
        )
    _check_finite("target", told[valid])
    return told


def _check_values(probs: Tensor, obs: Tensor, valid: Tensor) -> None:
    """Raise `UserError` unless what counts are numbers, and rows of probs are probabilities."""
    rows = probs[:, valid]
    _check_finite("obs", obs[valid])
    _check_finite("probs", rows)
    if (rows < 0).any():
        raise UserError(
            f"probs holds probabilities, but {float(rows.min()):.3g} is among them: if these are "
            f"logits, give their softmax over the last axis."
        )
    sums = rows.sum(-1)
    wrong = (sums - 1).abs() >= SUM_TOLERANCE
    if wrong.any():
        raise UserError(
            f"Each row of probs [N, S, A] sums to 1 over the actions, but {int(wrong.sum())} of "
            f"{wrong.numel()} do not (one sums to {float(sums[wrong][0]):.3g}): if these are "
            f"logits, give their softmax over the last axis."
        )


def _check_finite(name: str, x: Tensor) -> None:
    """Raise `UserError` for numbers that are none."""
    broken = int((~x.isfinite()).sum())
    if broken:
        raise UserError(
            f"{broken} of {x.numel()} numbers in {name} are NaN or infinite: leave those "
            f"observations out with `valid`, or look why they are."
        )


def _check_count(count: int, kind: str) -> None:
    """Raise `UserError` for fewer valid observations than are needed."""
    if count == 0:
        raise UserError("No observation is valid: there is nothing to measure a distance on.")
    if kind in distance.CODED and count < BATCH:
        raise UserError(
            f"The {kind} distance learns a code, which takes at least {BATCH} valid observations, "
            f"but there are {count}: give more, or take a kind without a code "
            f"({', '.join(distance.VANILLA)})."
        )
