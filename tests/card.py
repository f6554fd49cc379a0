"""A stand-in for a GPU: each thread of a kernel in turn, in compiled code of the CPU."""

import numpy as np
import torch

from partage.sims import contract, gpu


class StandIn(gpu.Card):
    """A card whose memory is the host's."""

    def __init__(self) -> None:
        self.cuda, self.device = self, torch.device("cpu")  # `cuda` as far as kernels call it
        self.thread, self.launched = -1, 0

    def grid(self, dimensions: int) -> int:
        assert dimensions == 1
        return self.thread

    def seen(self, tensor: torch.Tensor, dtype: np.dtype) -> np.ndarray:
        records = dtype.names is not None
        shape = tensor.shape[:-1] if records else tensor.shape
        return tensor.numpy().view(dtype).reshape(shape)

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
