"""Subjects that are compared take turns in one run: the machine's moods meet them all alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Speeds = dict[str, list[float]]


def take_turns(
    subjects: Mapping[str, Callable[[], float]], repeats: int, warm_up: int = 1
) -> Speeds:
    """Speed of each subject in each turn, by CPU time; a subject does its work and returns how much
    that was.
    """
    speeds: Speeds = {name: [] for name in subjects}
    for turn in range(-warm_up, repeats):
        for name, subject in subjects.items():
            start = time.process_time()
            amount = subject()
            if turn >= 0:
                speeds[name].append(amount / (time.process_time() - start))
    return speeds


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """Median over the turns of one subject's speed by another's."""
    return statistics.median(a / b for a, b in zip(ours, others, strict=True))
