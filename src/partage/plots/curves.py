"""Learning curves as small multiples: one panel per task, the mean over seeds with its interval,
every seed faint.

Drawing the same frame twice gives the same bytes: the generator of the bands is seeded by the
curve's name, SVG ids by a fixed salt, and no file carries a date.
"""

import io
import math
import textwrap
import zlib
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from partage import _io
from partage.analysis import stats
from partage.analysis.frames import SEED, runs_of
from partage.config.plan import Figure, Plan
from partage.plots.sharing import strips
from partage.plots.style import FAINT, STYLE, WARNING, source, title

ALSO = "also"  # in place of a metric: the panel of several
POWERS = 1e4  # a further metric, all positive, that spans this is drawn on a logarithmic scale


def generator(*names: str) -> np.random.Generator:
    """The bootstrap's generator for one named curve: redrawing, or drawing fewer curves, changes
    none of the others.
    """
    return np.random.default_rng(zlib.crc32("/".join(names).encode()))


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame) -> Canvas:
    """The whole figure."""
    with matplotlib.rc_context(STYLE):
        kinds = [figure.metric, *figure.beside, *([ALSO] if figure.also else [])]
        parts = [(task, kind) for task in figure.tasks for kind in kinds]
        count = len(parts)
        columns = len(kinds) if figure.beside else 2 if count == 4 else min(3, count)
        rows = math.ceil(count / columns)
        each = 3.4 if figure.strip else 2.4
        wide, high = (6.4, each + 2.5) if count == 1 else (3.55 * columns, each * rows + 1.8)
        note = textwrap.fill(provenance_line(plan, figure, frame), int(wide * 17))
        more = 0.14 * max(note.count("\n") - 2, 0)  # inches: there is room for three lines
        high += more
        canvas = Canvas(figsize=(wide, high), dpi=160)
        top, bottom, left = (
            1 - (1.18 if smoke(frame) else 0.98) / high,
            (1.08 + more) / high,
            0.80 / wide,
        )
        grid = canvas.add_gridspec(
            rows,
            columns,
            left=left,
            right=1 - 0.30 / wide,
            bottom=bottom,
            top=top,
            wspace=0.42 if figure.beside else 0.30,
            hspace=0.32,
        )
        firsts = []
        for at, (task, kind) in enumerate(parts):
            cell = grid[at // columns, at % columns]
            if figure.strip and kind == figure.metric:
                stack = cell.subgridspec(3, 1, height_ratios=[4, 1, 1], hspace=0.12)
                axes, *below = (canvas.add_subplot(part) for part in stack)
                strips(
                    below,
                    frame,
                    figure.strip,
                    task,
                    figure.x,
                    panel(axes, plan, figure, frame, task, kind),
                )
                axes.tick_params(labelbottom=False)
                below[-1].xaxis.set_major_formatter(FuncFormatter(short))
            else:
                axes = canvas.add_subplot(cell)
                if kind == ALSO:
                    also(axes, figure, frame, task)
                else:
                    panel(axes, plan, figure, frame, task, kind)
            if kind in figure.beside:
                axes.set_ylabel(figure.beside[kind], fontsize=9.5)
            elif kind == figure.metric and at % columns == 0:
                axes.set_ylabel(figure.y_label, fontsize=9.5)
                firsts.append(axes)
        canvas.align_ylabels(firsts)
        middle = (left + 1 - 0.30 / wide) / 2
        canvas.text(
            middle, (0.70 + more) / high, figure.x_label, ha="center", va="center", fontsize=9.5
        )
        canvas.text(
            0.30 / wide, 0.13 / high, note, fontsize=7.5, color=FAINT, va="bottom", linespacing=1.35
        )
        heading(canvas, plan, figure, frame)
        return canvas


def curve(
    axes: Axes,
    runs: list[tuple[np.ndarray, np.ndarray]],
    colour: str,
    rng: np.random.Generator,
    line: str = "mean",
) -> float:
    """Middle, interval and single seeds of one curve; returns where it ends."""
    grid, values = stats.align(runs)
    for x, y in runs:
        axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.32)
    if len(runs) > 1 and len(grid):
        low, high = stats.band(values, rng, stats.MIDDLES[line])
        axes.fill_between(grid, low, high, color=colour, alpha=0.17, linewidth=0)
    axes.plot(
        grid, stats.MIDDLES[line](values.T), color=colour, linewidth=1.8, solid_capstyle="round"
    )
    return max(x[-1] for x, _ in runs)


def also(axes: Axes, figure: Figure, frame: pd.DataFrame, task: str) -> None:
    """The further metrics of the first algorithm, on one logarithmic scale; infinite values are
    counted, not drawn.
    """
    end = 0.0
    for (metric, label), colour in zip(
        figure.also.items(), sns.color_palette("colorblind").as_hex(), strict=False
    ):
        runs = runs_of(frame, figure.algorithms[0], task, metric, figure.x)
        endless = float(np.mean(np.concatenate([np.isinf(y) for _, y in runs])))
        finite = [(x, np.where(np.isinf(y), np.nan, y)) for x, y in runs]
        end = max(
            end, curve(axes, finite, colour, generator(figure.name, task, metric), figure.line)
        )
        axes.plot(
            [],
            [],
            color=colour,
            linewidth=2,
            label=label + (f" ({endless:.0%} infinite)" if endless else ""),
        )
    axes.set_yscale("log")
    axes.legend(
        fontsize=6.5, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.09), borderaxespad=0,
        borderpad=0.1, handlelength=1.2, columnspacing=1.0, labelspacing=0.3,
    )  # fmt: skip
    dress(axes, figure.also_label, end)


