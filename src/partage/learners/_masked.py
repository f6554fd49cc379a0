"""QMIX on Kaleidoscope's network, of which agents have masks: what such learners have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from partage.learners import _off_policy, qmix
from partage.nn.bank import Bank
from partage.nn.per_run import first
from partage.nn.tangents import banks, overlap
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

BEHIND = 3  # layers behind the memory   (Kaleidoscope: "1R3")


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of QMIX on Kaleidoscope's network."""

    optimiser: Literal["adam", "rmsprop"] = "adam"  # Kaleidoscope, with a rate of 5e-4
    adam_eps: float = 1e-8  # Kaleidoscope: torch's default


SettingsT = TypeVar("SettingsT", bound=Settings)


class MaskedQMIX(qmix.OnQMIX[SettingsT]):
    """QMIX that reports how much of its network agents share, by the masks that they have of it."""

    def __init__(
        self,
        spec: Spec,
        settings: SettingsT,
        seeds: Sequence[int],
        device: torch.device,
        nets: qmix.Networks,
    ) -> None:
        super().__init__(spec, settings, seeds, device, nets)
        acting = self.nets, spec, self.exploration, device
        self.policy = qmix.EpsilonGreedy(*acting, in_layers=True)
        self.policy.captured = False  # sets are derived anew, and some of it waits for a card

    def _descent(self) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
        """Return what makes torch's optimiser of the networks   (Kaleidoscope: Adam)."""
        s = self.settings
        if s.optimiser == "adam":
            return partial(torch.optim.Adam, lr=first(s.lr), eps=s.adam_eps, fused=True)
        return super()._descent()

    def sharing(self) -> dict[str, Assignment | Shares]:
        """Return who has which mask, and how much any two of them share: masked layers, and all."""
        index, agent, sets = self.nets.assignment, self.nets.agent, self.nets.agent.body.sets
        layers = nn.ModuleList(layers_of(self.nets))
        return {
            "layers": Shares(index, lambda: overlap(layers, sets)),
            "agent": Shares(index, lambda: overlap(agent, sets)),
        }


def layers_of(nets: qmix.Networks) -> list[Bank]:
    """Return the layers before and behind the memory, in order."""
    return [nets.agent.body.encoder, *banks(nets.agent.head)]
