"""A recorded battle as pictures: a strip of a few instants, and an animation."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

ALLY, ENEMY, DEAD = "#0072B2", "#D55E00", "#BBBBBB"
WALL, CLIFF, GROUND, HIGH = 0.35, 0.6, 1.0, 0.88  # grey levels of the ground
BADGES = "ABCDEFGHIJ"  # of unit types


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


def strip(battle: Battle, path: Path, count: int = 6) -> None:
    """Save `count` instants, evenly spaced from the first to the last, as one PNG."""
    instants = sorted({round(part * (len(battle.x) - 1) / (count - 1)) for part in range(count)})
    left, right, bottom, top = window(battle)
    height = 2.2 * (top - bottom) / (right - left) + 0.3
    figure = Figure(figsize=(2.2 * len(instants), height))
    for place, instant in enumerate(instants):
        draw(
            figure.add_axes((place / len(instants), 0, 0.99 / len(instants), 1 - 0.3 / height)),
            battle,
            instant,
        )
    figure.text(0.005, 1 - 0.14 / height, battle.title, fontsize=8, va="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def animate(battle: Battle, path: Path) -> None:
    """Save every step as a frame of a GIF, in the game's own time at its speed "faster"."""
    left, right, bottom, top = window(battle)
    figure = Figure(figsize=(4, 4 * (top - bottom) / (right - left) + 0.3))
    axes = figure.add_axes((0, 0, 1, 0.92))

    def frame(instant: int) -> list[Axes]:
        axes.clear()
        draw(axes, battle, instant)
        return [axes]

    figure.text(0.01, 0.96, battle.title, fontsize=7, va="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    FuncAnimation(figure, frame, frames=len(battle.x)).save(path, PillowWriter(fps=3), dpi=70)


def window(battle: Battle) -> tuple[int, int, int, int]:
    """The part of the map that has ground to walk on, and a cell around it: left, right, bottom,
    top.
    """
    rows, columns = (np.nonzero(battle.walkable.any(axis))[0] for axis in (1, 0))
    return int(columns[0]) - 1, int(columns[-1]) + 2, int(rows[0]) - 1, int(rows[-1]) + 2


def draw(axes: Axes, battle: Battle, instant: int) -> None:
    """One instant: bodies as large as they are, paler where health is lost; a line to whom a unit
    has as target.
    """
    ground = np.where(
        battle.walkable, np.where(battle.level > battle.level.min(), HIGH, GROUND), WALL
    )
    rows, columns = ground.shape
    axes.imshow(np.where(battle.cliff, CLIFF, ground), cmap="gray", vmin=0, vmax=1, origin="lower",
                extent=(0, columns, 0, rows))  # fmt: skip
    x, y, health = battle.x[instant], battle.y[instant], battle.health[instant]
    for side, colour in ((slice(0, battle.n_agents), ALLY), (slice(battle.n_agents, None), ENEMY)):
        units = np.arange(len(x))[side]
        alive = units[health[units] > 0]
        bodies = [Circle((x[unit], y[unit]), float(battle.radius[unit])) for unit in alive]
        shades = [(colour, 0.25 + 0.75 * health[unit]) for unit in alive]
        axes.add_collection(
            PatchCollection(bodies, facecolors=shades, edgecolors=colour, linewidths=0.4)
        )
        dead = units[health[units] <= 0]
        axes.scatter(x[dead], y[dead], 3, DEAD, marker="x", linewidths=0.4)
        aims = [((x[unit], y[unit]), (x[mark], y[mark]))
                for unit in alive if (mark := battle.target[instant, unit]) >= 0]  # fmt: skip
        axes.add_collection(LineCollection(aims, colors=colour, linewidths=0.3, alpha=0.6))
    kinds = np.unique(battle.kind[: battle.n_agents])
    if len(kinds) > 1:  # tell the types of a mixed army
        for unit in np.nonzero(health > 0)[0]:
            letter = BADGES[int(np.searchsorted(kinds, battle.kind[unit]))]
            axes.text(x[unit], y[unit], letter, fontsize=3.5, ha="center", va="center")
    left, right, bottom, top = window(battle)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    badge = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(left + 0.5, top - 0.5, f"step {instant}", fontsize=6, va="top", bbox=badge)
