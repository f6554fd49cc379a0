"""The last whole episodes of each run, as long as they really were.

Memory grows with what was seen, not with limits. How an episode is kept small, `packing` says.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor

from partage.rl.packing import VALUES, Episode, Packing, ones
from partage.rl.rollout import Rollout
from partage.sims.buffers import INSTANT_FIELDS


def sample_transitions(
    filled: Bool[Tensor, "R B T"], noise: Float32[Tensor, "R K"]
) -> tuple[Int64[Tensor, "R 1"], Int64[Tensor, "R K"], Int64[Tensor, "R K"]]:
    """Draw K real transitions of each run, with replacement: return their run, copy and time.

    `noise` in [0, 1) says which.
    """
    flat = filled.flatten(1)
    real = (~flat).to(torch.uint8).argsort(stable=True, dim=1)  # the real ones first
    place = real.gather(1, (noise * flat.sum(1, keepdim=True)).long())
    run = torch.arange(len(flat), device=flat.device)[:, None]
    return run, place // filled.shape[2], place % filled.shape[2]


class Replay:
    """One bounded queue of episodes per run."""

    def __init__(self, runs: int, capacity: int) -> None:
        self.queues: list[deque[Episode]] = [deque(maxlen=capacity) for _ in range(runs)]
        self.packing = Packing()

    def __len__(self) -> int:
        """Return the number of episodes in the run that has fewest."""
        return min(len(queue) for queue in self.queues)

    def nbytes(self) -> int:
        """Return the memory that all episodes take, in bytes."""
        total = 0
        for queue in self.queues:
            for episode in queue:
                total += sum(x.nbytes for x in episode.values())
        return total

    def add(self, rollout: Rollout, extra: Mapping[str, Tensor]) -> None:
        """Store each copy's episode.

        `extra` holds what is trained on in place of rewards, ``[R, B, T, ...]``.
        """
        names = (*INSTANT_FIELDS, "actions", "terminated")
        fields = {name: getattr(rollout, name) for name in names} | rollout.notes | dict(extra)
        lengths = rollout.filled.sum(2)  # [R, B]; 0 where a copy was idle
        for r, b in lengths.nonzero().tolist():
            episode: Episode = {}
            for name, x in fields.items():
                episode |= self.packing.pack(name, x[r, b, : _instants(name, int(lengths[r, b]))])
            self.queues[r].append(episode)

    def sample(self, batch: int, generators: Sequence[Generator]) -> dict[str, Tensor]:
        """Draw `batch` different episodes of each run, padded to the longest one drawn.

        Returns their fields ``[R, B, T(+1), ...]`` and the mask `filled` ``[R, B, T]``. A run that
        has fewer gives empty ones besides.
        """
        runs = []
        lengths = torch.zeros(len(self.queues), batch, dtype=torch.int64)
        for r, (queue, generator) in enumerate(zip(self.queues, generators, strict=True)):
            index = torch.randperm(len(queue), generator=generator)[:batch].tolist()
            run = [queue[i] for i in index]
            lengths[r, : len(run)] = torch.tensor(_lengths(run))
            runs.append(run)
        time = int(lengths.max())
        names = next(run[0] for run in runs if run)
        out = {}
        for name in names:
            if VALUES not in name:
                out[name] = self.packing.padded(name, runs, batch, _instants(name, time))
        out["filled"] = torch.arange(time) < lengths[..., None]
        return out

    def state_dict(self) -> dict[str, Any]:
        """Return each field of each run as one long tensor, and the episodes' lengths."""
        return {
            "runs": [_joined(queue) for queue in self.queues],
            "lengths": [_lengths(queue) for queue in self.queues],
            "widths": dict(self.packing.widths),
            "sparse": dict(self.packing.sparse),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.packing.widths, self.packing.sparse = dict(state["widths"]), dict(state["sparse"])
        saved = zip(self.queues, state["runs"], state["lengths"], strict=True)
        for queue, fields, lengths in saved:
            queue.clear()
            queue.extend(_taken_apart(fields, lengths))


def _lengths(episodes: Iterable[Episode]) -> list[int]:
    """Return how many transitions each episode has."""
    return [len(episode["actions"]) for episode in episodes]


def _instants(name: str, length: int) -> int:
    """Return how many instants a field has in so many transitions."""
    return length + 1 if name in INSTANT_FIELDS else length


def _joined(queue: Sequence[Episode]) -> Episode:
    """Return the episodes laid end to end, field by field."""
    names = queue[0] if queue else ()
    joined: Episode = {}
    for name in names:
        joined[name] = torch.cat([episode[name] for episode in queue])
    return joined


def _taken_apart(fields: Episode, lengths: Sequence[int]) -> list[Episode]:
    """Return episodes of these lengths again: the inverse of `_joined`."""
    episodes: list[Episode] = [{} for _ in lengths]
    for name, x in fields.items():
        mask_name = name.removesuffix(VALUES)
        sizes = [_instants(mask_name, length) for length in lengths]
        if name != mask_name:  # as many floats as its mask has bits
            sizes = [ones(bits) for bits in fields[mask_name].split(sizes)]
        for episode, part in zip(episodes, x.split(sizes), strict=True):
            episode[name] = part.clone()
    return episodes
