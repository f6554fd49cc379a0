"""Statistics over seeds: means, intervals, performance profiles, curves on one grid (numpy only).

Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice": strata are tasks, runs are
drawn within each. Every function that draws takes its generator; nothing touches numpy's global
one.

**Few seeds.** The plain percentile interval is too narrow for few runs: n values drawn anew vary (n
- 1) / n as much as they should, and normal quantiles stand where Student's t belongs. `interval`
therefore reads the bootstrap distribution at the quantiles Phi(-+ sqrt(n / (n - 1)) t) (Hesterberg
2015, "expanded percentile"). Measured on normal data, a 95 % interval of the mean covers 48 % at n
= 2, 75 % at n = 3, 91 % at n = 5 and 95 % at n = 10 (plain: 48, 75, 83, 90): no bootstrap reaches
beyond the values there are. With n = 1 there is no spread to see and the interval is NaN.
"""

import functools
import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

Numbers = np.ndarray | np.floating  # numpy gives a scalar where no axis is left
Statistic = Callable[[np.ndarray], Numbers]  # [..., n] -> [...]
Joint = Callable[
    [list[np.ndarray]], Numbers
]  # of all strata at once: each [..., n] -> [...] or [..., X]


def mean(values: np.ndarray) -> Numbers:
    """Over the last axis."""
    return np.mean(values, axis=-1)


def iqm(values: np.ndarray) -> Numbers:
    """Interquartile mean over the last axis: the lowest and the highest floor(n / 4) left out
    (scipy's trim_mean).

    NaN if one of them is, as a mean is.
    """
    count = values.shape[-1]
    cut = count // 4
    middle = np.mean(np.sort(values, axis=-1)[..., cut : count - cut], axis=-1)
    return np.where(np.isnan(values).any(axis=-1), np.nan, middle)[()]


def median(values: np.ndarray) -> Numbers:
    """Over the last axis."""
    return np.median(values, axis=-1)


MIDDLES: dict[str, Statistic] = {
    "mean": mean,
    "median": median,
    "iqm": iqm,
}  # what of the seeds a curve may follow


def task_median(strata: Sequence[np.ndarray]) -> Numbers:
    """The median over tasks of the mean over runs; strata: one [..., n] per task."""
    return np.median([np.mean(values, axis=-1) for values in strata], axis=0)


def optimality_gap(values: np.ndarray, goal: float = 1.0) -> Numbers:
    """How far runs stay below `goal` on average, over the last axis: runs above it gain nothing."""
    return np.mean(np.maximum(goal - values, 0.0), axis=-1)


def profile(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The share of runs above each level, [..., n] and [X] -> [..., X]: a performance profile.

    >>> profile(np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.5])).tolist()
    [1.0, 0.3333333333333333]
    """
    return np.mean(values[..., None] > levels, axis=-2)


@functools.cache
def student(df: int, p: float) -> float:
    """The p-quantile of Student's t. With x = sqrt(df) tan(angle) its density is cos(angle) ** (df
    - 1).
    """
    angle = np.linspace(0.0, math.pi / 2, 400_001)
    mass = np.concatenate([[0.0], np.cumsum(np.cos(angle[:-1] + angle[1] / 2) ** (df - 1))])
    found = np.interp(abs(p - 0.5) * 2, mass / mass[-1], angle)
    return math.copysign(math.sqrt(df) * math.tan(found), p - 0.5)


def tails(counts: Sequence[int], level: float = 0.95, expand: bool = True) -> tuple[float, float]:
    """The two quantiles at which a bootstrap distribution over strata of these sizes is read; see
    the module.
    """
    low = (1 - level) / 2
    if expand:
        few, df = min(counts), sum(counts) - len(counts)
        low = NormalDist().cdf(math.sqrt(few / (few - 1)) * student(df, low))
    return low, 1 - low


def bootstrap(
    strata: Sequence[np.ndarray],
    rng: np.random.Generator,
    statistic: Joint,
    level: float = 0.95,
    reps: int = 10_000,
    expand: bool = True,
) -> np.ndarray:
    """Stratified bootstrap percentile interval of a statistic of all strata, [2] or [2, X]; strata:
    one [n] per task.

    NaN where a stratum has one value: there is no spread to see.
    """
    counts = [len(stratum) for stratum in strata]
    if min(counts) < 2:
        return np.full((2, *np.shape(statistic(list(strata)))), np.nan)
    drawn = [stratum[rng.integers(len(stratum), size=(reps, len(stratum)))] for stratum in strata]
    return np.quantile(statistic(drawn), tails(counts, level, expand), axis=0)


def interval(
    strata: Sequence[np.ndarray],
    rng: np.random.Generator,
    statistic: Statistic = mean,
    level: float = 0.95,
    reps: int = 10_000,
    expand: bool = True,
) -> tuple[float, float]:
    """`bootstrap` of a statistic of all values, whichever task they are of."""

    def of_all(drawn: list[np.ndarray]) -> Numbers:
        return statistic(np.concatenate(drawn, axis=-1))

    low, high = bootstrap(strata, rng, of_all, level, reps, expand)
    return float(low), float(high)


def improvement(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> Numbers:
    """Probability of improvement P(X > Y) + P(X = Y) / 2, mean over strata; x and y: one [..., n]
    per task each.
    """
    wins = [
        np.sign(a[..., :, None] - b[..., None, :]).mean((-2, -1)) for a, b in zip(x, y, strict=True)
    ]
    return 0.5 + 0.5 * np.mean(wins, axis=0)


def improvement_interval(
    x: Sequence[np.ndarray],
    y: Sequence[np.ndarray],
    rng: np.random.Generator,
    level: float = 0.95,
    reps: int = 10_000,
) -> tuple[float, float]:
    """Stratified bootstrap interval of `improvement`: both sides are drawn anew within each task."""

    def of_both(drawn: list[np.ndarray]) -> Numbers:
        return improvement(drawn[: len(x)], drawn[len(x) :])

    low, high = bootstrap([*x, *y], rng, of_both, level, reps)
    return float(low), float(high)


def band(
    values: np.ndarray,
    rng: np.random.Generator,
    statistic: Statistic = mean,
    level: float = 0.95,
    reps: int = 4_000,
    expand: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise interval of a statistic over seeds along a curve: [n, X] -> two [X]. A draw takes
    whole curves.
    """
    count, width = values.shape
    if count < 2:
        return np.full(width, np.nan), np.full(width, np.nan)
    quantiles = tails([count], level, expand)
    if statistic is mean:  # the same draws, cheaper
        weights = (
            rng.multinomial(count, np.full(count, 1 / count), size=reps) / count
        )  # [reps, n]: n draws with return
        parts = [
            np.quantile(weights @ values[:, at : at + 256], quantiles, axis=0)
            for at in range(0, width, 256)
        ]
    else:
        drawn = np.sort(rng.integers(count, size=(reps, count)), axis=1)
        once, which = np.unique(
            drawn, axis=0, return_inverse=True
        )  # five seeds can be drawn in 126 ways only
        each = (np.asarray(statistic(values.T[at : at + 16, once])) for at in range(0, width, 16))
        parts = [np.quantile(middles[:, which.ravel()], quantiles, axis=1) for middles in each]
    low, high = np.concatenate(parts, axis=1)
    return low, high


