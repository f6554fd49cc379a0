"""Performance profiles (Agarwal et al. 2021): for every score, the share of runs above it."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure as Canvas

from partage.analysis.labels import NOT_A_RESULT, is_smoke
from partage.analysis.profiles import LEVELS, profiles
from partage.config.plan import Figure, Plan
from partage.plots.style import DPI, GRID, WARNING, drawing


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame) -> Canvas:
    """Return the picture: one line for each algorithm, with its pointwise interval."""
    with drawing():
        canvas = Canvas(figsize=(6.4, 3.5), dpi=DPI, layout="constrained")
        axes = canvas.subplots()
        for each in profiles(figure, frame):
            variant = plan.variants[each.algorithm]
            around = {"color": variant.colour, "alpha": 0.15, "linewidth": 0, "step": "post"}
            line = {"color": variant.colour, "linewidth": 1.8, "label": variant.label}
            axes.fill_between(LEVELS, each.low, each.high, **around)
            axes.step(LEVELS, each.share, where="post", **line)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.set(xlabel="normalised final value", ylabel="share of runs above it")
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.set_title("Performance profile over all tasks", fontsize=10, loc="left", weight="bold")
        if is_smoke(frame):
            axes.set_title(NOT_A_RESULT, fontsize=9, loc="right", color=WARNING, weight="bold")
        axes.legend(frameon=False, fontsize=8, loc="upper right")
        sns.despine(ax=axes)
        return canvas
