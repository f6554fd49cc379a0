"""Statistics over seeds and tasks: means, intervals, performance profiles (numpy only).

Source: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice":
strata are tasks, and runs are drawn anew within each. Every function that draws takes its
generator; nothing touches numpy's global one.

**Seeds of several tasks.** Networks are drawn by seed alone, so tasks of one shape share the draws
of them, and a seed's runs on several tasks are no independent ones. Where this suite pools tasks, a
seed is drawn for all of them at once (`seeds` of `bootstrap`), and counts as one of few.

**Few seeds.** The plain percentile interval is too narrow for few runs: n values drawn anew vary
(n - 1) / n as much as they should, and normal quantiles stand where Student's t belongs. `interval`
therefore reads the bootstrap distribution at the quantiles Phi(-+ sqrt(n / (n - 1)) t) (Hesterberg
2015, "What teachers should know about the bootstrap", "expanded percentile"). Measured on normal
data, a 95 % interval of the mean covers 48 % at n = 2, 75 % at n = 3, 91 % at n = 5 and 95 % at
n = 10 (plain: 48, 75, 83, 90): no bootstrap reaches beyond the values there are. With n = 1 there
is no spread to see and the interval is NaN.
"""

import itertools
import math
import zlib
from collections.abc import Callable, Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from partage.analysis import student
from partage.analysis.student import Numbers

Statistic = Callable[[np.ndarray], Numbers]  # of all values, whichever task: [..., n] -> [...]
StratifiedStatistic = Callable[[list[np.ndarray]], Numbers]  # one [..., n] for each task


class Interval(NamedTuple):
    """An interval with both its ends; NaN where there is no spread to see."""

    low: float
    high: float


def named_generator(*names: str) -> np.random.Generator:
    """Return the generator of one named curve or number.

    Its draws depend on the name alone: drawing again, or fewer curves, changes no interval.
    """
    return np.random.default_rng(zlib.crc32("/".join(names).encode()))


def mean(values: np.ndarray) -> Numbers:
    """Return the mean over the last axis."""
    return np.mean(values, axis=-1)


def median(values: np.ndarray) -> Numbers:
    """Return the median over the last axis."""
    return np.median(values, axis=-1)


def iqm(values: np.ndarray) -> Numbers:
    """Return the interquartile mean over the last axis (Agarwal et al. 2021).

    The lowest and the highest floor(n / 4) values are left out, as scipy's trim_mean does. It is
    NaN if one of all values is, as a mean is.
    """
    count = values.shape[-1]
    cut = count // 4
    middle = np.mean(np.sort(values, axis=-1)[..., cut : count - cut], axis=-1)
    return np.where(np.isnan(values).any(axis=-1), np.nan, middle)[()]


# What of the seeds a curve and its table may follow: `line` in figures.toml.
MIDDLES: dict[str, Statistic] = {"mean": mean, "median": median, "iqm": iqm}


def task_median(strata: Sequence[np.ndarray]) -> Numbers:
    """Return the median over tasks of the mean over runs; one ``[..., n]`` for each task."""
    return np.median([np.mean(values, axis=-1) for values in strata], axis=0)


def optimality_gap(values: np.ndarray, goal: float = 1.0) -> Numbers:
    """Return how far runs stay below `goal` on average, over the last axis; above is no gain."""
    return np.mean(np.maximum(goal - values, 0.0), axis=-1)


