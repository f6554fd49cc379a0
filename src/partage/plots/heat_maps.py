"""How much any two agents share: heat maps beside the strips, and a film of one over training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.gridspec import SubplotSpec

from partage.analysis import sharing
from partage.analysis.frames import SHARING_SEED
from partage.config.plan import Figure, Plan
from partage.plots import style
from partage.plots.style import FAINT

COLOURS = sns.light_palette("#0072B2", as_cmap=True)  # from nothing in common to one set
FRAMES = 40  # of a film


def of_block(
    frame: pd.DataFrame, algorithm: str, task: str, block: str, x: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much any two agents shared of a block: times ``[C]``, and ``[C, N, N]``."""
    mine = (frame["algorithm"] == algorithm) & (frame["task"] == task)
    return sharing.overlaps(frame.loc[mine & (frame["seed"] == SHARING_SEED), :], block, x)


def is_by_degrees(frame: pd.DataFrame, algorithm: str, task: str, block: str) -> bool:
    """Return whether agents share more or less of a block, and not all or nothing."""
    mine = (frame["algorithm"] == algorithm) & (frame["task"] == task)
    return bool(frame.loc[mine, "metric"].str.startswith(f"overlap/{block}/").any())


def draw_blocks(
    canvas: Canvas,
    cell: SubplotSpec,
    frame: pd.DataFrame,
    names: Sequence[str],
    whose: tuple[str, str, str],
    end: float,
) -> None:
    """Draw three heat maps of each block in one row of a figure's panel.

    `whose` names algorithm, task and the column of the x axis, which ends at `end`.
    """
    algorithm, task, x = whose
    apart = cell.subgridspec(1, len(names), wspace=0.35)  # a block's name stands on its left
    for place, block in enumerate(names):
        grid = apart[0, place].subgridspec(1, 3, wspace=0.1)
        panels = [canvas.add_subplot(grid[0, n]) for n in range(3)]
        draw_three(panels, *of_block(frame, algorithm, task, block, x), end)
        panels[0].set_ylabel(block, fontsize=7)


def draw_three(panels: Sequence[Axes], times: np.ndarray, matrices: np.ndarray, end: float) -> None:
    """Draw the matrices that held at the start, in the middle and at the end, agent 0 on top."""
    for axes, instant in zip(panels, (0.0, end / 2, end), strict=True):
        draw(axes, matrices[_place(times, instant)])
        axes.set_title(style.short_number(instant), fontsize=6, pad=2)


def draw(axes: Axes, matrix: np.ndarray) -> None:
    """Draw one matrix ``[N, N]`` from 0 to 1."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.imshow(matrix, cmap=COLOURS, vmin=0, vmax=1, interpolation="nearest")


def save_films(plan: Plan, figure: Figure, frame: pd.DataFrame, picture: Path) -> None:
    """Save a film beside a figure's picture for each task on which strips would show nothing.

    That is where agents share more or less, and not all or nothing.
    """
    for task in figure.tasks:
        mine = frame.loc[(frame["algorithm"] == figure.strip) & (frame["task"] == task), :]
        if mine["metric"].astype(str).str.startswith("overlap/").any():
            words = f"{plan.variants[figure.strip].label} on {task}, seed {SHARING_SEED}"
            path = picture.with_name(f"{picture.name}-{task.replace('/', '-')}.gif")
            animate(frame, (figure.strip, task, figure.x), words, path)


@style.drawing()
def animate(frame: pd.DataFrame, whose: tuple[str, str, str], words: str, path: Path) -> None:
    """Save a film of how much any two agents shared: a heat map for each block, over training.

    `whose` names algorithm, task and the column of the x axis. It is a GIF of `FRAMES` instants.
    """
    algorithm, task, x = whose
    mine = frame.loc[(frame["algorithm"] == algorithm) & (frame["task"] == task), :]
    names, end = sharing.blocks(mine), float(mine[x].to_numpy().max())
    canvas = Canvas(figsize=(max(2.4 * len(names), 3.2), 2.9))
    panels = canvas.subplots(1, len(names), squeeze=False)[0]
    note = canvas.text(0.02, 0.03, "", fontsize=7, color=FAINT)
    parts = [of_block(frame, algorithm, task, block, x) for block in names]

    def show(instant: float) -> list[Axes]:
        for axes, block, (times, matrices) in zip(panels, names, parts, strict=True):
            axes.clear()
            draw(axes, matrices[_place(times, instant)])
            axes.set_title(block, fontsize=8, loc="left")
        note.set_text(f"{words}, {x.replace('_', ' ')}: {style.short_number(round(instant))}")
        return list(panels)

    path.parent.mkdir(parents=True, exist_ok=True)
    made = FuncAnimation(canvas, show, frames=np.linspace(0, end, FRAMES))
    made.save(path, PillowWriter(fps=8), dpi=80)


def _place(times: np.ndarray, instant: float) -> int:
    """Return which of the matrices, that hold from these times on, held at an instant."""
    return max(int(np.searchsorted(times, instant, side="right")) - 1, 0)
