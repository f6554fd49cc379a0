"""Compilation and random draws of the batched simulators.

A copy's generator is a key and a counter: draw `i` of a copy is a hash of (key, i), so a draw depends on nothing
but its own copy, the saved pair goes on exactly, and the same lines can run on a CPU or a GPU.
The hash is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), applied to the counter, then to
the counter's hash mixed with the key.
"""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
ONE, HALF = np.uint64(1), np.uint64(32)
UNIT = 2.0**-53  # distance of neighbouring draws of `uniform` on [0, 1)


def digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()


SOURCES = digest(Path(__file__).parent.rglob("*.py"))  # of all simulators


def kept(dispatcher: Any, sources: str = SOURCES) -> Any:
    """The compiled function, to be compiled anew when any of these sources changes.

    Numba's disk cache looks at a function's own file only, and so would keep using old code of what it calls.
    """
    file = dispatcher._cache._cache_file
    file._source_stamp = (file._source_stamp, sources)
    return dispatcher


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled by Numba, kept on disk so that the next process starts at once.

    `unwrap`: under the tests every function arrives wrapped in a type checker, which Numba cannot read.
    Division by zero gives infinity or NaN, as in the packages' NumPy.
    """
    return kept(njit(cache=True, error_model="numpy")(inspect.unwrap(function)))


def inlined(function: Callable[..., Any]) -> Any:
    """As `compiled`, for the parts a simulator calls per copy: its code is put where the call is."""
    return kept(njit(cache=True, error_model="numpy", forceinline=True)(inspect.unwrap(function)))


LEAN: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}


def lean(function: Callable[..., Any]) -> Any:
    """As `compiled`, for what makes no arrays: without Numba's reference counts, which in code that reads a few numbers
    here and there cost several times the rules themselves."""
    return kept(njit(**LEAN)(inspect.unwrap(function)))


def lean_inlined(function: Callable[..., Any]) -> Any:
    """As `inlined`, without reference counts: what a GPU's device function may be, too."""
    return kept(njit(forceinline=True, **LEAN)(inspect.unwrap(function)))


@inlined
def mix(word: np.uint64) -> np.uint64:
    word = (word ^ (word >> np.uint64(30))) * FIRST
    word = (word ^ (word >> np.uint64(27))) * SECOND
    return word ^ (word >> np.uint64(31))


@inlined
def word(key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int) -> np.uint64:
    """The copy's next 64 random bits; its counter moves on by one."""
    counter[copy] += ONE
    return mix(mix(counter[copy] * STEP) ^ key[copy])


@inlined
def uniform(key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int, low: float, high: float) -> float:
    """Uniform on [low, high)."""
    return low + (high - low) * UNIT * np.float64(word(key, counter, copy) >> np.uint64(11))


@inlined
def integer(key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int, low: int, high: int) -> int:
    """Uniform on low..high, both included. For ranges below 2^16 the bias is less than 2^-16 of a probability."""
    span = np.uint64(high - low + 1)
    return low + int(((word(key, counter, copy) >> HALF) * span) >> HALF)