def panel(
    axes: Axes, plan: Plan, figure: Figure, frame: pd.DataFrame, task: str, metric: str
) -> float:
    """One metric of a task; returns where its x axis ends. Curves in the order of figures.toml:
    later ones on top.
    """
    end = 0.0
    for name in (name for name in figure.algorithms if figure.draws(name, task)):
        runs, names = (
            runs_of(frame, name, task, metric, figure.x),
            () if metric == figure.metric else (metric,),
        )
        if figure.smooth:
            runs = [(x, stats.smooth(x, y, figure.smooth)) for x, y in runs]
        rng = generator(figure.name, task, name, *names)
        end = max(end, curve(axes, runs, plan.variants[name].colour, rng, figure.line))
    for name in figure.algorithms:
        if (task, name) in figure.reference and metric == figure.metric:
            axes.plot(
                [end * 1.015, end * 1.075], [figure.reference[task, name]] * 2, color=plan.variants[name].colour,
                linewidth=2.4, linestyle=(0, (1.1, 0.5)), clip_on=False, zorder=5,
            )  # fmt: skip
    least, most = axes.dataLim.intervaly
    if metric != figure.metric and 0 < POWERS * least < most:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\u2212"))
        )
    dress(axes, title(plan.tasks[task].label, task, frame.attrs["engine"]), end)
    return end


def dress(axes: Axes, heading: str, end: float) -> None:
    """What all panels have in common."""
    axes.set_title(heading, fontsize=9, loc="left", pad=5)
    axes.set_xlim(0, end * 1.02 if end else 1)
    axes.margins(y=0.07)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def short(value: float, _: int | None = None) -> str:
    """20000 -> 20k, 1500000 -> 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def heading(canvas: Canvas, plan: Plan, figure: Figure, frame: pd.DataFrame) -> None:
    """Title and legend, above the panels."""
    wide, high = canvas.get_size_inches()
    left, line = 0.30 / wide, 0.17  # inches from the top
    if smoke(frame):
        canvas.text(
            left,
            1 - line / high,
            "smoke scale: not a result",
            color=WARNING,
            weight="bold",
            va="top",
        )
        line += 0.20
    canvas.text(left, 1 - line / high, figure.title, fontsize=12.5, weight="bold", va="top")
    dashes = (0, (1.1, 0.5))
    variants = [plan.variants[name] for name in figure.algorithms]
    handles = [Line2D([], [], color=v.colour, linewidth=2.4, label=v.label) for v in variants]
    if any((task, name) in figure.reference for task in figure.tasks for name in figure.algorithms):
        handles.append(
            Line2D(
                [],
                [],
                color=FAINT,
                linewidth=2.4,
                linestyle=dashes,
                label="published, end of training",
            )
        )
    canvas.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left, 1 - (line + 0.26) / high),
        bbox_transform=canvas.transFigure, ncols=len(handles) if wide > 8 else 3, frameon=False, borderaxespad=0,
        borderpad=0.1, handlelength=1.7, columnspacing=1.6,
    )  # fmt: skip


def smoke(frame: pd.DataFrame) -> bool:
    return frame.attrs["scale"] == "smoke"


def provenance_line(plan: Plan, figure: Figure, frame: pd.DataFrame) -> str:
    """Scale, engine, seeds and what the band is: printed on every figure."""
    engine = source(frame.attrs["engine"], figure.tasks)
    counts = sorted(set(frame.groupby(["task", "algorithm"])["seed"].nunique()))
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    plural = "s" if counts[-1] > 1 else ""
    bands = (
        "bands: 95\u00a0% stratified bootstrap over seeds"
        if counts[-1] > 1
        else "no band for one seed"
    )
    return (
        f"{figure.paper}. Scale {frame.attrs['scale']}, engine {engine}, {seeds} seed{plural} a curve; "
        f"line: {figure.line}, thin lines: single seeds, {bands}"
        + (
            f"; moving means over {figure.smooth:.0%} of training".replace("%", "\u00a0%")
            if figure.smooth
            else ""
        )
        + (
            f"; strips: who shares with whom under {plan.variants[figure.strip].label}, seed {SEED}: "
            "one row an agent, agent 0 on top, one colour a set"
            if figure.strip
            else ""
        )
    )


NAMELESS: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def payload(canvas: Canvas, kind: str) -> bytes:
    """The picture as a file of this kind, without date or version, so that equal pictures are equal
    bytes.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        canvas.savefig(buffer, format=kind, metadata=NAMELESS[kind], facecolor="white")
    return buffer.getvalue()


def save(canvas: Canvas, *paths: Path) -> None:
    """The same picture in each file, of the kind that its name says."""
    for path in paths:
        _io.write(path, payload(canvas, path.suffix[1:]))
