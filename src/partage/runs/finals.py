"""A run's final performance, as tables, verdicts and exports have it."""

import math

import numpy as np

FINAL_SHARE = 0.15  # of the x axis: the end of training, over which final performance is a mean


def final(x: np.ndarray, y: np.ndarray, share: float = FINAL_SHARE) -> float:
    """Return a run's final performance: the mean of its values in the last `share` of the x axis.

    The axis reaches from 0 to the run's last x. NaN values are passed over; NaN if no other is
    there.
    """
    at_the_end = (x >= x[-1] * (1 - share)) & ~np.isnan(y)
    return float(np.mean(y[at_the_end])) if at_the_end.any() else math.nan
