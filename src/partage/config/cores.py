"""How many of the machine's cores are this process's."""

import os


def available_cores() -> int:
    """Return how many cores this process may use: a scheduler gives some of the machine's.

    Only Linux says which those are; elsewhere all are counted.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
