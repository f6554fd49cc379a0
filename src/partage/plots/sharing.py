"""Who shares with whom: a strip for each block, one row an agent, one colour a group.

Over training, below a figure's panels; and over one episode, where roles and groups change within
it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from partage.analysis import sharing
from partage.analysis.frames import SHARING_SEED
from partage.analysis.labels import engine_label, is_smoke
from partage.plots import style
from partage.plots.style import DPI, FAINT


def _of_algorithm(frame: pd.DataFrame, algorithm: str, task: str) -> pd.DataFrame:
    return frame.loc[(frame["algorithm"] == algorithm) & (frame["task"] == task)]


def blocks(frame: pd.DataFrame, algorithm: str, task: str) -> list[str]:
    """Return the names of the network's blocks whose sharing was recorded, in order."""
    return sharing.blocks(_of_algorithm(frame, algorithm, task))


def groups(
    frame: pd.DataFrame, algorithm: str, task: str, block: str, x: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return how a block was shared over training: times ``[C]`` and groups ``[C, N]``.

    At each time the sharing changes; from there on, each of N agents is in the group that is named
    after its first member.
    """
    rows = _of_algorithm(frame, algorithm, task)
    of_block = rows["metric"].astype(str).str.startswith(f"sharing/{block}/")
    rows = rows.loc[(rows["seed"] == SHARING_SEED) & of_block]
    agent = [int(name.rpartition("/")[2]) for name in rows["metric"]]
    sets = rows.assign(agent=agent).pivot(index=x, columns="agent", values="value")
    return sets.index.to_numpy(), np.array([sharing.first_members(row) for row in sets.to_numpy()])


def draw_strips(
    panels: Sequence[Axes],
    names: Sequence[str],
    frame: pd.DataFrame,
    algorithm: str,
    task: str,
    x: str,
    end: float,
) -> None:
    """Draw one block's strip in each of `panels`: those of these names.

    A group has the colour of its first member, and so keeps it as others come and go.
    """
    for axes, block in zip(panels, names, strict=True):
        times, first = groups(frame, algorithm, task, block, x)
        count = first.shape[1]
        edges = np.array([0.0, *times[1:], end])
        colours = ListedColormap(sns.color_palette("husl", count))
        _draw_groups(axes, edges, first.T, colours)
        axes.set_xlim(0, end * 1.02)
        axes.set_yticks([])
        axes.set_ylabel(block, fontsize=7, rotation=0, ha="right", va="center")
        axes.xaxis.set_major_locator(style.round_ticks())
        lowest = axes is panels[-1]
        axes.tick_params(labelbottom=lowest)
        sns.despine(ax=axes, left=True, bottom=not lowest)


def _draw_groups(
    axes: Axes, edges: np.ndarray, numbers: np.ndarray, colours: ListedColormap
) -> None:
    """Draw the groups ``[N, T]`` between edges in time ``[T + 1]``, agent 0 on top."""
    count = len(numbers)
    rows = np.arange(count + 1) - 0.5
    axes.pcolormesh(edges, rows, numbers, cmap=colours, vmin=-0.5, vmax=colours.N - 0.5)
    axes.set_ylim(count - 0.5, -0.5)


def draw_episode(steps: pd.DataFrame) -> Canvas:
    """Return the picture of what each agent used at each step of one episode.

    `steps` is what `partage.runs.evaluate.episode_choices` returns: block, agent, step, value.
    """
    names = list(dict.fromkeys(steps["block"]))
    agents = len(steps["agent"].unique())
    height = 1.35 + len(names) * (0.45 + 0.2 * agents)
    with style.drawing():
        canvas = Canvas(figsize=(7.2, height), dpi=DPI)
        margins: Any = {
            "top": 1 - 0.85 / height,
            "bottom": 0.5 / height,
            "left": 0.11,
            "right": 0.86,
            "hspace": 0.25,
        }
        panels = canvas.subplots(len(names), 1, squeeze=False, sharex=True, gridspec_kw=margins)
        column = panels[:, 0]
        for axes, block in zip(column, names, strict=True):
            of_block = steps[steps["block"] == block]
            sets = of_block.pivot(index="agent", columns="step", values="value").to_numpy()
            _draw_block(axes, sets, block.removesuffix("s"))
        column[-1].set_xlabel("step of the episode")
        _write_heading(canvas, names, steps, height)
        return canvas


def _write_heading(canvas: Canvas, names: list[str], steps: pd.DataFrame, height: float) -> None:
    """Write title, note and, at smoke scale, the warning above the strips."""
    about = steps.attrs
    words = f"{' and '.join(names).capitalize()} within one episode"
    style.title(canvas, 0.02, 1 - 0.12 / height, words)
    note = (
        f"{about['algorithm']} on {about['task']}, seed {about['seed']}, greedy; "
        f"scale {about['scale']}, engine {engine_label(about['engine'], [about['task']])}"
    )
    canvas.text(0.02, 1 - 0.42 / height, note, fontsize=7.5, color=FAINT, va="top")
    if is_smoke(steps):
        style.warn_of_smoke(canvas, 0.98, 1 - 0.12 / height, side="right")


def _draw_block(axes: Axes, sets: np.ndarray, name: str) -> None:
    """Draw the strip of one block ``[N, T]``: here each set has a colour of its own."""
    agents, steps = sets.shape
    count = int(sets.max()) + 1
    colours = sns.color_palette("colorblind", max(count, 2))
    _draw_groups(axes, np.arange(steps + 1), sets, ListedColormap(colours))
    axes.hlines(np.arange(agents - 1) + 0.5, 0, steps, color="white", linewidth=1.5)
    axes.set_yticks(range(agents), [f"agent {n}" for n in range(agents)], fontsize=7)
    axes.tick_params(left=False)
    patches = [Patch(color=colours[k], label=f"{name} {k}") for k in range(count)]
    axes.legend(
        handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1.05), frameon=False, fontsize=7
    )
    sns.despine(ax=axes, left=True)
