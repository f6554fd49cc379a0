"""QMIX whose agents have sets derived from a base that all share: controls of what sharing does.

**Paper.** None: see `partage.learners.a2c_derived`.

**Reference code.** QMIX as in `partage.learners.qmix`.

**Departures.** The layers before and behind the memory are derived; the memory is the same for all.
All kinds but masks begin as full sharing does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from partage.learners import _derived, _off_policy, qmix
from partage.learners._derived import Code, Derived
from partage.nn.tangents import banks, overlap
from partage.sharing import assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of QMIX with derived sets."""

    sets: Derived = "bias"  # what an agent has of its own
    keep: float = 0.5  # share of the weights that a random mask keeps
    rank: int = 8  # of low-rank offsets   (LoRASA)


class DerivedQMIX(qmix.OnQMIX[Settings]):
    """QMIX that reports how much its agents share."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        code = Code(settings.sets, settings.keep, settings.rank)
        _derived.check(settings.sharing, code)
        nets = qmix.Networks(spec, settings, seeds)
        body, head = nets.agent.body, nets.agent.head
        _derived.derive([body.encoder, *banks(head)], code, spec.n_agents, seeds)
        body.sets = spec.n_agents
        nets.assignment = assignment.none(len(seeds), spec.n_agents)
        super().__init__(spec, settings, seeds, device, nets)
        self.policy = qmix.EpsilonGreedy(self.nets, spec, self.exploration, device)
        self.policy.captured = False  # sets are derived anew, and some of it waits for a card

    def sharing(self) -> dict[str, Shares]:
        """Return that each agent has its own set, and how much any two of them share."""
        n, index, agent = self.spec.n_agents, self.nets.assignment, self.nets.agent
        layers = torch.nn.ModuleList([agent.body.encoder, agent.head])
        return {
            "layers": Shares(index, lambda: overlap(layers, n)),
            "agent": Shares(index, lambda: overlap(agent, n)),
        }


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> DerivedQMIX:
    """Return QMIX with derived sets for this task, one run per seed."""
    return DerivedQMIX(spec, settings, seeds, device)
