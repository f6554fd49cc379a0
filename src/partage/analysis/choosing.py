"""Which trial of each method a sweep chooses: a pure function of its frame."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from partage.analysis import finals, stats
from partage.config.plan import Figure, Plan


class Trial(NamedTuple):
    """One trial of a method, over all tasks of a sweep."""

    method: str
    algorithm: str  # the variant's name
    score: float  # mean over tasks and seeds of final values, 0 the worst run's and 1 the best's
    along: float  # the same of means over all of training
    chosen: bool


def trials(plan: Plan, sweep: Figure, frame: pd.DataFrame) -> list[Trial]:
    """Return all trials in the sweep's order; one of each method is chosen.

    It is the one of highest score; of equals, as where a task's best return is reached, the one
    that was best along the way, and of such the first. Values are min-max normalised on each task
    over all trials of all methods, so tasks of large returns decide no more than others. What is no
    number scores worst.
    """
    ends = stats.pooled(finals.final_scores(sweep, frame, sweep.metric))
    along = stats.pooled(finals.means(sweep, frame, sweep.metric))
    scores = {
        name: (_mean_over_tasks(ends[name]), _mean_over_tasks(along[name]))
        for name in sweep.algorithms
    }
    best: dict[str, str] = {}
    for name in sweep.algorithms:
        method = plan.variants[name].trial_of
        if method not in best or scores[name] > scores[best[method]]:
            best[method] = name
    found = []
    for name in sweep.algorithms:
        method = plan.variants[name].trial_of
        found.append(Trial(method, name, *scores[name], best[method] == name))
    return found


def _mean_over_tasks(strata: list[np.ndarray]) -> float:
    """Return the mean over tasks of the mean over seeds."""
    score = float(np.mean([np.mean(values) for values in strata]))
    return 0.0 if np.isnan(score) else score


def table(plan: Plan, found: list[Trial]) -> pd.DataFrame:
    """Return the trials as rows: method, each setting that was tried, scores, chosen."""
    rows = []
    for each in found:
        tried = plan.variants[each.algorithm].tried
        scores = {"score": each.score, "along": each.along}
        rows.append({"method": each.method, **tried, **scores, "chosen": each.chosen})
    return pd.DataFrame(rows)
