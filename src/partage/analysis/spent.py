"""What runs have cost, as their records have it."""

from collections.abc import Iterable, Mapping
from typing import Any


def cpu_seconds(records: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, float]:
    """Return the CPU time of one seed by the name that records have, where these say it."""
    spent: dict[str, float] = {}
    seeds: dict[str, int] = {}
    for name, made in records:
        if "cpu_seconds" in made:
            spent[name] = spent.get(name, 0.0) + made["cpu_seconds"]
            seeds[name] = seeds.get(name, 0) + len(made["recipe"]["seeds"])
    return {name: seconds / seeds[name] for name, seconds in spent.items()}
