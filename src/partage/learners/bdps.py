"""Bi-level dynamic parameter sharing: agents share in roles that change with the time, and again in groups of roles.

**Paper.** BDPS §3. Every T_U steps the role selector U reads each agent's last T_U advantages and gives it one of k
roles; every T_V = e T_U steps the group selector V, itself a learner of values, puts it in one of m groups. A role
and a group are a network each, and an agent's values are the sum of its two (eq. 6); QMIX mixes them (eq. 9).

**Reference code.** None was published. What the paper leaves to QMIX is `partage.learners.qmix`.

**Departures.** The paper leaves much open; these are our readings, settings where two can be defended. A role or group
is a whole FC-GRU-FC; its input is QMIX's, a group's has the role's hidden state besides. The decoder of U reads the code
at every step. Hidden states outlive a change
of role or group. The advantage is a vector over the available actions, of the values that act. At the start a sequence
of zeros is read. The replay keeps roles and groups, and online and target networks both go through them. U learns from
whole periods only, V from shorter last ones too; V adds a period's rewards and discounts once (eq. 8). Roles are drawn
(eq. 3) while exploring, and the mean's while testing. The dead keep role and group and are not attended to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, device
from torch.nn import functional

from partage import Refusal
from partage.assignment import Assignment
from partage.env import Spec, stream
from partage.learners import qmix
from partage.learners._bdps import Actor, Networks, advantage
from partage.optimiser import Optimiser
from partage.rollout import Rollout, generators, normal
from partage.selectors import RoleSelector
from partage.targets import masked_mse, td_target, total


@dataclass(frozen=True)
class Settings(qmix.Settings):
    levels: Literal["both", "individual"] = "both"  # individual: Q = Q^U, no groups   (BDPS §4.3)
    roles: int = 2  # k; n >= k   (BDPS Table 2)
    groups: int = 2  # m; k >= m   (BDPS Table 2)
    period: int = 5  # T_U: steps between two choices of roles   (BDPS App. G: 5, 7, 8, 10 or 14)
    every: int = 1  # e: T_V = e * T_U   (BDPS App. G: 1 or 2)
    advantage: Literal["actions", "chosen"] = "actions"  # of every action, or of the one taken   [A1]
    advantage_of: Literal["sum", "role"] = "sum"  # Q^U + Q^V, or Q^U alone   [A2]
    test_roles: Literal["mean", "drawn"] = "mean"  # how roles are chosen while testing   [A4]
    kl: float = 0.01  # lambda of eq. 7   [A6]
    hidden_state: Literal["joined", "detached"] = "joined"  # does the team's loss reach h^U   [A13]
    selector_lr: float = 5e-4  # Adam of the role selector   [A14]


class BDPS(qmix.Chassis):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        _check(settings, spec)
        self.settings: Settings
        super().__init__(spec, settings, seeds, where, Networks(spec, settings, seeds))
        g = generators([stream(seed, "selector") for seed in seeds])
        width = spec.n_actions if settings.advantage == "actions" else 1
        self.selector = RoleSelector(g, settings.roles, width, settings.hidden).to(where)
        adam = partial(torch.optim.Adam, lr=settings.selector_lr, fused=True)
        self.selector_optimiser = Optimiser(self.selector, adam, settings.clip)
        self.policy = Actor(self.nets, self.selector, self.exploration, seeds, where)
        self.noise = generators([stream(seed, "codes") for seed in seeds])
        self.generators += [*self.policy.generators, *self.noise]
        self.shown = {"role": torch.zeros(len(seeds), spec.n_agents, dtype=torch.int64)}
        if settings.levels == "both":
            self.shown["group"] = self.shown["role"].clone()

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        self.latest = rollout
        return super().learn(rollout)

    def renew(self) -> None:
        super().renew()
        self.shown = {name: usual(self.latest.notes[f"{name}s"], self.latest.filled) for name in self.shown}

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        s, b = self.settings, batch["obs"].shape[1]
        x = self.nets.inputs(batch["obs"], qmix.before(batch["actions"]))
        length = batch["filled"].sum(2)
        roles = held(batch["roles"], length, s.period)
        groups = held(batch["groups"], length, s.period * s.every)
        zero = x.new_zeros(len(x), x.shape[2], s.hidden)

        def agents(rows: Tensor) -> Tensor:  # [R, T, M, ..] -> [R, B, T, N, ..]
            return rows.unflatten(2, (b, -1)).transpose(1, 2)

        q_u, q_v, *_ = self.nets.values(x, zero, zero, roles, groups)
        with torch.no_grad():
            target_u, target_v, *_ = self.target.values(x, zero, zero, roles, groups)
        loss, measures = self.td_loss(agents(q_u + q_v), agents(target_u + target_v), batch)
        if s.levels == "both":
            group_loss = self.group_loss(batch, roles, length, zero)
            loss = loss + group_loss
            measures |= {"group_loss": group_loss.detach(), "entropy_difference": entropy_difference(q_u, q_v, batch)}
        norm = self.optimiser.step(loss * active)
        rows = (batch["avail_actions"].transpose(1, 2).flatten(2, 3), batch["actions"].transpose(1, 2).flatten(2, 3))
        gap = advantage(s, q_u.detach()[:, :-1], q_v.detach()[:, :-1], rows[0][:, :-1], rows[1])
        selector_loss = self.selector_loss(gap, batch)
        self.selector_optimiser.step(selector_loss * active)
        return measures | {"gradient_norm": norm, "selector_loss": selector_loss.detach()}

    def group_loss(self, batch: dict[str, Tensor], roles: Tensor, length: Tensor, zero: Tensor) -> Float32[Tensor, "R"]:
        """The group selector's own QMIX task, a step of which is a period   (BDPS eq. 8)."""
        s, (b, time) = self.settings, batch["filled"].shape[1:]
        every, alive = s.period * s.every, batch["alive"].transpose(1, 2)
        starts = torch.arange(0, time, every, device=self.where)

        def values(nets: Networks) -> Float32[Tensor, "R B T1 N G"]:
            states = nets.selector.states(nets.selector.attention(), roles.unflatten(2, (b, -1)), alive, zero)
            return nets.selector.values(states).unflatten(2, (b, -1)).transpose(1, 2)

        def at(x: Tensor, when: Tensor) -> Tensor:  # x [R, B, T, ..] at instants [R, B, P]
            when = when.reshape(*when.shape, *[1] * (x.dim() - 3)).expand(*when.shape, *x.shape[3:])
            return x.gather(2, when)

        first = starts.expand(*length.shape, -1)
        after = (first + every).minimum(length[..., None]).clamp(min=0)
        whole = functional.pad(torch.stack((batch["team_reward"], batch["terminated"].float())), (0, -time % every))
        reward, ended = whole.unflatten(-1, (-1, every)).sum(-1)
        v = values(self.nets)
        chosen = at(v[:, :, :-1], first).gather(-1, at(batch["groups"], first)[..., None]).squeeze(-1)
        with torch.no_grad():
            v_target = at(values(self.target), after)
            best = (at(v, after) if s.double_q else v_target).argmax(-1, keepdim=True)
            next_v = self.target.group_mixer(v_target.gather(-1, best).squeeze(-1), at(batch["state"], after))
            target = td_target(reward, next_v, ended > 0, s.gamma)
        mixed = self.nets.group_mixer(chosen, at(batch["state"], first))
        return masked_mse(mixed, target, first < length[..., None])

    def selector_loss(self, gap: Float32[Tensor, "R T M W"], batch: dict[str, Tensor]) -> Float32[Tensor, "R"]:
        """The role selector's loss over whole periods of living agents   (BDPS eq. 7)."""
        s, horizon = self.settings, self.spec.horizon
        noise = normal(self.noise, horizon // s.period, gap.shape[2], s.roles).to(self.where)
        present = (batch["filled"][..., None] & batch["alive"][:, :, :-1]).transpose(1, 2).flatten(2)
        gap = functional.pad(gap, (0, 0, 0, 0, 0, max(0, s.period - gap.shape[1])))
        present = functional.pad(present, (0, 0, 0, max(0, s.period - present.shape[1])))
        loss, count = gap.new_zeros(len(gap)), gap.new_zeros(len(gap))
        for p in range(gap.shape[1] // s.period):
            part = slice(p * s.period, (p + 1) * s.period)
            whole = present[:, part].all(1)
            error, divergence = self.selector.losses(gap[:, part], noise[:, p])
            loss = loss + ((error + s.kl * divergence) * whole).sum(-1)
            count = count + whole.sum(-1)
        return loss / count.clamp(min=1)

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """The softmax of each agent's values, its roles and groups chosen on the way as in a test."""
        obs, actions = obs.to(self.where), actions.to(self.where)
        memory, found = self.policy.initial(obs.shape[1], False), []
        alive = torch.ones(obs.shape[:2] + obs.shape[3:4], dtype=torch.bool, device=self.where)
        avail = alive[..., None].expand(*alive.shape, self.spec.n_actions)
        for t in range(obs.shape[2]):
            q_u, q_v, memory = self.policy.think(obs[:, :, t], alive, memory)
            found.append((q_u + q_v).unflatten(1, alive.shape[1:]).softmax(-1))
            memory = self.policy.hear(q_u, q_v, avail, actions[:, :, t], memory)
        return torch.stack(found, 2)

    def sharing(self) -> dict[str, Assignment]:
        """The role and group that each agent had most often when the target networks were last renewed."""
        return self.shown

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"shown": self.shown}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.shown = state["shown"]


def held(index: Int64[Tensor, "R B T N"], length: Int64[Tensor, "R B"], period: int) -> Int64[Tensor, "R T1 M"]:
    """What each agent had at every instant: behind an episode's last choice it keeps what it was given there."""
    last = (length - 1).clamp(min=0) // period
    now = torch.arange(index.shape[2] + 1, device=index.device) // period
    when = (now.minimum(last[..., None]) * period)[..., None].expand(-1, -1, -1, index.shape[3])
    return index.gather(2, when).transpose(1, 2).flatten(2)


def usual(index: Int64[Tensor, "R B T N"], filled: Bool[Tensor, "R B T"]) -> Int64[Tensor, "R N"]:
    """What each agent had most often."""
    return (functional.one_hot(index) * filled[..., None, None]).sum((1, 2)).argmax(-1)


def entropy_difference(q_u: Tensor, q_v: Tensor, batch: dict[str, Tensor]) -> Float32[Tensor, "R"]:
    """Entropy of softmax Q^V less that of softmax Q^U, mean over living agents   (BDPS eq. 10, natural logarithm)."""
    log_u, log_v = q_u.detach()[:, :-1].log_softmax(-1), q_v.detach()[:, :-1].log_softmax(-1)
    difference = (log_u.exp() * log_u - log_v.exp() * log_v).sum(-1)  # [R, T, M]
    present = (batch["filled"][..., None] & batch["alive"][:, :, :-1]).transpose(1, 2).flatten(2)
    return total((difference * present).sum(-1, keepdim=True).transpose(1, 2)) / present.sum((1, 2)).clamp(min=1)


def _check(s: Settings, spec: Spec) -> None:
    if not 2 <= s.roles <= spec.n_agents:
        raise Refusal(f"BDPS gives {spec.n_agents} agents 2 to {spec.n_agents} roles (n >= k >= 2), not {s.roles}.")
    if not 2 <= s.groups <= s.roles:
        raise Refusal(f"BDPS puts {s.roles} roles in 2 to {s.roles} groups (k >= m >= 2), not {s.groups}.")
    if s.period < 1 or s.every < 1 or s.period * s.every >= spec.horizon:
        raise Refusal(
            f"BDPS changes groups within an episode: period >= 1, every >= 1 and period * every < {spec.horizon} (its "
            f"horizon), but they are {s.period} and {s.every}."
        )
    if s.sharing == "none":
        raise Refusal("BDPS shares in roles and groups: sharing says whether agents show an id, id or full, not none.")


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> BDPS:
    return BDPS(spec, settings, seeds, where)
