"""A compiled simulator with a thread of a GPU for each copy, where the CPU goes through the copies
one after the other.

The very functions that the CPU runs are compiled for the GPU. The battle stays there; what is shown
goes there and back at every step. A GPU may round a product and a sum once where the CPU rounds
twice: a battle that hangs on a last digit goes another way there.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from partage.errors import UserError
from partage.sims.batch import load_arrays, save_arrays
from partage.sims.buffers import Buffers

BLOCK = 64  # threads that start together


def target() -> Any:
    """Numba's CUDA target; refused where it finds no GPU."""
    try:
        from numba import cuda

        if cuda.is_available():
            return cuda
    except ImportError:
        pass
    raise UserError(
        "Option device='cuda' needs an NVIDIA GPU and numba-cuda, and Numba finds no GPU here: "
        "run `pip install 'numba-cuda[cu13]'` where there is one, or leave the option out."
    )


class Threads:
    """A `Sim` on the GPU: as `Kernel`, but `start` and `move` see to one copy, the last argument."""

    def __init__(
        self, rules: Any, world: Any, start: Callable[..., None], move: Callable[..., None]
    ) -> None:
        self.cuda = target()
        self.rules, self.blank, self.world = self._there(rules), world, self._there(world)
        self.start, self.move = self._on_threads(start), self._on_threads(move)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        self._call(self.start, buffers, where)

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        self._call(self.move, buffers, actions)

    def save(self) -> dict[str, Any]:
        return save_arrays(type(self.blank)(*(array.copy_to_host() for array in self.world)))

    def load(self, state: Mapping[str, Any]) -> None:
        load_arrays(self.blank, state)
        self.world = self._there(self.blank)

    def close(self) -> None:
        pass

    def _there(self, arrays: Any) -> Any:
        """A NamedTuple with its arrays copied to the GPU."""
        return type(arrays)(
            *(self.cuda.to_device(x) if isinstance(x, np.ndarray) else x for x in arrays)
        )

    def _on_threads(self, one: Callable[..., None]) -> Any:
        cuda = self.cuda

        @cuda.jit
        def every(rules, world, buffers, given):
            copy = cuda.grid(1)
            if copy < given.shape[0]:
                one(rules, world, buffers, given, copy)

        return every

    def _call(self, every: Any, buffers: Buffers, given: np.ndarray) -> None:
        there = self._there(buffers)
        every[-(-len(given) // BLOCK), BLOCK](
            self.rules, self.world, there, self.cuda.to_device(given)
        )
        for array, result in zip(buffers, there, strict=True):
            result.copy_to_host(array)
