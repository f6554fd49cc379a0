"""Who shared how much over training, from what curves hold of it.

Curves of assignments hold who was in which group whenever that changed, so the scale of sharing
(`partage.sharing.overlap`) follows from them; those of derived sets hold it themselves.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

SCALE = ("degree", "sets")  # metrics ``degree/<block>`` and ``sets/<block>``
ALONE = -1  # in place of a group's rank: of an agent that shares with nobody
INSTANT = ["env_steps", "updates"]


def is_scale(metric: str) -> bool:
    """Return whether a metric is on the scale of sharing: ``degree/<block>``, ``sets/<block>``."""
    return metric.partition("/")[0] in SCALE


def blocks(curve: pd.DataFrame) -> list[str]:
    """Return the names of the network's blocks whose sharing was recorded, in order."""
    metrics = curve["metric"].astype(str).unique()
    parts = [metric.split("/") for metric in metrics if metric.startswith("sharing/")]
    return list(dict.fromkeys(part[1] for part in parts))


def first_members(sets: np.ndarray) -> list[int]:
    """Return for each agent the first one that uses the same set: ``[N]`` -> N numbers.

    >>> first_members(np.array([7, 2, 7]))
    [0, 1, 0]
    """
    used = list(sets)
    return [used.index(one) for one in used]


def ranks(groups: np.ndarray) -> np.ndarray:
    """Return each agent's group by its size ``[T, N]``: 0 the largest, `ALONE` for one agent.

    Groups ``[T, N]``, at equally spaced instants, are named after their first members. Those of the
    end come first, the largest before the others; then those that came to nothing, by how many
    agents they had for how long. The first member decides between equals.

    >>> ranks(np.array([[0, 1, 1, 3], [0, 1, 0, 0]])).tolist()
    [[-1, 1, 1, -1], [0, -1, 0, 0]]
    """
    count = groups.shape[1]
    sizes = np.stack([np.bincount(row, minlength=count) for row in groups])  # [T, names]
    shared = np.where(sizes > 1, sizes, 0)
    at_end = shared[-1]
    before = np.where(at_end > 0, 0, shared.sum(axis=0))
    rank = np.empty(count, int)
    rank[np.lexsort((np.arange(count), -before, -at_end))] = np.arange(count)
    alone = np.take_along_axis(sizes, groups, axis=1) == 1
    return np.where(alone, ALONE, rank[groups])


def degree(groups: np.ndarray) -> float:
    """Return the mean overlap of two different agents in these groups ``[N]``; of one agent, 1.

    >>> degree(np.array([0, 0, 1]))
    0.3333333333333333
    """
    count = len(groups)
    return (_alike(groups) - count) / (count * (count - 1)) if count > 1 else 1.0


def effective_sets(groups: np.ndarray) -> float:
    """Return how many groups of one size would share as little as these ``[N]``.

    >>> effective_sets(np.array([0, 0, 1]))
    1.8
    """
    return len(groups) ** 2 / _alike(groups)


def _alike(groups: np.ndarray) -> int:
    """Return how many pairs of agents, each with itself too, are in one group."""
    _, sizes = np.unique(groups, return_counts=True)
    return int((sizes**2).sum())


def overlaps(of_seed: pd.DataFrame, block: str, x: str) -> tuple[np.ndarray, np.ndarray]:
    """Return how much any two agents shared over training: times ``[C]``, and ``[C, N, N]``.

    At each time at which something moved: from the pairs that a curve holds, or from its groups.
    """
    is_pair = of_seed["metric"].str.startswith(f"overlap/{block}/")
    if is_pair.any():
        return _of_pairs(of_seed.loc[is_pair, :], x)
    is_block = of_seed["metric"].str.startswith(f"sharing/{block}/")
    rows = of_seed.loc[is_block, :]
    agents = rows["metric"].astype(str).str.rpartition("/")[2].astype(int)
    groups = rows.assign(agent=agents).pivot(index=x, columns="agent", values="value")
    numbers = groups.to_numpy()
    return groups.index.to_numpy(), (numbers[:, :, None] == numbers[:, None]).astype(float)


def _of_pairs(rows: pd.DataFrame, x: str) -> tuple[np.ndarray, np.ndarray]:
    """Return times and matrices from pairs, of which those are written that moved."""
    moved = rows.pivot(index=x, columns="metric", values="value").ffill()
    pairs = [name.rpartition("/")[2].split("-") for name in moved.columns]
    first, second = np.array(pairs, int).T
    count = int(second.max()) + 1
    matrices = np.broadcast_to(np.eye(count), (len(moved), count, count)).copy()
    matrices[:, first, second] = matrices[:, second, first] = moved.to_numpy()
    return moved.index.to_numpy(), matrices


def with_scale(curve: pd.DataFrame) -> pd.DataFrame:
    """Return one run's curve with degree and effective sets of the blocks that lack them.

    At every instant at which anything was measured.
    """
    measured = set(curve["metric"])
    lacking = [block for block in blocks(curve) if f"degree/{block}" not in measured]
    parts = [curve]
    for _, of_seed in curve.groupby("seed"):
        for block in lacking:
            parts += _scale(of_seed, block)
    return pd.concat(parts, ignore_index=True)


def _scale(of_seed: pd.DataFrame, block: str) -> Iterator[pd.DataFrame]:
    """Yield the points of a block's degree, and of its effective sets, of one seed."""
    is_block = of_seed["metric"].str.startswith(f"sharing/{block}/")
    if not is_block.any():
        return
    groups = of_seed[is_block].pivot(index=INSTANT, columns="metric", values="value")
    measured = of_seed.loc[:, INSTANT].drop_duplicates()
    instants = pd.MultiIndex.from_frame(measured.sort_values(INSTANT))
    for name, measure in zip(SCALE, (degree, effective_sets), strict=True):
        values = pd.Series([measure(row) for row in groups.to_numpy()], groups.index)
        points = values.reindex(instants, method="ffill").rename("value").reset_index()
        yield points.assign(seed=of_seed["seed"].iloc[0], metric=f"{name}/{block}")
