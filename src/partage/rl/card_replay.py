"""The replay of runs that are collected on a card: whole episodes lie there, each as long as any.

Which episodes are drawn is decided on the CPU, by the runs' own generators, as `Replay` does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Generator, Tensor

from partage.errors import UserError
from partage.rl.experience import Rollout
from partage.rl.graphs import from_host
from partage.sims.buffers import INSTANT_FIELDS
from partage.sims.contract import Spec

SPARE = 2  # places of each run behind its queue: for what runs that have ended play, and for none


class CardReplay:
    """A ring of episodes per run, the last `capacity` of them, on a card."""

    def __init__(self, runs: int, capacity: int, spec: Spec, device: torch.device) -> None:
        self.runs, self.capacity, self.spec, self.device = runs, capacity, spec, device
        self.stored = [0] * runs  # episodes of each run, with those that are gone
        self.active: Bool[Tensor, "R"] = torch.ones(runs, dtype=torch.bool)
        self.fields: dict[str, Tensor] = {}  # [R * (capacity + SPARE), T(+1), ...]
        self.lengths = torch.zeros(0)  # [R * (capacity + SPARE)]

    def nbytes(self) -> int:
        """Return the memory that the episodes take, those to come too, in bytes."""
        return sum(x.nbytes for x in self.fields.values())

    def add(self, rollout: Rollout, extra: Mapping[str, Tensor]) -> None:
        """Store each copy's episode, as `Replay.add` does, of the runs that are `active`."""
        names = [*INSTANT_FIELDS, "actions", "terminated"]
        if self.spec.state_is_obs:
            names.remove("state")
        tensors = {name: getattr(rollout, name) for name in names} | rollout.notes | dict(extra)
        if not self.fields:
            self._take_memory(tensors)
        copies = rollout.filled.shape[1]
        where = from_host(lambda: self._places_of_new(copies)).flatten()
        for name, x in tensors.items():
            self.fields[name].index_copy_(0, where, x.flatten(0, 1).to(self.fields[name].dtype))
        self.lengths.index_copy_(0, where, rollout.filled.sum(2).flatten())

    def _take_memory(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the memory of all episodes that are ever kept."""
        places = self.runs * (self.capacity + SPARE)
        kinds = {name: _kind(x) for name, x in tensors.items()}
        needed = sum(places * x[0, 0].numel() * kinds[name].itemsize for name, x in tensors.items())
        _refuse_what_does_not_fit(needed, self.device)
        for name, x in tensors.items():
            shape = places, *x.shape[2:]
            self.fields[name] = torch.zeros(shape, dtype=kinds[name], device=self.device)
        self.lengths = torch.zeros(places, dtype=torch.int64, device=self.device)

    def _places_of_new(self, copies: int) -> Int64[Tensor, "R B"]:
        """Return where each run's next episodes lie, and count them."""
        rows = []
        for r, takes_part in enumerate(self.active.tolist()):
            first = r * (self.capacity + SPARE)
            if not takes_part:
                rows.append([first + self.capacity] * copies)
                continue
            rows.append([first + (self.stored[r] + b) % self.capacity for b in range(copies)])
            self.stored[r] += copies
        return torch.tensor(rows)

    def sample(self, batch: int, generators: Sequence[Generator]) -> dict[str, Tensor]:
        """Draw `batch` different episodes of each run, as `Replay.sample` does."""
        places = from_host(lambda: self._draw(batch, generators))
        shape, flat = places.shape, places.flatten()
        out = {}
        for name, x in self.fields.items():
            chosen = x.index_select(0, flat).unflatten(0, shape)
            out[name] = chosen.long() if chosen.dtype == torch.uint8 else chosen
        if self.spec.state_is_obs:
            out["state"] = out["obs"].flatten(-2)
        time = torch.arange(out["actions"].shape[2], device=self.device)
        out["filled"] = time < self.lengths.index_select(0, flat).view(*shape, 1)
        return out

    def _draw(self, batch: int, generators: Sequence[Generator]) -> Int64[Tensor, "R B"]:
        """Return the places of the episodes that are drawn; of those that a run lacks, an empty."""
        rows = []
        for r, generator in enumerate(generators):
            first = r * (self.capacity + SPARE)
            kept = min(self.stored[r], self.capacity)
            oldest = self.stored[r] - kept
            drawn = torch.randperm(kept, generator=generator)[:batch]
            row = torch.full((batch,), first + self.capacity + 1)
            row[: len(drawn)] = first + (oldest + drawn) % self.capacity
            rows.append(row)
        return torch.stack(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return all episodes."""
        fields = {name: x.cpu() for name, x in self.fields.items()}
        return {"stored": self.stored, "lengths": self.lengths.cpu(), "fields": fields}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.stored = list(state["stored"])
        self.lengths = state["lengths"].to(self.device)
        self.fields = {name: x.to(self.device) for name, x in state["fields"].items()}


def _kind(x: Tensor) -> torch.dtype:
    """Return how a field is kept: whole numbers in a byte, as `packing` does."""
    return torch.uint8 if x.dtype == torch.int64 else x.dtype


def _refuse_what_does_not_fit(needed: int, device: torch.device) -> None:
    """Raise `UserError` where a card has less memory left than the episodes will take."""
    if device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if needed > free:
        raise UserError(
            f"The replay takes {needed / 1e9:.1f} GB, but {device} has {free / 1e9:.1f} GB left: "
            f"train fewer seeds side by side, set a smaller buffer, or leave --device cuda out."
        )
