"""What the page's script knows of a figure: the numbers of its curves, and where they stand.

They are read off the drawn figure itself, so that what is pointed at is what is drawn.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from partage.analysis import sharing as sharing_analysis
from partage.analysis.labels import task_label
from partage.config.plan import Figure, Plan
from partage.plots import marks, sharing
from partage.plots.layout import ALSO, panels_of
from partage.plots.marks import Mark

POINTS_PER_INCH = 72  # of an SVG
DIGITS = 6  # of a number
ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def data_of(plan: Plan, figure: Figure, frame: pd.DataFrame, canvas: Canvas, final: str) -> Markup:
    """Return the data of a drawn figure as JSON that no element of a page can end.

    `final` is the CSV of its final values.
    """
    labels = {name: plan.variants[name].label for name in figure.algorithms} | figure.also
    found = {
        "name": figure.name,
        "x": figure.x_label,
        "smooth": figure.smooth,
        "labels": labels,
        "panels": list(_panels(plan, figure, frame, canvas)),
        "sharing": list(_sharing(plan, figure, frame)),
        "final": final,
    }
    return as_json(found)


def as_json(data: Any) -> Markup:
    """Return data as JSON for an element of a page."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(ESCAPES))


def _panels(
    plan: Plan, figure: Figure, frame: pd.DataFrame, canvas: Canvas
) -> Iterator[dict[str, Any]]:
    """Yield each panel that curves are drawn in: its place, its axes and its curves."""
    shown = panels_of(figure if figure.kind == "curves" else figure._replace(beside={}))
    width, height = POINTS_PER_INCH * canvas.get_size_inches()
    for axes in canvas.axes:
        curves = [*_curves(axes), *_dots(axes)]
        if not curves:
            continue
        number = curves[0]["panel"]
        task, content = shown[min(number, len(shown) - 1)][:2]
        box = axes.get_position()
        metric = figure.also_label if content == ALSO else figure.beside.get(content)
        yield {
            "number": number,
            "task": task,
            "title": task_label(plan.tasks[task].label, task, frame.attrs["engine"]),
            "metric": metric or figure.y_label,
            "box": [box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height],
            "x": list(axes.get_xlim()),
            "y": list(axes.get_ylim()),
            "log": axes.get_yscale() == "log",
            "curves": curves,
        }


def _curves(axes: Axes) -> Iterator[dict[str, Any]]:
    """Yield the curve of each seed as it was drawn."""
    for line in axes.lines:
        mark = marks.read(line.get_gid())
        if mark and mark.kind in marks.OF_A_RUN:
            yield _drawn(mark, *line.get_data())


def _dots(axes: Axes) -> Iterator[dict[str, Any]]:
    """Yield each dot, as a curve of one point."""
    for dots in axes.collections:
        mark = marks.read(dots.get_gid())
        if mark and mark.kind in marks.OF_A_RUN:
            yield _drawn(mark, *np.asarray(dots.get_offsets()).T)


def _drawn(mark: Mark, x: Any, y: Any) -> dict[str, Any]:
    """Return what is known of what bears a mark, with the values it stands at."""
    of = {"kind": mark.kind, "of": mark.of, "panel": mark.panel, "seed": mark.seed}
    return {**of, "x": _numbers(np.asarray(x)), "y": _numbers(np.asarray(y))}


def _numbers(values: np.ndarray) -> list[float | int | None]:
    """Return numbers with as many digits as one can see and use; None for what is none."""
    rounded = [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values]
    return [int(one) if one is not None and one == int(one) else one for one in rounded]


def _sharing(plan: Plan, figure: Figure, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield who was in which group over training, for each task, block and seed of the strips."""
    for task in figure.tasks:
        mine = frame.loc[(frame["algorithm"] == figure.strip) & (frame["task"] == task), :]
        if mine["metric"].astype(str).str.startswith("overlap/").any():
            continue  # there are no groups
        for block in sharing_analysis.blocks(mine):
            by_seed = sharing.groups(frame, figure.strip, task, block, figure.x)
            agents = next(iter(by_seed.values())).first.shape[1]
            yield {
                "task": task,
                "block": block,
                "colours": sharing.own_colours(plan.tasks[task], agents),
                "end": float(np.max(np.asarray(mine[figure.x]))),
                "seeds": {
                    seed: {"times": each.times.tolist(), "first": each.first.tolist()}
                    for seed, each in by_seed.items()
                },
            }
