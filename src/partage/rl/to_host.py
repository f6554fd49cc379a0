"""What an update is counted and measured by, brought from a card in one copy, at its end.

A run's steps and returns decide what comes next, so the host waits for them once an update.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from partage.rl.experience import COUNTED, Rollout
from partage.rl.graphs import PartOf

Measures = Mapping[str, Float32[Tensor, "R"]]


class Given(NamedTuple):
    """What lies on a card: a rollout (None: it lies on the CPU), and measures."""

    rollout: Rollout | None
    measures: dict[str, Tensor]

    def tensors(self) -> list[Tensor]:
        """Return those that tell where all of it lies."""
        rollout = [] if self.rollout is None else [self.rollout.obs]
        return [*rollout, *self.measures.values()]


class ToHost:
    """Brings one learner's rollouts and measures to the CPU."""

    def __init__(self, device: torch.device) -> None:
        self.packing = PartOf(_pack, device, of=Given.tensors)

    def __call__(self, rollout: Rollout, measures: Measures) -> tuple[Rollout, dict[str, Tensor]]:
        """Return what is counted, and the measures, on the CPU.

        Of a card's observations comes the largest size in each copy: it says whether all are
        numbers.
        """
        on_card = rollout.obs.device.type != "cpu"
        there = {name: x for name, x in measures.items() if x.device.type != "cpu"}
        if not on_card and not there:
            return rollout, dict(measures)
        packed, like = self.packing(Given(rollout if on_card else None, there))
        parts = packed.cpu().split([x.numel() for x in like.values()])
        brought = {
            name: part.view(x.shape).to(x.dtype)
            for part, (name, x) in zip(parts, like.items(), strict=True)
        }
        of_rollout = {name: brought.pop(name) for name in (*COUNTED, "obs")} if on_card else {}
        return rollout._replace(**of_rollout), {**measures, **brought}


def _fields(rollout: Rollout) -> dict[str, Tensor]:
    """Return what is counted of a rollout, and what is looked at."""
    counted = {name: getattr(rollout, name) for name in COUNTED}
    return counted | {"obs": rollout.obs.abs().amax((2, 3, 4), keepdim=True)}


def _pack(given: Given) -> tuple[Float32[Tensor, "L"], dict[str, Tensor]]:
    """Return all numbers end to end, and what they are the numbers of."""
    fields = {} if given.rollout is None else _fields(given.rollout)
    like = fields | {name: x.detach() for name, x in given.measures.items()}
    return torch.cat([x.float().flatten() for x in like.values()]), like
