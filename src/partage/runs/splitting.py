"""The state of a pack, taken apart into that of each of its cells, and put together again.

A cell's part is what it would save if it had been trained alone. Which axes are the runs' is seen
beside `like`: the fresh state of the cell alone, or of the whole pack; what that lacks, because it
grows in training, has its runs first. What has no axis of runs (how many updates there were) all
cells have in common.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def of_cell(state: Any, like: Any, rows: slice, runs: int) -> Any:
    """Return the part of a cell, which has the runs `rows` of a pack of so many; copied.

    Raises `ValueError` where something has neither the sizes of `like` nor a row for each run.
    """
    count = rows.stop - rows.start
    if isinstance(state, dict):
        parts = like if isinstance(like, Mapping) else {}
        found = {key: of_cell(x, parts.get(key), rows, runs) for key, x in state.items()}
        return type(state)(found)  # a module's is an OrderedDict
    if isinstance(state, list | tuple):
        beside = like if isinstance(like, list | tuple) and like else [None] * len(state)
        if len(beside) == len(state):
            pairs = zip(state, beside, strict=True)
            return type(state)([of_cell(x, other, rows, runs) for x, other in pairs])
        if len(state) * count != len(beside) * runs:
            raise ValueError(f"{len(state)} entries of {runs} runs, and {len(beside)} of {count}")
        chosen = [x for number, x in enumerate(state) if rows.start <= number % runs < rows.stop]
        return type(state)(chosen)
    if isinstance(state, Tensor):
        return _rows(state, like, rows, runs)
    return state


def _rows(x: Tensor, like: Any, rows: slice, runs: int) -> Tensor:
    count = rows.stop - rows.start
    if not isinstance(like, Tensor):
        return x[rows].clone() if x.dim() and len(x) == runs else x.clone()
    if x.shape == like.shape:
        return x.clone()
    if not x.dim() or len(x) * count != len(like) * runs or x.shape[1:] != like.shape[1:]:
        raise ValueError(f"{list(x.shape)} of {runs} runs, and {list(like.shape)} of {count}")
    return x.unflatten(0, (runs, -1))[rows].flatten(0, 1).clone()


def joined(states: Sequence[Any], like: Any, counts: Sequence[int]) -> Any:
    """Return the state of a pack of cells, whose numbers of runs are `counts`.

    Raises `ValueError` where they differ in what all have in common.
    """
    one = states[0]
    if isinstance(one, dict):
        parts = like if isinstance(like, Mapping) else {}
        _equal([list(each) for each in states])
        found = {}
        for key in one:
            found[key] = joined([each[key] for each in states], parts.get(key), counts)
        return type(one)(found)
    if isinstance(one, list | tuple):
        if isinstance(like, list | tuple) and like and len(like) != len(one):
            purposes = len(one) // counts[0]
            entries = []
            for purpose in range(purposes):
                for state, count in zip(states, counts, strict=True):
                    entries += state[purpose * count : (purpose + 1) * count]
            return type(one)(entries)
        _equal([len(each) for each in states])
        beside = like if isinstance(like, list | tuple) and like else [None] * len(one)
        columns = zip(zip(*states, strict=True), beside, strict=True)
        return type(one)([joined(column, other, counts) for column, other in columns])
    if isinstance(one, Tensor) and _has_runs(states, like, counts):
        return torch.cat(list(states))
    _equal(states)
    return one


def _has_runs(states: Sequence[Tensor], like: Any, counts: Sequence[int]) -> bool:
    if isinstance(like, Tensor):
        return like.shape != states[0].shape
    return all(x.dim() > 0 and len(x) == count for x, count in zip(states, counts, strict=True))


def _equal(values: Sequence[Any]) -> None:
    """Raise `ValueError` where what cells have in common differs."""
    for value in values:
        same = torch.equal(value, values[0]) if isinstance(value, Tensor) else value == values[0]
        if not same:
            raise ValueError("cells that do not stand at the same update")
