"""Intervals along a curve: the `partage.analysis.stats.interval` at each of its points."""

import numpy as np

from partage.analysis.stats import Statistic, mean, tails

COLUMNS_AT_ONCE = 256  # of a curve: more would need much memory for the draws of a band


def band(
    values: np.ndarray,
    rng: np.random.Generator,
    statistic: Statistic = mean,
    level: float = 0.95,
    reps: int = 4_000,
    expand: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pointwise interval of a statistic over seeds along a curve: ``[n, X]`` -> two [X].

    A draw takes whole curves. NaN everywhere where there is one seed.
    """
    count, width = values.shape
    if count < 2:
        return np.full(width, np.nan), np.full(width, np.nan)
    quantiles = tails([count], level, expand)
    if statistic is mean:
        low, high = _band_of_means(values, rng, quantiles, reps)
    else:
        low, high = _band_of_any(values, rng, statistic, quantiles, reps)
    return low, high


def _band_of_means(
    values: np.ndarray, rng: np.random.Generator, quantiles: tuple[float, float], reps: int
) -> np.ndarray:
    """Return the band of the mean ``[2, X]``: n draws with return are so many counts."""
    count, width = values.shape
    weights = rng.multinomial(count, np.full(count, 1 / count), size=reps) / count  # [reps, n]
    parts = []
    for start in range(0, width, COLUMNS_AT_ONCE):
        means = weights @ values[:, start : start + COLUMNS_AT_ONCE]  # [reps, X]
        parts.append(np.quantile(means, quantiles, axis=0))
    return np.concatenate(parts, axis=1)


def _band_of_any(
    values: np.ndarray,
    rng: np.random.Generator,
    statistic: Statistic,
    quantiles: tuple[float, float],
    reps: int,
) -> np.ndarray:
    """Return the band of any statistic ``[2, X]``: five seeds can be drawn in 126 ways only."""
    count, width = values.shape
    drawn = np.sort(rng.integers(count, size=(reps, count)), axis=1)
    distinct, which = np.unique(drawn, axis=0, return_inverse=True)
    parts = []
    for start in range(0, width, COLUMNS_AT_ONCE // 16):
        curves = values.T[start : start + COLUMNS_AT_ONCE // 16, distinct]  # [X, distinct, n]
        middles = np.asarray(statistic(curves))
        parts.append(np.quantile(middles[:, which.ravel()], quantiles, axis=1))
    return np.concatenate(parts, axis=1)
