"""Figures with a row for each algorithm: trials of a sweep, and methods of an arena."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from partage.analysis import arena, choosing
from partage.analysis.labels import is_smoke
from partage.analysis.profiles import LEVELS, profiles
from partage.config.plan import Figure, Plan
from partage.plots import style
from partage.plots.around import provenance_note

ROW, WIDTH = 0.26, 5.2  # inches: of a method, of a panel
DASHED: list[Any] = ["-", "--", ":", "-."]  # of methods that have one colour


def draw_sweep(plan: Plan, sweep: Figure, frame: pd.DataFrame) -> Canvas:
    """Return the picture of a sweep: a dot for each trial, in a row of its method."""
    found = choosing.trials(plan, sweep, frame)
    methods = list(dict.fromkeys(each.method for each in found))
    with style.drawing():
        canvas = _canvas(1, len(methods))
        axes = canvas.subplots()
        for each in found:
            row, colour = methods.index(each.method), plan.variants[each.algorithm].colour
            face = colour if each.chosen else "none"
            axes.scatter(each.score, row, s=34, facecolors=face, edgecolors=colour, linewidths=1.2)
        _style_rows(axes, [plan.variants[name].label for name in methods])
        axes.set_xlabel("final value (0: worst run of all trials, 1: best); filled: chosen")
        _write(canvas, plan, sweep, frame)
        return canvas


def draw_arena(plan: Plan, shown: Figure, frame: pd.DataFrame) -> Canvas:
    """Return the picture of an arena: standings on all tasks, and on those alike in each fact."""
    standings = arena.build(plan, shown, frame)
    groups = list(standings["group"].unique())
    facts = [fact for fact in shown.by if any(group.startswith(f"{fact}: ") for group in groups)]
    with style.drawing():
        lines = 1 + -(-len(facts) // 3)
        canvas = _canvas(lines, len(shown.algorithms), panels=3)
        panels = canvas.subplots(lines, 3, squeeze=False)
        everywhere = standings.loc[standings["group"] == arena.ALL]
        _draw_points(panels[0, 0], plan, shown, {"": everywhere}, "iqm")
        panels[0, 0].set_xlabel("IQM of normalised final values")
        _draw_points(panels[0, 1], plan, shown, {"": everywhere}, "improvement")
        panels[0, 1].axvline(0.5, color=style.FAINT, linewidth=0.8, zorder=0)
        panels[0, 1].set_xlabel(f"P(better than {_method(plan, shown.algorithms[0])})")
        _draw_profiles(panels[0, 2], plan, shown, frame)
        for panel in panels.flat[3 + len(facts) :]:
            panel.set_axis_off()
        for panel, fact in zip(panels.flat[3:], facts, strict=False):
            chosen = [group for group in groups if group.startswith(f"{fact}: ")]
            parts = {group: standings.loc[standings["group"] == group] for group in chosen}
            _draw_points(panel, plan, shown, parts, "iqm")
            panel.set_xlabel(f"IQM, by {fact}")
            panel.legend(frameon=False, fontsize=7, loc="best")
        for panel in (panels[0, 1], *panels[1:, 1:].flat):
            panel.set_yticklabels([])
        _write(canvas, plan, shown, frame)
        return canvas


def _method(plan: Plan, trial: str) -> str:
    """Return the label of the method that a trial is of: the rows have its settings."""
    return plan.variants[plan.variants[trial].trial_of].label


def _canvas(lines: int, rows: int, panels: int = 1) -> Canvas:
    """Return an empty canvas for so many rows of panels, each of so many rows."""
    height = lines * (ROW * rows + 1.0) + 1.3
    return Canvas(figsize=(WIDTH * max(panels * 0.75, 1.3), height), dpi=style.DPI)


def _draw_points(
    axes: Axes, plan: Plan, shown: Figure, parts: dict[str, pd.DataFrame], what: str
) -> None:
    """Draw a number and its interval in the row of each method, parts one above the other."""
    shades = sns.color_palette("viridis", len(parts))
    for k, (group, rows) in enumerate(parts.items()):
        for place, row in enumerate(rows.to_dict("records")):
            y = shown.algorithms.index(row["algorithm"])
            y += 0.5 * ((k + 0.5) / len(parts) - 0.5)
            colour = shades[k] if group else plan.variants[row["algorithm"]].colour
            label = group if group and place == 0 else None
            axes.plot(row[what], y, "o", color=colour, markersize=4.5, label=label)
            ends = [row[f"{what}_low"], row[f"{what}_high"]]
            axes.plot(ends, [y, y], color=colour, linewidth=1.4)
    _style_rows(axes, [plan.variants[name].label for name in shown.algorithms])


def _style_rows(axes: Axes, labels: list[str]) -> None:
    """Style an axis with a row for each label, the first on top, from 0 to 1."""
    axes.set_yticks(np.arange(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="both", color=style.GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def _draw_profiles(axes: Axes, plan: Plan, shown: Figure, frame: pd.DataFrame) -> None:
    """Draw for every level the share of runs above it; dashes part methods of one colour."""
    seen: list[str] = []
    for each in profiles(shown, frame):
        variant = plan.variants[each.algorithm]
        dashes = DASHED[seen.count(variant.colour) % len(DASHED)]
        seen.append(variant.colour)
        line = {"color": variant.colour, "linestyle": dashes, "linewidth": 1.6}
        axes.step(LEVELS, each.share, where="post", **line, label=_method(plan, each.algorithm))
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set(xlabel="normalised final value", ylabel="share of runs above it")
    axes.legend(frameon=False, fontsize=6.5, loc="lower left")
    sns.despine(ax=axes)


def _write(canvas: Canvas, plan: Plan, shown: Figure, frame: pd.DataFrame) -> None:
    """Write title, note, and that smoke scale is no result; then give the panels their room."""
    height = canvas.get_figheight()
    style.title(canvas, 0.02, 1 - 0.15 / height, shown.title)
    if is_smoke(frame):
        style.warn_of_smoke(canvas, 0.98, 1 - 0.15 / height, "right")
    note = provenance_note(plan, shown, frame)
    canvas.text(0.02, 0.1 / height, note, fontsize=7, color=style.FAINT, va="bottom", wrap=True)
    canvas.tight_layout(rect=(0.01, 0.45 / height, 0.99, 1 - 0.4 / height))
