"""The last whole episodes of each run, as long as they really were: memory grows with what was
seen, not with limits.

Floats are kept exactly, those of a field that is mostly zeros (what nobody sees in a battle) as the
ones that are not; masks as bits, actions as bytes. An episode is one dictionary of small tensors.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor

from partage.rl.rollout import Rollout
from partage.sims.buffers import INSTANT_FIELDS

Episode = dict[str, Tensor]
VALUES = "/values"  # the floats of a sparse field, whose bits say where they stand


def sample_transitions(
    filled: Bool[Tensor, "R B T"], noise: Float32[Tensor, "R K"]
) -> tuple[Tensor, Tensor, Tensor]:
    """K real transitions of each run, drawn with replacement by `noise` in [0, 1): indices of run,
    copy and time.
    """
    flat = filled.flatten(1)
    real = (~flat).to(torch.uint8).argsort(stable=True, dim=1)  # the real ones first
    place = real.gather(1, (noise * flat.sum(1, keepdim=True)).long())
    return (
        torch.arange(len(flat), device=flat.device)[:, None],
        place // filled.shape[2],
        place % filled.shape[2],
    )


class Replay:
    """One bounded queue of episodes per run; `sample` returns them padded to the longest one
    sampled.
    """

    def __init__(self, runs: int, capacity: int) -> None:
        self.queues: list[deque[Episode]] = [deque(maxlen=capacity) for _ in range(runs)]
        self.widths: dict[str, int] = {}  # last axis of each packed mask
        self.sparse: dict[
            str, list[int]
        ] = {}  # shape of an instant of each field that is mostly zeros; [] where not

    def __len__(self) -> int:
        """Episodes in the run that has fewest."""
        return min(len(queue) for queue in self.queues)

    def nbytes(self) -> int:
        return sum(x.nbytes for queue in self.queues for episode in queue for x in episode.values())

    def add(self, rollout: Rollout, extra: Mapping[str, Tensor]) -> None:
        """Store each copy's episode; `extra` holds what is trained on in place of rewards, ``[R, B,
        T, ...]``.
        """
        fields = {
            name: getattr(rollout, name) for name in (*INSTANT_FIELDS, "actions", "terminated")
        }
        fields |= {**rollout.notes, **extra}
        for r, lengths in enumerate(rollout.filled.sum(2).tolist()):
            for b, length in enumerate(lengths):
                if length:
                    whole = {
                        name: x[r, b, : length + (name in INSTANT_FIELDS)]
                        for name, x in fields.items()
                    }
                    self.queues[r].append(
                        {k: v for name, x in whole.items() for k, v in self._pack(name, x)}
                    )

    def sample(self, batch: int, generators: Sequence[Generator]) -> dict[str, Tensor]:
        """`batch` different episodes of each run, ``[R, B, T(+1), ...]``, and the mask `filled`
        ``[R, B, T]``.

        A run that has fewer gives empty ones besides.
        """
        chosen = []
        for queue, generator in zip(self.queues, generators, strict=True):
            index = torch.randperm(len(queue), generator=generator)[:batch].tolist()
            chosen.append([queue[i] for i in index])
        lengths = torch.tensor(
            [[len(e["actions"]) for e in run] + [0] * (batch - len(run)) for run in chosen]
        )
        time = int(lengths.max())
        fields = next(run[0] for run in chosen if run)
        out = {
            name: self._padded(x, name, chosen, (time + (name in INSTANT_FIELDS), batch))
            for name, x in fields.items()
            if VALUES not in name
        }
        out["filled"] = torch.arange(time) < lengths[..., None]
        return out

    def _padded(
        self, like: Tensor, name: str, chosen: list[list[Episode]], shape: tuple[int, int]
    ) -> Tensor:
        instant = self.sparse.get(name)
        tail, kind = (instant, torch.float32) if instant else (like.shape[1:], like.dtype)
        out = torch.zeros(
            len(chosen), *shape, *tail, dtype=kind
        )  # time before copies: the order of a bank's rows
        for r, run in enumerate(chosen):
            for b, episode in enumerate(run):
                x = episode[name]
                out[r, : len(x), b] = spread(x, episode[name + VALUES], instant) if instant else x
        return out.transpose(1, 2) if instant else self._unpack(name, out).transpose(1, 2)

    def _pack(self, name: str, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The field as it is kept. Whether it is sparse its first episode decides."""
        if x.dtype == torch.float32 and x.dim() > 1:
            flat = x.reshape(len(x), -1)
            there = (
                flat.view(torch.int32) != 0
            )  # of -0.0, too: what comes back is equal bit for bit
            if self.sparse.setdefault(
                name, list(x.shape[1:]) if there.float().mean() < 0.5 else []
            ):
                yield name, torch.from_numpy(np.packbits(there.numpy(), axis=-1))
                yield name + VALUES, flat[there]
                return
        yield name, self._packed(name, x)

    def _packed(self, name: str, x: Tensor) -> Tensor:
        if x.dtype == torch.bool and x.dim() > 1:
            self.widths[name] = x.shape[-1]
            return torch.from_numpy(np.packbits(x.numpy(), axis=-1))
        if x.dtype == torch.int64:
            if x.numel() and not 0 <= int(x.min()) <= int(x.max()) < 256:
                raise ValueError(
                    f"{name} is stored in a byte but holds values from {int(x.min())} to {int(x.max())}"
                )
            return x.to(torch.uint8)
        return x.clone()

    def _unpack(self, name: str, x: Tensor) -> Tensor:
        if name in self.widths:
            return torch.from_numpy(
                np.unpackbits(x.numpy(), axis=-1, count=self.widths[name])
            ).view(torch.bool)
        return x.long() if x.dtype == torch.uint8 else x

    def state_dict(self) -> dict[str, Any]:
        """Each field of each run as one long tensor, and the episodes' lengths."""
        runs = [
            {name: torch.cat([e[name] for e in queue]) for name in (queue[0] if queue else ())}
            for queue in self.queues
        ]
        lengths: list[list[int]] = [[len(e["actions"]) for e in queue] for queue in self.queues]
        return {
            "runs": runs,
            "lengths": lengths,
            "widths": dict(self.widths),
            "sparse": dict(self.sparse),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.widths, self.sparse = dict(state["widths"]), dict(state["sparse"])
        for queue, fields, lengths in zip(
            self.queues, state["runs"], state["lengths"], strict=True
        ):
            queue.clear()
            sizes = {
                name: [n + (name in INSTANT_FIELDS) for n in lengths]
                for name in fields
                if VALUES not in name
            }
            for name in (name for name in fields if VALUES in name):
                bits = name.removesuffix(VALUES)
                sizes[name] = [ones(x) for x in fields[bits].split(sizes[bits])]
            parts = [x.split(sizes[name]) for name, x in fields.items()]
            for episode in zip(*parts, strict=True):
                queue.append({name: x.clone() for name, x in zip(fields, episode, strict=True)})


def spread(bits: Tensor, values: Tensor, instant: Sequence[int]) -> Float32[Tensor, "T ..."]:
    """Floats at the places that the bits say, zeros elsewhere; `instant` is the shape at one
    instant.
    """
    there = np.unpackbits(bits.numpy(), axis=-1, count=math.prod(instant)).view(bool)
    out = np.zeros(there.shape, np.float32)
    out[there] = values.numpy()  # several times faster than torch's
    return torch.from_numpy(out.reshape(len(bits), *instant))


def ones(bits: Tensor) -> int:
    """How many bits are set."""
    return int(np.unpackbits(bits.numpy()).sum())
