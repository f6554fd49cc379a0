"""The final performance of every run of a figure, on which tables, profiles and verdicts rest."""

import numpy as np
import pandas as pd

from partage.analysis import series
from partage.analysis.frames import runs_of
from partage.config.plan import Figure


def final_scores(figure: Figure, frame: pd.DataFrame, metric: str) -> list[dict[str, np.ndarray]]:
    """Return for each task {algorithm: the final value of the metric for each seed, ``[n]``}."""
    scores: dict[str, dict[str, np.ndarray]] = {task: {} for task in figure.tasks}
    for algorithm, task in figure.pairs():
        runs = runs_of(frame, algorithm, task, metric, figure.x)
        scores[task][algorithm] = np.array([series.final(run.x, run.y) for run in runs])
    return list(scores.values())
