"""Who shares with whom: one row an agent, one colour a set at that time, grey who is alone.

Over training, below a figure's panels: a strip for each block and seed, beside the task's own
groups. And over one episode, where roles and groups change within it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Patch

from partage.analysis import sharing
from partage.analysis.labels import engine_label, is_smoke
from partage.config.plan import Figure, Plan
from partage.config.tasks import Task
from partage.errors import UserError
from partage.plots import style
from partage.plots.style import ALONE, DPI, FAINT

INSTANTS = 480  # of a strip: what moved in between is not seen
OWN_WIDTH = 0.05  # of the column of the task's own groups, beside a row of strips 1 wide


class Groups(NamedTuple):
    """How a block was shared over training.

    At each of the `times` ``[C]`` the sharing changes; from there on, each of N agents is in the
    group that is named after its first member: `first` ``[C, N]``.
    """

    times: np.ndarray
    first: np.ndarray

    def at(self, instants: np.ndarray) -> np.ndarray:
        """Return the groups at these instants ``[T]``: ``[T, N]``."""
        return self.first[np.maximum(np.searchsorted(self.times, instants, side="right") - 1, 0)]


def _of_algorithm(frame: pd.DataFrame, algorithm: str, task: str) -> pd.DataFrame:
    return frame.loc[(frame["algorithm"] == algorithm) & (frame["task"] == task)]


def blocks(frame: pd.DataFrame, algorithm: str, task: str) -> list[str]:
    """Return the names of the network's blocks whose sharing was recorded, in order."""
    return sharing.blocks(_of_algorithm(frame, algorithm, task))


def groups(frame: pd.DataFrame, algorithm: str, task: str, block: str, x: str) -> dict[int, Groups]:
    """Return how a block was shared over training, by seeds."""
    rows = _of_algorithm(frame, algorithm, task)
    rows = rows.loc[rows["metric"].astype(str).str.startswith(f"sharing/{block}/")]
    agent = [int(name.rpartition("/")[2]) for name in rows["metric"]]
    found = {}
    for seed, of_seed in rows.assign(agent=agent).groupby("seed"):
        sets = of_seed.pivot(index=x, columns="agent", values="value")
        first = [sharing.first_members(row) for row in sets.to_numpy()]
        found[int(str(seed))] = Groups(sets.index.to_numpy(), np.array(first))
    return found


def own_groups(task: Task, agents: int) -> np.ndarray:
    """Return the task's own groups, named after their first members ``[N]``; of none, ``[0]``.

    Raises `UserError` where the task has another number of agents than its runs.
    """
    if task.groups and sum(task.groups) != agents:
        raise UserError(
            f"tasks.toml says that the groups of {task.name} are {task.groups}, which is "
            f"{sum(task.groups)} agents, but its runs have {agents}: correct `groups` there."
        )
    starts = np.cumsum([0, *task.groups[:-1]])
    return np.repeat(starts, task.groups) if task.groups else np.empty(0, int)


def own_colours(task: Task, agents: int) -> list[str]:
    """Return the colour of each agent's own group, as strips have it; none of a task without."""
    own = own_groups(task, agents)
    return [to_hex(colour) for colour in _of_groups(own[None])[:, 0]] if len(own) else []


def draw_seeds(
    canvas: Canvas,
    cell: SubplotSpec,
    by_seed: Mapping[int, Groups],
    own: np.ndarray,
    block: str,
    end: float,
    headed: bool,
) -> None:
    """Draw a block's strip for each seed in one row, the task's own groups before them.

    Strips are pictures of one pixel an agent and instant, so that no viewer draws seams into them.
    """
    edges = [1.0] * len(by_seed)
    if len(own):
        edges.insert(0, OWN_WIDTH * len(by_seed))
    grid = cell.subgridspec(1, len(edges), width_ratios=edges, wspace=0.12)
    panels = [canvas.add_subplot(grid[0, place]) for place in range(len(edges))]
    panels[0].set_ylabel(block, fontsize=7, rotation=0, ha="right", va="center")
    titles = [str(seed) for seed in by_seed]
    titles[0] = f"seed {titles[0]}"
    if len(own):
        titles.insert(0, "own")
        _draw_pixels(panels[0], _bytes(_of_groups(own[None])), end)
    for axes, of_seed in zip(panels[-len(by_seed) :], by_seed.values(), strict=True):
        instants = (np.arange(INSTANTS) + 0.5) / INSTANTS * end
        _draw_pixels(axes, _bytes(_of_groups(of_seed.at(instants))), end)
    for axes, title in zip(panels, titles if headed else [], strict=headed):
        axes.set_title(title, fontsize=6.5, pad=2)


def _of_groups(groups: np.ndarray) -> np.ndarray:
    """Return the colours of groups ``[T, N]``, a row for each agent: ``[N, T, 3]``."""
    palette = np.vstack([style.group_colours(groups.shape[1]), to_rgb(ALONE)])  # -1 is the last
    return palette[sharing.ranks(groups).T]


def _bytes(colours: np.ndarray) -> np.ndarray:
    """Return colours from 0 to 1 as bytes."""
    return np.round(255 * colours).astype(np.uint8)


def _draw_pixels(axes: Axes, pixels: np.ndarray, end: float) -> None:
    """Draw pixels ``[N, T, 3]`` from 0 to `end`, agent 0 on top."""
    extent = (0, end, len(pixels) - 0.5, -0.5)
    axes.imshow(pixels, extent=extent, aspect="auto", interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    sns.despine(ax=axes, left=True, bottom=True)


def describe(plan: Plan, figure: Figure, frame: pd.DataFrame) -> list[str]:
    """Return what has to be said of a figure's strips; nothing where it has none."""
    shares = frame.loc[frame["algorithm"] == figure.strip, "metric"].astype(str)
    label = plan.variants[figure.strip].label if figure.strip else ""
    words = []
    if shares.str.startswith("overlap/").any():
        words.append(f"heat maps: how much any two agents share under {label}, seed 0")
    elif shares.str.startswith("sharing/").any():
        words.append(
            f"strips: who shares with whom under {label}, over the whole of training: one row an "
            "agent, agent 0 on top; same colour: same set at that time; grey: alone"
        )
        if any(plan.tasks[task].groups for task in figure.tasks):
            words.append("own: the task's own groups")
    return words


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
    colours = style.group_colours(count)
    _draw_pixels(axes, _bytes(colours[sets.astype(int)]), steps)
    axes.hlines(np.arange(agents - 1) + 0.5, 0, steps, color="white", linewidth=1.5)
    axes.xaxis.set_major_locator(style.round_ticks())
    axes.set_yticks(range(agents), [f"agent {n}" for n in range(agents)], fontsize=7)
    axes.tick_params(left=False)
    patches = [Patch(color=colours[k], label=f"{name} {k}") for k in range(count)]
    axes.legend(
        handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1.05), frameon=False, fontsize=7
    )
    sns.despine(ax=axes, left=True)
