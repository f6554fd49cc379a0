"""The numbers that claims rest on: from a figure's frame to values, intervals and p-values."""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from partage.analysis import series, significance, stats
from partage.analysis.finals import final_scores
from partage.analysis.frames import runs_of
from partage.analysis.significance import Tails
from partage.analysis.stats import Interval, named_generator
from partage.config.figures import Claim
from partage.config.plan import Figure, Plan

SETTLED_SHARE = 0.10  # of a curve's value in the middle: one that moves less has settled
INFORMATIVE = 0.25  # of all that roles could say: what they say at least, to be called informative
MIDDLE_OF_TRAINING = (0.425, 0.575)  # shares of the x axis
# A share of the value in the middle: the test, which takes means over seeds, counts any larger
# change as this much, so that one seed near zero does not decide it.
MAX_CHANGE = 10.0
# The test's and the bootstrap's infinity, so that differences and means of it are numbers.
HUGE = 1e150
AVERAGE = "on average"
COUNTS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

Sides = tuple[np.ndarray, np.ndarray]  # of a comparison on one task: each side's seeds [n]


class Evidence(NamedTuple):
    """One number that a claim rests on, and how likely it is by chance."""

    judged_by: str  # what the number is
    on: str  # the task, or the words for the mean over several
    value: float
    interval: Interval
    seeds: int  # the fewest of any side and task
    holds: float  # one-sided p-value: how likely the like is where the claim does not hold
    fails: float  # the same of the contrary
    tasks: int = 1
    panels: tuple["Evidence", ...] = ()  # of several tasks: the same number on each


def evidence_for(plan: Plan, figure: Figure, frame: pd.DataFrame, claim: Claim) -> list[Evidence]:
    """Return what the frame has to say on a claim."""
    if claim.kind == "better":
        return list(_comparisons(plan, figure, frame, claim))
    return list(_curves(figure, frame, claim))


def scope(tasks: Mapping[str, object]) -> str:
    """Return the one task, or the words for the mean over several.

    >>> scope({"mpe/15a_3c": ..., "mpe/30a_3c": ...})
    'on average over two scenarios'
    """
    if len(tasks) == 1:
        return next(iter(tasks))
    count = COUNTS[len(tasks) - 2] if len(tasks) - 2 < len(COUNTS) else len(tasks)
    return f"{AVERAGE} over {count} scenarios"


def _comparisons(
    plan: Plan, figure: Figure, frame: pd.DataFrame, claim: Claim
) -> Iterator[Evidence]:
    """Yield the probability of improvement over each baseline, on the tasks that both stand on."""
    for metric, baseline in product(claim.metrics or [figure.metric], claim.than):
        both = {}
        for task, scores in zip(figure.tasks, final_scores(figure, frame, metric), strict=True):
            if claim.of in scores and baseline in scores:
                both[task] = (scores[claim.of], scores[baseline])
        names = [metric] if claim.metrics else []
        labels = f"{plan.variants[claim.of].label} > {plan.variants[baseline].label}"
        words = ", ".join([f"P({labels})", *names])
        draws = [figure.name, claim.of, baseline, *names, "improvement"]
        pooled = _comparison(words, both, draws)
        if len(both) > 1:
            panels = [_comparison(words, {t: both[t]}, [*draws, t]) for t in both]
            pooled = pooled._replace(panels=tuple(panels))
        yield pooled


def _comparison(words: str, both: Mapping[str, Sides], draws: list[str]) -> Evidence:
    """Return the probability of improvement, mean over tasks, with its interval and test."""
    ours = [sides[0] for sides in both.values()]
    theirs = [sides[1] for sides in both.values()]
    tails = significance.permutation(shared_seeds(ours), shared_seeds(theirs))
    seeds = (stats.same_seeds(ours), stats.same_seeds(theirs))
    return Evidence(
        words,
        scope(both),
        float(stats.improvement(ours, theirs)),
        stats.improvement_interval(ours, theirs, named_generator(*draws), seeds=seeds),
        min(len(values) for values in (*ours, *theirs)),
        float(tails.above),
        float(tails.below),
        len(both),
    )


def shared_seeds(strata: list[np.ndarray]) -> np.ndarray:
    """Return the seeds that all tasks have, ``[T, n]``; they are counted from 0."""
    fewest = min(len(values) for values in strata)
    return np.stack([values[:fewest] for values in strata])


