"""Random numbers of the batched simulators, the same on a CPU and on a GPU.

A copy's generator is a key and a counter: number `i` of a copy is a hash of (key, i). So it depends
on nothing but its own copy, and the saved pair goes on exactly. The hash is the finaliser of
SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), applied to the counter, then to the counter's hash
mixed with the key.
"""

import numpy as np
from numpy.typing import NDArray

from partage.sims.compilation import inlined

# SplitMix64's increment and the two multipliers of its finaliser
INCREMENT = np.uint64(0x9E3779B97F4A7C15)
FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)
ONE, HALF = np.uint64(1), np.uint64(32)
SPACING = 2.0**-53  # between neighbouring values of `uniform` on [0, 1)


@inlined
def mix(word: np.uint64) -> np.uint64:
    """Return SplitMix64's finaliser of 64 bits."""
    word = (word ^ (word >> np.uint64(30))) * FIRST_MULTIPLIER
    word = (word ^ (word >> np.uint64(27))) * SECOND_MULTIPLIER
    return word ^ (word >> np.uint64(31))


@inlined
def word_of(key: np.uint64, number: np.uint64) -> np.uint64:
    """Return the 64 random bits of that number."""
    return mix(mix(number * INCREMENT) ^ key)


@inlined
def random_word(key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int) -> np.uint64:
    """Return the copy's next 64 random bits, and move its counter on by one."""
    counter[copy] += ONE
    return word_of(key[copy], counter[copy])


@inlined
def between(word: np.uint64, low: float, high: float) -> float:
    """Return the number of such bits, uniform on [low, high)."""
    return low + (high - low) * SPACING * np.float64(word >> np.uint64(11))


@inlined
def uniform(
    key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int, low: float, high: float
) -> float:
    """Return the copy's next number, uniform on [low, high)."""
    return between(random_word(key, counter, copy), low, high)


@inlined
def uniform_ahead(
    key: NDArray[np.uint64],
    counter: NDArray[np.uint64],
    copy: int,
    ahead: int,
    low: float,
    high: float,
) -> float:
    """Return the number that `uniform` gives after so many others; the counter stays."""
    number = counter[copy] + np.uint64(ahead) + ONE
    return between(word_of(key[copy], number), low, high)


@inlined
def integer(
    key: NDArray[np.uint64], counter: NDArray[np.uint64], copy: int, low: int, high: int
) -> int:
    """Return the copy's next whole number, uniform on low..high, both included.

    For ranges below 2^16 the bias is less than 2^-16 of a probability.
    """
    span = np.uint64(high - low + 1)
    return low + int(((random_word(key, counter, copy) >> HALF) * span) >> HALF)
