"""The series of one run, its values over the course of training: aligned, smoothed, summed up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from partage.runs.finals import FINAL_SHARE as FINAL_SHARE
from partage.runs.finals import final as final


class Series(NamedTuple):
    """The values ``y [X]`` of one run at the increasing places ``x [X]``; a value may be NaN."""

    x: np.ndarray
    y: np.ndarray


def align(
    runs: Sequence[tuple[np.ndarray, np.ndarray]], points: int = 400, how: str = "linear"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the runs ``(x, y)``, of any spacing, on one grid: ``[X]`` and ``[n, X]``.

    The grid is every x of any run inside the range that all runs have (nothing is extrapolated),
    thinned to `points`. `how` fills in between a run's own points: "linear", or "last" for the last
    value seen. NaN values are passed over; a run of nothing else leaves the grid empty.
    """
    measured = [_without_nan(x, y) for x, y in runs]
    if any(len(run.x) == 0 for run in measured):
        return np.empty(0), np.empty((len(measured), 0))
    grid = _common_grid([run.x for run in measured], points)
    if how == "last":
        values = [run.y[np.searchsorted(run.x, grid, side="right") - 1] for run in measured]
    else:
        values = [np.interp(grid, run.x, run.y) for run in measured]
    return grid, np.array(values).reshape(len(measured), len(grid))


def _without_nan(x: np.ndarray, y: np.ndarray) -> Series:
    measured = ~np.isnan(y)
    return Series(x[measured], y[measured])


def _common_grid(places: Sequence[np.ndarray], points: int) -> np.ndarray:
    """Return every place inside the range that all have, at most `points` of them."""
    first = max(x[0] for x in places)
    last = min(x[-1] for x in places)
    grid = np.unique(np.concatenate(places)).astype(float)
    grid = grid[(grid >= first) & (grid <= last)]
    if len(grid) > points:
        grid = grid[np.linspace(0, len(grid) - 1, points).round().astype(int)]
    return grid


def smooth(x: np.ndarray, y: np.ndarray, share: float) -> np.ndarray:
    """Return the moving mean of a series: of what lies at most half of `share` of the x axis away.

    NaN values are passed over; where no other is near, the mean is NaN.

    >>> smooth(np.arange(5.0), np.array([0.0, 3, 0, 3, 0]), 0.5).tolist()
    [1.5, 1.0, 2.0, 1.0, 1.5]
    """
    half = share * x[-1] / 2
    measured = ~np.isnan(y)
    first = np.searchsorted(x, x - half, "left")
    last = np.searchsorted(x, x + half, "right")
    total = np.concatenate(([0.0], np.cumsum(np.where(measured, y, 0.0))))
    count = np.concatenate(([0.0], np.cumsum(measured)))
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is promised
        return (total[last] - total[first]) / (count[last] - count[first])
