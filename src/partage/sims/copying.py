"""What simulators need to be copied: by pickle, by cloudpickle, by `copy.deepcopy`."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np


def owned(arrays: Any) -> Any:
    """Return a NamedTuple whose arrays may be written, in one block of memory each.

    Some ways to copy (Ray's) bring arrays back that only read. Others are the very same.
    """
    fields: list[Any] = []
    for field in arrays:
        is_array = isinstance(field, np.ndarray)
        fields.append(np.require(field, requirements=["C", "W"]) if is_array else field)
    return type(arrays)(*fields)


def by_name(function: Callable[..., Any]) -> Callable[[], Any]:
    """Return a call that finds a compiled function, in another process too, with its cache.

    Numba's own way sends the Python code, and compiles it there once more. It is left for what no
    module holds under its name.
    """
    module, name = function.__module__, function.__qualname__
    here = getattr(importlib.import_module(module), name, None)
    if here is function and module != "__main__":
        return partial(find, module, name)
    return partial(itself, function)


def find(module: str, name: str) -> Any:
    """Return what a module holds under that name."""
    return getattr(importlib.import_module(module), name)


def itself(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function."""
    return function
