"""What stands above the panels of a figure, title and legend, and below them, label and note.

Words are measured first: there is as much room as they take, however many they are.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from partage.analysis.labels import engine_label, is_smoke
from partage.analysis.tables import has_reference
from partage.config.figures import OF_TRIALS
from partage.config.plan import Figure, Plan
from partage.plots import measured, references, sharing
from partage.plots.style import DASHES, FAINT, TITLE_SIZE, title, warn_of_smoke
from partage.runs.reference_curves import Shown

# Lengths in inches, sizes of letters in points.
MARGIN = 0.30  # of all that is around, on both sides
TOP, SMOKE_LINE, TITLE_LINE = 0.17, 0.20, 0.21
LEGEND_BELOW_TITLE = 0.05
HANDLE = 0.45  # of an entry of the legend, beside its label
X_LABEL_BELOW_PANELS, NOTE_BELOW_X_LABEL = 0.38, 0.31
NOTE_BOTTOM, NOTE_LINE = 0.13, 0.145
LABEL_SIZE, NOTE_SIZE = 9.5, 7.5
NO_BREAK = "\u00a0"
LEGEND: dict[str, Any] = {
    "fontsize": 9.0,
    "frameon": False,
    "borderaxespad": 0,
    "borderpad": 0.1,
    "handlelength": 1.7,
    "columnspacing": 1.6,
}

LEGEND_OF_OTHERS: dict[str, Any] = {
    "title": references.HEADING,
    "title_fontsize": NOTE_SIZE,
    "fontsize": NOTE_SIZE,
    "labelcolor": FAINT,
    "alignment": "left",
    "loc": "lower left",
    "frameon": False,
    "borderaxespad": 0,
    "borderpad": 0,
    "handlelength": 2.6,
    "labelspacing": 0.25,
}
OTHERS_TO_NOTE = 0.10


class Above(NamedTuple):
    """What stands above the panels."""

    smoke: bool
    title: str  # in lines
    handles: list[Line2D]
    legend_columns: int
    legend_height: float

    @property
    def title_top(self) -> float:
        """Return where the title begins, from the top."""
        return TOP + SMOKE_LINE * self.smoke

    @property
    def legend_top(self) -> float:
        """Return where the legend begins, from the top."""
        return self.title_top + TITLE_LINE * measured.lines(self.title) + LEGEND_BELOW_TITLE

    @property
    def height(self) -> float:
        """Return the height of it all."""
        return self.legend_top + self.legend_height


def above(plan: Plan, figure: Figure, frame: pd.DataFrame, room: float) -> Above:
    """Return what stands above the panels, none of it wider than `room`."""
    words = measured.wrap(figure.title, room, TITLE_SIZE, "bold")
    handles = _legend_handles(plan, figure, room - HANDLE)
    return Above(is_smoke(frame), words, handles, *measured.legend(handles, room, **LEGEND))


def _legend_handles(plan: Plan, figure: Figure, room: float) -> list[Line2D]:
    """Return a line for each algorithm, and one for published values where there are some."""
    variants = [plan.variants[name] for name in figure.algorithms]
    looks: list[dict[str, Any]] = [{"label": v.label, "color": v.colour} for v in variants]
    if has_reference(figure):
        label = "published, end of training"
        looks.append({"label": label, "color": FAINT, "linestyle": DASHES})
    for look in looks:
        look["label"] = measured.wrap(look["label"], room, LEGEND["fontsize"])
    return [Line2D([], [], linewidth=2.4, **look) for look in looks]


def write_above(canvas: Canvas, what: Above) -> None:
    """Write the title, and the legend below it."""
    width, height = canvas.get_size_inches()
    left = MARGIN / width
    if what.smoke:
        warn_of_smoke(canvas, left, 1 - TOP / height)
    title(canvas, left, 1 - what.title_top / height, what.title)
    canvas.legend(
        handles=what.handles,
        loc="upper left",
        bbox_to_anchor=(left, 1 - what.legend_top / height),
        bbox_transform=canvas.transFigure,
        ncols=what.legend_columns,
        **LEGEND,
    )


class Below(NamedTuple):
    """What stands below the panels, under the label that all x axes share."""

    note: str  # in lines
    others: list[Line2D]  # a sample of the line of each curve of others, with what is said of it
    others_height: float

    @property
    def others_bottom(self) -> float:
        """Return where what is said of others ends and the note begins, from the bottom."""
        return NOTE_BOTTOM + NOTE_LINE * measured.lines(self.note) + OTHERS_TO_NOTE

    @property
    def height(self) -> float:
        """Return the height of it all."""
        written = self.others_bottom + self.others_height
        return X_LABEL_BELOW_PANELS + NOTE_BELOW_X_LABEL + written - OTHERS_TO_NOTE


def below(
    plan: Plan, figure: Figure, frame: pd.DataFrame, shown: Sequence[Shown], room: float
) -> Below:
    """Return what stands below the panels, none of it wider than `room`."""
    note = measured.wrap(provenance_note(plan, figure, frame), room, NOTE_SIZE)
    others = references.handles(shown, room - HANDLE)
    height = measured.legend(others, room, most=1, **LEGEND_OF_OTHERS)[1] if others else 0.0
    return Below(note, others, height + OTHERS_TO_NOTE * bool(others))


def write_below(canvas: Canvas, what: Below, x_label: str, middle: float) -> None:
    """Write the label that all x axes share, around the `middle` of the panels, and the note."""
    width, height = canvas.get_size_inches()
    y = (what.height - X_LABEL_BELOW_PANELS) / height
    canvas.text(middle / width, y, x_label, ha="center", va="center", fontsize=LABEL_SIZE)
    left, bottom = MARGIN / width, NOTE_BOTTOM / height
    look: dict[str, Any] = {"fontsize": NOTE_SIZE, "color": FAINT, "va": "bottom"}
    canvas.text(left, bottom, what.note, linespacing=1.35, **look)
    if what.others:
        canvas.legend(
            handles=what.others,
            bbox_to_anchor=(left, what.others_bottom / height),
            bbox_transform=canvas.transFigure,
            **LEGEND_OF_OTHERS,
        )


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
    if former := frame.attrs.get("left_since"):
        parts.append(f"with settings that were left since ({former})")
    if other := frame.attrs.get("begun_by_other_code"):
        parts.append(f"begun by other code than it ended with: {', '.join(other)}")
    return "; ".join(parts)