def align(
    runs: Sequence[tuple[np.ndarray, np.ndarray]], points: int = 400, how: str = "linear"
) -> tuple[np.ndarray, np.ndarray]:
    """Runs (x, y) of any spacing on one grid: [X] and [n, X]. NaN values are passed over.

    The grid is every x of any run inside the range that all runs have (nothing is extrapolated),
    thinned to `points`. `how` fills in between a run's own points: "linear", or "last" for the last
    value seen.
    """
    clean = [(x[~np.isnan(y)], y[~np.isnan(y)]) for x, y in runs]
    if any(len(x) == 0 for x, _ in clean):
        return np.empty(0), np.empty((len(clean), 0))
    first, last = max(x[0] for x, _ in clean), min(x[-1] for x, _ in clean)
    grid = np.unique(np.concatenate([x for x, _ in clean])).astype(float)
    grid = grid[(grid >= first) & (grid <= last)]
    if len(grid) > points:
        grid = grid[np.linspace(0, len(grid) - 1, points).round().astype(int)]
    if how == "last":
        rows = [y[np.searchsorted(x, grid, side="right") - 1] for x, y in clean]
    else:
        rows = [np.interp(grid, x, y) for x, y in clean]
    return grid, np.array(rows).reshape(len(clean), len(grid))


def smooth(x: np.ndarray, y: np.ndarray, share: float) -> np.ndarray:
    """Moving mean of a curve: of what lies at most half of `share` of the x axis away. NaN values
    are passed over.

    >>> smooth(np.arange(5.0), np.array([0.0, 3, 0, 3, 0]), 0.5).tolist()
    [1.5, 1.0, 2.0, 1.0, 1.5]
    """
    half, there = share * x[-1] / 2, ~np.isnan(y)
    first, last = np.searchsorted(x, x - half, "left"), np.searchsorted(x, x + half, "right")
    total, count = (
        np.concatenate(([0.0], np.cumsum(each))) for each in (np.where(there, y, 0.0), there)
    )
    with np.errstate(invalid="ignore"):
        return (total[last] - total[first]) / (count[last] - count[first])


def final(x: np.ndarray, y: np.ndarray, share: float = 0.15) -> float:
    """A run's final performance: the mean of its values in the last `share` of the x axis (from 0
    to its last x).
    """
    keep = (x >= x[-1] * (1 - share)) & ~np.isnan(y)
    return float(np.mean(y[keep])) if keep.any() else math.nan


def normalise(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Min-max normalised; 0.5 where there is no range (every algorithm did the same). NaN stays."""
    return (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 0.5)


def pooled(tasks: Sequence[dict[str, np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Scores of several tasks on one scale: per task {algorithm: [n]}, min-max normalised over all
    its runs.

    Returns the strata of each algorithm (for `interval` with `iqm`), of the tasks that have it.
    """
    result: dict[str, list[np.ndarray]] = {}
    for scores in tasks:
        everything = np.concatenate(list(scores.values()))
        low, high = np.nanmin(everything, initial=np.inf), np.nanmax(everything, initial=-np.inf)
        for algorithm, values in scores.items():
            result.setdefault(algorithm, []).append(normalise(values, low, high))
    return result
