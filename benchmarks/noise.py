"""What affinity propagation makes of distances that are nothing but noise: HetDPS's pitfall.

``python -m benchmarks.noise`` prints the table of docs/methods.md and draws the picture beside it:
equals, whose distances are 1 and noise, and groups of five that differ, within noise of a third of
their distance. Half a minute.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from partage.learners._clustering import exemplars, silhouette
from partage.plots import files, style

PICTURE = Path(__file__).parent.parent / "docs/hetdps-noise.png"
TEAMS, GROUPED, GROUP = (2, 3, 5, 10, 15, 30), (10, 15, 30), 5
DEVIATION = 0.1  # of each of the two draws that a distance has
BESIDE = 0.16  # between what is drawn at one team
EQUALS, GROUPS = style.GROUPS[3], style.GROUPS[0]  # colours


class Found(NamedTuple):
    """Clusters of one team: a value for each draw of its distances that came to rest."""

    clusters: list[int]
    silhouettes: list[float]
    restless: int  # draws that did not


def equals(agents: int, seed: int) -> Tensor:
    """Return distances of a team of equals ``[N, N]``: 1, and noise of a deviation of 0.14."""
    drawn = torch.randn(agents, agents, generator=torch.Generator().manual_seed(seed))
    return (1 + DEVIATION * (drawn + drawn.T)).fill_diagonal_(0)


def groups(agents: int, seed: int) -> Tensor:
    """Return distances of groups of five: 1 more between groups, noise of 0.3 everywhere."""
    group = torch.arange(agents) // GROUP
    far = (group[:, None] != group).float()
    return (0.3 * equals(agents, seed).abs() + far).fill_diagonal_(0)


def cluster(distances: Callable[[int, int], Tensor], agents: int, draws: int) -> Found:
    """Return what is found in so many draws of a team's distances."""
    clusters, silhouettes = [], []
    for seed in range(draws):
        distance = distances(agents, seed)
        labels = exemplars(distance, seed)
        if labels is not None:
            clusters.append(len(set(labels)))
            silhouettes.append(silhouette(distance, labels))
    return Found(clusters, silhouettes, draws - len(clusters))


def table(found: dict[int, Found], draws: int) -> str:
    """Return what was found in noise, as markdown."""
    rows: dict[str, list[str]] = {
        "agents": [str(agents) for agents in found],
        "clusters of noise, mean": [f"{statistics.mean(x.clusters):.1f}" for x in found.values()],
        "least to most": [f"{min(x.clusters)} to {max(x.clusters)}" for x in found.values()],
        f"no rest, of {draws}": [str(x.restless) for x in found.values()],
        "mean silhouette": [f"{statistics.mean(x.silhouettes):.2f}" for x in found.values()],
    }
    lines = [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    return "\n".join([lines[0], "|---" + "|---:" * len(found) + "|", *lines[1:]])


def draw(noise: dict[int, Found], real: dict[int, Found]) -> Canvas:
    """Return the picture: clusters found, and how clear they are, by the size of the team."""
    with style.drawing():
        canvas = Canvas(figsize=(7.6, 2.9), dpi=style.DPI, layout="constrained")
        left, right = canvas.subplots(1, 2)
        for found, colour, side in ((noise, EQUALS, -BESIDE), (real, GROUPS, BESIDE)):
            places = [TEAMS.index(agents) + (side if agents in GROUPED else 0) for agents in found]
            _draw_ranges(left, places, [x.clusters for x in found.values()], colour)
            _draw_ranges(right, places, [x.silhouettes for x in found.values()], colour)
        left.axhline(1, color=style.FAINT, linewidth=0.8, linestyle="--", zorder=0)
        left.set_ylabel("clusters found")
        right.set_ylabel("silhouette")
        left.set_ylim(0, None)
        right.set_ylim(-0.1, 1)
        left.text(0.04, 0.95, "groups of five", color=GROUPS, va="top", transform=left.transAxes)
        left.text(0.04, 0.86, "equals: noise", color=EQUALS, va="top", transform=left.transAxes)
        for axes in (left, right):
            axes.set_xticks(range(len(TEAMS)), [str(agents) for agents in TEAMS])
            axes.set_xlabel("agents")
            axes.spines[["top", "right"]].set_visible(False)
        return canvas


def _draw_ranges(
    axes: Axes, places: Sequence[float], found: Sequence[Sequence[float]], colour: str
) -> None:
    """Draw means, and bars from the least to the most."""
    for place, values in zip(places, found, strict=True):
        axes.plot([place] * 2, [min(values), max(values)], color=colour, linewidth=1.4)
        axes.plot(place, statistics.mean(values), "o", color=colour, markersize=5)


def main() -> None:
    """Print the table, and write the picture."""
    parser = argparse.ArgumentParser("python -m benchmarks.noise", description=__doc__)
    parser.add_argument("--draws", type=int, default=200, help="of each team's distances")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where it is written")
    asked = parser.parse_args()
    if asked.draws < 1:
        parser.error("expected at least one draw")
    noise = {agents: cluster(equals, agents, asked.draws) for agents in TEAMS}
    real = {agents: cluster(groups, agents, asked.draws) for agents in GROUPED}
    print(table(noise, asked.draws))
    for agents, found in real.items():
        counts = {n: found.clusters.count(n) for n in sorted(set(found.clusters))}
        clear = statistics.mean(found.silhouettes)
        print(f"groups of five, {agents} agents: clusters {counts}, silhouette {clear:.2f}")
    files.save(draw(noise, real), asked.picture)
    print(f"drawn: {asked.picture.name}")


if __name__ == "__main__":
    main()
