"""The final performance of every run of a figure, on which tables, profiles and verdicts rest."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from partage.analysis import series
from partage.analysis.frames import runs_of
from partage.analysis.series import Series
from partage.config.plan import Figure


def final_scores(figure: Figure, frame: pd.DataFrame, metric: str) -> list[dict[str, np.ndarray]]:
    """Return for each task {algorithm: the final value of the metric for each seed, ``[n]``}."""
    return _of_each_seed(figure, frame, metric, lambda run: series.final(run.x, run.y))


def means(figure: Figure, frame: pd.DataFrame, metric: str) -> list[dict[str, np.ndarray]]:
    """Return for each task {algorithm: the metric's mean over all of training, ``[n]``}."""
    return _of_each_seed(figure, frame, metric, lambda run: float(np.mean(run.y)))


def _of_each_seed(
    figure: Figure, frame: pd.DataFrame, metric: str, summary: Callable[[Series], float]
) -> list[dict[str, np.ndarray]]:
    scores: dict[str, dict[str, np.ndarray]] = {task: {} for task in figure.tasks}
    for algorithm, task in figure.pairs():
        runs = runs_of(frame, algorithm, task, metric, figure.x)
        scores[task][algorithm] = np.array([summary(run) for run in runs])
    return list(scores.values())
