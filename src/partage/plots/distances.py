"""A run's policy distances: a heat map for each seed, ordered by the dendrogram above."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure as Canvas
from matplotlib.image import AxesImage
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from partage.analysis.labels import engine_label, is_smoke
from partage.plots import style
from partage.plots.style import DPI, FAINT, INK, WARNING

MANY_AGENTS = 12  # more of them have smaller numbers
PICTURE_HEIGHT, NARROWEST = 4.9, 5.2  # inches


def matrix(distances: pd.DataFrame, seed: int) -> np.ndarray:
    """Return the distance matrix ``[N, N]`` of one seed."""
    rows = distances[distances["seed"] == seed]
    return rows.pivot(index="i", columns="j", values="distance").to_numpy()


def draw(distances: pd.DataFrame) -> Canvas:
    """Return the picture: all seeds on one scale; an infinite distance has a colour of its own.

    `distances` is what `partage.runs.evaluate` measures: seed, i, j, distance.
    """
    seeds = sorted(distances["seed"].unique())
    finite = distances["distance"][np.isfinite(distances["distance"])]
    top = float(np.max(np.asarray(finite), initial=0.0)) or 1.0
    colours = matplotlib.colormaps["viridis"].with_extremes(bad=WARNING)  # what is not finite
    width = 0.9 + 2.6 * len(seeds) + 0.7
    with style.drawing():
        size = (max(width, NARROWEST), PICTURE_HEIGHT)
        canvas = Canvas(figsize=size, dpi=DPI, layout="constrained")
        parts: Any = canvas.subfigures(2, 1, height_ratios=[0.75, 4.15])
        heading, body = parts
        panels = body.subplots(2, len(seeds), height_ratios=[1, 3], squeeze=False)
        image = None
        for seed, (tree, heat) in zip(seeds, panels.T, strict=True):
            of_seed = matrix(distances, int(seed))
            order = _draw_tree(tree, of_seed, top)
            tree.set_title(f"seed {seed}", fontsize=9)
            image = _draw_heat_map(heat, of_seed, order, top, colours)
        panels[1, 0].set_ylabel("agent")
        if image is not None:
            label = f"{distances.attrs['kind']} distance"
            body.colorbar(image, ax=panels[1, :].tolist(), shrink=0.9, label=label)
        _write_heading(heading, distances, len(finite) < len(distances))
        return canvas


def _draw_tree(axes: Axes, of_seed: np.ndarray, top: float) -> list[int]:
    """Draw the dendrogram of distances ``[N, N]``; return the agents in its order.

    An infinite distance counts as twice the largest finite one. Two agents need no tree.
    """
    count = len(of_seed)
    order = list(range(count))
    if count > 2:
        near = squareform(np.where(np.isfinite(of_seed), of_seed, 2 * top), checks=False)
        tree = dendrogram(linkage(near, "average"), no_plot=True)
        for x, y in zip(tree["icoord"], tree["dcoord"], strict=True):
            # scipy puts the leaves at 5, 15, 25, ...; the heat map has its rows at 0, 1, 2, ...
            axes.plot(np.array(x) / 10 - 0.5, y, color=INK, linewidth=0.8)
        order = tree["leaves"]
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_axis_off()
    return order


def _draw_heat_map(
    axes: Axes, of_seed: np.ndarray, order: list[int], top: float, colours: Colormap
) -> AxesImage:
    """Draw the distances ``[N, N]`` with the agents in this order."""
    sorted_both = of_seed[np.ix_(order, order)]
    image = axes.imshow(sorted_both, cmap=colours, vmin=0, vmax=top, interpolation="nearest")
    size = 5 if len(of_seed) > MANY_AGENTS else 8
    names = [str(agent) for agent in order]
    axes.set_xticks(range(len(of_seed)), names, fontsize=size, rotation=90)
    axes.set_yticks(range(len(of_seed)), names, fontsize=size)
    axes.tick_params(length=0)
    return image


def _write_heading(heading: Any, distances: pd.DataFrame, some_infinite: bool) -> None:
    """Write title, note and, at smoke scale, the warning into the upper part of the picture."""
    about = distances.attrs
    style.title(heading, 0.01, 0.97, "How far apart the policies are")
    note = (
        f"{about['algorithm']} on {about['task']}, scale {about['scale']}, "
        f"engine {engine_label(about['engine'], [about['task']])}; "
        f"{about['episodes']} episodes a seed.\n"
    )
    if about["target"] == "task":
        note += "Codes tell the task's feature. "
    note += "Agents in the order of the dendrogram (average linkage)"
    note += "; red: infinite." if some_infinite else "."
    heading.text(0.01, 0.55, note, fontsize=7.5, color=FAINT, va="top", linespacing=1.35)
    if is_smoke(distances):
        style.warn_of_smoke(heading, 0.99, 0.97, side="right")
