"""A stand-in for a GPU: each thread of a kernel in turn, in compiled code of the CPU.

Threads that play a copy together are threads of Python, which wait for each other where a card's
do.
"""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from partage.sims import card, contract
from partage.sims.side_by_side import layout


class StandIn(card.Card):
    """A card whose memory is the host's."""

    lanes = 4  # so that units are more than lanes

    def __init__(self) -> None:
        self.cuda: Any = self  # as far as kernels call it
        self.device, self.launched, self.multiprocessors = torch.device("cpu"), 0, 132
        self.kept: list[torch.Tensor] = []
        self.here = threading.local()  # the number of the thread that asks
        self.barrier, self.said = threading.Barrier(self.lanes), [None] * self.lanes

    def grid(self, dimensions: int) -> int:
        assert dimensions == 1
        return self.here.thread

    def jit(self, **_: Any) -> Callable[[Any], Any]:
        return lambda function: function

    def said_by_all(self, value: Any) -> list[Any]:
        self.said[self.here.thread % self.lanes] = value
        self.barrier.wait()
        said = list(self.said)
        self.barrier.wait()
        return said

    def syncwarp(self, mask: int = -1) -> None:
        self.said_by_all(None)

    def ballot_sync(self, mask: int, yes: bool) -> int:
        return sum(1 << lane for lane, each in enumerate(self.said_by_all(bool(yes))) if each)

    def shfl_sync(self, mask: int, value: Any, lane: int) -> Any:
        return self.said_by_all(value)[lane]

    def ffs(self, bits: int) -> int:
        return (bits & -bits).bit_length()

    def popc(self, bits: int) -> int:
        return bits.bit_count()

    def seen(self, tensor: torch.Tensor, dtype: np.dtype) -> np.ndarray:
        shape, strides, kind = layout(tensor, dtype)
        if not tensor.numel():
            return np.zeros(shape, kind)
        extent = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        address = ctypes.c_char * (extent + kind.itemsize)
        memory = address.from_address(tensor.data_ptr())
        self.kept.append(tensor)
        array = np.ndarray(shape, kind, memory, 0, strides)
        return array if kind.names is None else array.view(np.recarray)  # fields as attributes

    def compile(self, function, given):
        return function

    def launch(self, compiled, copies: int, given, lanes: int = 1) -> None:
        blocks, block = (copies, lanes) if lanes > 1 else self.threads(copies)
        for first in range(0, blocks * block, lanes):
            self.run_together(range(first, first + lanes), compiled, given)
        self.launched += 1

    def run_together(self, numbers: range, compiled, given) -> None:
        if len(numbers) == 1:
            self.here.thread = numbers[0]
            compiled(*given)
            return
        failed: list[BaseException] = []

        def run(number: int) -> None:
            self.here.thread = number
            try:
                compiled(*given)
            except Exception as error:
                failed.append(error)
                self.barrier.abort()

        threads = [threading.Thread(target=run, args=(number,)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]


def play(made: contract.Env, step: contract.TimeStep, steps: int, seed: int) -> list[torch.Tensor]:
    """Random legal actions from an instant on; what every instant shows, on the host."""
    generator, seen = torch.Generator().manual_seed(seed), []
    for _ in range(steps):
        chances = torch.rand(step.avail_actions.shape, generator=generator)
        chances = chances.to(step.avail_actions.device)
        step = made.step(torch.where(step.avail_actions, chances, -1.0).argmax(-1))
        seen += [x.cpu().clone() for x in step]
        step = made.reset(step.ended.clone())
        seen += [x.cpu().clone() for x in step]
    return seen
