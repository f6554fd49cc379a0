"""A2C whose agents have sets derived from a base that all share: controls of what sharing does.

**Paper.** None: these are the controls that a comparison of ways of sharing needs. `bias` and
`film` (Perez et al. 2018: a gain and a shift of each layer's outputs) are the cheapest ways to
tell agents apart, `head` is multi-task learning's last layer of one's own, and `random` has the
sparsity of a learned mask without its learning.

**Reference code.** A2C as in `partage.learners.a2c`.

**Departures.** Actor and critic are derived alike. All kinds but masks begin as full sharing does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from partage.learners import _derived, a2c
from partage.learners._derived import Code, Derived
from partage.learners.a2c import A2C, ActorCritic
from partage.nn.tangents import banks, overlap
from partage.sharing import assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(a2c.Settings):
    """The settings of an actor-critic with derived sets."""

    sets: Derived = "bias"  # what an agent has of its own
    keep: float = 0.5  # share of the weights that a random mask keeps
    rank: int = 8  # of low-rank offsets   (LoRASA)


class DerivedA2C(A2C):
    """An actor-critic that reports how much its agents share."""

    def sharing(self) -> dict[str, Shares]:
        """Return that each agent has its own set, and how much any two of them share."""
        net, n = self.net, self.n_agents
        return {
            "front": Shares(net.front_of, lambda: overlap(net.front, n)),
            "back": Shares(net.back_of, lambda: overlap(net.back, n)),
        }


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> DerivedA2C:
    """Return the actor-critic for this task, one run per seed."""
    code = Code(settings.sets, settings.keep, settings.rank)
    _derived.check(settings.sharing, code)
    net = ActorCritic(spec, settings, seeds)
    actor = torch.nn.ModuleList([net.front, net.back])
    for network in (actor, net.critic):
        _derived.derive(list(banks(network)), code, spec.n_agents, seeds)
    net.sets = spec.n_agents
    net.front_of = net.back_of = assignment.none(len(seeds), spec.n_agents)
    learner = DerivedA2C(spec, settings, seeds, device, net=net)
    learner.policy.captured = False  # sets are derived anew, and some of it waits for a card
    return learner