def profile(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the share of runs above each level (a performance profile, Agarwal et al. 2021).

    ``[..., n]`` and ``[X]`` -> ``[..., X]``.

    >>> profile(np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.5])).tolist()
    [1.0, 0.3333333333333333]
    """
    return np.mean(values[..., None] > levels, axis=-2)


def tails(counts: Sequence[int], level: float = 0.95, expand: bool = True) -> tuple[float, float]:
    """Return the two quantiles at which the bootstrap distribution is read.

    `counts` are the numbers of seeds that are drawn apart, each at least 2; `expand` widens the
    interval for few seeds (Hesterberg 2015; see the module).
    """
    low = (1 - level) / 2
    if expand:
        few = min(counts)
        df = sum(counts) - len(counts)
        low = NormalDist().cdf(math.sqrt(few / (few - 1)) * student.quantile(df, low))
    return low, 1 - low


def bootstrap(
    strata: Sequence[np.ndarray],
    rng: np.random.Generator,
    statistic: StratifiedStatistic,
    level: float = 0.95,
    reps: int = 10_000,
    expand: bool = True,
    seeds: Sequence[Hashable] | None = None,
) -> np.ndarray:
    """Return the stratified bootstrap interval of a statistic of all strata: ``[2]`` or ``[2, X]``.

    strata: one ``[n]`` for each task. seeds: for each stratum the name of the seeds that its values
    are of, in order; strata of one name are drawn together. Without names all are drawn apart. NaN
    where a stratum has a single value: there is no spread to see.
    """
    if min(len(stratum) for stratum in strata) < 2:
        return np.full((2, *np.shape(statistic(list(strata)))), np.nan)
    names = range(len(strata)) if seeds is None else seeds
    draws: dict[Hashable, np.ndarray] = {}  # of the seeds of one name: [reps, n]
    drawn = []
    for name, stratum in zip(names, strata, strict=True):
        if name not in draws:
            draws[name] = rng.integers(len(stratum), size=(reps, len(stratum)))
        drawn.append(stratum[draws[name]])
    counts = [draw.shape[1] for draw in draws.values()]
    return np.quantile(statistic(drawn), tails(counts, level, expand), axis=0)


def same_seeds(strata: Sequence[np.ndarray]) -> list[int]:
    """Return the names of the seeds of each stratum where seeds are counted from 0: how many.

    Networks are drawn by seed alone, so a seed's runs on several tasks are one draw (`bootstrap`).
    """
    return [len(stratum) for stratum in strata]


def interval(
    strata: Sequence[np.ndarray],
    rng: np.random.Generator,
    statistic: Statistic = mean,
    level: float = 0.95,
    reps: int = 10_000,
    expand: bool = True,
    seeds: Sequence[Hashable] | None = None,
) -> Interval:
    """Return the `bootstrap` interval of a statistic of all values, whichever task they are of."""

    def of_all(drawn: list[np.ndarray]) -> Numbers:
        return statistic(np.concatenate(drawn, axis=-1))

    low, high = bootstrap(strata, rng, of_all, level, reps, expand, seeds)
    return Interval(float(low), float(high))


def improvement(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> Numbers:
    """Return the probability of improvement P(X > Y) + P(X = Y) / 2, mean over tasks.

    x and y: one ``[..., n]`` for each task (Agarwal et al. 2021). NaN if a value is.
    """
    wins = []
    for ours, theirs in zip(x, y, strict=True):
        one, other = ours[..., :, None], theirs[..., None, :]
        won = (one > other) + 0.5 * (one == other)
        known = ~(np.isnan(one) | np.isnan(other))
        wins.append(np.mean(np.where(known, won, np.nan), axis=(-2, -1)))
    return np.mean(wins, axis=0)


def improvement_interval(
    x: Sequence[np.ndarray],
    y: Sequence[np.ndarray],
    rng: np.random.Generator,
    level: float = 0.95,
    reps: int = 10_000,
    seeds: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
) -> Interval:
    """Return the bootstrap interval of `improvement`; both sides are drawn anew.

    seeds: of each side, for each task the name of its seeds, as for `bootstrap`.
    """

    def of_both(drawn: list[np.ndarray]) -> Numbers:
        return improvement(drawn[: len(x)], drawn[len(x) :])

    names = None
    if seeds is not None:
        names = [*itertools.product("x", seeds[0]), *itertools.product("y", seeds[1])]
    low, high = bootstrap([*x, *y], rng, of_both, level, reps, seeds=names)
    return Interval(float(low), float(high))


def normalise(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the values with `low` at 0 and `high` at 1; NaN stays NaN.

    Where there is no range, because every algorithm did the same, each value is 0.5.
    """
    if high > low:
        return (values - low) / (high - low)
    return np.where(np.isnan(values), np.nan, 0.5)


def pooled(tasks: Sequence[dict[str, np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Return the scores of several tasks on one scale: each algorithm's strata, for `interval`.

    tasks: for each task {algorithm: ``[n]``}, min-max normalised over all runs of the task. A task
    that lacks an algorithm adds no stratum to it.
    """
    strata: dict[str, list[np.ndarray]] = {}
    for scores in tasks:
        everything = np.concatenate(list(scores.values()))
        low = np.nanmin(everything, initial=np.inf)
        high = np.nanmax(everything, initial=-np.inf)
        for algorithm, values in scores.items():
            strata.setdefault(algorithm, []).append(normalise(values, low, high))
    return strata
