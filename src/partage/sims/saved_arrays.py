"""A NamedTuple of arrays as tensors, which `torch.load` reads back in its safe mode; and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from partage.errors import UserError


def save_arrays(arrays: Any) -> dict[str, Any]:
    """Return copies of a NamedTuple's arrays, as tensors.

    Tensors are what `torch.load` reads back in its safe mode.
    """
    return {
        name: torch.from_numpy(records_as_bytes(array)).clone()
        for name, array in arrays._asdict().items()
    }


def load_arrays(arrays: Any, saved: Mapping[str, Any]) -> None:
    """Write saved copies back in place.

    Raises `UserError` where one does not fit; nothing is written then.
    """
    for name, array in arrays._asdict().items():
        expected = records_as_bytes(array).shape
        found = tuple(saved[name].shape) if name in saved else "nothing"
        if found != expected:
            raise UserError(
                f"The saved simulator holds {found} for {name!r}, expected {expected}: save and "
                f"load with the same task, number of runs and copies."
            )
    for name, array in arrays._asdict().items():
        records_as_bytes(array)[...] = saved[name].numpy()


def records_as_bytes(array: np.ndarray) -> np.ndarray:
    """Return the array itself, or one of records as their bytes, which torch can hold.

    The bytes are one more axis, in the same memory.
    """
    if array.dtype.names is None:
        return array
    return array.view(np.uint8).reshape(*array.shape, -1)
