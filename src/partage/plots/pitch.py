"""A scene of football, drawn from places alone: each agent's view cone, who sees whom, the course
of the episode.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle, Wedge

from partage.config.snapshots import Snapshot
from partage.errors import UserError
from partage.plots.style import FAINT, INK, STYLE
from partage.sims.football.match import HORIZON, TASKS, Football, Options, View
from partage.sims.football.view_cone import ANGLE, REACH

GRASS, LINE, THEM = "#e9f1e4", "#b9c9ae", "#3d3d3d"
DEEP, GOAL = 0.42, 0.044  # half the field's width and the goal's
PLAY = (4, 5, 5, 5, 6, 13, 11, 12, 12)  # actions: right and to its sides, sprint, pass, shot


def play(scene: Snapshot) -> tuple[list[View], str]:
    """An episode in which all run at the goal, dodge, pass and shoot, drawn from the scene's seed;
    and how it ends.
    """
    name = scene.task.partition("/")[2]
    n, rng = len(TASKS[name].left), np.random.default_rng(scene.seed)
    game, views, actions = Football(name, Options()), [], np.full(n, PLAY[1])
    last = game.reset(scene.seed)
    for t in range(HORIZON):
        views.append(game.view)  # not the last: after a goal the package shows the next kick-off
        if t % 3 == 0:
            actions = rng.choice(PLAY, n)
        last = game.step(actions.tolist())
        if last.terminated:
            break
    game.close()
    return views, "goal" if last.gain else "no goal"


def draw(scene: Snapshot) -> Canvas:
    """The whole picture."""
    views, end = play(scene)
    if scene.step >= len(views):
        raise UserError(
            f"snapshots.toml [{scene.name}]: the episode has steps 0 to {len(views) - 1}, but step is {scene.step}."
        )
    shown = views[scene.step]
    n = len(shown.facing)
    colours = sns.color_palette("colorblind", n)
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=(9.4, 5.6), dpi=160)
        canvas.text(0.025, 0.975, scene.title, fontsize=12.5, weight="bold", va="top")
        note = f"{scene.paper}. {scene.task}, seed {scene.seed}, step {scene.step}; agents (circles) act at random"
        canvas.text(0.025, 0.925, note, fontsize=7.5, color=FAINT, va="top")
        field = canvas.add_axes((0.02, 0.36, 0.70, 0.53))
        cones(field, shown, colours)
        players(field, shown, colours, 70)
        whom(canvas.add_axes((0.80, 0.46, 0.18, 0.32)), shown, colours)
        at = np.unique(np.linspace(0, len(views) - 1, scene.pictures).round().astype(int))
        wide = 0.96 / len(at)
        for k, step in enumerate(at):
            small = canvas.add_axes((0.02 + k * wide, 0.03, wide - 0.012, 0.235))
            moment(small, views[: step + 1], colours)
            small.set_title(
                f"step {step}" + (f": {end}" if step == at[-1] else ""),
                fontsize=8,
                loc="left",
                pad=3,
            )
        canvas.text(
            0.025, 0.325, "The course of the episode (the attacked half)", fontsize=9, va="bottom"
        )
        return canvas


def ground(axes: Axes, left: float) -> None:
    """The field, or its part right of `left`. The package's y grows downwards."""
    line: Any = {"color": LINE, "linewidth": 1.0, "zorder": 1}
    axes.add_patch(
        Rectangle(
            (-1, -DEEP), 2, 2 * DEEP, facecolor=GRASS, edgecolor=LINE, linewidth=1.2, zorder=0
        )
    )
    axes.plot([0, 0], [-DEEP, DEEP], **line)
    for side in (-1, 1):
        axes.plot(
            [side, side], [-GOAL, GOAL], color=INK, linewidth=3.0, zorder=2, solid_capstyle="butt"
        )
        axes.plot([side, side * 0.70, side * 0.70, side], [-0.24, -0.24, 0.24, 0.24], **line)
    axes.set_xlim(left - 0.04, 1.06)
    axes.set_ylim(DEEP + 0.03, -DEEP - 0.03)
    axes.set_aspect("equal")
    axes.axis("off")


def cones(axes: Axes, view: View, colours: Sequence) -> None:
    """What each agent sees, and a line to each whom it sees."""
    ground(axes, -1.0)
    for n, (facing, colour) in enumerate(zip(view.facing, colours, strict=True)):
        x, y = view.players[n]
        ahead = np.degrees(np.arctan2(facing[1], facing[0]))
        edges = ahead - ANGLE / 2, ahead + ANGLE / 2
        cone = Wedge(
            (x, y),
            REACH,
            *edges,
            facecolor=to_rgba(colour, 0.10),
            edgecolor=to_rgba(colour, 0.7),
            linewidth=0.9,
        )
        axes.add_patch(cone)
        cone.set_clip_path(Rectangle((-1, -DEEP), 2, 2 * DEEP, transform=axes.transData))
        step = 0.10 * facing / (np.hypot(*facing) or 1.0)
        axes.annotate(
            "",
            (x + step[0], y + step[1]),
            (x, y),
            arrowprops={"arrowstyle": "-|>", "color": colour},
            zorder=3,
        )
        for m in np.flatnonzero(view.seen[n]):
            if m != n:
                axes.plot(
                    [x, view.players[m, 0]],
                    [y, view.players[m, 1]],
                    color=colour,
                    linewidth=0.6,
                    alpha=0.6,
                    zorder=2,
                )


def players(axes: Axes, view: View, colours: Sequence, size: float) -> None:
    """Agents in their colours, opponents dark, the ball white."""
    for m, (x, y) in enumerate(view.players):
        mine = m < len(colours)
        name = str(m) if mine else "xyz"[m - len(colours)]
        axes.scatter(
            x,
            y,
            size,
            color=colours[m] if mine else THEM,
            marker="o" if mine else "s",
            zorder=4,
            linewidths=0,
        )
        if size > 40:
            axes.text(
                x,
                y,
                name,
                color="white",
                fontsize=6.5,
                weight="bold",
                ha="center",
                va="center_baseline",
                zorder=5,
            )
    x, y = view.ball[:2]
    axes.scatter(x, y, size * 0.3, color="white", edgecolors=INK, linewidths=0.9, zorder=6)


def moment(axes: Axes, views: Sequence[View], colours: Sequence) -> None:
    """The attacked half at the last of the views, and the ball's way there."""
    ground(axes, 0.0)
    way = np.array([view.ball[:2] for view in views])
    axes.plot(way[:, 0], way[:, 1], color=INK, linewidth=0.8, linestyle=":", zorder=3)
    players(axes, views[-1], colours, 30)


def whom(axes: Axes, view: View, colours: Sequence) -> None:
    """A row for each agent: whom it sees."""
    n, p = view.seen.shape
    axes.set_title("who sees whom", fontsize=9, loc="left", pad=16)
    for row in range(n):
        for column in range(p):
            face = (
                "#f2f2f2"
                if column == row
                else to_rgba(colours[row], 0.85)
                if view.seen[row, column]
                else "white"
            )
            axes.add_patch(
                Rectangle((column, row), 1, 1, facecolor=face, edgecolor="#c9c9c9", linewidth=0.8)
            )
    names = [str(m) if m < n else "xyz"[m - n] for m in range(p)]
    axes.set_xticks(np.arange(p) + 0.5, names, fontsize=8)
    axes.set_yticks(np.arange(n) + 0.5, [f"agent {m}" for m in range(n)], fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=2)
    axes.set_xlim(0, p)
    axes.set_ylim(n, 0)
    axes.set_aspect("equal")
    sns.despine(ax=axes, left=True, bottom=True)
