"""Aggregates over all tasks of a figure, and performance profiles (Agarwal et al. 2021)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from partage.analysis import stats
from partage.analysis.finals import final_scores
from partage.analysis.stats import Numbers, StratifiedStatistic, named_generator
from partage.config.plan import Figure, Plan

LEVELS = np.linspace(0.0, 1.0, 101)  # normalised final values
PROFILE_REPS = 2000  # draws of a profile's interval


class Aggregate(NamedTuple):
    """One aggregate of an algorithm's final values over all tasks."""

    algorithm: str  # its label
    measure: str
    value: float
    ci95_low: float
    ci95_high: float
    seeds: int  # the fewest of any task


class Profile(NamedTuple):
    """An algorithm's performance profile at `LEVELS`, with its pointwise interval: each ``[X]``."""

    algorithm: str  # its name
    share: np.ndarray  # of runs above each level
    low: np.ndarray
    high: np.ndarray


def _iqm(strata: Sequence[np.ndarray]) -> Numbers:
    return stats.iqm(np.concatenate(strata, axis=-1))


def _mean(strata: Sequence[np.ndarray]) -> Numbers:
    return stats.mean(np.concatenate(strata, axis=-1))


def _optimality_gap(strata: Sequence[np.ndarray]) -> Numbers:
    return stats.optimality_gap(np.concatenate(strata, axis=-1))


def _share_above(strata: Sequence[np.ndarray]) -> np.ndarray:
    return stats.profile(np.concatenate(strata, axis=-1), LEVELS)


MEASURES: dict[str, StratifiedStatistic] = {
    "IQM": _iqm,
    "median": stats.task_median,
    "mean": _mean,
    "optimality gap": _optimality_gap,
}


def build(plan: Plan, figure: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the aggregates over all tasks, of min-max normalised final values, as `Aggregate`."""
    rows = []
    for name, strata in stats.pooled(final_scores(figure, frame, figure.metric)).items():
        label = plan.variants[name].label
        seeds = min(len(stratum) for stratum in strata)
        for measure, statistic in MEASURES.items():
            rng = named_generator(figure.name, name, measure)
            low, high = stats.bootstrap(strata, rng, statistic, seeds=stats.same_seeds(strata))
            value = float(statistic(list(strata)))
            rows.append(Aggregate(label, measure, value, float(low), float(high), seeds))
    return pd.DataFrame(rows, columns=list(Aggregate._fields))


def profiles(figure: Figure, frame: pd.DataFrame) -> list[Profile]:
    """Return each algorithm's performance profile over the figure's tasks."""
    found = []
    for name, strata in stats.pooled(final_scores(figure, frame, figure.metric)).items():
        rng = named_generator(figure.name, name, "profile")
        seeds = stats.same_seeds(strata)
        low, high = stats.bootstrap(strata, rng, _share_above, reps=PROFILE_REPS, seeds=seeds)
        found.append(Profile(name, _share_above(strata), low, high))
    return found
