"""Curves of others in our panels: thin, grey, dashed, behind ours, and said to be of others."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from partage.analysis import series
from partage.analysis.series import Series
from partage.config.plan import Figure
from partage.plots import measured
from partage.runs.reference_curves import Seed, Shown

HEADING = "Of others, drawn thin and grey: in no mean, band, table or verdict here"
GREYS = ("#4d4d4d", "#8c8c8c")
DASHES: Sequence[Any] = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (8, 3, 1, 2, 1, 2)))
WIDTH, SEED_WIDTH, SEED_ALPHA = 1.0, 0.35, 0.45  # points; ours are 1.8 and 0.6
POINTS = 400  # of one line
SIZE = 7.5  # of letters, in points


def visible(figure: Figure, frame: pd.DataFrame, shown: Sequence[Shown]) -> list[Shown]:
    """Return the curves with a line within their panel, whose x axis ends where ours do."""
    found: list[Shown] = []
    for curve in shown:
        rows = (frame["task"] == curve.task) & (frame["metric"] == curve.metric)
        end = float(frame.loc[rows, figure.x].max())
        lengths = [len(_within(series_of(seed, figure), end).x) for seed in curve.seeds]
        if max(lengths) > 1:
            found.append(curve)
    return found


def draw(axes: Axes, figure: Figure, shown: Sequence[Shown], task: str, metric: str) -> None:
    """Draw what belongs to a panel, as far as its x axis reaches.

    The middle of several seeds is their mean, over the steps that all of them have.
    """
    end = axes.get_xlim()[1]
    labels = said(shown)
    for curve in shown:
        if (curve.task, curve.metric) == (task, metric):
            place = labels.index((curve.words, curve.about))
            _draw_curve(axes, figure, curve.seeds, end, look(place))


def _draw_curve(
    axes: Axes, figure: Figure, seeds: Sequence[Seed], end: float, look: dict[str, Any]
) -> None:
    runs = [series_of(seed, figure) for seed in seeds]
    middle = runs[0]
    if len(runs) > 1:
        single = {**look, "linewidth": SEED_WIDTH, "linestyle": "-", "alpha": SEED_ALPHA}
        for run in runs:
            axes.plot(*_within(run, end), **single)
        grid, values = series.align(runs, POINTS)
        middle = Series(grid, values.mean(axis=0))
    axes.plot(*_within(middle, end), **look)


def series_of(seed: Seed, figure: Figure) -> Series:
    """Return a seed over the figure's x axis, smoothed as ours; empty where updates are unknown."""
    x = (seed.updates if figure.x == "updates" else seed.env_steps).astype(float)
    known = x >= 0
    run = Series(x[known], seed.values[known])
    if figure.smooth and len(run.x):
        return Series(run.x, series.smooth(run.x, run.y, figure.smooth))
    return run


def _within(run: Series, end: float) -> Series:
    """Return what of a line is within the axis, thinned to `POINTS`."""
    inside = run.x <= end
    step = max(1, -(-int(inside.sum()) // POINTS))
    return Series(run.x[inside][::step], run.y[inside][::step])


def said(shown: Sequence[Shown]) -> list[tuple[str, str]]:
    """Return what is said of each curve and of its source; the place here decides its look."""
    return list(dict.fromkeys((curve.words, curve.about) for curve in shown))


def look(place: int) -> dict[str, Any]:
    """Return how the curve at a place of `labels` is drawn."""
    return {
        "color": GREYS[place // len(DASHES) % len(GREYS)],
        "linestyle": DASHES[place % len(DASHES)],
        "linewidth": WIDTH,
        "zorder": 1.5,
    }


def handles(shown: Sequence[Shown], room: float) -> list[Line2D]:
    """Return a sample of each curve's line with its words, and below those of a source what it is.

    No line of words is wider than `room`, in inches.
    """
    labels = said(shown)
    found: list[Line2D] = []
    for source in dict.fromkeys(about for _, about in labels):
        for place, (words, about) in enumerate(labels):
            if about == source:
                found.append(Line2D([], [], **look(place), label=measured.wrap(words, room, SIZE)))
        found.append(Line2D([], [], linestyle="none", label=measured.wrap(source, room, SIZE)))
    return found
