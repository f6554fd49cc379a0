"""Who shares with whom over training: a strip per block of the network, one row an agent, one colour a group."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator

from partage.figures.frame import SEED


def groups(frame: pd.DataFrame, algorithm: str, task: str, block: str, x: str) -> tuple[np.ndarray, np.ndarray]:
    """Times of change [C], and from each on the first member of every agent's group [C, N]."""
    of_block = frame["metric"].astype(str).str.startswith(f"sharing/{block}/")
    mine = (frame["algorithm"] == algorithm) & (frame["task"] == task) & (frame["seed"] == SEED) & of_block
    rows = frame.loc[mine]
    agent = [int(name.rpartition("/")[2]) for name in rows["metric"]]
    table = rows.assign(agent=agent).pivot(index=x, columns="agent", values="value")
    first = np.array([[list(row).index(group) for group in row] for row in table.to_numpy()])
    return table.index.to_numpy(), first


def strips(panels: Sequence[Axes], frame: pd.DataFrame, algorithm: str, task: str, x: str, end: float) -> None:
    """One strip in each of `panels`. A group has the colour of its first member: it keeps it as others come and go."""
    names = frame.loc[(frame["algorithm"] == algorithm) & (frame["task"] == task), "metric"].astype(str)
    blocks = dict.fromkeys(name.split("/")[1] for name in names.unique() if name.startswith("sharing/"))
    for axes, block in zip(panels, blocks, strict=True):
        times, first = groups(frame, algorithm, task, block, x)
        count = first.shape[1]
        edges = np.array([0.0, *times[1:], end])
        colours = ListedColormap(sns.color_palette("husl", count))
        axes.pcolormesh(edges, np.arange(count + 1) - 0.5, first.T, cmap=colours, vmin=-0.5, vmax=count - 0.5)
        axes.set_xlim(0, end * 1.02)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_yticks([])
        axes.set_ylabel(block, fontsize=7, rotation=0, ha="right", va="center")
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.tick_params(labelbottom=axes is panels[-1])
        sns.despine(ax=axes, left=True, bottom=axes is not panels[-1])
