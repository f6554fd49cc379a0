"""Bi-level dynamic parameter sharing: roles that change with the time, and groups of roles.

**Paper.** BDPS §3. Every T_U steps the role selector U reads each agent's last T_U advantages and
gives it one of k roles; every T_V = e T_U steps the group selector V, itself a learner of values,
puts it in one of m groups. A role and a group are a network each, and an agent's values are the sum
of its two (eq. 6); QMIX mixes them (eq. 9).

**Reference code.** None was published. What the paper leaves to QMIX is `partage.learners.qmix`.

**Departures.** The paper leaves much open; these are our readings, and settings where two can be
defended. A role or group is a whole FC-GRU-FC; its input is QMIX's, a group's has the role's hidden
state besides. Hidden states outlive a change of role or group. The advantage is a vector over the
available actions, of the values that act; at the start a sequence of zeros is read. Roles are drawn
(eq. 3) while exploring; a test takes the mean's. The replay keeps roles and groups, and online and
target networks both go through them. Each update U learns from one whole period of each episode,
drawn anew, and its decoder reads the code at every step. V learns from all periods, a last shorter
one too, adds a period's rewards and discounts once (eq. 8). The dead keep role and group and are
not attended to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.errors import UserError
from partage.learners import _bdps_networks
from partage.learners._bdps_actor import Actor
from partage.learners._bdps_networks import Networks, advantage, from_agent_rows, to_agent_rows
from partage.learners._bdps_selectors import RoleSelector
from partage.learners._off_policy import OffPolicyLearner, previous_actions
from partage.learners._periods import PeriodValues, choices_in_force, gather_time, period_loss
from partage.nn.optimiser import Optimiser
from partage.rl.losses import total
from partage.rl.noise import generators, normal, uniform
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"period": 2}


@dataclass(frozen=True)
class Settings(_bdps_networks.Settings):
    """The settings of BDPS: of its networks (`_bdps`), and of how its role selector learns."""

    kl: float = 0.01  # lambda of eq. 7   [A6]
    selector_lr: float = 5e-4  # Adam of the role selector   [A14]


class BDPS(OffPolicyLearner[Networks, Settings]):
    """QMIX whose agents go through the networks of their role and of their group."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _check(settings, spec)
        super().__init__(spec, settings, seeds, device, Networks(spec, settings, seeds))
        g = generators([stream(seed, "selector") for seed in seeds])
        width = spec.n_actions if settings.advantage == "actions" else 1
        self.selector = RoleSelector(g, settings.roles, width, settings.hidden).to(device)
        adam = partial(torch.optim.Adam, lr=settings.selector_lr, fused=True)
        self.selector_optimiser = Optimiser(self.selector, adam, settings.clip)
        self.policy = Actor(self.nets, self.selector, self.exploration, seeds, device)
        self.noise = generators([stream(seed, "codes") for seed in seeds])
        self.generators += [*self.policy.generators, *self.noise]
        nobody = torch.zeros(len(seeds), spec.n_agents, dtype=torch.int64)
        self.blocks = {"roles": nobody}
        if settings.levels == "both":
            self.blocks["groups"] = nobody

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take a step of all networks and the group selector, then one of the role selector."""
        s, copies = self.settings, batch["obs"].shape[1]
        x = self.nets.inputs(batch["obs"], previous_actions(batch["actions"]))
        length = batch["filled"].sum(2)
        roles = to_agent_rows(choices_in_force(batch["roles"], length, s.period))
        groups = to_agent_rows(choices_in_force(batch["groups"], length, s.group_period))
        zero = x.new_zeros(len(x), x.shape[2], s.hidden)

        q_u, q_v, *_ = self.nets.values(x, zero, zero, roles, groups)
        with torch.no_grad():
            target_u, target_v, *_ = self.target.values(x, zero, zero, roles, groups)
        q = from_agent_rows(q_u + q_v, copies)  # eq. 6
        q_target = from_agent_rows(target_u + target_v, copies)
        loss, measures = self.td_loss(q, q_target, batch)  # eq. 9
        if s.levels == "both":
            group_loss = self.group_loss(batch, roles, zero)  # eq. 8
            loss = loss + group_loss
            measures["group_loss"] = group_loss.detach()
            measures["entropy_difference"] = entropy_difference(q_u, q_v, batch)  # eq. 10
        norm = self.optimiser.step(loss, active)

        selector_loss = self.selector_loss(self._advantages(q_u, q_v, batch), batch)  # eq. 7
        self.selector_optimiser.step(selector_loss, active)
        return measures | {"gradient_norm": norm, "selector_loss": selector_loss.detach()}

    def _advantages(
        self, q_u: Tensor, q_v: Tensor, batch: dict[str, Tensor]
    ) -> Float32[Tensor, "R T M W"]:
        """Return the advantages of a batch's actions, without a gradient."""
        avail = to_agent_rows(batch["avail_actions"])[:, :-1]
        actions = to_agent_rows(batch["actions"])
        q_u, q_v = q_u.detach()[:, :-1], q_v.detach()[:, :-1]
        return advantage(self.settings, q_u, q_v, avail, actions)

    def group_loss(
        self,
        batch: dict[str, Tensor],
        roles: Int64[Tensor, "R T1 M"],
        zero: Float32[Tensor, "R M H"],
    ) -> Float32[Tensor, "R"]:
        """Return the loss of the group selector's own task, whose steps are periods   (eq. 8)."""
        with torch.no_grad():
            target = self._group_values(self.target, batch, roles, zero)
        online = self._group_values(self.nets, batch, roles, zero)
        s = self.settings
        return period_loss(online, target, batch["groups"], s.group_period, batch, s)

    def _group_values(
        self, nets: Networks, batch: dict[str, Tensor], roles: Tensor, zero: Tensor
    ) -> PeriodValues:
        """Return what values groups, with the group selector's states along the episodes."""
        copies, alive = batch["obs"].shape[1], batch["alive"].transpose(1, 2)
        roles = roles.unflatten(2, (copies, -1))
        states = nets.selector.states(nets.selector.attention(), roles, alive, zero)
        return PeriodValues(nets.selector.values, from_agent_rows(states, copies), nets.group_mixer)

    def selector_loss(
        self, advantages: Float32[Tensor, "R T M W"], batch: dict[str, Tensor]
    ) -> Float32[Tensor, "R"]:
        """Return the role selector's loss on one period of each episode   (BDPS eq. 7).

        It is the mean over the agents that live through that period.
        """
        s, (_, copies, _, n) = self.settings, batch["alive"].shape
        noise = normal(self.noise, copies * n, s.roles).to(self.device)
        share = uniform(self.noise, copies).to(self.device)
        length = batch["filled"].sum(2)
        first = (share * (length // s.period)).long() * s.period  # one whole period at random
        times = first[..., None] + torch.arange(s.period, device=self.device)
        times = times.clamp(max=advantages.shape[1] - 1)
        alive = to_agent_rows(gather_time(batch["alive"], times)).all(1)
        counts = alive & (length >= s.period).repeat_interleave(n, 1)
        read = to_agent_rows(gather_time(from_agent_rows(advantages, copies), times))
        error, divergence = self.selector.losses(read, noise)
        return ((error + s.kl * divergence) * counts).sum(-1) / counts.sum(-1).clamp(min=1)

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of values, roles and groups chosen on the way as in a test."""
        obs, actions = obs.to(self.device), actions.to(self.device)
        runs, copies, time, n = obs.shape[:4]
        alive = torch.ones(runs, copies, n, dtype=torch.bool, device=self.device)
        avail = alive[..., None].expand(-1, -1, -1, self.spec.n_actions)
        memory, probabilities = self.policy.initial(copies, False), []
        for t in range(time):
            q_u, q_v, memory = self.policy.think(obs[:, :, t], alive, memory)
            probabilities.append((q_u + q_v).unflatten(1, (copies, n)).softmax(-1))
            memory = self.policy.remember(q_u, q_v, avail, actions[:, :, t], memory)
        return torch.stack(probabilities, 2)


def entropy_difference(
    q_u: Float32[Tensor, "R T1 M A"], q_v: Float32[Tensor, "R T1 M A"], batch: dict[str, Tensor]
) -> Float32[Tensor, "R"]:
    """Return entropy of softmax Q^V less that of softmax Q^U, in nats   (BDPS eq. 10).

    It is the mean over living agents.
    """
    log_u, log_v = q_u.detach()[:, :-1].log_softmax(-1), q_v.detach()[:, :-1].log_softmax(-1)
    difference = (log_u.exp() * log_u - log_v.exp() * log_v).sum(-1)  # [R, T, M]
    counts = to_agent_rows(batch["filled"][..., None] & batch["alive"][:, :, :-1])
    by_time = (difference * counts).sum(-1, keepdim=True).transpose(1, 2)  # [R, 1, T]
    return total(by_time) / counts.sum((1, 2)).clamp(min=1)


def _check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where the settings do not fit each other or the task."""
    if not 2 <= s.roles <= spec.n_agents:
        raise UserError(
            f"BDPS gives {spec.n_agents} agents 2 to {spec.n_agents} roles (n >= k >= 2), "
            f"not {s.roles}."
        )
    if not 2 <= s.groups <= s.roles:
        raise UserError(
            f"BDPS puts {s.roles} roles in 2 to {s.roles} groups (k >= m >= 2), not {s.groups}."
        )
    if s.period < 1 or s.every < 1 or s.group_period >= spec.horizon:
        raise UserError(
            f"BDPS changes groups within an episode: period >= 1, every >= 1 and period * every < "
            f"{spec.horizon} (its horizon), but they are {s.period} and {s.every}."
        )
    if s.sharing == "none":
        raise UserError(
            "BDPS shares in roles and groups: sharing says whether agents show an id, "
            "id or full, not none."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> BDPS:
    """Return BDPS for this task, one run per seed."""
    return BDPS(spec, settings, seeds, device)
