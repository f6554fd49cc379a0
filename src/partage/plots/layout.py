"""The panels of a figure and where they stand: as much room as their words take, and no more."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.lines import Line2D

from partage.analysis.frames import runs_of
from partage.analysis.labels import task_label
from partage.config.plan import Figure, Plan
from partage.plots import around, measured
from partage.plots.around import LABEL_SIZE, LEGEND, MARGIN
from partage.plots.style import DPI
from partage.runs.reference_curves import Shown

ALSO = "also"  # in place of a metric: the panel of several metrics
# Lengths in inches, sizes of letters in points.
LEFT_OF_PANELS, LEFT_OF_LABELS = 0.80, 0.12  # at least; before what is written beside a panel
PANEL_WIDTH, SINGLE_PANEL_WIDTH = 3.55, 6.4  # with what is beside a panel
AXES_HEIGHT, AXES_HEIGHT_WITH_STRIPS, HIGHER_IF_SINGLE = 1.96, 2.82, 0.95
GAP = 0.79  # between panels side by side, at least
HEAD_BELOW_LEGEND, HEAD_BELOW_ROW = 0.10, 0.45  # a row's head is what stands above its panels
TITLE_PAD, TITLE_LINE, TITLE_SIZE = 0.08, 0.15, 9.0
Y_LABEL_MORE = 0.5  # a label may be longer than its axis by so much
INNER_LEGEND: dict[str, Any] = {  # of the panel of several metrics, above its title
    **LEGEND,
    "fontsize": 6.5,
    "handlelength": 1.2,
    "columnspacing": 1.0,
    "labelspacing": 0.3,
}


class Panel(NamedTuple):
    """What one panel shows, and its words, in lines that fit."""

    task: str
    content: str  # a metric, or `ALSO`
    number: int  # row by row, from 0
    title: str = ""
    y_label: str = ""


class Layout(NamedTuple):
    """The panels of a figure, and the lengths around them in inches."""

    panels: list[Panel]
    columns: int
    width: float
    axes_width: float
    axes_height: float
    left: float  # of the panels
    gap: float  # between panels side by side
    row_head: float
    inner_columns: int  # of the legend of several metrics; 0: there is none
    inner_height: float
    above: around.Above
    below: around.Below

    @property
    def rows(self) -> int:
        """Return how many rows of panels there are."""
        return math.ceil(len(self.panels) / self.columns)

    @property
    def top(self) -> float:
        """Return where the first row's panels begin, from the top."""
        return self.above.height + HEAD_BELOW_LEGEND + self.row_head

    @property
    def row_gap(self) -> float:
        """Return the length between panels one above the other."""
        return HEAD_BELOW_ROW + self.row_head

    @property
    def height(self) -> float:
        """Return the height of it all."""
        panels = self.rows * self.axes_height + (self.rows - 1) * self.row_gap
        return self.top + panels + self.below.height

    def canvas(self) -> Canvas:
        """Return the empty canvas."""
        return Canvas(figsize=(self.width, self.height), dpi=DPI)

    def fit(self, canvas: Canvas, grid: GridSpec) -> "Layout":
        """Return the layout with room for what was drawn left of each panel; widen the canvas so.

        The panels keep their size, since titles and ticks were chosen for it.
        """
        left, between = self.left, self.gap
        for axes in canvas.axes:
            needed = measured.reach(axes) + LEFT_OF_LABELS
            if _column(axes):
                between = max(between, needed)
            else:
                left = max(left, needed)
        more = left - self.left + (between - self.gap) * (self.columns - 1)
        wider = self._replace(left=left, gap=between, width=self.width + more)
        canvas.set_size_inches(wider.width, wider.height)
        grid.update(**wider._places())
        for axes in canvas.axes:
            axes.set_subplotspec(_place(axes))
        return wider

    def grid(self, canvas: Canvas) -> GridSpec:
        """Return the grid of panels."""
        return canvas.add_gridspec(self.rows, self.columns, **self._places())

    def _places(self) -> dict[str, float]:
        """Return where the grid's panels stand, as shares of the canvas and of a panel."""
        return {
            "left": self.left / self.width,
            "right": 1 - MARGIN / self.width,
            "bottom": self.below.height / self.height,
            "top": 1 - self.top / self.height,
            "wspace": self.gap / self.axes_width,
            "hspace": self.row_gap / self.axes_height,
        }

    def write_around(self, canvas: Canvas, x_label: str) -> None:
        """Write what stands above the panels and below them."""
        middle = (self.left + self.width - MARGIN) / 2
        around.write_below(canvas, self.below, x_label, middle)
        around.write_above(canvas, self.above)


