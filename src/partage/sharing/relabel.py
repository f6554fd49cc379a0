"""Who goes through which set once a run's agents were clustered anew   (HetDPS, Algorithm 1).

A cluster keeps the set of the old cluster that it is matched to, so that numbers of clusters mean
nothing. Everything here is pure.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

Mixture = Mapping[int, Mapping[int, int]]  # of a set: how many agents come to it from which sets


class Relabelled(NamedTuple):
    """The sharing of one run after a clustering."""

    sets: list[int]  # each agent's
    copies: Mixture  # sets that begin as another: agents of one cluster part
    merges: Mixture  # sets that begin as several did: clusters come together


def relabel(old: Sequence[int], new: Sequence[int]) -> Relabelled:
    """Return each agent's set, given its set so far and its new cluster, and what sets begin as.

    Old sets and new clusters are matched by the Hungarian method, so that as many agents as can
    keep theirs. A cluster that is matched to none begins as a copy of the set that most of its
    agents had; an old set that is matched to none is merged into that of the cluster that most of
    its agents went to. A match without an agent in both is none.

    >>> relabel([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 2])
    Relabelled(sets=[0, 0, 0, 1, 1, 2], copies={2: {1: 1}}, merges={})
    >>> relabel([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1])
    Relabelled(sets=[0, 0, 0, 0, 2, 2], copies={}, merges={0: {0: 2, 1: 2}})
    """
    used, clusters = sorted(set(old)), sorted(set(new))
    overlap = np.zeros((len(used), len(clusters)), dtype=np.int64)
    for its_set, its_cluster in zip(old, new, strict=True):
        overlap[used.index(its_set), clusters.index(its_cluster)] += 1
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    kept = {int(c): int(s) for s, c in pairs if overlap[s, c]}
    left = [s for s in range(len(used)) if s not in kept.values()]
    free = [s for s in range(len(old)) if s not in used] + [used[s] for s in left]
    set_of, copies, merges = {c: used[s] for c, s in kept.items()}, {}, {}
    for c in range(len(clusters)):
        if c not in kept:
            source = int(overlap[:, c].argmax())
            set_of[c] = free.pop(0)
            copies[set_of[c]] = {used[source]: int(overlap[source, c])}
    for s in left:
        joined = int(overlap[s].argmax())
        into = merges.setdefault(set_of[joined], {})
        for source in (kept[joined], s):
            into[used[source]] = int(overlap[source, joined])
    return Relabelled([set_of[clusters.index(label)] for label in new], copies, merges)


def shares(agents: Mapping[int, int], way: str, drawn: float) -> dict[int, float]:
    """Return what a merged set is made of, given how many agents come to it from which sets.

    It is the mean by agents ("weighted") or not ("average"), the set of the most agents
    ("majority"), or one that `drawn`, of [0, 1), says ("random").

    >>> shares({0: 3, 1: 1}, "weighted", 0.0), shares({0: 3, 1: 1}, "random", 0.9)
    ({0: 0.75, 1: 0.25}, {1: 1.0})
    """
    sets, total = list(agents), sum(agents.values())
    if way == "weighted":
        return {one: count / total for one, count in agents.items()}
    if way == "average":
        return dict.fromkeys(sets, 1 / len(sets))
    if way == "majority":
        return {max(sets, key=lambda one: agents[one]): 1.0}
    return {sets[int(drawn * len(sets))]: 1.0}
