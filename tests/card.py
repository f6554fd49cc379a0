"""A stand-in for a GPU: each thread of a kernel in turn, in compiled code of the CPU."""

import ctypes

import numpy as np
import torch

from partage.sims import card, contract
from partage.sims.side_by_side import layout


class StandIn(card.Card):
    """A card whose memory is the host's."""

    def __init__(self) -> None:
        self.cuda, self.device = self, torch.device("cpu")  # `cuda` as far as kernels call it
        self.thread, self.launched, self.multiprocessors = -1, 0, 132
        self.kept: list[torch.Tensor] = []

    def grid(self, dimensions: int) -> int:
        assert dimensions == 1
        return self.thread

    def seen(self, tensor: torch.Tensor, dtype: np.dtype) -> np.ndarray:
        shape, strides, kind = layout(tensor, dtype)
        if not tensor.numel():
            return np.zeros(shape, kind)
        extent = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        address = ctypes.c_char * (extent + kind.itemsize)
        memory = address.from_address(tensor.data_ptr())
        self.kept.append(tensor)
        return np.ndarray(shape, kind, memory, 0, strides)

    def compile(self, function, given):
        return function

    def launch(self, compiled, copies: int, given) -> None:
        blocks, block = self.threads(copies)
        for self.thread in range(blocks * block):
            compiled(*given)
        self.launched += 1


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
