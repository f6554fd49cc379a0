"""A run's policy distances: a heat map for each seed, its agents in the order of the dendrogram
above it.
"""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from partage.plots.style import FAINT, INK, STYLE, WARNING, source


def matrix(found: pd.DataFrame, seed: int) -> np.ndarray:
    """The distance matrix ``[N, N]`` of one seed."""
    rows = found[found["seed"] == seed]
    return rows.pivot(index="i", columns="j", values="distance").to_numpy()


def draw(found: pd.DataFrame) -> Canvas:
    """All seeds on one scale of colours; an infinite distance has a colour of its own."""
    about, seeds = found.attrs, sorted(found["seed"].unique())
    finite = found["distance"][np.isfinite(found["distance"])]
    top = float(np.max(np.asarray(finite), initial=0.0)) or 1.0
    with matplotlib.rc_context(STYLE):
        wide, high = 0.9 + 2.6 * len(seeds) + 0.7, 4.9
        canvas = Canvas(figsize=(max(wide, 5.2), high), dpi=160, layout="constrained")
        parts: Any = canvas.subfigures(2, 1, height_ratios=[0.75, 4.15])
        title, body = parts
        panels = body.subplots(2, len(seeds), height_ratios=[1, 3], squeeze=False)
        colours = matplotlib.colormaps["viridis"].with_extremes(bad=WARNING)  # what is not finite
        image = None
        for column, seed in enumerate(seeds):
            d = matrix(found, int(seed))
            tree, heat = panels[0, column], panels[1, column]
            near = np.where(np.isfinite(d), d, 2 * top)
            if len(d) > 2:
                made = dendrogram(linkage(squareform(near, checks=False), "average"), no_plot=True)
                for x, y in zip(made["icoord"], made["dcoord"], strict=True):
                    tree.plot(np.array(x) / 10 - 0.5, y, color=INK, linewidth=0.8)
                order = made["leaves"]
            else:
                order = list(range(len(d)))
            tree.set_xlim(-0.5, len(d) - 0.5)
            tree.set_axis_off()
            tree.set_title(f"seed {seed}", fontsize=9)
            image = heat.imshow(
                d[np.ix_(order, order)], cmap=colours, vmin=0, vmax=top, interpolation="nearest"
            )
            heat.set_xticks(range(len(d)), order, fontsize=5 if len(d) > 12 else 8, rotation=90)
            heat.set_yticks(range(len(d)), order, fontsize=5 if len(d) > 12 else 8)
            heat.tick_params(length=0)
        panels[1, 0].set_ylabel("agent")
        if image is not None:
            body.colorbar(
                image, ax=panels[1, :].tolist(), shrink=0.9, label=f"{about['kind']} distance"
            )
        title.text(
            0.01, 0.97, "How far apart the policies are", fontsize=12.5, weight="bold", va="top"
        )
        note = (
            f"{about['algorithm']} on {about['task']}, scale {about['scale']}, "
            f"engine {source(about['engine'], [about['task']])}; {about['episodes']} episodes a seed.\n"
            + ("Codes tell the task's feature. " if about["told"] == "task" else "")
            + "Agents in the order of the dendrogram (average linkage)"
            + ("; red: infinite." if len(finite) < len(found) else ".")
        )
        title.text(0.01, 0.55, note, fontsize=7.5, color=FAINT, va="top", linespacing=1.35)
        if about["scale"] == "smoke":
            title.text(
                0.99,
                0.97,
                "smoke scale: not a result",
                color=WARNING,
                weight="bold",
                va="top",
                ha="right",
            )
        return canvas
