"""Sequences that begin alike, brought through time once for all that share them."""

import numpy as np

from partage.kernels import compiled


@compiled
def distinct_histories(entry, length):
    """Return (bounds, before, fed, row_of) of the different histories of ``entry [R, T, B, N]``.

    Agents n of one copy whose entries were the same up to an instant share a row there.
    ``row_of [R, T, B, N]`` is each agent's sorted row and stays as it is behind the last instant
    ``length [R, B]``, `fed` is the entry of each row; `bounds` and `before` are as in `gru.Order`.
    """
    runs, time, copies, agents = entry.shape
    bounds, row_of = np.zeros((time, runs, 2), np.int64), np.empty(entry.shape, np.int64)
    before, fed = np.empty(entry.size, np.int64), np.empty(entry.size, np.int64)
    count, began = 0, 0
    for run in range(runs):
        for t in range(time):
            bounds[t, run, 0] = count
            for b in range(copies):
                last, now = row_of[run, max(t - 1, 0), b], row_of[run, t, b]
                if t > length[run, b]:
                    now[:] = last
                    continue
                first_of_copy = count
                for n in range(agents):
                    came = last[n] if t > 0 else -1 - began
                    given = entry[run, t, b, n]
                    row = first_of_copy
                    while row < count and (fed[row] != given or (t > 0 and before[row] != came)):
                        row += 1
                    if row == count:
                        before[row], fed[row] = came, given
                        count += 1
                        began += 0 if t > 0 else 1
                    now[n] = row
            bounds[t, run, 1] = count
    return bounds, before[:count].copy(), fed[:count].copy(), row_of
