"""Compilation and random draws of the batched simulators.

A copy's generator is a key and a counter: draw `i` of a copy is a hash of (key, i), so a draw
depends on nothing but its own copy, the saved pair goes on exactly, and the same lines can run on a
CPU or a GPU. The hash is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), applied
to the counter, then to the counter's hash mixed with the key.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from partage import _jit

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
ONE, HALF = np.uint64(1), np.uint64(32)
UNIT = 2.0**-53  # distance of neighbouring draws of `uniform` on [0, 1)


SOURCES = _jit.digest(Path(__file__).parent.rglob("*.py"))  # of all simulators

compiled = _jit.compiler(SOURCES)
# For the parts that a simulator calls per copy: the code is put where the call is.
inlined = _jit.compiler(SOURCES, forceinline=True)
# For what makes no arrays: without Numba's reference counts, which in code that reads a few numbers
# here and there cost several times the rules themselves.
lean = _jit.compiler(SOURCES, _nrt=False)
lean_inlined = _jit.compiler(
    SOURCES, _nrt=False, forceinline=True
)  # also as a GPU's device function


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
def uniform(
    key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int, low: float, high: float
) -> float:
    """Uniform on [low, high)."""
    return low + (high - low) * UNIT * np.float64(word(key, counter, copy) >> np.uint64(11))


@inlined
def integer(
    key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int, low: int, high: int
) -> int:
    """Uniform on low..high, both included. For ranges below 2^16 the bias is less than 2^-16 of a
    probability.
    """
    span = np.uint64(high - low + 1)
    return low + int(((word(key, counter, copy) >> HALF) * span) >> HALF)
