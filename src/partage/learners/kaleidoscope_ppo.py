"""Kaleidoscope on PPO: one actor, and learned masks of its weights for each agent.

**Paper.** `partage.learners.kaleidoscope`. There is no version of it on PPO: this one is ours.

**Reference code.** PPO as in `partage.learners.ppo`; masks, diversity loss and resets as in
`partage.learners.kaleidoscope`.

**Departures.** The actor's layers are masked (but not its memory, if it has one); the critic stays
one, with an id where the actor has one: what masks do to policies is then seen apart from values.
The diversity loss weighs against the mean magnitude of the actor's loss, since that has either
sign. Resets come between updates, so that the probabilities that PPO's ratio begins with are those
of the network it trains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.learners import _kaleidoscope, _ppo_settings
from partage.learners._ppo_networks import Networks
from partage.learners._ppo_settings import Sharing
from partage.learners.ppo import PPO
from partage.nn.bank import Bank
from partage.nn.masks import diversity
from partage.nn.tangents import banks, overlap
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

# what makes it quick on the small tasks of its tests
QUICK = {"copies": 8, "segment": 8, "epochs": 2, "minibatches": 2, "hidden": 16}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(_ppo_settings.Settings, _kaleidoscope.Settings):
    """The settings of PPO with masks that are learned."""

    sharing: Sharing = "id"  # Kaleidoscope has an id in the input


class KaleidoscopePPO(PPO):
    """PPO that learns masks of its actor, and reports how much its agents share."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _ppo_settings.check(settings, spec)
        _kaleidoscope.check(settings, settings.sharing, spec)
        net, runs = Networks(spec, settings, seeds, None), len(seeds)
        self.masked, self.sets = settings.masks != "none", net.actor.sets
        self.upkeep = _kaleidoscope.Upkeep(settings, seeds).to(device)
        if self.masked:
            net.front_of = _kaleidoscope.who_has_which(settings.masks, spec, runs)
            net.back_of = net.front_of.clone()
            self.sets = net.actor.sets = int(net.front_of.max()) + 1
            _kaleidoscope.mask(layers_of(net), self.sets, seeds)
        if self.masked and net.critic_follows:
            net.critic_follows, net.own_critic_of = False, assignment.full(runs, spec.n_agents)
        super().__init__(spec, settings, seeds, device, net=net)
        self.streams.generators += self.upkeep.draws

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take the steps of all epochs, then reset what is due."""
        measures = super().learn(rollout)
        active = rollout.active.to(self.device)
        self.upkeep.steps += rollout.steps.to(self.device) * active
        if self.masked:
            self.upkeep.reset(layers_of(self.net)[1:], self.upkeep.steps, active)
            self.streams.settle(rollout.active)
        return measures

    def _descend(
        self,
        of_actor: Float32[Tensor, "R"],
        of_critic: Float32[Tensor, "R"],
        active: Bool[Tensor, "R"],
    ) -> tuple[Float32[Tensor, "R"], Float32[Tensor, "R"]]:
        """Take a step with the diversity loss beside the actor's."""
        if self.masked:
            differing = diversity(layers_of(self.net))
            sizes = of_actor.detach().abs(), differing.detach()
            of_actor = of_actor + self.upkeep.coefficient(*sizes, active) * differing
        return super()._descend(of_actor, of_critic, active)

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return who has which mask, and how much any two of them share."""
        found = dict(super().sharing())
        if not self.masked:
            return found
        actor, sets = self.net.actor, self.sets
        front = Shares(self.net.front_of, lambda: overlap(actor.body, sets))
        back = Shares(self.net.back_of, lambda: overlap(actor.head, sets))
        return found | {"front": front, "back": back}

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; there is no replay."""
        return super().state_dict(replay) | {"upkeep": self.upkeep.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state)
        self.upkeep.load_state_dict(state["upkeep"])


def layers_of(net: Networks) -> list[Bank]:
    """Return the actor's layers before and behind its memory, in order."""
    return [*banks(net.actor.body["layers"]), *banks(net.actor.head)]


def make(
    spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
) -> KaleidoscopePPO:
    """Return Kaleidoscope on PPO for this task, one run per seed."""
    return KaleidoscopePPO(spec, settings, seeds, device)
