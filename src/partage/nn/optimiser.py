"""One optimiser for R runs side by side, each clipped by its own gradient's norm."""

from collections.abc import Callable

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional


class Optimiser:
    """A torch optimiser over all of a module's parameters, laid end to end in one tensor.

    One tensor is one pass instead of one per parameter. Padded to whole vector registers, it also
    makes every element take the same arithmetic whatever the number of runs: a run's updates do not
    depend on its pack, to the last bit.
    """

    def __init__(
        self, module: nn.Module, make: Callable[[list[Tensor]], torch.optim.Optimizer], clip: float
    ) -> None:
        self.parameters, self.clip = list(module.parameters()), clip
        flat = torch.cat([p.detach().flatten() for p in self.parameters])
        self.flat = nn.Parameter(functional.pad(flat, (0, -len(flat) % 64)))
        self.flat.grad = torch.zeros_like(self.flat)
        self.gradients, start = [], 0
        for p in self.parameters:  # from here on views of it
            part = slice(start, start := start + p.numel())
            p.data = self.flat.data[part].view_as(p)
            self.gradients.append(self.flat.grad[part].view(len(p), -1))
        self.torch = make([self.flat])

    @torch.no_grad()
    def copy_set(self, module: nn.Module, run: int, source: int, target: int) -> None:
        """Parameter set `target` of one run's banks in `module` becomes what set `source` is:
        values and moments.
        """
        moments = [x for x in self.torch.state[self.flat].values() if x.shape == self.flat.shape]
        wanted, start = {id(p) for p in module.parameters()}, 0
        for p in self.parameters:
            part = slice(start, start := start + p.numel())
            if id(p) in wanted:
                for flat in (self.flat.data, *moments):
                    sets = flat[part].view_as(p)
                    sets[run, target] = sets[run, source]

    def step(self, loss: Float32[Tensor, "R"]) -> Float32[Tensor, "R"]:
        """Descend the runs' losses, each run's gradient scaled to at most the norm `clip`; returns
        the norms before.

        The losses are summed, so each run gets the gradient it would get alone. One that is not
        finite counts as zero: a run that diverges is left with parameters that are numbers, and its
        norms say so.
        """
        for p in self.parameters:
            p.grad = None
        loss.sum().backward()
        gradients = [
            (p.new_zeros(()) if p.grad is None else p.grad).expand_as(p).flatten(1)
            for p in self.parameters
        ]
        norms = [torch.linalg.vector_norm(g, dim=1) for g in gradients]
        norm = torch.stack(norms, 1).square().sum(1).sqrt()
        scale = (self.clip / (norm + 1e-6)).clamp(max=1.0)[:, None]
        for g, scaled in zip(gradients, self.gradients, strict=True):
            torch.mul(g, scale, out=scaled)
        if not (finite := norm.isfinite()).all():
            for scaled in self.gradients:
                scaled[~finite] = 0
        self.torch.step()
        return norm
