"""What a plan comes down to: curves, and settings with where they stand (standard library only)."""

from typing import NamedTuple

from partage.config.types import Scalar


class Cell(NamedTuple):
    """One curve: an algorithm on a task with a seed."""

    algorithm: str
    task: str
    seed: int


class Setting(NamedTuple):
    """A resolved setting and where its value stands."""

    name: str
    value: Scalar
    home: str
