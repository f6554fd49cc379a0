"""Games with a closed form: what runs reach, over the policies that their sharing leaves in use.

Lines are the best returns for so many sets of parameters: of deterministic policies, and of
stochastic ones. A dot is a run at its end, greedy; a ring is the same run as it explores.
"""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from partage.analysis.finals import final_scores
from partage.analysis.sets_in_use import sets_in_use
from partage.analysis.table import number
from partage.config.plan import Figure, Plan
from partage.plots import layout, style
from partage.plots.layout import Panel
from partage.plots.marks import Mark, name_legend
from partage.sims.games import ceilings
from partage.sims.games.tasks import Game, named

X_LABEL = "sets of parameters in use"
Y_LABEL = "return (1 is the most there is)"
APART = 0.07  # between the dots of two algorithms with as many sets
DOT, RING = 30, 44  # areas in square points


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame) -> Canvas:
    """Return the whole figure."""
    with style.drawing():
        page = layout.lay_out(plan, figure._replace(beside={}), frame)
        canvas = page.canvas()
        grid = page.grid(canvas)
        finals = [final_scores(figure, frame, metric) for metric in (figure.metric, *figure.beside)]
        for i, task in enumerate(figure.tasks):
            row, column = divmod(i, page.columns)
            axes = canvas.add_subplot(grid[row, column])
            game = named(task)
            _draw_ceilings(axes, game)
            panel = page.panels[i]
            _draw_runs(axes, plan, figure, frame, game, panel, [scores[i] for scores in finals])
            _style_panel(axes, game, page.panels[i].title, column == 0)
            if i == 0:
                _explain(axes)
        page = page.fit(canvas, grid)
        page.write_around(canvas, X_LABEL)
        name_legend(canvas.legends[-1], figure.algorithms)
        return canvas


def _draw_ceilings(axes: Axes, game: Game) -> None:
    """Draw the best returns, greedy and by chance, for each number of sets."""
    sets = np.arange(1, game.n_agents + 1)
    lines = [(ceilings.greedy, "-")]
    if game.view != "own":  # there the past tells apart who draws
        lines.append((ceilings.sampled, "--"))
    for best, dashes in lines:
        heights = [ceilings.of_sets(game, int(s), best) / game.horizon for s in sets]
        axes.plot(sets, heights, color=style.FAINT, linewidth=1.2, linestyle=dashes, zorder=1)
    if game.view == "own" and game.kind == "specialisation":
        level = ceilings.symmetry_breaking(game) / game.horizon
        axes.plot([0.7, 1.3], [level, level], color=style.FAINT, linewidth=1.2, linestyle=":")


def _draw_runs(
    axes: Axes,
    plan: Plan,
    figure: Figure,
    frame: pd.DataFrame,
    game: Game,
    panel: Panel,
    finals: list[dict[str, np.ndarray]],
) -> None:
    """Draw each run as a dot, and as a ring for each further metric; algorithms side by side."""
    drawn = [name for name in figure.algorithms if figure.draws(name, panel.task)]
    for place, name in enumerate(drawn):
        used = sorted(sets_in_use(frame, name, panel.task).items())
        aside = APART * (place - (len(drawn) - 1) / 2)
        colour = plan.variants[name].colour
        for further, of_metric in enumerate(finals):
            look: dict[str, Any] = {"facecolors": "none" if further else colour, "linewidths": 1}
            look |= {"edgecolors": colour, "s": RING if further else DOT, "zorder": 3}
            for (seed, sets), y in zip(used, of_metric[name] / game.horizon, strict=True):
                said = f"{number(y)} with {sets} sets{', exploring' if further else ''}"
                mark = Mark("ring" if further else "dot", name, panel.number, seed, said)
                axes.scatter(sets + aside, y, gid=mark.gid, **look)


def _style_panel(axes: Axes, game: Game, words: str, first: bool) -> None:
    """Style what all panels have in common; the first of a row says what is up."""
    axes.set_title(words, fontsize=9, loc="left", pad=5)
    axes.set_xlim(0.4, game.n_agents + 0.6)
    axes.set_ylim(0, 1.06)
    axes.set_xticks(range(1, game.n_agents + 1))
    axes.grid(axis="y", color=style.GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    if first:
        axes.set_ylabel(Y_LABEL, fontsize=9.5)
    sns.despine(ax=axes)


def _explain(axes: Axes) -> None:
    """Say in a panel what its lines and marks are."""
    of_line: dict[str, Any] = {"color": style.FAINT, "linewidth": 1.2}
    of_mark: dict[str, Any] = {
        "color": "none",
        "marker": "o",
        "markeredgecolor": style.FAINT,
        "markersize": 5,
    }
    keys = [
        Line2D([], [], **of_line, label="ceiling, greedy"),
        Line2D([], [], **of_line, linestyle="--", label="ceiling, sampled"),
        Line2D([], [], **of_mark, markerfacecolor=style.FAINT, label="run, greedy"),
        Line2D([], [], **of_mark, markerfacecolor="none", label="run, exploring"),
    ]
    axes.legend(handles=keys, fontsize=6.5, frameon=False, loc="lower right")
