"""Performance profiles: for every score, the share of runs above it (Agarwal et al. 2021), over a
figure's tasks.
"""

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas

from partage.analysis import stats
from partage.analysis.tables import finals
from partage.config.plan import Figure, Plan
from partage.plots.curves import generator, smoke
from partage.plots.style import STYLE, WARNING

LEVELS = np.linspace(0.0, 1.0, 101)
COLUMNS = ["algorithm", "measure", "value", "ci95_low", "ci95_high", "seeds"]


def build(plan: Plan, figure: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """The protocol's aggregates over all tasks, of min-max normalised final values: a row per
    algorithm and measure.
    """
    rows = []
    for name, strata in stats.pooled(finals(figure, frame, figure.metric)).items():
        for what, statistic in (
            ("IQM", lambda drawn: stats.iqm(np.concatenate(drawn, -1))),
            ("median", stats.task_median),
            ("mean", lambda drawn: stats.mean(np.concatenate(drawn, -1))),
            ("optimality gap", lambda drawn: stats.optimality_gap(np.concatenate(drawn, -1))),
        ):
            low, high = stats.bootstrap(strata, generator(figure.name, name, what), statistic)
            value = float(statistic(list(strata)))
            rows.append(
                (
                    plan.variants[name].label,
                    what,
                    value,
                    float(low),
                    float(high),
                    min(map(len, strata)),
                )
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame) -> Canvas:
    """One line an algorithm, with its pointwise interval."""

    def above(drawn: list[np.ndarray]) -> np.ndarray:
        return np.asarray(stats.profile(np.concatenate(drawn, -1), LEVELS))

    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(6.4, 3.5), dpi=160, layout="constrained")
        axes = canvas.subplots()
        for name, strata in stats.pooled(finals(figure, frame, figure.metric)).items():
            variant, rng = plan.variants[name], generator(figure.name, name, "profile")
            low, high = stats.bootstrap(strata, rng, above, reps=2000)
            axes.fill_between(
                LEVELS, low, high, color=variant.colour, alpha=0.15, linewidth=0, step="post"
            )
            axes.step(
                LEVELS,
                above(list(strata)),
                where="post",
                color=variant.colour,
                linewidth=1.8,
                label=variant.label,
            )
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1.02),
            xlabel="normalised final value",
            ylabel="share of runs above it",
        )
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
        axes.set_title("Performance profile over all tasks", fontsize=10, loc="left", weight="bold")
        if smoke(frame):
            axes.set_title(
                "smoke scale: not a result", fontsize=9, loc="right", color=WARNING, weight="bold"
            )
        axes.legend(frameon=False, fontsize=8, loc="upper right")
        sns.despine(ax=axes)
        return canvas
