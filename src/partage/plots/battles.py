"""A recorded battle as pictures: a strip of a few instants, and an animation."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from partage.plots import style

ALLY, ENEMY, DEAD = "#0072B2", "#D55E00", "#BBBBBB"
WALL, CLIFF, GROUND, HIGH_GROUND = 0.35, 0.6, 1.0, 0.88  # grey levels
BADGES = "ABCDEFGHIJ"  # of unit types
PALEST = 0.25  # opacity of a body that has lost all its health
PLAIN: dict[str, Any] = {}  # matplotlib's own look


class Battle(NamedTuple):
    """An episode of one copy; T + 1 instants of U units, the first `n_agents` of them allies."""

    title: str
    x: Float64[np.ndarray, "T U"]
    y: Float64[np.ndarray, "T U"]
    health: Float64[np.ndarray, "T U"]  # share of the full; 0 is dead
    shield: Float64[np.ndarray, "T U"]
    target: Int64[np.ndarray, "T U"]  # slot, or -1
    radius: Float64[np.ndarray, "U"]
    kind: Int64[np.ndarray, "U"]
    n_agents: int
    walkable: Bool[np.ndarray, "H W"]
    cliff: Bool[np.ndarray, "H W"]
    level: Int64[np.ndarray, "H W"]


class Window(NamedTuple):
    """A part of the map, in cells."""

    left: int
    right: int
    bottom: int
    top: int

    @property
    def shape(self) -> float:
        """Return its height as a share of its width."""
        return (self.top - self.bottom) / (self.right - self.left)


@style.drawing(PLAIN)
def strip(battle: Battle, path: Path, count: int = 6) -> None:
    """Save `count` instants, evenly spaced from the first to the last, as one PNG."""
    last = len(battle.x) - 1
    instants = sorted({round(part * last / (count - 1)) for part in range(count)})
    height = 2.2 * window(battle).shape + 0.3  # inches
    figure = Figure(figsize=(2.2 * len(instants), height))
    for place, instant in enumerate(instants):
        width = 0.99 / len(instants)
        axes = figure.add_axes((place / len(instants), 0, width, 1 - 0.3 / height))
        draw_instant(axes, battle, instant)
    figure.text(0.005, 1 - 0.14 / height, battle.title, fontsize=8, va="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


@style.drawing(PLAIN)
def animate(battle: Battle, path: Path) -> None:
    """Save every step as a frame of a GIF, in the game's own time at its speed "faster"."""
    figure = Figure(figsize=(4, 4 * window(battle).shape + 0.3))
    axes = figure.add_axes((0, 0, 1, 0.92))

    def frame(instant: int) -> list[Axes]:
        axes.clear()
        draw_instant(axes, battle, instant)
        return [axes]

    figure.text(0.01, 0.96, battle.title, fontsize=7, va="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    FuncAnimation(figure, frame, frames=len(battle.x)).save(path, PillowWriter(fps=3), dpi=70)


def window(battle: Battle) -> Window:
    """Return the part of the map that has ground to walk on, and a cell around it."""
    rows = np.nonzero(battle.walkable.any(1))[0]
    columns = np.nonzero(battle.walkable.any(0))[0]
    return Window(
        left=int(columns[0]) - 1,
        right=int(columns[-1]) + 2,
        bottom=int(rows[0]) - 1,
        top=int(rows[-1]) + 2,
    )


def draw_instant(axes: Axes, battle: Battle, instant: int) -> None:
    """Draw one instant: the ground, bodies as large as they are, and who has whom as target."""
    _draw_ground(axes, battle)
    units = np.arange(len(battle.kind))
    _draw_side(axes, battle, instant, units[: battle.n_agents], ALLY)
    _draw_side(axes, battle, instant, units[battle.n_agents :], ENEMY)
    _write_types(axes, battle, instant)
    part = window(battle)
    axes.set(xlim=(part.left, part.right), ylim=(part.bottom, part.top), xticks=[], yticks=[])
    badge = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    words = f"step {instant}"
    axes.text(part.left + 0.5, part.top - 0.5, words, fontsize=6, va="top", bbox=badge)


def _draw_ground(axes: Axes, battle: Battle) -> None:
    height = np.where(battle.level > battle.level.min(), HIGH_GROUND, GROUND)
    ground = np.where(battle.walkable, height, WALL)
    grey = np.where(battle.cliff, CLIFF, ground)
    rows, columns = grey.shape
    extent = (0, columns, 0, rows)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, origin="lower", extent=extent)


def _draw_side(axes: Axes, battle: Battle, instant: int, units: np.ndarray, colour: str) -> None:
    """Draw these units, paler where health is lost, and a line from each to its target."""
    x, y, health = battle.x[instant], battle.y[instant], battle.health[instant]
    alive = units[health[units] > 0]
    bodies = [Circle((x[unit], y[unit]), float(battle.radius[unit])) for unit in alive]
    shades = [(colour, PALEST + (1 - PALEST) * health[unit]) for unit in alive]
    axes.add_collection(
        PatchCollection(bodies, facecolors=shades, edgecolors=colour, linewidths=0.4)
    )
    dead = units[health[units] <= 0]
    axes.scatter(x[dead], y[dead], 3, DEAD, marker="x", linewidths=0.4)
    aims = []
    for unit in alive:
        target = battle.target[instant, unit]
        if target >= 0:
            aims.append(((x[unit], y[unit]), (x[target], y[target])))
    axes.add_collection(LineCollection(aims, colors=colour, linewidths=0.3, alpha=0.6))


def _write_types(axes: Axes, battle: Battle, instant: int) -> None:
    """Write a letter on each unit that is alive, if the allies are of several types."""
    kinds = np.unique(battle.kind[: battle.n_agents])
    if len(kinds) == 1:
        return
    for unit in np.nonzero(battle.health[instant] > 0)[0]:
        letter = BADGES[int(np.searchsorted(kinds, battle.kind[unit]))]
        x, y = battle.x[instant, unit], battle.y[instant, unit]
        axes.text(x, y, letter, fontsize=3.5, ha="center", va="center")
