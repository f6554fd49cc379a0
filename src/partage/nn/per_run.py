"""Settings that differ from run to run: a pack may hold runs of several cells.

A learner's setting is a number, or a `PerRun`, which is no number: arithmetic that does not heed it
fails at once. What is computed of settings alone is computed in Python's floats, run by run, as it
is for a run alone; what meets tensors is rounded to float32 then, as torch rounds a number.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T", int, float)


@dataclass(frozen=True)
class PerRun:
    """A setting's value in each of R runs."""

    values: tuple[float, ...]


# a setting that may be one number for all runs, or each run's own
Each = T | PerRun


def along(value: Each[float], x: Tensor) -> float | Tensor:
    """Return a setting as ``x [R, ...]`` is multiplied by it: a number, or ``[R, 1, ...]``."""
    if not isinstance(value, PerRun):
        return value
    return _tensor(value.values, x.device).view(-1, *[1] * (x.dim() - 1))


@functools.cache  # for good: graphs that were captured on a card read this memory
def _tensor(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)


def each(how: Callable[..., float], *settings: Each[float]) -> Each[float]:
    """Return what a function makes of settings: of each run's own where one is a `PerRun`."""
    for setting in settings:
        if isinstance(setting, PerRun):
            columns = [of_runs(x, len(setting.values)) for x in settings]
            return PerRun(tuple(how(*row) for row in zip(*columns, strict=True)))
    return how(*settings)


def of_runs(value: Each[Any], runs: int) -> Sequence[Any]:
    """Return a setting's value in each of so many runs."""
    return value.values if isinstance(value, PerRun) else (value,) * runs


def first(value: Each[T]) -> Any:
    """Return the setting's value in the first run."""
    return value.values[0] if isinstance(value, PerRun) else value


def together(values: Sequence[Any]) -> Any:
    """Return the values of R runs as one setting: a `PerRun` only where they differ."""
    same = all(value == values[0] for value in values)
    return values[0] if same else PerRun(tuple(values))
