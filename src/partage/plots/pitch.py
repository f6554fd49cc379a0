"""A snapshot of football: each agent's view cone, who sees whom, and the course of the episode.

It is drawn from the players' places alone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle, Wedge

from partage.config.snapshots import Snapshot
from partage.errors import UserError
from partage.plots import style
from partage.plots.style import DPI, FAINT, INK
from partage.sims.football.match import Football, Options, View
from partage.sims.football.tasks import HORIZON, TASKS
from partage.sims.football.view_cone import ANGLE, RADIUS

GRASS, LINE, OPPONENT = "#e9f1e4", "#b9c9ae", "#3d3d3d"
HALF_WIDTH, HALF_GOAL = 0.42, 0.044  # of the field and of the goal; the field is 2 long
PENALTY_AREA_X, PENALTY_AREA_Y = 0.70, 0.24
# Actions of gfootball: right (thrice as often) and to its sides, sprint, pass, shot.
ATTACK = (4, 5, 5, 5, 6, 13, 11, 12, 12)
RIGHT = ATTACK[1]
STEPS_OF_AN_ACTION = 3
LARGE, SMALL = 70, 30  # points squared, of a player
Colours = Sequence[Any]


class Episode(NamedTuple):
    """What happened, step by step, and how it ended."""

    views: list[View]
    end: str  # goal | no goal


def play(snapshot: Snapshot) -> Episode:
    """Play the snapshot's episode: all run at the goal, dodge, pass and shoot, at random.

    The seed is the snapshot's, of the game and of the actions.
    """
    name = snapshot.task.partition("/")[2]
    n = len(TASKS[name].left)
    rng = np.random.default_rng(snapshot.seed)
    game = Football(name, Options())
    views = []
    actions = np.full(n, RIGHT)
    last = game.reset(snapshot.seed)
    for t in range(HORIZON):
        views.append(game.view)  # not the last: after a goal the package shows the next kick-off
        if t % STEPS_OF_AN_ACTION == 0:
            actions = rng.choice(ATTACK, n)
        last = game.step(actions.tolist())
        if last.terminated:
            break
    game.close()
    return Episode(views, "goal" if last.gain else "no goal")


def draw(snapshot: Snapshot) -> Canvas:
    """Return the whole picture. Raises `UserError` where the episode has no such step."""
    episode = play(snapshot)
    if snapshot.step >= len(episode.views):
        raise UserError(
            f"snapshots.toml [{snapshot.name}]: the episode has steps 0 to "
            f"{len(episode.views) - 1}, but step is {snapshot.step}."
        )
    view = episode.views[snapshot.step]
    colours = sns.color_palette("colorblind", len(view.facing))
    with style.drawing():
        canvas = Canvas(figsize=(9.4, 5.6), dpi=DPI)
        style.title(canvas, 0.025, 0.975, snapshot.title)
        note = (
            f"{snapshot.paper}. {snapshot.task}, seed {snapshot.seed}, step {snapshot.step}; "
            "agents (circles) act at random"
        )
        canvas.text(0.025, 0.925, note, fontsize=7.5, color=FAINT, va="top")
        field = canvas.add_axes((0.02, 0.36, 0.70, 0.53))
        _draw_cones(field, view, colours)
        _draw_players(field, view, colours, LARGE)
        _draw_who_sees_whom(canvas.add_axes((0.80, 0.46, 0.18, 0.32)), view, colours)
        _draw_course(canvas, episode, snapshot.pictures, colours)
        return canvas


def _draw_course(canvas: Canvas, episode: Episode, pictures: int, colours: Colours) -> None:
    """Draw some steps of the episode, evenly spaced, in a row."""
    last = len(episode.views) - 1
    steps = np.unique(np.linspace(0, last, pictures).round().astype(int))
    width = 0.96 / len(steps)
    for k, step in enumerate(steps):
        axes = canvas.add_axes((0.02 + k * width, 0.03, width - 0.012, 0.235))
        _draw_moment(axes, episode.views[: step + 1], colours)
        words = f"step {step}: {episode.end}" if step == steps[-1] else f"step {step}"
        axes.set_title(words, fontsize=8, loc="left", pad=3)
    heading = "The course of the episode (the attacked half)"
    canvas.text(0.025, 0.325, heading, fontsize=9, va="bottom")


def _draw_field(axes: Axes, left: float) -> None:
    """Draw the field, or its part right of `left`. The package's y grows downwards."""
    line: Any = {"color": LINE, "linewidth": 1.0, "zorder": 1}
    border: Any = {"facecolor": GRASS, "edgecolor": LINE, "linewidth": 1.2, "zorder": 0}
    goal: Any = {"color": INK, "linewidth": 3.0, "zorder": 2, "solid_capstyle": "butt"}
    x, y = PENALTY_AREA_X, PENALTY_AREA_Y
    axes.add_patch(Rectangle((-1, -HALF_WIDTH), 2, 2 * HALF_WIDTH, **border))
    axes.plot([0, 0], [-HALF_WIDTH, HALF_WIDTH], **line)
    for side in (-1, 1):
        axes.plot([side, side], [-HALF_GOAL, HALF_GOAL], **goal)
        axes.plot([side, side * x, side * x, side], [-y, -y, y, y], **line)
    axes.set_xlim(left - 0.04, 1.06)
    axes.set_ylim(HALF_WIDTH + 0.03, -HALF_WIDTH - 0.03)
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_cones(axes: Axes, view: View, colours: Colours) -> None:
    """Draw what each agent sees, and a line to each whom it sees."""
    _draw_field(axes, -1.0)
    for n, colour in enumerate(colours):
        _draw_cone(axes, view.players[n], view.facing[n], colour)
        x, y = view.players[n]
        for m in np.flatnonzero(view.seen[n]):
            if m != n:
                to_x, to_y = view.players[m]
                line: Any = {"color": colour, "linewidth": 0.6, "alpha": 0.6, "zorder": 2}
                axes.plot([x, to_x], [y, to_y], **line)


