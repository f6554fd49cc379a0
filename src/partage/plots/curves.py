"""Learning curves: for each task the mean over seeds, its interval, and every seed, faint."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FuncFormatter

from partage.analysis import bands, series, stats
from partage.analysis.frames import runs_by_seed
from partage.analysis.series import Series
from partage.analysis.stats import named_generator
from partage.config.plan import Figure, Plan
from partage.plots import layout, references, style
from partage.plots.heat_maps import draw_blocks, is_by_degrees
from partage.plots.layout import ALSO, LABEL_SIZE, Layout, Panel
from partage.plots.marks import Mark, name_legend
from partage.plots.sharing import blocks, draw_seeds, groups, own_groups
from partage.runs.reference_curves import Shown

LOG_RANGE = 1e4  # a further metric, all positive, whose values span this has a logarithmic scale
WHOLE_RATE = (-0.03, 1.03)  # from 0 to 1, with room for a line's width
MIDDLE_WIDTH = 1.8  # points, of the line that is the mean (or median, or IQM) over seeds


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame, others: Sequence[Shown] = ()) -> Canvas:
    """Return the whole figure; `others` are curves of others, drawn behind ours."""
    others = references.visible(figure, frame, others)
    with style.drawing():
        page = layout.lay_out(plan, figure, frame, others)
        canvas = page.canvas()
        grid = page.grid(canvas)
        labelled = []  # panels of the first metric at the left edge: their labels are aligned
        for panel in page.panels:
            row, column = divmod(panel.number, page.columns)
            axes = _draw_panel(canvas, grid[row, column], plan, figure, frame, panel)
            references.draw(axes, figure, others, panel.task, panel.content)
            if panel.content == ALSO:
                _explain_further(axes, page, figure)
            elif panel.content in figure.beside or column == 0:
                axes.set_ylabel(panel.y_label, fontsize=LABEL_SIZE)
            if panel.content == figure.metric and column == 0:
                labelled.append(axes)
        canvas.align_ylabels(labelled)
        page = page.fit(canvas, grid)
        page.write_around(canvas, figure.x_label)
        name_legend(canvas.legends[-1], figure.algorithms)  # that above
        return canvas


def _draw_panel(
    canvas: Canvas, cell: SubplotSpec, plan: Plan, figure: Figure, frame: pd.DataFrame, panel: Panel
) -> Axes:
    """Draw one panel in its cell of the grid, with strips of sharing below it where asked for."""
    if panel.content == ALSO:
        axes = canvas.add_subplot(cell)
        _draw_further_metrics(axes, figure, frame, panel)
    elif panel.content == figure.metric and blocks(frame, figure.strip, panel.task):
        axes = _draw_with_strips(canvas, cell, plan, figure, frame, panel)
    else:
        axes = canvas.add_subplot(cell)
        _draw_metric(axes, plan, figure, frame, panel)
    return axes


def _draw_with_strips(
    canvas: Canvas, cell: SubplotSpec, plan: Plan, figure: Figure, frame: pd.DataFrame, panel: Panel
) -> Axes:
    """Draw a panel with a row of strips for each block of the algorithm whose sharing is drawn.

    Of blocks that agents share more or less of there are heat maps instead: everybody's set is
    another.
    """
    task = panel.task
    names = blocks(frame, figure.strip, task)
    in_part = [name for name in names if is_by_degrees(frame, figure.strip, task, name)]
    whole = [name for name in names if name not in in_part]
    heights = [1] * len(whole) + [2] * bool(in_part)
    ratios = [max(6 - len(names), 4), sum(heights)]
    halves = cell.subgridspec(2, 1, height_ratios=ratios, hspace=0.26)
    stack = halves[1].subgridspec(len(heights), 1, height_ratios=heights, hspace=0.14)
    axes = canvas.add_subplot(halves[0])
    end = _draw_metric(axes, plan, figure, frame, panel)
    for place, block in enumerate(whole):
        by_seed = groups(frame, figure.strip, task, block, figure.x)
        agents = next(iter(by_seed.values())).first.shape[1]
        own = own_groups(plan.tasks[task], agents)
        draw_seeds(canvas, stack[place], by_seed, own, block, end, headed=place == 0)
    if in_part:
        place = stack[len(heights) - 1]
        draw_blocks(canvas, place, frame, in_part, (figure.strip, task, figure.x), end)
    return axes


def _draw_curve(
    axes: Axes,
    runs: Mapping[int, Series],
    colour: str,
    rng: np.random.Generator,
    line: str,
    mark: Mark,
) -> float:
    """Draw the middle, interval and single seeds of one curve; return where it ends."""
    middle = stats.MIDDLES[line]
    grid, values = series.align(list(runs.values()))
    for seed, run in runs.items():
        gid = mark._replace(seed=seed).gid
        axes.plot(run.x, run.y, color=colour, linewidth=0.6, alpha=0.32, gid=gid)
    if len(runs) > 1 and len(grid):
        low, high = bands.band(values, rng, middle)
        band = axes.fill_between(grid, low, high, color=colour, alpha=0.17, linewidth=0)
        band.set_gid(mark._replace(kind="band").gid)
    (thick,) = axes.plot(grid, middle(values.T), color=colour, linewidth=MIDDLE_WIDTH)
    thick.set_solid_capstyle("round")
    thick.set_gid(mark._replace(kind="middle").gid)
    return max(run.x[-1] for run in runs.values())


def _draw_further_metrics(axes: Axes, figure: Figure, frame: pd.DataFrame, panel: Panel) -> None:
    """Draw the further metrics of the first algorithm on one logarithmic scale.

    Infinite values are counted in the legend, not drawn.
    """
    end = 0.0
    colours = sns.color_palette("colorblind", len(figure.also)).as_hex()
    labels = layout.further_labels(figure, frame, panel.task)
    for metric, label, colour in zip(figure.also, labels, colours, strict=True):
        runs = runs_by_seed(frame, figure.algorithms[0], panel.task, metric, figure.x)
        finite = {n: Series(x, np.where(np.isinf(y), np.nan, y)) for n, (x, y) in runs.items()}
        rng = named_generator(figure.name, panel.task, metric)
        mark = Mark("curve", metric, panel.number)
        end = max(end, _draw_curve(axes, finite, colour, rng, figure.line_of(metric), mark))
        axes.plot([], [], color=colour, linewidth=2, label=label)
    axes.set_yscale("log")
    _style_panel(axes, panel.title, end)


def _explain_further(axes: Axes, page: Layout, figure: Figure) -> None:
    """Write the legend of a panel of several metrics, above its title."""
    above = page.row_head - page.inner_height
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1 + above / page.axes_height),
        ncols=page.inner_columns,
        **layout.INNER_LEGEND,
    )
    name_legend(legend, figure.also)


def _draw_metric(
    axes: Axes, plan: Plan, figure: Figure, frame: pd.DataFrame, panel: Panel
) -> float:
    """Draw one metric of a task; return where its x axis ends.

    Curves are drawn in the order of figures.toml: later ones lie on top.
    """
    task, metric, number = panel.task, panel.content, panel.number
    end = 0.0
    names = [] if metric == figure.metric else [metric]
    for algorithm in figure.algorithms:
        if figure.draws(algorithm, task):
            runs = runs_by_seed(frame, algorithm, task, metric, figure.x)
            if share := figure.smooth:
                runs = {n: Series(x, series.smooth(x, y, share)) for n, (x, y) in runs.items()}
            rng = named_generator(figure.name, task, algorithm, *names)
            colour = plan.variants[algorithm].colour
            mark = Mark("curve", algorithm, number)
            end = max(end, _draw_curve(axes, runs, colour, rng, figure.line_of(metric), mark))
    if metric == figure.metric:
        _draw_published(axes, plan, figure, panel, end)
    low, high = axes.dataLim.intervaly
    if metric != figure.metric and 0 < LOG_RANGE * low < high:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(style.round_ticks())
        axes.yaxis.set_major_formatter(FuncFormatter(_with_minus))
    _style_panel(axes, panel.title, end)
    if metric in plan.tasks[task].rates:
        axes.set_ylim(*WHOLE_RATE)
    return end


def _draw_published(axes: Axes, plan: Plan, figure: Figure, panel: Panel, end: float) -> None:
    """Draw a dash for each published final value, at the right edge."""
    for algorithm in figure.algorithms:
        if (panel.task, algorithm) in figure.reference:
            axes.plot(
                [end * 1.015, end * 1.075],
                [figure.reference[panel.task, algorithm]] * 2,
                color=plan.variants[algorithm].colour,
                linewidth=2.4,
                linestyle=style.DASHES,
                clip_on=False,
                zorder=5,
                gid=Mark("published", algorithm, panel.number).gid,
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