def _curves(figure: Figure, frame: pd.DataFrame, claim: Claim) -> Iterator[Evidence]:
    """Yield a number of each curve that a claim is about, which `KINDS` names."""
    kind = KINDS[claim.kind]
    for metric in claim.metrics:
        numbers = {}  # task -> [n]
        for task in figure.tasks:
            if figure.draws(claim.of, task):
                runs = runs_of(frame, claim.of, task, metric, figure.x)
                numbers[task] = np.array([kind.number(run.x, run.y) for run in runs])
        words = f"{kind.words} of {figure.also.get(metric, metric)}"
        draws = [figure.name, claim.of, metric, kind.words]
        pooled = _curve(kind, words, numbers, draws)
        if len(numbers) > 1:
            panels = [_curve(kind, words, {t: numbers[t]}, [*draws, t]) for t in numbers]
            pooled = pooled._replace(panels=tuple(panels))
        yield pooled


def _curve(
    kind: "Kind", words: str, numbers: Mapping[str, np.ndarray], draws: list[str]
) -> Evidence:
    """Return the median of a number over all runs, with its interval; the test takes the mean."""
    strata = list(numbers.values())
    inside = [np.clip(values, -kind.most, kind.most) for values in strata]
    tails = kind.tails(shared_seeds(inside).mean(axis=0))
    return Evidence(
        words,
        scope(numbers),
        float(stats.median(np.concatenate(strata))),
        _interval_of_median(strata, named_generator(*draws)),
        min(len(values) for values in strata),
        float(tails.above),
        float(tails.below),
        len(strata),
    )


def _interval_of_median(strata: list[np.ndarray], rng: np.random.Generator) -> Interval:
    """Return the interval of the median, some of whose values may be infinite."""
    finite = [np.clip(values, -HUGE, HUGE) for values in strata]
    ends = stats.interval(finite, rng, stats.median, seeds=stats.same_seeds(finite))
    low, high = (math.copysign(math.inf, end) if abs(end) > HUGE / 4 else end for end in ends)
    return Interval(low, high)


def change(x: np.ndarray, y: np.ndarray) -> float:
    """Return how a run's curve changes from the middle of training to its end.

    The change is a share of the middle. A curve that is infinite anywhere there has grown without
    end.

    >>> change(np.arange(101.0), np.where(np.arange(101) < 70, 2.0, 3.0))
    0.5
    """
    first, last = MIDDLE_OF_TRAINING
    middle = float(np.mean(y[(x >= first * x[-1]) & (x <= last * x[-1])]))
    end = series.final(x, y)
    if math.isinf(middle) or math.isinf(end):
        return math.inf
    if middle == 0:
        return math.copysign(math.inf, end) if end else 0.0
    return end / middle - 1


def grows(changes: np.ndarray) -> Tails:
    """Return how likely changes like these ``[n]`` are of a curve that does not, or does, grow."""
    return significance.student_tails(changes, SETTLED_SHARE)


def settles(changes: np.ndarray) -> Tails:
    """Return how likely changes like these ``[n]`` are of a curve that moves, or stays."""
    up = significance.student_tails(changes, SETTLED_SHARE)
    down = significance.student_tails(changes, -SETTLED_SHARE)
    return Tails(np.maximum(up.below, down.above), np.minimum(up.above, down.below))


def negative(ends: np.ndarray) -> Tails:
    """Return how likely ends like these ``[n]`` are of a curve that ends above, or below, zero."""
    tails = significance.student_tails(ends, 0.0)
    return Tails(tails.below, tails.above)


def last_half(x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean of a run's curve over the last half of the x axis.

    >>> last_half(np.arange(101.0), np.where(np.arange(101) < 50, 9.0, 0.5))
    0.5
    """
    return float(np.mean(y[x >= x[-1] / 2]))


def informative(shares: np.ndarray) -> Tails:
    """Return how likely shares like these ``[n]`` are of roles that say too little, or enough."""
    return significance.student_tails(shares, INFORMATIVE)


class Kind(NamedTuple):
    """How a claim on curves is judged."""

    words: str  # what of the curve
    number: Callable[[np.ndarray, np.ndarray], float]  # of one run: x [X], y [X]
    tails: Callable[[np.ndarray], Tails]  # of the seeds' numbers: that it holds, that it fails
    most: float  # larger numbers count as this much in the test


KINDS = {
    "grows": Kind("change", change, grows, MAX_CHANGE),
    "settles": Kind("change", change, settles, MAX_CHANGE),
    "negative": Kind("end", series.final, negative, HUGE),
    "informative": Kind("mean of the last half", last_half, informative, HUGE),
}
