"""What stands around the panels of a figure, and where: title, legend, axis label, note."""

import math
import textwrap
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D

from partage.analysis.labels import engine_label, is_smoke
from partage.analysis.tables import has_reference
from partage.config.figures import OF_TRIALS
from partage.config.plan import Figure, Plan
from partage.plots import references, sharing
from partage.plots.style import DASHES, DPI, FAINT, title, warn_of_smoke
from partage.runs.reference_curves import Shown

ALSO = "also"  # in place of a metric: the panel of several metrics
# Lengths in inches.
LEFT_MARGIN = 0.30  # of title, legend and note, and on the right
LEFT_OF_PANELS = 0.80
PANEL_HEIGHT, PANEL_HEIGHT_WITH_STRIPS = 2.4, 3.4
PANEL_WIDTH = 3.55
SINGLE_PANEL_WIDTH = 6.4
NOTE_LINE = 0.14
NOTE_LETTERS = 17  # an inch of a note's line
NOTE_LINES = 3  # there is room for them anyway
SAMPLE_LENGTH, SAMPLE_LETTERS = 2.6, 10  # of a line of others before its words, in em and letters
NO_BREAK = "\u00a0"


class Panel(NamedTuple):
    """What one panel shows."""

    task: str
    content: str  # a metric, or `ALSO`
    number: int  # row by row, from 0


class Layout(NamedTuple):
    """The panels of a figure, and the lengths around them in inches."""

    panels: list[Panel]
    rows: int
    columns: int
    width: float
    height: float
    note: str  # in lines
    more_for_note: float  # beyond the room that there is for it anyway
    others: list[Line2D]  # a sample of the line of each curve of others, with what is said of it
    smoke: bool

    def canvas(self) -> Canvas:
        """Return the empty canvas."""
        return Canvas(figsize=(self.width, self.height), dpi=DPI)

    def grid(self, canvas: Canvas, beside: bool) -> GridSpec:
        """Return the grid of panels; those beside each other need room for an axis label each."""
        above = 1.18 if self.smoke else 0.98
        return canvas.add_gridspec(
            self.rows,
            self.columns,
            left=LEFT_OF_PANELS / self.width,
            right=1 - LEFT_MARGIN / self.width,
            bottom=(1.08 + self.more_for_note) / self.height,
            top=1 - above / self.height,
            wspace=0.42 if beside else 0.30,
            hspace=0.32,
        )


def panels_of(figure: Figure) -> list[Panel]:
    """Return a panel for each task and metric, and one for all further metrics of a task."""
    contents = [figure.metric, *figure.beside]
    if figure.also:
        contents.append(ALSO)
    places = enumerate(product(figure.tasks, contents))
    return [Panel(task, content, number) for number, (task, content) in places]


def lay_out(plan: Plan, figure: Figure, frame: pd.DataFrame, shown: Sequence[Shown] = ()) -> Layout:
    """Return the layout of a figure: a panel for each task and metric, and a note below.

    What is `shown` of others is said above the note, with a sample of each line.
    """
    panels = panels_of(figure)
    count = len(panels)
    columns = 2 if count == 4 else min(3, count)
    if figure.beside:  # the metrics of a task side by side
        columns = count // len(figure.tasks)
    rows = math.ceil(count / columns)
    panel_height = PANEL_HEIGHT_WITH_STRIPS if figure.strip else PANEL_HEIGHT
    if count == 1:
        width, height = SINGLE_PANEL_WIDTH, panel_height + 2.5
    else:
        width, height = PANEL_WIDTH * columns, panel_height * rows + 1.8
    note = textwrap.fill(provenance_note(plan, figure, frame), int(width * NOTE_LETTERS))
    others = references.handles(shown, int(width * NOTE_LETTERS) - SAMPLE_LETTERS)
    lines = _lines(note) + _lines_of(others)
    more = NOTE_LINE * max(lines - NOTE_LINES, 0)
    smoke = is_smoke(frame)
    return Layout(panels, rows, columns, width, height + more, note, more, others, smoke)


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _lines_of(others: Sequence[Line2D]) -> int:
    """Return how many lines are written of others, the heading and some space among them."""
    return sum(_lines(str(one.get_label())) for one in others) + 2 * bool(others)


