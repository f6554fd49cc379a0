"""Student's t distribution, by summing its density (numpy only).

With x = sqrt(df) tan(angle) the density is proportional to cos(angle) ** (df - 1).
"""

import functools
import math

import numpy as np

Numbers = np.ndarray | np.floating  # numpy gives a scalar where no axis is left

ANGLES = np.linspace(0.0, math.pi / 2, 400_001)  # at which the distribution is known


@functools.lru_cache(maxsize=16)
def _share_within(df: int) -> np.ndarray:
    """Return for each of `ANGLES` the probability that a value lies no further from zero."""
    middles = ANGLES[:-1] + ANGLES[1] / 2
    mass = np.concatenate([[0.0], np.cumsum(np.cos(middles) ** (df - 1))])
    return mass / mass[-1]


@functools.cache
def quantile(df: int, p: float) -> float:
    """Return the p-quantile of Student's t with `df` degrees of freedom."""
    found = np.interp(abs(p - 0.5) * 2, _share_within(df), ANGLES)
    return math.copysign(math.sqrt(df) * math.tan(found), p - 0.5)


def share_above(df: int, t: Numbers) -> Numbers:
    """Return the probability that Student's t with `df` degrees of freedom exceeds each t."""
    within = np.interp(np.arctan(np.abs(t) / math.sqrt(df)), ANGLES, _share_within(df))
    return 0.5 - 0.5 * np.sign(t) * within
