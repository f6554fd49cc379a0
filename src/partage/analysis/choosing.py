"""Which trial of each method a sweep chooses: a pure function of its frame."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from partage.analysis import stats
from partage.analysis.finals import final_scores
from partage.config.plan import Figure, Plan


class Trial(NamedTuple):
    """One trial of a method, over all tasks of a sweep."""

    method: str
    algorithm: str  # the variant's name
    score: float  # mean over tasks and seeds of final values, 0 the worst run's and 1 the best's
    chosen: bool


def trials(plan: Plan, sweep: Figure, frame: pd.DataFrame) -> list[Trial]:
    """Return all trials in the sweep's order; one of each method is chosen.

    It is the one of highest score, the first of equals. Final values are min-max normalised on each
    task over all trials of all methods, so tasks of large returns decide no more than others. What
    is no number scores worst.
    """
    pooled = stats.pooled(final_scores(sweep, frame, sweep.metric))
    scores = {name: _mean_over_tasks(strata) for name, strata in pooled.items()}
    best: dict[str, str] = {}
    for name in sweep.algorithms:
        method = plan.variants[name].trial_of
        if method not in best or scores[name] > scores[best[method]]:
            best[method] = name
    found = []
    for name in sweep.algorithms:
        method = plan.variants[name].trial_of
        found.append(Trial(method, name, scores[name], best[method] == name))
    return found


def _mean_over_tasks(strata: list[np.ndarray]) -> float:
    """Return the mean over tasks of the mean over seeds."""
    score = float(np.mean([np.mean(values) for values in strata]))
    return 0.0 if np.isnan(score) else score


def table(plan: Plan, found: list[Trial]) -> pd.DataFrame:
    """Return the trials as rows: method, each setting that was tried, score, chosen."""
    rows = []
    for each in found:
        tried = plan.variants[each.algorithm].tried
        rows.append({"method": each.method, **tried, "score": each.score, "chosen": each.chosen})
    return pd.DataFrame(rows)