def write_below(canvas: Canvas, layout: Layout, x_label: str) -> None:
    """Write the label that all x axes share, and the note."""
    wide, high = layout.width, layout.height
    middle = (LEFT_OF_PANELS / wide + 1 - LEFT_MARGIN / wide) / 2
    y = (0.70 + layout.more_for_note) / high
    canvas.text(middle, y, x_label, ha="center", va="center", fontsize=9.5)
    x, y = LEFT_MARGIN / wide, 0.13 / high
    canvas.text(x, y, layout.note, fontsize=7.5, color=FAINT, va="bottom", linespacing=1.35)
    if layout.others:
        y += (_lines(layout.note) + 0.5) * NOTE_LINE / high
        _write_of_others(canvas, layout.others, x, y)


def _write_of_others(canvas: Canvas, others: list[Line2D], x: float, y: float) -> None:
    """Write whose the grey lines are, from a place upwards."""
    canvas.legend(
        handles=others,
        title=references.HEADING,
        title_fontsize=7.5,
        fontsize=7.5,
        labelcolor=FAINT,
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(x, y),
        bbox_transform=canvas.transFigure,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=SAMPLE_LENGTH,
        labelspacing=0.25,
    )


def write_above(canvas: Canvas, layout: Layout, plan: Plan, figure: Figure) -> None:
    """Write the title, and the legend below it."""
    left = LEFT_MARGIN / layout.width
    from_top = 0.17
    if layout.smoke:
        warn_of_smoke(canvas, left, 1 - from_top / layout.height)
        from_top += 0.20
    title(canvas, left, 1 - from_top / layout.height, figure.title)
    handles = _legend_handles(plan, figure)
    canvas.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left, 1 - (from_top + 0.26) / layout.height),
        bbox_transform=canvas.transFigure,
        ncols=len(handles) if layout.width > 8 else 3,
        frameon=False,
        borderaxespad=0,
        borderpad=0.1,
        handlelength=1.7,
        columnspacing=1.6,
    )


def _legend_handles(plan: Plan, figure: Figure) -> list[Line2D]:
    """Return a line for each algorithm, and one for published values where there are some."""
    variants = [plan.variants[name] for name in figure.algorithms]
    handles = [Line2D([], [], color=v.colour, linewidth=2.4, label=v.label) for v in variants]
    if has_reference(figure):
        label = "published, end of training"
        line = Line2D([], [], color=FAINT, linewidth=2.4, linestyle=DASHES, label=label)
        handles.append(line)
    return handles


def provenance_note(plan: Plan, figure: Figure, frame: pd.DataFrame) -> str:
    """Return scale, engine, seeds and what the band is: they are printed on every figure."""
    engine = engine_label(frame.attrs["engine"], figure.tasks)
    counts = sorted(set(frame.groupby(["task", "algorithm"])["seed"].nunique()))
    few, many = counts[0], counts[-1]
    seeds = f"{few}" if few == many else f"{few} to {many}"
    seeds += " seeds" if many > 1 else " seed"
    scale = frame.attrs["scale"]
    if figure.kind == "ceilings":
        parts = [
            f"{figure.paper}. Scale {scale}, engine {engine}, {seeds} each",
            "dots: runs at their end, played greedily; rings: the same as they explore",
            "lines: the most that so many sets can earn, with policies that draw (dashed) or not",
        ]
    elif figure.kind in OF_TRIALS:
        parts = [f"{figure.paper}. Scale {scale}, engine {engine}, {seeds} each"]
        if figure.kind == "arena":
            parts.append(f"lines: 95{NO_BREAK}% stratified bootstrap over seeds")
    else:
        bands = f"bands: 95{NO_BREAK}% stratified bootstrap over seeds"
        parts = [
            f"{figure.paper}. Scale {scale}, engine {engine}, {seeds} a curve",
            f"line: {figure.line_words}, thin lines: single seeds, "
            + (bands if many > 1 else "no band for one seed"),
        ]
    if figure.smooth:
        share = f"{figure.smooth:.0%}".replace("%", f"{NO_BREAK}%")
        parts.append(f"moving means over {share} of training")
    parts += sharing.describe(plan, figure, frame)
    if other := frame.attrs.get("begun_by_other_code"):
        parts.append(f"begun by other code than it ended with: {', '.join(other)}")
    return "; ".join(parts)