def _draw_cone(axes: Axes, place: np.ndarray, facing: np.ndarray, colour: Any) -> None:
    """Draw one agent's cone, cut off at the field's border, and an arrow that way."""
    x, y = place
    ahead = np.degrees(np.arctan2(facing[1], facing[0]))
    fill, edge = to_rgba(colour, 0.10), to_rgba(colour, 0.7)
    looks: Any = {"facecolor": fill, "edgecolor": edge, "linewidth": 0.9}
    cone = Wedge((x, y), RADIUS, ahead - ANGLE / 2, ahead + ANGLE / 2, **looks)
    axes.add_patch(cone)
    field = Rectangle((-1, -HALF_WIDTH), 2, 2 * HALF_WIDTH, transform=axes.transData)
    cone.set_clip_path(field)
    step = 0.10 * facing / (np.hypot(*facing) or 1.0)
    arrow: Any = {"arrowstyle": "-|>", "color": colour}
    axes.annotate("", (x + step[0], y + step[1]), (x, y), arrowprops=arrow, zorder=3)


def _player_name(player: int, n_agents: int) -> str:
    """Return an agent's number, or an opponent's letter."""
    return str(player) if player < n_agents else "xyz"[player - n_agents]


def _draw_players(axes: Axes, view: View, colours: Colours, size: float) -> None:
    """Draw agents in their colours, opponents dark, the ball white; large ones with their names."""
    n_agents = len(colours)
    for m, (x, y) in enumerate(view.players):
        ours = m < n_agents
        colour, marker = (colours[m], "o") if ours else (OPPONENT, "s")
        axes.scatter(x, y, size, color=colour, marker=marker, zorder=4, linewidths=0)
        if size == LARGE:
            letters: Any = {"color": "white", "fontsize": 6.5, "weight": "bold", "zorder": 5}
            name = _player_name(m, n_agents)
            axes.text(x, y, name, ha="center", va="center_baseline", **letters)
    x, y = view.ball[:2]
    axes.scatter(x, y, size * 0.3, color="white", edgecolors=INK, linewidths=0.9, zorder=6)


def _draw_moment(axes: Axes, views: Sequence[View], colours: Colours) -> None:
    """Draw the attacked half at the last of the views, and the ball's way there."""
    _draw_field(axes, 0.0)
    way = np.array([view.ball[:2] for view in views])
    axes.plot(way[:, 0], way[:, 1], color=INK, linewidth=0.8, linestyle=":", zorder=3)
    _draw_players(axes, views[-1], colours, SMALL)


def _draw_who_sees_whom(axes: Axes, view: View, colours: Colours) -> None:
    """Draw a row for each agent: a box for each player, filled where it is seen."""
    n, p = view.seen.shape
    axes.set_title("who sees whom", fontsize=9, loc="left", pad=16)
    for viewer in range(n):
        for player in range(p):
            face: Any = to_rgba(colours[viewer], 0.85) if view.seen[viewer, player] else "white"
            if player == viewer:
                face = "#f2f2f2"
            box: Any = {"facecolor": face, "edgecolor": "#c9c9c9", "linewidth": 0.8}
            axes.add_patch(Rectangle((player, viewer), 1, 1, **box))
    axes.set_xticks(np.arange(p) + 0.5, [_player_name(m, n) for m in range(p)], fontsize=8)
    axes.set_yticks(np.arange(n) + 0.5, [f"agent {m}" for m in range(n)], fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=2)
    axes.set_xlim(0, p)
    axes.set_ylim(n, 0)
    axes.set_aspect("equal")
    sns.despine(ax=axes, left=True, bottom=True)
