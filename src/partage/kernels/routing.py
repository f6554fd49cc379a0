"""Rows sorted by the set that they go through, and in a set by time."""

import numpy as np

from partage.kernels import compiled


@compiled
def _bounds(index, sets):
    """Return where the sorted rows of each stretch at each instant begin and end ``[T, K, 2]``."""
    runs, time, rows = index.shape
    bounds, end = np.zeros((time, runs * sets, 2), np.int64), 0
    for run in range(runs):
        for t in range(time):
            for m in range(rows):
                used = index[run, t, m]
                if used >= sets:
                    raise ValueError("rows go through sets, but some name one that is not there")
                if used >= 0:
                    bounds[t, run * sets + used, 1] += 1
    for k in range(runs * sets):
        for t in range(time):
            bounds[t, k, 0], end = end, end + bounds[t, k, 1]
            bounds[t, k, 1] = end
    return bounds


@compiled
def sort_rows(index, sets):
    """Return (bounds, to, before) of rows ``[R, T, M]`` that go through these sets.

    `to` is the row that each sorted row is, `before` and `bounds` are as in `gru.Order`. Rows whose
    set is negative are left out.
    """
    runs, time, rows = index.shape
    bounds = _bounds(index, sets)
    count = bounds[time - 1, runs * sets - 1, 1]
    to, before = np.empty(count, np.int64), np.empty(count, np.int64)
    following = bounds[0, :, 0].copy()  # the next sorted row of each stretch
    for run in range(runs):
        last = -1 - np.arange(run * rows, (run + 1) * rows)  # where each row was an instant before
        for t in range(time):
            for m in range(rows):
                used = index[run, t, m]
                if used >= 0:
                    k = run * sets + used
                    place = following[k]
                    following[k] = place + 1
                    to[place], before[place] = (run * time + t) * rows + m, last[m]
                    last[m] = place
    return bounds, to, before
