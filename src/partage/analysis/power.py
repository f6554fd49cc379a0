"""The power of a claim: how likely its test sees what is there, simulated (numpy only).

What is there is an effect of one standard deviation, as runs of one algorithm on one task spread:
each baseline lies that far below on every task; a curve lies that far beyond its threshold, or, to
settle, stays in the middle of a range of one to either side. Runs are normal and independent.
"""

import functools

import numpy as np

from partage.analysis import significance
from partage.analysis.stats import named_generator

EFFECT = 1.0  # standard deviations between runs
SIMULATED = 5_000  # claims: the power is known to half a percent or so
AT_ONCE = 50  # claims, so that many ways to deal out many seeds fit into memory


@functools.cache
def of_comparison(seeds: int, tasks: int, baselines: int) -> float:
    """Return the power of a claim that an algorithm is better than so many others.

    >>> 0.19 < of_comparison(seeds=5, tasks=1, baselines=1) < 0.25
    True
    """
    rng = named_generator("power", "better", str((seeds, tasks, baselines)))
    held = 0
    for _ in range(SIMULATED // AT_ONCE):
        ours = rng.normal(EFFECT, 1.0, (AT_ONCE, tasks, seeds))
        all_hold = np.ones(AT_ONCE, dtype=bool)
        for _ in range(baselines):
            theirs = rng.normal(0.0, 1.0, (AT_ONCE, tasks, seeds))
            all_hold &= significance.permutation(ours, theirs).above <= significance.LEVEL / 2
        held += int(all_hold.sum())
    return held / SIMULATED


@functools.cache
def of_curves(seeds: int, tasks: int, curves: int, settles: bool) -> float:
    """Return the power of a claim that so many curves lie beyond a threshold, or settle."""
    rng = named_generator("power", "curves", str((seeds, tasks, curves, settles)))
    numbers = rng.normal(0.0, 1.0, (SIMULATED, curves, tasks, seeds)).mean(axis=-2)
    above = significance.student_tails(numbers, -EFFECT).above
    if settles:
        above = np.maximum(above, significance.student_tails(numbers, EFFECT).below)
    return float(np.mean(np.all(above <= significance.LEVEL / 2, axis=-1)))
