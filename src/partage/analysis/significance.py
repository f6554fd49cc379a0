"""Tests of what a claim rests on, and Holm's correction for several of them (numpy only).

Seeds are what is drawn: networks are drawn by seed alone, so what one seed does on several tasks is
one draw, and all tests take it as one.

* Two algorithms: a permutation test of the probability of improvement. If they are equal, any of
  their seeds could have come from either; so the observed value is held to those of all ways to
  deal the seeds out anew, on all tasks at once. It is exact for any distribution. Five seeds
  against five can be dealt out in 252 ways, so p is at least 2 / 252; three against three, 2 / 20.
* The numbers of one algorithm: Student's t of the mean over tasks of each seed.
* Several: Holm's step-down correction. The chance that any of them is decided wrongly stays below
  `LEVEL`, however they depend on each other. That *all* hold needs no correction: it would be wrong
  if one of them were, which has been tested (an intersection-union test).
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from partage.analysis import student
from partage.analysis.student import Numbers

LEVEL = 0.05  # the chance of a wrong verdict on a claim, of both sides together
DEALS = 5_000  # ways to deal seeds out: more than that are drawn at random
ROUNDING = 1e-9  # sums of ranks that differ by less are equal


class Tails(NamedTuple):
    """How likely what was seen is by chance, on either side: one-sided p-values, each ``[...]``."""

    above: Numbers
    below: Numbers


def permutation(x: np.ndarray, y: np.ndarray) -> Tails:
    """Return how likely as high (as low) a probability that x is above y is among equals.

    ``x [..., T, n]`` and ``y [..., T, m]``: the seeds of two algorithms on T tasks.
    """
    deals, is_all = _deals(x.shape[-1], y.shape[-1])
    ranks = _ranks(np.concatenate([x, y], axis=-1)).mean(axis=-2)  # [..., n + m]
    observed = ranks[..., : x.shape[-1]].sum(axis=-1, keepdims=True)
    by_chance = ranks @ deals  # [..., deals]
    more = 0 if is_all else 1  # the observed one counts among those that are drawn
    above = (np.sum(by_chance >= observed - ROUNDING, axis=-1) + more) / (deals.shape[1] + more)
    below = (np.sum(by_chance <= observed + ROUNDING, axis=-1) + more) / (deals.shape[1] + more)
    unknown = np.isnan(ranks).any(axis=-1)
    return Tails(np.where(unknown, 1.0, above), np.where(unknown, 1.0, below))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value among those of the last axis, equal ones in the middle."""
    one, other = values[..., :, None], values[..., None, :]
    beaten = np.sum(one > other, axis=-1) + 0.5 * np.sum(one == other, axis=-1)
    return np.where(np.isnan(values).any(axis=-1, keepdims=True), np.nan, beaten)


@functools.lru_cache(maxsize=8)
def _deals(n: int, m: int) -> tuple[np.ndarray, bool]:
    """Return which of n + m seeds are dealt to x, ``[n + m, deals]``, and whether it is all ways.

    >>> _deals(5, 5)[0].shape
    (10, 252)
    """
    is_all = math.comb(n + m, n) <= DEALS
    if is_all:
        chosen = np.array(list(itertools.combinations(range(n + m), n)))
    else:
        rng = np.random.default_rng(0)
        chosen = rng.random((DEALS, n + m)).argsort(axis=1)[:, :n]
    deals = np.zeros((n + m, len(chosen)))
    np.put_along_axis(deals, chosen.T, 1.0, axis=0)
    return deals, is_all


def student_tails(values: np.ndarray, threshold: float) -> Tails:
    """Return how likely values ``[..., n]`` as far above (below) are if their mean is `threshold`.

    One value, or NaN among them, says nothing: both are 1.
    """
    count = values.shape[-1]
    if count < 2:
        return Tails(np.ones(values.shape[:-1]), np.ones(values.shape[:-1]))
    beyond = values.mean(axis=-1) - threshold
    error = values.std(axis=-1, ddof=1) / math.sqrt(count)
    with np.errstate(divide="ignore", invalid="ignore"):  # no spread: infinite; no distance: NaN
        above = student.share_above(count - 1, beyond / error)
    known = ~np.isnan(above)
    return Tails(np.where(known, above, 1.0), np.where(known, 1.0 - above, 1.0))


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979): each is held to `LEVEL` as one is.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found = [1.0] * len(p)
    highest = 0.0
    for rank, at in enumerate(sorted(range(len(p)), key=lambda at: p[at])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[at]))
        found[at] = highest
    return found


def corrected(holds: Sequence[float], fails: Sequence[float]) -> list[float]:
    """Return two-sided p-values of the parts of a claim, each corrected for all of them.

    `holds` and `fails` are the one-sided p-values of each part. Where all lean towards "holds",
    none is larger than the largest uncorrected one: that is the test of the claim as a whole.
    """
    alone = [min(1.0, 2 * min(pair)) for pair in zip(holds, fails, strict=True)]
    parts = holm(alone)
    if all(one < other for one, other in zip(holds, fails, strict=True)):
        return [min(part, max(alone)) for part in parts]
    return parts
