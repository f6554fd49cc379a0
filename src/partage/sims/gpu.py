"""Run a compiled simulator on a GPU, a thread for each copy.

The very functions that the CPU runs for one copy after the other are compiled for the GPU. The
simulator's arrays stay there; what is buffers goes there and back at every step. A GPU may round a
product and a sum once where the CPU rounds twice: a battle that hangs on a last digit goes another
way there.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from partage.errors import UserError
from partage.sims.buffers import Buffers
from partage.sims.copying import by_name, owned
from partage.sims.saved_arrays import load_arrays, save_arrays

BLOCK = 64  # threads that start together


def cuda_target() -> Any:
    """Return Numba's CUDA target. Raises `UserError` where it finds no GPU."""
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


def gpu_kernel_again(rules: Any, world: Any, start: Any, move: Any) -> "GpuKernel":
    """Return the kernel whose parts `GpuKernel.__reduce__` named."""
    return GpuKernel(rules, owned(world), start(), move())


class GpuKernel:
    """Run a `Sim` on the GPU: as `Kernel`, but with functions for one copy, their last argument.

    `rules` are the task's constants and `world` its arrays [C, ...], both NamedTuples.
    """

    def __init__(
        self, rules: Any, world: Any, start: Callable[..., None], move: Callable[..., None]
    ) -> None:
        self.cuda = cuda_target()
        self._made_of = rules, world, start, move
        self.rules = self._to_device(rules)
        self.host_world = world  # receives what was saved, on its way to the GPU
        self.world = self._to_device(world)
        self.start = self._compile(start)
        self.move = self._compile(move)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        """Start an episode in the copies marked."""
        self._launch(self.start, buffers, where)

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        """Move the live copies by a step."""
        self._launch(self.move, buffers, actions)

    def save(self) -> dict[str, Any]:
        """Return copies of the world's arrays, as a CPU's `Kernel` saves them."""
        arrays = [array.copy_to_host() for array in self.world]
        return save_arrays(type(self.host_world)(*arrays))

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from saved arrays, whichever device they come from."""
        load_arrays(self.host_world, state)
        self.world = self._to_device(self.host_world)

    def close(self) -> None:
        """Do nothing: the arrays go with this object."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: nothing of it lies on the GPU."""
        rules, world, start, move = self._made_of
        return gpu_kernel_again, (rules, world, by_name(start), by_name(move)), self.save()

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.load(state)

    def _to_device(self, arrays: Any) -> Any:
        """Return a NamedTuple with its arrays copied to the GPU."""
        fields = [self.cuda.to_device(x) if isinstance(x, np.ndarray) else x for x in arrays]
        return type(arrays)(*fields)

    def _compile(self, one_copy: Callable[..., None]) -> Any:
        """Return a function that is run by a thread for each copy."""
        cuda = self.cuda

        @cuda.jit
        def every_copy(rules, world, buffers, given):
            copy = cuda.grid(1)
            if copy < given.shape[0]:
                one_copy(rules, world, buffers, given, copy)

        return every_copy

    def _launch(self, every_copy: Any, buffers: Buffers, given: np.ndarray) -> None:
        """Run the function for all copies, and copy back what it has written into `buffers`."""
        device_buffers = self._to_device(buffers)
        device_given = self.cuda.to_device(given)
        blocks = -(-len(given) // BLOCK)  # rounded up
        every_copy[blocks, BLOCK](self.rules, self.world, device_buffers, device_given)
        for array, result in zip(buffers, device_buffers, strict=True):
            result.copy_to_host(array)