def _place(axes: Axes) -> SubplotSpec:
    """Return the place of axes in the grid, or in the grid of a panel's parts."""
    place = axes.get_subplotspec()
    assert place is not None
    return place


def _column(axes: Axes) -> int:
    """Return the column of the panel that axes are, or are a part of."""
    return _place(axes).get_topmost_subplotspec().colspan.start


def lay_out(plan: Plan, figure: Figure, frame: pd.DataFrame, shown: Sequence[Shown] = ()) -> Layout:
    """Return the layout of a figure: a panel for each task and metric, and a note below.

    What is `shown` of others is said above the note, with a sample of each line.
    """
    count = len(panels_of(figure))
    columns = 2 if count == 4 else min(3, count)
    if figure.beside:  # the metrics of a task side by side
        columns = count // len(figure.tasks)
    width = SINGLE_PANEL_WIDTH if count == 1 else PANEL_WIDTH * columns
    axes_height = AXES_HEIGHT_WITH_STRIPS if figure.strip else AXES_HEIGHT
    axes_height += HIGHER_IF_SINGLE * (count == 1)
    labels = _y_labels(figure, axes_height + Y_LABEL_MORE)
    axes_width = (width - LEFT_OF_PANELS - MARGIN - GAP * (columns - 1)) / columns
    panels = _panels(plan, figure, frame, labels, axes_width)
    inner_columns, inner_height = _inner_legend(figure, frame, axes_width + MARGIN)
    title_lines = max(measured.lines(panel.title) for panel in panels)
    room = width - 2 * MARGIN
    return Layout(
        panels=panels,
        columns=columns,
        width=width,
        axes_width=axes_width,
        axes_height=axes_height,
        left=LEFT_OF_PANELS,
        gap=GAP,
        row_head=TITLE_PAD + TITLE_LINE * title_lines + inner_height,
        inner_columns=inner_columns,
        inner_height=inner_height,
        above=around.above(plan, figure, frame, room),
        below=around.below(plan, figure, frame, shown, room),
    )


def _y_labels(figure: Figure, room: float) -> dict[str, str]:
    """Return what stands at the y axis of each metric, in lines."""
    labels = {figure.metric: figure.y_label, **figure.beside}
    return {metric: measured.wrap(words, room, LABEL_SIZE) for metric, words in labels.items()}


def panels_of(figure: Figure) -> list[Panel]:
    """Return a panel for each task and metric, and one for all further metrics of a task."""
    contents = [figure.metric, *figure.beside, *([ALSO] if figure.also else [])]
    places = enumerate(product(figure.tasks, contents))
    return [Panel(task, content, number) for number, (task, content) in places]


def _panels(
    plan: Plan, figure: Figure, frame: pd.DataFrame, y_labels: dict[str, str], room: float
) -> list[Panel]:
    """Return the panels with their words."""
    panels: list[Panel] = []
    for panel in panels_of(figure):
        label = task_label(plan.tasks[panel.task].label, panel.task, frame.attrs["engine"])
        words = figure.also_label if panel.content == ALSO else label
        title = measured.wrap(words, room, TITLE_SIZE)
        panels.append(panel._replace(title=title, y_label=y_labels.get(panel.content, "")))
    return panels


def further_labels(figure: Figure, frame: pd.DataFrame, task: str) -> list[str]:
    """Return how further metrics are called; one that has infinite values says how many."""
    found = []
    for metric, label in figure.also.items():
        runs = runs_of(frame, figure.algorithms[0], task, metric, figure.x)
        infinite = float(np.mean(np.isinf(np.concatenate([run.y for run in runs]))))
        found.append(f"{label} ({infinite:.0%} infinite)" if infinite else label)
    return found


def _inner_legend(figure: Figure, frame: pd.DataFrame, room: float) -> tuple[int, float]:
    """Return columns and height of the legend above a panel of several metrics; 0 for none."""
    columns, height = len(figure.also), 0.0
    for task in figure.tasks if figure.also else []:
        handles = [Line2D([], [], label=label) for label in further_labels(figure, frame, task)]
        fits = measured.legend(handles, room, **INNER_LEGEND)
        columns, height = min(columns, fits[0]), max(height, fits[1])
    return columns, height
