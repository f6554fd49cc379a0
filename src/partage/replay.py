"""The last whole episodes of each run, as long as they really were: memory grows with what was seen, not with limits.

Floats are kept exactly, masks as bits, actions as bytes. An episode is one dictionary of small tensors.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor

from partage.rollout import Rollout

Episode = dict[str, Tensor]
LATER = ("obs", "state", "avail_actions", "alive")  # kept for one instant more than there are transitions


def transitions(filled: Bool[Tensor, "R B T"], noise: Float32[Tensor, "R K"]) -> tuple[Tensor, Tensor, Tensor]:
    """K real transitions of each run, drawn with replacement by `noise` in [0, 1): indices of run, copy and time."""
    flat = filled.flatten(1)
    real = (~flat).to(torch.uint8).argsort(stable=True, dim=1)  # the real ones first
    place = real.gather(1, (noise * flat.sum(1, keepdim=True)).long())
    return torch.arange(len(flat), device=flat.device)[:, None], place // filled.shape[2], place % filled.shape[2]


class Replay:
    """One bounded queue of episodes per run; `sample` returns them padded to the longest one sampled."""

    def __init__(self, runs: int, capacity: int) -> None:
        self.queues: list[deque[Episode]] = [deque(maxlen=capacity) for _ in range(runs)]
        self.widths: dict[str, int] = {}  # last axis of each packed mask

    def __len__(self) -> int:
        """Episodes in the run that has fewest."""
        return min(len(queue) for queue in self.queues)

    def nbytes(self) -> int:
        return sum(x.nbytes for queue in self.queues for episode in queue for x in episode.values())

    def add(self, rollout: Rollout, extra: Mapping[str, Tensor]) -> None:
        """Store each copy's episode; `extra` holds what is trained on in place of rewards, ``[R, B, T, ...]``."""
        fields = {name: getattr(rollout, name) for name in (*LATER, "actions", "terminated")}
        fields |= {**rollout.notes, **extra}
        for r, lengths in enumerate(rollout.filled.sum(2).tolist()):
            for b, length in enumerate(lengths):
                if length:
                    self.queues[r].append(
                        {name: self._pack(name, x[r, b, : length + (name in LATER)]) for name, x in fields.items()}
                    )

    def sample(self, batch: int, generators: Sequence[Generator]) -> dict[str, Tensor]:
        """`batch` different episodes of each run, ``[R, B, T(+1), ...]``, and the mask `filled` ``[R, B, T]``.

        A run that has fewer gives empty ones besides.
        """
        chosen = []
        for queue, generator in zip(self.queues, generators, strict=True):
            index = torch.randperm(len(queue), generator=generator)[:batch].tolist()
            chosen.append([queue[i] for i in index])
        lengths = torch.tensor([[len(e["actions"]) for e in run] + [0] * (batch - len(run)) for run in chosen])
        time = int(lengths.max())
        fields = next(run[0] for run in chosen if run)
        out = {name: self._padded(x, name, chosen, (time + (name in LATER), batch)) for name, x in fields.items()}
        out["filled"] = torch.arange(time) < lengths[..., None]
        return out

    def _padded(self, like: Tensor, name: str, chosen: list[list[Episode]], shape: tuple[int, int]) -> Tensor:
        out = like.new_zeros(len(chosen), *shape, *like.shape[1:])  # time before copies: the order of a bank's rows
        for r, run in enumerate(chosen):
            for b, episode in enumerate(run):
                x = episode[name]
                out[r, : len(x), b] = x
        return self._unpack(name, out).transpose(1, 2)

    def _pack(self, name: str, x: Tensor) -> Tensor:
        if x.dtype == torch.bool and x.dim() > 1:
            self.widths[name] = x.shape[-1]
            return torch.from_numpy(np.packbits(x.numpy(), axis=-1))
        if x.dtype == torch.int64:
            if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < 256:
                raise ValueError(f"{name} is stored in a byte but holds values from {int(x.min())} to {int(x.max())}")
            return x.to(torch.uint8)
        return x.clone()

    def _unpack(self, name: str, x: Tensor) -> Tensor:
        if name in self.widths:
            return torch.from_numpy(np.unpackbits(x.numpy(), axis=-1, count=self.widths[name])).view(torch.bool)
        return x.long() if x.dtype == torch.uint8 else x

    def state_dict(self) -> dict[str, Any]:
        """Each field of each run as one long tensor, and the episodes' lengths."""
        runs = [
            {name: torch.cat([e[name] for e in queue]) for name in (queue[0] if queue else ())} for queue in self.queues
        ]
        lengths: list[list[int]] = [[len(e["actions"]) for e in queue] for queue in self.queues]
        return {"runs": runs, "lengths": lengths, "widths": dict(self.widths)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.widths = dict(state["widths"])
        for queue, fields, lengths in zip(self.queues, state["runs"], state["lengths"], strict=True):
            queue.clear()
            sizes = {name: [n + (name in LATER) for n in lengths] for name in fields}
            parts = [x.split(sizes[name]) for name, x in fields.items()]
            for episode in zip(*parts, strict=True):
                queue.append({name: x.clone() for name, x in zip(fields, episode, strict=True)})
