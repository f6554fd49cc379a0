"""The last whole episodes of each run, as long as they really were.

Memory grows with what was seen, not with limits. How an episode is kept small, `packing` says.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor

from partage.rl.packing import Episode, Field, Packing, Ring, fields_of, spread
from partage.rl.rollout import Rollout
from partage.sims.buffers import INSTANT_FIELDS
from partage.sims.contract import Spec


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

    def __init__(self, runs: int, capacity: int, spec: Spec) -> None:
        self.queues: list[deque[Episode]] = [deque(maxlen=capacity) for _ in range(runs)]
        self.stored = [0] * runs  # episodes of each run, with those that are gone
        self.packing = Packing()
        self.spec = spec

    def __len__(self) -> int:
        """Return the number of episodes in the run that has fewest."""
        return min(len(queue) for queue in self.queues)

    def nbytes(self) -> int:
        """Return the memory that all episodes take, in bytes."""
        return sum(len(episode.data) for queue in self.queues for episode in queue)

    def add(self, rollout: Rollout, extra: Mapping[str, Tensor]) -> None:
        """Store each copy's episode.

        `extra` holds what is trained on in place of rewards, ``[R, B, T, ...]``.
        """
        names = [*INSTANT_FIELDS, "actions", "terminated"]
        if self.spec.state_is_obs:
            names.remove("state")
        tensors = {name: getattr(rollout, name) for name in names} | rollout.notes | dict(extra)
        fields = {name: x.numpy() for name, x in tensors.items()}
        lengths = rollout.filled.sum(2)  # [R, B]; 0 where a copy was idle
        for r, b in lengths.nonzero().tolist():
            steps = int(lengths[r, b])
            own = {name: x[r, b] for name, x in fields.items()}
            self.queues[r].append(Episode(steps, self.packing.pack(own, steps)))
            self.stored[r] += 1

    def sample(self, batch: int, generators: Sequence[Generator]) -> dict[str, Tensor]:
        """Draw `batch` different episodes of each run, padded to the longest one drawn.

        Returns their fields ``[R, B, T(+1), ...]`` and the mask `filled` ``[R, B, T]``. A run that
        has fewer gives empty ones besides.
        """
        drawn = []
        for queue, generator in zip(self.queues, generators, strict=True):
            index = torch.randperm(len(queue), generator=generator)[:batch].tolist()
            drawn.append([queue[i] for i in index])
        lengths = torch.zeros(len(drawn), batch, dtype=torch.int64)
        for r, run in enumerate(drawn):
            lengths[r, : len(run)] = torch.tensor([episode.steps for episode in run])
        time = int(lengths.max())
        out = self._padded(drawn, batch, time)
        if self.spec.state_is_obs:
            out["state"] = out["obs"].flatten(-2)
        out["filled"] = torch.arange(time) < lengths[..., None]
        return out

    def _padded(
        self, drawn: Sequence[Sequence[Episode]], batch: int, time: int
    ) -> dict[str, Tensor]:
        """Return the fields of some episodes of each run, padded with zeros."""
        # time before copies: the order of a bank's rows
        out = {}
        for name, field in self.packing.fields.items():
            floats = field.kind in ("floats", "sparse")
            width, kind = (field.width, np.float32) if floats else (field.row, np.uint8)
            out[name] = np.zeros((len(drawn), time + field.later, batch, width), kind)
        for r, run in enumerate(drawn):
            for b, episode in enumerate(run):
                for name, part in self.packing.parts(episode.data, episode.steps).items():
                    sparse = part.values is not None
                    rows = spread(part, self.packing.fields[name].width) if sparse else part.rows
                    out[name][r, : len(rows), b] = rows
        return {name: _tensor(x, self.packing.fields[name]) for name, x in out.items()}

    def rings(self) -> list[Ring]:
        """Return each run's episodes, uncopied."""
        pairs = zip(self.stored, self.queues, strict=True)
        return [Ring(stored - len(queue), list(queue)) for stored, queue in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Return the episodes of each run as one long row of bytes, and how to take it apart."""
        runs = []
        for ring in self.rings():
            data = [np.frombuffer(episode.data, np.uint8) for episode in ring.episodes]
            runs.append(
                {
                    "first": ring.first,
                    "steps": [episode.steps for episode in ring.episodes],
                    "sizes": [len(episode.data) for episode in ring.episodes],
                    "data": torch.from_numpy(np.concatenate([np.empty(0, np.uint8), *data])),
                }
            )
        return {"fields": self.packing.state_dict(), "runs": runs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        rings = []
        for run in state["runs"]:
            data, place, episodes = run["data"].numpy().tobytes(), 0, []
            for steps, size in zip(run["steps"], run["sizes"], strict=True):
                episodes.append(Episode(steps, data[place : place + size]))
                place += size
            rings.append(Ring(run["first"], episodes))
        self.load(state["fields"], rings)

    def load(self, fields: Mapping[str, Any], rings: Sequence[Ring]) -> None:
        """Go on from saved episodes, uncopied, and how their fields are kept.

        Raises `ValueError` where they are of another kind.
        """
        self.packing.load_state_dict(fields)
        self._check_fields(any(ring.episodes for ring in rings))
        for r, (queue, ring) in enumerate(zip(self.queues, rings, strict=True)):
            for episode in ring.episodes:
                actions = self.packing.check(episode.data, episode.steps)["actions"].rows
                if actions.max(initial=0) >= self.spec.n_actions:
                    raise ValueError(f"an episode has action {actions.max()}")
            queue.clear()
            queue.extend(ring.episodes)
            self.stored[r] = ring.first + len(ring.episodes)

    def _check_fields(self, filled: bool) -> None:
        """Raise `ValueError` where episodes have not the fields that the task's have."""
        found = self.packing.fields
        sparse = [name for name, field in found.items() if field.kind == "sparse"]
        for name, field in fields_of(self.spec, sparse).items():
            if filled and found.get(name) != field:
                raise ValueError(f"{name} of an episode is {found.get(name)}, not {field}")


def _tensor(x: np.ndarray, field: Field) -> Tensor:
    """Return a field ``[R, T, B, width]`` as it came in, ``[R, B, T, ...]``."""
    if field.kind == "bits":
        x = np.unpackbits(x, axis=-1, count=field.width).view(bool)
    shaped = torch.from_numpy(x.reshape(*x.shape[:3], *field.shape)).transpose(1, 2)
    return shaped.long() if field.kind == "bytes" else shaped
