"""How many policies the sharing of a run leaves: who goes through the same sets in every block."""

from collections import defaultdict

import pandas as pd

NO_POLICY = ("critic",)  # blocks that say nothing of what an agent does


def sets_in_use(frame: pd.DataFrame, algorithm: str, task: str) -> dict[int, int]:
    """Return for each seed how many different policies its agents have at the end of training.

    Agents have the same one that are of one group in each block; an id in their observations, which
    tells them apart all the same, is left aside. The rows are ``sharing/<block>/<agent>``.
    """
    rows = frame.loc[(frame["algorithm"] == algorithm) & (frame["task"] == task)]
    rows = rows.loc[rows["metric"].str.startswith("sharing/")]
    found = {}
    for seed, of_seed in rows.groupby("seed"):
        last = of_seed.groupby("metric")["value"].last()  # rows come in the order of steps
        groups: dict[str, dict[str, float]] = defaultdict(dict)  # agent -> block -> group
        for metric, group in last.items():
            _, block, agent = str(metric).split("/")
            if block not in NO_POLICY:
                groups[agent][block] = group
        found[int(seed)] = len({tuple(sorted(each.items())) for each in groups.values()})
    return found
