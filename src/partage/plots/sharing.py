"""Who shares with whom: a strip per block of the network, one row an agent, one colour a group.

Over training, below a figure's panels; and over one episode, where roles and groups change within
it.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from partage.analysis.frames import SEED
from partage.plots.style import FAINT, STYLE, WARNING, source


def groups(
    frame: pd.DataFrame, algorithm: str, task: str, block: str, x: str
) -> tuple[np.ndarray, np.ndarray]:
    """Times of change [C], and from each on the first member of every agent's group [C, N]."""
    of_block = frame["metric"].astype(str).str.startswith(f"sharing/{block}/")
    mine = (
        (frame["algorithm"] == algorithm)
        & (frame["task"] == task)
        & (frame["seed"] == SEED)
        & of_block
    )
    rows = frame.loc[mine]
    agent = [int(name.rpartition("/")[2]) for name in rows["metric"]]
    table = rows.assign(agent=agent).pivot(index=x, columns="agent", values="value")
    first = np.array([[list(row).index(group) for group in row] for row in table.to_numpy()])
    return table.index.to_numpy(), first


def strips(
    panels: Sequence[Axes], frame: pd.DataFrame, algorithm: str, task: str, x: str, end: float
) -> None:
    """One strip in each of `panels`. A group has the colour of its first member: it keeps it as
    others come and go.
    """
    names = frame.loc[(frame["algorithm"] == algorithm) & (frame["task"] == task), "metric"].astype(
        str
    )
    blocks = dict.fromkeys(
        name.split("/")[1] for name in names.unique() if name.startswith("sharing/")
    )
    for axes, block in zip(panels, blocks, strict=True):
        times, first = groups(frame, algorithm, task, block, x)
        count = first.shape[1]
        edges = np.array([0.0, *times[1:], end])
        colours = ListedColormap(sns.color_palette("husl", count))
        axes.pcolormesh(
            edges, np.arange(count + 1) - 0.5, first.T, cmap=colours, vmin=-0.5, vmax=count - 0.5
        )
        axes.set_xlim(0, end * 1.02)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_yticks([])
        axes.set_ylabel(block, fontsize=7, rotation=0, ha="right", va="center")
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.tick_params(labelbottom=axes is panels[-1])
        sns.despine(ax=axes, left=True, bottom=axes is not panels[-1])


def episode(found: pd.DataFrame) -> Canvas:
    """What each agent went through at each step of one episode (`partage.runs.evaluate.episode`)."""
    about, blocks = found.attrs, list(dict.fromkeys(found["block"]))
    count = len(set(found["agent"]))
    with matplotlib.rc_context(STYLE):
        high: float = 1.35 + len(blocks) * (0.45 + 0.2 * count)
        canvas = Canvas(figsize=(7.2, high), dpi=160)
        room: Any = {
            "top": 1 - 0.85 / high,
            "bottom": 0.5 / high,
            "left": 0.11,
            "right": 0.86,
            "hspace": 0.25,
        }
        panels = canvas.subplots(len(blocks), 1, squeeze=False, sharex=True, gridspec_kw=room)[:, 0]
        for axes, block in zip(panels, blocks, strict=True):
            rows = (
                found[found["block"] == block]
                .pivot(index="agent", columns="step", values="value")
                .to_numpy()
            )
            within(axes, rows, block.removesuffix("s"))
        panels[-1].set_xlabel("step of the episode")
        title = f"{' and '.join(blocks).capitalize()} within one episode"
        canvas.text(0.02, 1 - 0.12 / high, title, fontsize=12.5, weight="bold", va="top")
        note = (
            f"{about['algorithm']} on {about['task']}, seed {about['seed']}, greedy; "
            f"scale {about['scale']}, engine {source(about['engine'], [about['task']])}"
        )
        canvas.text(0.02, 1 - 0.42 / high, note, fontsize=7.5, color=FAINT, va="top")
        if about["scale"] == "smoke":
            warning: Any = {"color": WARNING, "weight": "bold", "va": "top", "ha": "right"}
            canvas.text(0.98, 1 - 0.12 / high, "smoke scale: not a result", **warning)
        return canvas


def within(axes: Axes, rows: np.ndarray, name: str) -> None:
    """The strip of one block ``[N, T]``: here a colour is a set's own."""
    count, steps = rows.shape
    sets = int(rows.max()) + 1
    colours = sns.color_palette("colorblind", max(sets, 2))
    edges = np.arange(count + 1) - 0.5
    axes.pcolormesh(
        np.arange(steps + 1),
        edges,
        rows,
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
    )
    axes.hlines(edges[1:-1], 0, steps, color="white", linewidth=1.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), [f"agent {n}" for n in range(count)], fontsize=7)
    axes.tick_params(left=False)
    names = [Patch(color=colours[k], label=f"{name} {k}") for k in range(sets)]
    axes.legend(
        handles=names, loc="upper left", bbox_to_anchor=(1.01, 1.05), frameon=False, fontsize=7
    )
    sns.despine(ax=axes, left=True)
