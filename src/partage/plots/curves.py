"""Learning curves: for each task the mean over seeds, its interval, and every seed, faint."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FuncFormatter

from partage.analysis import bands, series, stats
from partage.analysis.frames import runs_of
from partage.analysis.labels import task_label
from partage.analysis.series import Series
from partage.analysis.stats import named_generator
from partage.config.plan import Figure, Plan
from partage.plots import layout, references, style
from partage.plots.heat_maps import draw_blocks, is_by_degrees
from partage.plots.layout import ALSO, Panel
from partage.plots.sharing import blocks, draw_strips
from partage.runs.reference_curves import Shown

LOG_RANGE = 1e4  # a further metric, all positive, whose values span this has a logarithmic scale
MIDDLE_WIDTH = 1.8  # points, of the line that is the mean (or median, or IQM) over seeds


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame, others: Sequence[Shown] = ()) -> Canvas:
    """Return the whole figure; `others` are curves of others, drawn behind ours."""
    others = references.visible(figure, frame, others)
    with style.drawing():
        page = layout.lay_out(plan, figure, frame, others)
        canvas = page.canvas()
        grid = page.grid(canvas, bool(figure.beside))
        labelled = []  # panels of the first metric at the left edge: their labels are aligned
        for i, panel in enumerate(page.panels):
            row, column = divmod(i, page.columns)
            axes = _draw_panel(canvas, grid[row, column], plan, figure, frame, panel)
            references.draw(axes, figure, others, *panel)
            if panel.content in figure.beside:
                axes.set_ylabel(figure.beside[panel.content], fontsize=9.5)
            elif panel.content == figure.metric and column == 0:
                axes.set_ylabel(figure.y_label, fontsize=9.5)
                labelled.append(axes)
        canvas.align_ylabels(labelled)
        layout.write_below(canvas, page, figure.x_label)
        layout.write_above(canvas, page, plan, figure)
        return canvas


def _draw_panel(
    canvas: Canvas, cell: SubplotSpec, plan: Plan, figure: Figure, frame: pd.DataFrame, panel: Panel
) -> Axes:
    """Draw one panel in its cell of the grid, with strips of sharing below it where asked for."""
    if panel.content == ALSO:
        axes = canvas.add_subplot(cell)
        _draw_further_metrics(axes, figure, frame, panel.task)
    elif figure.strip and panel.content == figure.metric:
        axes = _draw_with_strips(canvas, cell, plan, figure, frame, panel)
    else:
        axes = canvas.add_subplot(cell)
        _draw_metric(axes, plan, figure, frame, panel)
    return axes


def _draw_with_strips(
    canvas: Canvas, cell: SubplotSpec, plan: Plan, figure: Figure, frame: pd.DataFrame, panel: Panel
) -> Axes:
    """Draw a panel with a strip for each block of the algorithm whose sharing is drawn.

    There is none on a task that this algorithm is not drawn on. Of blocks that agents share more or
    less of there are heat maps instead: everybody's set is another.
    """
    names = blocks(frame, figure.strip, panel.task)
    in_part = [name for name in names if is_by_degrees(frame, figure.strip, panel.task, name)]
    whole = [name for name in names if name not in in_part]
    heights = [max(6 - len(names), 4)] + [1] * len(whole) + [2] * bool(in_part)
    stack = cell.subgridspec(len(heights), 1, height_ratios=heights, hspace=0.12)
    axes, *strips = (canvas.add_subplot(stack[n]) for n in range(1 + len(whole)))
    end = _draw_metric(axes, plan, figure, frame, panel)
    draw_strips(strips, whole, frame, figure.strip, panel.task, figure.x, end)
    if strips:
        axes.tick_params(labelbottom=False)
        strips[-1].xaxis.set_major_formatter(FuncFormatter(style.short_number))
    if in_part:
        place = stack[len(heights) - 1]
        draw_blocks(canvas, place, frame, in_part, (figure.strip, panel.task, figure.x), end)
    return axes


def _draw_curve(
    axes: Axes, runs: list[Series], colour: str, rng: np.random.Generator, line: str
) -> float:
    """Draw the middle, interval and single seeds of one curve; return where it ends."""
    middle = stats.MIDDLES[line]
    grid, values = series.align(runs)
    for run in runs:
        axes.plot(run.x, run.y, color=colour, linewidth=0.6, alpha=0.32)
    if len(runs) > 1 and len(grid):
        low, high = bands.band(values, rng, middle)
        axes.fill_between(grid, low, high, color=colour, alpha=0.17, linewidth=0)
    axes.plot(grid, middle(values.T), color=colour, linewidth=MIDDLE_WIDTH, solid_capstyle="round")
    return max(run.x[-1] for run in runs)


def _draw_further_metrics(axes: Axes, figure: Figure, frame: pd.DataFrame, task: str) -> None:
    """Draw the further metrics of the first algorithm on one logarithmic scale.

    Infinite values are counted in the legend, not drawn.
    """
    end = 0.0
    colours = sns.color_palette("colorblind").as_hex()
    for (metric, label), colour in zip(figure.also.items(), colours, strict=False):
        runs = runs_of(frame, figure.algorithms[0], task, metric, figure.x)
        infinite = float(np.mean(np.isinf(np.concatenate([run.y for run in runs]))))
        finite = [Series(x, np.where(np.isinf(y), np.nan, y)) for x, y in runs]
        rng = named_generator(figure.name, task, metric)
        end = max(end, _draw_curve(axes, finite, colour, rng, figure.line_of(metric)))
        words = f"{label} ({infinite:.0%} infinite)" if infinite else label
        axes.plot([], [], color=colour, linewidth=2, label=words)
    axes.set_yscale("log")
    axes.legend(
        fontsize=6.5,
        frameon=False,
        ncols=2,
        loc="lower left",
        bbox_to_anchor=(0, 1.09),
        borderaxespad=0,
        borderpad=0.1,
        handlelength=1.2,
        columnspacing=1.0,
        labelspacing=0.3,
    )
    _style_panel(axes, figure.also_label, end)


def _draw_metric(
    axes: Axes, plan: Plan, figure: Figure, frame: pd.DataFrame, panel: Panel
) -> float:
    """Draw one metric of a task; return where its x axis ends.

    Curves are drawn in the order of figures.toml: later ones lie on top.
    """
    task, metric = panel
    end = 0.0
    names = [] if metric == figure.metric else [metric]
    for algorithm in figure.algorithms:
        if figure.draws(algorithm, task):
            runs = runs_of(frame, algorithm, task, metric, figure.x)
            if figure.smooth:
                runs = [Series(x, series.smooth(x, y, figure.smooth)) for x, y in runs]
            rng = named_generator(figure.name, task, algorithm, *names)
            colour = plan.variants[algorithm].colour
            end = max(end, _draw_curve(axes, runs, colour, rng, figure.line_of(metric)))
    if metric == figure.metric:
        _draw_published(axes, plan, figure, task, end)
    low, high = axes.dataLim.intervaly
    if metric != figure.metric and 0 < LOG_RANGE * low < high:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(style.round_ticks())
        axes.yaxis.set_major_formatter(FuncFormatter(_with_minus))
    _style_panel(axes, task_label(plan.tasks[task].label, task, frame.attrs["engine"]), end)
    return end


def _draw_published(axes: Axes, plan: Plan, figure: Figure, task: str, end: float) -> None:
    """Draw a dash for each published final value, at the right edge."""
    for algorithm in figure.algorithms:
        if (task, algorithm) in figure.reference:
            axes.plot(
                [end * 1.015, end * 1.075],
                [figure.reference[task, algorithm]] * 2,
                color=plan.variants[algorithm].colour,
                linewidth=2.4,
                linestyle=style.DASHES,
                clip_on=False,
                zorder=5,
            )


def _with_minus(value: float, _position: int | None = None) -> str:
    """Return a tick's label with a minus sign that is one."""
    return f"{value:g}".replace("-", "\u2212")


def _style_panel(axes: Axes, words: str, end: float) -> None:
    """Style what all panels have in common."""
    axes.set_title(words, fontsize=9, loc="left", pad=5)
    style.style_training_axis(axes, end)
    axes.margins(y=0.07)
    axes.grid(axis="y", color=style.GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    sns.despine(ax=axes)
