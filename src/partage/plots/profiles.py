"""Performance profiles (Agarwal et al. 2021): for every score, the share of runs above it."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from partage.analysis.labels import NOT_A_RESULT, is_smoke
from partage.analysis.profiles import LEVELS, Profile, profiles
from partage.config.plan import Figure, Plan
from partage.plots import measured
from partage.plots.style import DPI, GRID, WARNING, drawing

WIDTH, HEIGHT = 6.4, 3.5  # inches
LEGEND_SIZE, LEGEND_LINE = 8.0, 0.18  # points, inches
HANDLE, LABEL = 0.55, 3.0  # inches: of an entry of the legend, beside its label; of that, the most
DASHED: list[Any] = ["-", "--", ":", "-."]  # of algorithms that have one colour


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame) -> Canvas:
    """Return the picture: one line for each algorithm, with its pointwise interval."""
    labels = {name: plan.variants[name].label for name in figure.algorithms}
    labels = {name: measured.wrap(words, LABEL, LEGEND_SIZE) for name, words in labels.items()}
    lines = sum(measured.lines(label) for label in labels.values())
    with drawing():
        size = (WIDTH + legend_width(labels.values()), max(HEIGHT, 0.7 + LEGEND_LINE * lines))
        canvas = Canvas(figsize=size, dpi=DPI, layout="constrained")
        axes = canvas.subplots()
        found = profiles(figure, frame)
        for each in found:
            colour = plan.variants[each.algorithm].colour
            around = {"color": colour, "alpha": 0.15, "linewidth": 0, "step": "post"}
            axes.fill_between(LEVELS, each.low, each.high, **around)
        draw_lines(axes, plan, found, labels)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.set_title("Performance profile over all tasks", fontsize=10, loc="left", weight="bold")
        if is_smoke(frame):
            axes.set_title(NOT_A_RESULT, fontsize=9, loc="right", color=WARNING, weight="bold")
        return canvas


def draw_lines(axes: Axes, plan: Plan, found: Iterable[Profile], labels: Mapping[str, str]) -> None:
    """Draw for every level the share of runs above it, the legend beside; dashes part one colour's.

    `labels` are by the algorithms' names.
    """
    seen: list[str] = []
    for each in found:
        colour = plan.variants[each.algorithm].colour
        dashes = DASHED[seen.count(colour) % len(DASHED)]
        seen.append(colour)
        look = {"color": colour, "linestyle": dashes, "linewidth": 1.8}
        axes.step(LEVELS, each.share, where="post", **look, label=labels[each.algorithm])
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set(xlabel="normalised final value", ylabel="share of runs above it")
    axes.legend(frameon=False, fontsize=LEGEND_SIZE, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    sns.despine(ax=axes)


def legend_width(labels: Iterable[str]) -> float:
    """Return how much room a legend of lines takes beside its panel, in inches."""
    return HANDLE + max(measured.widest(label, LEGEND_SIZE) for label in labels)
