"""What threads of a warp say to each other, and functions that are compiled with it.

A simulator whose copy is a lot of work is played by a warp a copy on a GPU: its threads, the lanes,
run in step, each does a part, and what must be done in turn they do in turn. Such functions are
written as any other, and name the functions below, of which here are only the descriptions:
`bound` brings them together with a card.
"""

import inspect
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

WARP = 32  # threads that run in step


def lanes() -> int:
    """Return how many threads play a copy."""
    raise NotImplementedError


def votes(yes: bool) -> int:
    """Return a bit for each lane: whether it said yes. All wait for each other."""
    raise NotImplementedError


def told(value: Any, lane: int) -> Any:
    """Return the number that a lane has; all wait for each other."""
    raise NotImplementedError


def wait() -> None:
    """Wait until all lanes are here: what one has written all read from now on."""
    raise NotImplementedError


def lowest(bits: int) -> int:
    """Return the number of the lowest bit that is set."""
    raise NotImplementedError


def count(bits: int) -> int:
    """Return how many bits are set."""
    raise NotImplementedError


def spoken(cuda: Any, number: int = WARP) -> dict[str, Callable[..., Any]]:
    """Return the functions above by name, as a card's compiled code calls them."""
    everyone = (1 << number) - 1

    def lanes():
        return number

    def votes(yes):
        return cuda.ballot_sync(everyone, yes) & everyone

    def told(value, lane):
        return cuda.shfl_sync(everyone, value, lane)

    def wait():
        cuda.syncwarp(everyone)

    def lowest(bits):
        return cuda.ffs(bits) - 1

    def count(bits):
        return cuda.popc(bits)

    return {each.__name__: each for each in (lanes, votes, told, wait, lowest, count)}


def bound(cuda: Any, functions: Iterable[Callable[..., Any]], number: int = WARP) -> dict[str, Any]:
    """Return copies of functions by name, compiled for a card when called by its kernels.

    Each is given before those that call it, and is put where the calls are.
    """
    names: dict[str, Any] = {}
    inlined = cuda.jit(device=True, forceinline=True)
    # the tests wrap functions in a type checker
    for name, function in spoken(cuda, number).items():
        names[name] = inlined(inspect.unwrap(function))
    for function in functions:
        plain: Any = inspect.unwrap(function)
        again = FunctionType(plain.__code__, {**plain.__globals__, **names}, plain.__name__)
        names[plain.__name__] = inlined(again)
    return names
