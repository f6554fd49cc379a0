"""ROMA on QMIX: an agent has a role, drawn from what it observes, which generates its policy.

**Paper.** Wang et al. 2020 (ICML), "ROMA: Multi-Agent Reinforcement Learning with Emergent Roles",
whose text was not to be had: its code is what was read. Roles are to be identifiable by what an
agent remembers, and two agents' roles alike or else unlike by a measure that is learned.

**Reference code.** github.com/TonghanWang/ROMA. A role of three numbers is a sample of a Gaussian
given by observation, last action and id, at every step, in tests too (by the same noise in every
test here); a layer of 16 of it gives weight and bias of the last layer behind PyMARL's GRU. Target
networks draw roles of their own. All losses have one RMSprop and one gradient norm. Weights as its
README has them: 0.05 of the entropy and a least variance of 1e-4; on MMM2 1e-4 and 0.002.

**Departures.** Batch normalisation, by the statistics of all agents and copies at an instant, also
when acting, would tie a run to its copies: each row is normalised by itself instead, without gain
and shift. The losses of roles are means over instants at which somebody acts (there over padding
too), the softplus is taken agent by agent and copy by copy (there of their mean) and not cut off at
2,000. PyMARL's mixer, whose weights come from two layers (its own: from one); as many episodes an
update as the task has (there eight); epsilon falls as a task gives it to all learners (there within
the first episode or two). Its file for football is not followed: it names a network that is not in
the code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.errors import UserError
from partage.learners import _roma
from partage.learners._off_policy import OffPolicyLearner, masked_mean, previous_actions
from partage.learners._roma import Along, Networks
from partage.learners._roma_actor import Actor
from partage.rl.noise import generators, normal
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.overlap import Shares, cosine
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"lr": 2e-3, "hidden": 32, "batch": 16}


@dataclass(frozen=True)
class Settings(_roma.Settings):
    """The settings of QMIX with roles (of its networks: `_roma`)."""

    entropy: float = 0.05  # weight of roles' entropy   (ROMA; MMM2: 1e-4) [O1]
    guess: float = 1e-4  # of their divergence from what is guessed   (ROMA)
    special: float = 1e-3  # of the specialisation loss   (ROMA)
    soft: float = 1.0  # in it, of pairs that are neither alike nor unlike   (ROMA)


class ROMA(OffPolicyLearner[Networks, Settings]):
    """QMIX on the values of policies that roles generate."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        check(settings, spec)
        super().__init__(spec, settings, seeds, device, Networks(spec, settings, seeds))
        acting = generators([stream(seed, "roles") for seed in seeds])
        self.drawing = generators([stream(seed, "roles learned") for seed in seeds])
        self.generators += [*acting, *self.drawing]
        self.policy = Actor(self.nets, spec, settings, self.exploration, acting, device)
        # of the mean role of each agent
        self.mean_roles = torch.zeros(len(seeds), spec.n_agents, settings.role)

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take one step down QMIX's loss and the losses of roles."""
        noise, noise_of_target = self._noise(batch["obs"])
        online = self.nets.along(batch["obs"], batch["actions"])
        drawn = online.roles.sample(noise)
        with torch.no_grad():
            target = self.target.along(batch["obs"], batch["actions"])
            q_target = self.target.values(target.states, target.roles.sample(noise_of_target))
        loss, measures = self.td_loss(self.nets.values(online.states, drawn), q_target, batch)
        identity, special = self._losses_of_roles(online, drawn, batch)
        whole = loss + identity + self.settings.special * special
        own = {"role_identity": identity.detach(), "role_special": special.detach()}
        own |= {"role_variance": self._mean(online.roles.variance.detach().mean(-1), batch)}
        return measures | own | {"gradient_norm": self.optimiser.step(whole, active)}

    def _losses_of_roles(
        self, online: Along, drawn: Float32[Tensor, "R B T1 N Z"], batch: dict[str, Tensor]
    ) -> tuple[Float32[Tensor, "R"], Float32[Tensor, "R"]]:
        """Return how badly roles are identified, and how little agents specialise."""
        s, nets = self.settings, self.nets
        guessed = nets.guessed(batch["obs"], previous_actions(batch["actions"]), online.states)
        unsure = _roma.identifiable(online.roles, guessed, s.entropy, s.guess)
        alike = _roma.likeness(online.roles, drawn)
        special = _roma.specialised(alike, nets.unlikeness(drawn), s.soft)
        return self._mean(unsure, batch), masked_mean(special[:, :, :-1], batch["filled"])

    def _mean(
        self, x: Float32[Tensor, "R B T1 N"], batch: dict[str, Tensor]
    ) -> Float32[Tensor, "R"]:
        """Return each run's mean over agents and instants at which somebody acts."""
        return masked_mean(x.contiguous().mean(-1)[:, :, :-1], batch["filled"])

    def _noise(
        self, obs: Float32[Tensor, "R B T1 N O"]
    ) -> tuple[Float32[Tensor, "R B T1 N Z"], Float32[Tensor, "R B T1 N Z"]]:
        """Draw the noise of roles, of the networks' and of the target networks'.

        As much whatever the episodes' length: padding must not move generators.
        """
        _, copies, time, n, _ = obs.shape
        shape = 2, copies, self.spec.horizon + 1, n, self.settings.role
        drawn = normal(self.drawing, *shape)[:, :, :, :time].to(self.device)
        return drawn[:, 0], drawn[:, 1]

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of values by the roles' means."""
        obs, actions = obs.to(self.device), actions.to(self.device)
        found = self.nets.along(obs, actions[:, :, :-1])
        return self.nets.values(found.states, found.roles.mean).softmax(-1)

    def _blocks_of(self, rollout: Rollout) -> dict[str, Tensor]:
        """Note each agent's mean role, as before in runs that have ended."""
        mask = rollout.filled[..., None, None].cpu()
        roles = (rollout.notes["roles"].cpu() * mask).sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
        self.mean_roles = torch.where(rollout.active.cpu()[:, None, None], roles, self.mean_roles)
        return {}

    def sharing(self) -> Mapping[str, Shares]:
        """Return that each agent has a policy of its own, and how much any two of them share.

        By mean roles in the episodes before the target networks were last copied to.
        """
        runs, n, _ = self.mean_roles.shape
        return {"roles": Shares(assignment.none(runs, n), self._overlap)}

    @torch.no_grad()
    def _overlap(self) -> Float32[Tensor, "R N N"]:
        shares = self.nets.shares(self.mean_roles[:, None, None].to(self.device))[:, 0, 0]
        return cosine(shares @ shares.transpose(1, 2))

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; experience only with `replay`."""
        return super().state_dict(replay) | {"mean_roles": self.mean_roles}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state)
        self.mean_roles = state["mean_roles"]


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where roles cannot differ so."""
    if s.sharing == "none":
        raise UserError(
            "ROMA shares by roles: sharing says whether agents show an id, id or full, not none."
        )
    if spec.n_agents < 2:
        raise UserError("ROMA compares agents' roles: it takes a task of two agents or more.")
    if not s.floor:
        raise UserError("A role's least variance (floor) is more than 0, but is 0.")


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> ROMA:
    """Return ROMA for this task, one run per seed."""
    return ROMA(spec, settings, seeds, device)
