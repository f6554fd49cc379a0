"""`Card`: the GPU that torch uses, as Numba sees it: memory, compiled kernels, launches."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from partage.errors import UserError
from partage.sims.side_by_side import layout
from partage.sims.warp import WARP

FEW = 8  # copies of a multiprocessor
SCHEDULERS = 4  # of a multiprocessor: warps that it plays at the same time


def cuda_target() -> Any:
    """Return Numba's CUDA target.

    Raises `UserError` where it does not load, or where it or torch finds no GPU.
    """
    cuda = None
    try:
        cuda = import_module("numba.cuda")
        found = cuda.is_available() and torch.cuda.is_available()
    except ModuleNotFoundError:
        found = False
    except Exception as error:  # of NumPy it uses names that a later one no longer has
        raise does_not_load(error) from error
    if cuda is None or not found:
        raise UserError(
            "Option device='cuda' needs an NVIDIA GPU, numba-cuda and a torch built for CUDA, and "
            "there is no GPU that Numba and torch find here: run `pip install 'numba-cuda[cu13]' "
            "'numpy<2.5'` where there is one, or leave the option out."
        )
    cuda.dispatcher.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # few copies are no mistake
    return cuda


def does_not_load(error: Exception) -> UserError:
    """Return what to say of an installed numba-cuda that cannot be imported or asked."""
    there = ", ".join(f"{name} {installed(name)}" for name in ("numba-cuda", "numba", "numpy"))
    return UserError(
        "Option device='cuda' needs numba-cuda with a NumPy below 2.5, and what is installed does "
        f"not load ({there}: {one_line(error)}): run `pip install 'numpy<2.5'`, or leave the "
        "option out."
    )


def installed(name: str) -> str:
    """Return a package's version, "missing" where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def one_line(error: Exception) -> str:
    """Return an error's own words, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":. ")


class Card:
    """The GPU that torch uses now: its memory as Numba sees it, and functions that it runs."""

    lanes = WARP  # threads that play a copy together, where a simulator knows how to

    def __init__(self) -> None:
        self.cuda = cuda_target()
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.multiprocessors = torch.cuda.get_device_properties(self.device).multi_processor_count
        self.streams: dict[int, Any] = {}  # of Numba, by their address

    def seen(self, tensor: Tensor, dtype: np.dtype) -> Any:
        """Return a tensor's memory as Numba's array of that type (see `side_by_side`)."""
        shape, strides, kind = layout(tensor, dtype)
        interface = {
            "shape": shape,
            "strides": strides,
            "typestr": kind,
            "data": (tensor.data_ptr(), False),
            "version": 2,
        }
        return self.cuda.from_cuda_array_interface(interface, owner=tensor)

    def lanes_of(self, copies: int) -> int:
        """Return how many threads should play each of so many copies, where several can.

        A copy is done sooner that way, but threads wait for each other: where copies alone fill the
        card, more of them are done in a second by a thread each (measured on battles).
        """
        return self.lanes if copies <= FEW * self.multiprocessors else 1

    def shape(self, copies: int, lanes: int) -> tuple[int, int]:
        """Return how many blocks of how many threads play so many copies, each by so many lanes."""
        return (copies, lanes) if lanes > 1 else self.threads(copies)

    def threads(self, copies: int) -> tuple[int, int]:
        """Return how many blocks of how many threads play so many copies, a thread each.

        Copies take different ways through the rules, so a warp of few copies is done earlier: its
        other lanes stay empty while warps are fewer than can be played at the same time. A block
        is a warp, of 1, 2, 4 .. 32 threads (what was best when measured).
        """
        share = copies / (SCHEDULERS * self.multiprocessors)
        block = 2 ** round(math.log2(min(max(share, 1), WARP)))
        return -(-copies // block), block

    def compile(self, function: Callable[..., None], given: Sequence[Any]) -> Any:
        """Return a kernel compiled for such arguments."""
        with rounding_products(self.cuda):
            return for_gpu(self.cuda, function).specialize(*given)

    def launch(self, compiled: Any, copies: int, given: Sequence[Any], lanes: int = 1) -> None:
        """Run so many threads for each copy, on torch's current stream; return at once."""
        address = torch.cuda.current_stream(self.device).cuda_stream
        if address not in self.streams:
            self.streams[address] = self.cuda.external_stream(address)
        blocks, block = self.shape(copies, lanes)
        compiled[blocks, block, self.streams[address]](*given)


@cache
def for_gpu(cuda: Any, function: Callable[..., None]) -> Any:
    """Return what compiles a kernel, once for each kind of arguments."""
    plain = inspect.unwrap(function)  # the tests wrap functions in a type checker
    return cuda.jit(plain, lto=False)  # what links fuses products and sums again


@contextmanager
def rounding_products(cuda: Any) -> Iterator[None]:
    """Have what is compiled meanwhile round a product before it adds it, as CPUs' code does."""
    nvvm = cuda.cudadrv.nvvm
    usual = nvvm.compile_ir
    nvvm.compile_ir = partial(usual, fma=0)
    try:
        yield
    finally:
        nvvm.compile_ir = usual
