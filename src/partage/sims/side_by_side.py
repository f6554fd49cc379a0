"""How copies lie on a GPU: number after number, each with all copies side by side.

Threads that run in step, a copy each, so read one stretch of memory (where they play one copy
together, it is its units that lie side by side). Strides say it: compiled code indexes such an
array as any other, ``[copy, ...]``. Of records it is the fields that lie apart,
which their type says: it depends on the number of copies, so that is padded to few sizes.
"""

import numpy as np
import torch
from torch import Tensor

WORD = 8  # bytes; all fields of records have that many


def words(array: np.ndarray) -> np.ndarray:
    """Return the array as torch can hold it, in the same memory.

    Of records it is their words, one more axis.
    """
    if array.dtype == np.uint64:
        return array.view(np.int64)
    if array.dtype.names is None:
        return array
    return array.view(np.int64).reshape(*array.shape, -1)


def place(array: np.ndarray, device: torch.device) -> Tensor:
    """Return a copy on the device, in the array's own order."""
    return torch.from_numpy(words(array)).to(device, copy=True)


def place_side_by_side(array: np.ndarray, device: torch.device) -> Tensor:
    """Return a copy ``[C, ...]`` on the device whose first axis lies innermost."""
    source = torch.from_numpy(words(array))
    room = torch.zeros(*source.shape[1:], padded(len(source)), dtype=source.dtype, device=device)
    placed = room.movedim(-1, 0)[: len(source)]
    placed.copy_(source)
    return placed


def place_units_apart(array: np.ndarray, device: torch.device) -> Tensor:
    """Return a copy of records ``[..., U]`` on the device, a field of all of them side by side.

    So threads that play one copy, a unit each, read one stretch of memory. What holds no records
    keeps its own order.
    """
    if array.dtype.names is None:
        return place(array, device)
    source = torch.from_numpy(words(array))  # [..., U, F]
    room = torch.zeros(
        *source.shape[:-2], source.shape[-1], padded(source.shape[-2]), dtype=source.dtype,
        device=device,
    )  # fmt: skip
    placed = room.transpose(-1, -2)[..., : source.shape[-2], :]
    placed.copy_(source)
    return placed


def padded(copies: int) -> int:
    """Return for how many copies (or units) there is room: a power of two, 32 or more."""
    return 1 << max(copies - 1, 31).bit_length()


def layout(tensor: Tensor, dtype: np.dtype) -> tuple[tuple[int, ...], tuple[int, ...], np.dtype]:
    """Return shape, strides in bytes and type of the array that a tensor holds (see `words`)."""
    shape = tuple(tensor.shape)
    strides = tuple(stride * tensor.element_size() for stride in tensor.stride())
    if dtype.names is None:
        return shape, strides, dtype
    return shape[:-1], strides[:-1], with_fields_apart(dtype, strides[-1])


def with_fields_apart(dtype: np.dtype, step: int) -> np.dtype:
    """Return the type of records whose fields begin `step` bytes apart; they may interlock."""
    names = list(dtype.names or ())
    assert dtype.itemsize == WORD * len(names)
    described = {
        "names": names,
        "formats": [dtype[name] for name in names],
        "offsets": [step * number for number in range(len(names))],
        "itemsize": step * len(names),
    }
    return np.dtype(described, align=True)  # pyright: ignore
