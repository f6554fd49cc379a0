"""Bi-level dynamic parameter sharing: agents share in roles that change with the time, and again in
groups of roles.

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
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, device

from partage.errors import UserError
from partage.learners import qmix
from partage.learners._bdps import Actor, Networks, advantage
from partage.learners._bdps_selectors import RoleSelector
from partage.learners._off_policy import OffPolicyLearner, at, before, held
from partage.nn.optimiser import Optimiser
from partage.rl.losses import total
from partage.rl.noise import generators, normal, uniform
from partage.sims.contract import Spec, stream


@dataclass(frozen=True)
class Settings(qmix.Settings):
    levels: Literal["both", "individual"] = "both"  # individual: Q = Q^U, no groups   (BDPS §4.3)
    roles: int = 2  # k; n >= k   (BDPS Table 2)
    groups: int = 2  # m; k >= m   (BDPS Table 2)
    period: int = 5  # T_U: steps between two choices of roles   (BDPS App. G: 5, 7, 8, 10 or 14)
    every: int = 1  # e: T_V = e * T_U   (BDPS App. G: 1 or 2)
    advantage: Literal["actions", "chosen"] = (
        "actions"  # of every action, or of the one taken   [A1]
    )
    advantage_of: Literal["sum", "role"] = "sum"  # Q^U + Q^V, or Q^U alone   [A2]
    test_roles: Literal["mean", "drawn"] = "mean"  # how roles are chosen while testing   [A4]
    kl: float = 0.01  # lambda of eq. 7   [A6]
    hidden_state: Literal["joined", "detached"] = "joined"  # does the team's loss reach h^U   [A13]
    selector_lr: float = 5e-4  # Adam of the role selector   [A14]


class BDPS(OffPolicyLearner):
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
        nobody = torch.zeros(len(seeds), spec.n_agents, dtype=torch.int64)
        self.blocks = (
            {"roles": nobody, "groups": nobody} if settings.levels == "both" else {"roles": nobody}
        )

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        s, b = self.settings, batch["obs"].shape[1]
        x = self.nets.inputs(batch["obs"], before(batch["actions"]))
        length = batch["filled"].sum(2)
        roles = rows(held(batch["roles"], length, s.period))
        groups = rows(held(batch["groups"], length, s.period * s.every))
        zero = x.new_zeros(len(x), x.shape[2], s.hidden)

        q_u, q_v, *_ = self.nets.values(x, zero, zero, roles, groups)
        with torch.no_grad():
            target_u, target_v, *_ = self.target.values(x, zero, zero, roles, groups)
        loss, measures = self.td_loss(
            agents(q_u + q_v, b), agents(target_u + target_v, b), batch
        )  # eq. 6, 9
        if s.levels == "both":
            group_loss = self.group_loss(batch, roles, zero)
            loss = loss + group_loss
            measures |= {
                "group_loss": group_loss.detach(),
                "entropy_difference": entropy_difference(q_u, q_v, batch),
            }
        norm = self.optimiser.step(loss * active)

        avail, actions = rows(batch["avail_actions"]), rows(batch["actions"])
        gap = advantage(s, q_u.detach()[:, :-1], q_v.detach()[:, :-1], avail[:, :-1], actions)
        selector_loss = self.selector_loss(gap, batch)  # eq. 7
        self.selector_optimiser.step(selector_loss * active)
        return measures | {"gradient_norm": norm, "selector_loss": selector_loss.detach()}

    def group_loss(
        self, batch: dict[str, Tensor], roles: Int64[Tensor, "R T1 M"], zero: Tensor
    ) -> Float32[Tensor, "R"]:
        """The group selector's own task, whose steps are periods   (BDPS eq. 8)."""
        copies, alive = batch["obs"].shape[1], batch["alive"].transpose(1, 2)
        of, every = roles.unflatten(2, (copies, -1)), self.settings.period * self.settings.every

        def states(nets: Networks) -> Float32[Tensor, "R B T1 N H"]:
            return agents(nets.selector.states(nets.selector.attention(), of, alive, zero), copies)

        with torch.no_grad():
            later = states(self.target)
        values = self.nets.selector.values, self.target.selector.values
        mixers = self.nets.group_mixer, self.target.group_mixer
        return self.period_loss(
            values, (states(self.nets), later), batch["groups"], mixers, every, batch
        )

    def selector_loss(
        self, gap: Float32[Tensor, "R T M W"], batch: dict[str, Tensor]
    ) -> Float32[Tensor, "R"]:
        """The role selector's loss on a period of each episode, mean over who lives through it
        (BDPS eq. 7).
        """
        s, (_, b, n) = self.settings, batch["alive"][:, :, 0].shape
        noise = normal(self.noise, b * n, s.roles).to(self.where)
        which = uniform(self.noise, b).to(self.where)
        length = batch["filled"].sum(2)
        first = (
            which * (length // s.period)
        ).long() * s.period  # of its whole periods, one at random
        when = (first[..., None] + torch.arange(s.period, device=self.where)).clamp(
            max=gap.shape[1] - 1
        )
        present = rows(at(batch["alive"], when)).all(1) & (length >= s.period).repeat_interleave(
            n, 1
        )
        error, divergence = self.selector.losses(rows(at(agents(gap, b), when)), noise)
        return ((error + s.kl * divergence) * present).sum(-1) / present.sum(-1).clamp(min=1)

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


def rows(x: Tensor) -> Tensor:
    """``[R, B, T, N, ..]`` as rows of copies x agents: ``[R, T, M, ..]``."""
    return x.transpose(1, 2).flatten(2, 3)


def agents(rows: Tensor, copies: int) -> Tensor:
    """The inverse of `rows`."""
    return rows.unflatten(2, (copies, -1)).transpose(1, 2)


def entropy_difference(q_u: Tensor, q_v: Tensor, batch: dict[str, Tensor]) -> Float32[Tensor, "R"]:
    """Entropy of softmax Q^V less that of softmax Q^U, mean over living agents   (BDPS eq. 10,
    natural logarithm).
    """
    log_u, log_v = q_u.detach()[:, :-1].log_softmax(-1), q_v.detach()[:, :-1].log_softmax(-1)
    difference = (log_u.exp() * log_u - log_v.exp() * log_v).sum(-1)  # [R, T, M]
    present = rows(batch["filled"][..., None] & batch["alive"][:, :, :-1])
    return total((difference * present).sum(-1, keepdim=True).transpose(1, 2)) / present.sum(
        (1, 2)
    ).clamp(min=1)


def _check(s: Settings, spec: Spec) -> None:
    if not 2 <= s.roles <= spec.n_agents:
        raise UserError(
            f"BDPS gives {spec.n_agents} agents 2 to {spec.n_agents} roles (n >= k >= 2), not {s.roles}."
        )
    if not 2 <= s.groups <= s.roles:
        raise UserError(
            f"BDPS puts {s.roles} roles in 2 to {s.roles} groups (k >= m >= 2), not {s.groups}."
        )
    if s.period < 1 or s.every < 1 or s.period * s.every >= spec.horizon:
        raise UserError(
            f"BDPS changes groups within an episode: period >= 1, every >= 1 and period * every < {spec.horizon} (its "
            f"horizon), but they are {s.period} and {s.every}."
        )
    if s.sharing == "none":
        raise UserError(
            "BDPS shares in roles and groups: sharing says whether agents show an id, id or full, not none."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> BDPS:
    return BDPS(spec, settings, seeds, where)
