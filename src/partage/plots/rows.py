"""Figures with a row for each algorithm: trials of a sweep, and methods of an arena."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from partage.analysis import arena, choosing
from partage.analysis.labels import is_smoke
from partage.analysis.profiles import profiles
from partage.analysis.table import number
from partage.config.plan import Figure, Plan
from partage.plots import measured, style
from partage.plots.around import SMOKE_LINE, TITLE_LINE, provenance_note
from partage.plots.marks import Mark
from partage.plots.profiles import draw_lines, legend_width

# Lengths in inches, sizes of letters in points.
ROW, LINE = 0.26, 0.14  # of a method, of a further line of its label
PANEL, ONLY_PANEL, LABEL = 2.95, 5.2, 3.0  # widths: of a label, the most
LABEL_SIZE, GROUP_SIZE, NOTE_SIZE = 8.0, 7.0, 7.0
MARGIN, NOTE, NOTE_LINE = 0.14, 0.45, 0.13


def draw_sweep(plan: Plan, sweep: Figure, frame: pd.DataFrame) -> Canvas:
    """Return the picture of a sweep: a dot for each trial, in a row of its method."""
    found = choosing.trials(plan, sweep, frame)
    methods = list(dict.fromkeys(each.method for each in found))
    with style.drawing():
        labels = _labels(plan, methods)
        canvas = _canvas(1, labels, [ONLY_PANEL])
        axes = canvas.subplots()
        for each in found:
            row, colour = methods.index(each.method), plan.variants[each.algorithm].colour
            face = colour if each.chosen else "none"
            said = f"{number(each.score)}{', chosen' if each.chosen else ''}"
            look: dict[str, Any] = {"facecolors": face, "edgecolors": colour, "linewidths": 1.2}
            mark = Mark("dot", each.algorithm, words=said)
            axes.scatter(each.score, row, s=34, gid=mark.gid, **look)
        _style_rows(axes, labels)
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
        labels = _labels(plan, shown.algorithms)
        methods = {name: _method(plan, name) for name in shown.algorithms}
        beside = legend_width(methods.values())
        canvas = _canvas(lines, labels, [PANEL, PANEL, PANEL + beside])
        panels = canvas.subplots(lines, 3, squeeze=False)
        everywhere = standings.loc[standings["group"] == arena.ALL]
        _draw_points(panels[0, 0], plan, shown, {"": everywhere}, "iqm")
        panels[0, 0].set_xlabel("IQM of normalised final values")
        _draw_points(panels[0, 1], plan, shown, {"": everywhere}, "improvement")
        panels[0, 1].axvline(0.5, color=style.FAINT, linewidth=0.8, zorder=0)
        panels[0, 1].set_xlabel(f"P(better than {methods[shown.algorithms[0]]})")
        draw_lines(panels[0, 2], plan, profiles(shown, frame), methods)
        for panel in panels.flat[3 + len(facts) :]:
            panel.set_axis_off()
        for panel, fact in zip(panels.flat[3:], facts, strict=False):
            chosen = [group for group in groups if group.startswith(f"{fact}: ")]
            parts = {group: standings.loc[standings["group"] == group] for group in chosen}
            _draw_points(panel, plan, shown, parts, "iqm")
            panel.set_xlabel(f"IQM, by {fact}")
            _explain_groups(panel)
        for panel in (*panels[:, 0], panels[0, 1], *panels[1:, 1:].flat):
            panel.set_yticklabels(labels if panel in panels[:, 0] else [])
        _write(canvas, plan, shown, frame)
        return canvas


def _method(plan: Plan, trial: str) -> str:
    """Return the label of the method that a trial is of: the rows have its settings."""
    return plan.variants[plan.variants[trial].trial_of].label


def _labels(plan: Plan, names: Sequence[str]) -> list[str]:
    """Return the labels of rows, in lines that leave the panels their room."""
    return [measured.wrap(plan.variants[name].label, LABEL, LABEL_SIZE) for name in names]


def _canvas(lines: int, labels: Sequence[str], panels: Sequence[float]) -> Canvas:
    """Return an empty canvas for so many rows of panels of these widths, labels at their left."""
    rows = sum(ROW + LINE * (measured.lines(label) - 1) for label in labels)
    left = max(measured.widest(label, LABEL_SIZE) for label in labels)
    size = (2 * MARGIN + left + sum(panels), lines * (rows + 1.0) + 1.3)
    return Canvas(figsize=size, dpi=style.DPI)


def _explain_groups(axes: Axes) -> None:
    """Write above a panel which colour is of which tasks."""
    look: dict[str, Any] = {"frameon": False, "fontsize": GROUP_SIZE, "columnspacing": 1.0}
    handles, words = axes.get_legend_handles_labels()
    columns = measured.legend(handles, PANEL, **look)[0]
    axes.legend(handles, words, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, **look)


def _draw_points(
    axes: Axes, plan: Plan, shown: Figure, parts: dict[str, pd.DataFrame], what: str
) -> None:
    """Draw a number and its interval in the row of each method, parts one above the other."""
    shades = sns.color_palette("viridis", len(parts))
    panel = axes.figure.axes.index(axes)
    for k, (group, rows) in enumerate(parts.items()):
        for place, row in enumerate(rows.to_dict("records")):
            y = shown.algorithms.index(row["algorithm"])
            y += 0.5 * ((k + 0.5) / len(parts) - 0.5)
            colour = shades[k] if group else plan.variants[row["algorithm"]].colour
            label = group if group and place == 0 else None
            ends = [row[f"{what}_low"], row[f"{what}_high"]]
            said = f"{number(row[what])} [{number(ends[0])}, {number(ends[1])}]"
            said += f", {group}" if group else ""
            mark = Mark("dot", row["algorithm"], panel, words=said)
            axes.scatter(row[what], y, s=20, color=[colour], label=label, gid=mark.gid, zorder=3)
            axes.plot(ends, [y, y], color=colour, linewidth=1.4)
    _style_rows(axes, _labels(plan, shown.algorithms))


def _style_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Style an axis with a row for each label, the first on top, from 0 to 1."""
    axes.set_yticks(np.arange(len(labels)), labels, fontsize=LABEL_SIZE)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.grid(axis="both", color=style.GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def _write(canvas: Canvas, plan: Plan, shown: Figure, frame: pd.DataFrame) -> None:
    """Write title, note, and that smoke scale is no result; then give the panels their room."""
    width, height = canvas.get_size_inches()
    left, room = MARGIN / width, width - 2 * MARGIN
    smoke = is_smoke(frame)
    if smoke:
        style.warn_of_smoke(canvas, left, 1 - MARGIN / height)
    top = MARGIN + SMOKE_LINE * smoke
    words = measured.wrap(shown.title, room, style.TITLE_SIZE, "bold")
    style.title(canvas, left, 1 - top / height, words)
    top += TITLE_LINE * measured.lines(words)
    note = measured.wrap(provenance_note(plan, shown, frame), room, NOTE_SIZE)
    canvas.text(left, 0.1 / height, note, fontsize=NOTE_SIZE, color=style.FAINT, va="bottom")
    bottom = NOTE + NOTE_LINE * (measured.lines(note) - 1)
    canvas.tight_layout(rect=(0.0, bottom / height, 1.0, 1 - top / height))
