"""`Kernel`: a compiled simulator of all copies."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from partage.sims.buffers import Buffers
from partage.sims.copying import by_name, owned
from partage.sims.saved_arrays import load_arrays, save_arrays


class Kernel(NamedTuple):
    """A `Sim` of two compiled functions, and the same for one copy."""

    rules: Any  # the task's constants: a NamedTuple of numbers and arrays
    world: Any  # what changes: a NamedTuple of arrays [C, ...], one row per copy
    start: Callable[..., None]  # (rules, world, buffers, where)
    move: Callable[..., None]  # (rules, world, buffers, actions)
    # what a GPU's threads call, one for each copy (None: it plays on the CPU alone)
    start_copy: Callable[..., None] | None = None  # (rules, world, buffers, copy)
    move_copy: Callable[..., None] | None = None  # (rules, world, buffers, actions, copy)
    # what plays a copy by several threads: (a card's `cuda`, their number) -> both of the same,
    # which take a thread's number besides (None: a thread plays a copy)
    together: Callable[[Any, int], tuple[Any, Any]] | None = None

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        """Start an episode in the copies marked."""
        self.start(self.rules, self.world, buffers, where)

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        """Move the live copies by a step."""
        self.move(self.rules, self.world, buffers, actions)

    def save(self) -> dict[str, Any]:
        """Return copies of the world's arrays."""
        return save_arrays(self.world)

    def load(self, state: Mapping[str, Any]) -> None:
        """Write a saved world back in place."""
        load_arrays(self.world, state)

    def close(self) -> None:
        """Do nothing: arrays need no end."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of; compiled functions go by their names."""
        names = [by_name(function) if function else None for function in self[2:]]
        return kernel_again, (self.rules, self.world, *names)


def kernel_again(rules: Any, world: Any, *functions: Any) -> Kernel:
    """Return the kernel whose parts `Kernel.__reduce__` named, over arrays that it may write."""
    return Kernel(rules, owned(world), *(found and found() for found in functions))
