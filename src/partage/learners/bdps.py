"""Bi-level dynamic parameter sharing: roles that change with the time, and groups of roles.

**Paper.** BDPS §3. Every T_U steps the role selector U reads each agent's last T_U advantages and
gives it one of k roles; every T_V = e T_U steps the group selector V, itself a learner of values,
puts it in one of m groups. A role and a group are a network each, and an agent's values are the sum
of its two (eq. 6); QMIX mixes them (eq. 9).

**Reference code.** None was published. What the paper leaves to QMIX is `partage.learners.qmix`.

**Departures.** The paper leaves much open; these are our readings, and settings where two can be
defended. A role or group is a whole FC-GRU-FC; its input is QMIX's, a group's has the role's hidden
state besides. Hidden states outlive a change of role or group. The advantage is a vector over the
available actions, of the values that act, in units of its running standard deviation: without that
roles are pure noise (`code = "random"` is that, outright). At the start a sequence of zeros is
read. Roles are drawn (eq. 3), in tests too; each test is also played with the mean's. The decoder
reads the code's softmax (App. F). What attention gives an agent has its own features added, which
eq. 4-5 lose. The replay keeps roles and groups, and online and target networks both go through
them. Each update U learns from one whole period of each episode, drawn anew, and its decoder reads
the code at every step. V learns from all periods, a last shorter one too, adds a period's rewards
and discounts once (eq. 8). The dead keep role and group and are not attended to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn

from partage.learners import _bdps_settings
from partage.learners._bdps_actor import Actor, group_gain, ways_of_testing
from partage.learners._bdps_groups import Histories, decisions, effects
from partage.learners._bdps_networks import (
    Networks,
    Rows,
    advantage,
    entropy_difference,
    from_agent_rows,
    to_agent_rows,
)
from partage.learners._bdps_roles import DRAWS, Code, Periods, RoleSelector, explained
from partage.learners._off_policy import OffPolicyLearner, previous_actions
from partage.learners._periods import choices_in_force, gather_time, period_loss
from partage.nn.optimiser import Optimiser
from partage.nn.per_run import first
from partage.rl.noise import generators, normal, uniform
from partage.sims.contract import Spec, stream

QUICK = {"period": 2}  # on the small tasks of its tests


@dataclass(frozen=True)
class Settings(_bdps_settings.Settings):
    """BDPS has the settings of its parts, and no others."""


class BDPS(OffPolicyLearner[Networks, Settings]):
    """QMIX whose agents go through the networks of their role and of their group."""

    captured = True

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _bdps_settings.check(settings, spec)
        super().__init__(spec, settings, seeds, device, Networks(spec, settings, seeds))
        g = generators([stream(seed, "selector") for seed in seeds])
        width = spec.n_actions if settings.advantage == "actions" else 1
        self.selector = RoleSelector(
            g, settings.roles, width, settings.hidden, settings.code, settings.unit == "running"
        ).to(device)
        adam = partial(torch.optim.Adam, lr=settings.selector_lr, fused=True)
        if settings.code != "random":
            self.selector_optimiser = Optimiser(self.selector, adam, settings.clip)
        if settings.levels == "both" and settings.clipping == "apart":
            self._clip_apart()
        self.policy = Actor(self.nets, self.selector, self.exploration, seeds, device)
        self.noise = generators([stream(seed, "codes") for seed in seeds])
        self.measuring = generators([stream(seed, "measures") for seed in seeds])
        self.generators += [*self.policy.generators, *self.noise, *self.measuring]
        nobody = torch.zeros(len(seeds), spec.n_agents, dtype=torch.int64)
        self.blocks = {"roles": nobody}
        if settings.levels == "both":
            self.blocks["groups"] = nobody

    def _clip_apart(self) -> None:
        """Give the group selector and its mixer an optimiser, and so a gradient norm, of theirs."""
        s, nets = self.settings, self.nets
        rmsprop = partial(torch.optim.RMSprop, lr=first(s.lr), alpha=s.alpha, eps=s.rms_eps)
        acting = nn.ModuleList([nets.mixer, nets.roles, nets.groups])
        self.optimiser = Optimiser(acting, rmsprop, s.clip, s.lr)
        choosing = nn.ModuleList([nets.selector, nets.group_mixer])
        self.group_optimiser = Optimiser(choosing, rmsprop, s.clip, s.lr)

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take a step of all networks and the group selector, then one of the role selector."""
        s, copies = self.settings, batch["obs"].shape[1]
        length = batch["filled"].sum(2)
        roles = choices_in_force(batch["roles"], length, s.period)
        groups = choices_in_force(batch["groups"], length, s.group_period)
        rows = self._rows(batch, roles, groups)
        zero = batch["obs"].new_zeros(len(length), rows.shape[2], s.hidden)

        q_u, q_v, *_ = self.nets.values(rows, zero, zero)
        with torch.no_grad():
            target_u, target_v, *_ = self.target.values(rows, zero, zero)
        q = from_agent_rows(q_u + q_v, copies)  # eq. 6
        q_target = from_agent_rows(target_u + target_v, copies)
        loss, measures = self.td_loss(q, q_target, batch)  # eq. 9
        group_loss = None
        if s.levels == "both":
            group_loss, of_groups = self.group_loss(batch, roles)  # eq. 8
            measures |= of_groups
            measures["entropy_difference"] = entropy_difference(q_u, q_v, batch)  # eq. 10
        measures |= self._descend(loss, group_loss, active)
        return measures | self._learn_roles(self._advantages(q_u, q_v, batch), batch, active)

    def _rows(
        self, batch: dict[str, Tensor], roles: Int64[Tensor, "R B T1 N"], groups: Tensor
    ) -> Rows:
        """Return what the networks read of episodes, nothing of what lies behind their ends."""
        instants = torch.arange(roles.shape[2], device=roles.device)
        behind = instants > batch["filled"].sum(2, keepdim=True)
        roles = roles.masked_fill(behind[..., None], -1)
        last_action = previous_actions(batch["actions"])
        return self.nets.rows(
            batch["obs"], last_action, to_agent_rows(roles), to_agent_rows(groups)
        )

    def _learn_roles(
        self, advantages: Float32[Tensor, "R T M W"], batch: dict[str, Tensor], active: Tensor
    ) -> dict[str, Float32[Tensor, "R"]]:
        """Take a step of the role selector on a period of each episode, and measure its roles."""
        s, selector = self.settings, self.selector
        selector.observe(advantages, self._entries_that_count(batch), active)
        periods = self._periods(selector.in_units(advantages), batch)
        code = selector.encode(selector.read(periods.advantages))
        draws = normal(self.measuring, DRAWS, periods.counts.shape[1], s.roles).to(self.device)
        found = selector.measures(code, periods.counts, draws)
        found["scale"] = selector.scale
        measures = {f"selector/{name}": value for name, value in found.items()}
        if s.code == "random":
            return measures
        loss, r2 = self.selector_loss(periods, code)  # eq. 7
        self.selector_optimiser.step(loss, active)
        return measures | {"selector_loss": loss.detach(), "selector/r2": r2}

    def _descend(
        self, loss: Tensor, group_loss: Tensor | None, active: Bool[Tensor, "R"]
    ) -> dict[str, Float32[Tensor, "R"]]:
        """Take a step of all networks but the role selector; return the gradients' norms."""
        if group_loss is None:
            return {"gradient_norm": self.optimiser.step(loss, active)}
        if self.settings.clipping == "joint":
            return {"gradient_norm": self.optimiser.step(loss + group_loss, active)}
        # neither loss reaches the other's networks
        norm = self.optimiser.step(loss, active)
        group_norm = self.group_optimiser.step(group_loss, active)
        return {"gradient_norm": norm, "group_gradient_norm": group_norm}

    def _advantages(
        self, q_u: Tensor, q_v: Tensor, batch: dict[str, Tensor]
    ) -> Float32[Tensor, "R T M W"]:
        """Return the advantages of a batch's actions, without a gradient."""
        avail = to_agent_rows(batch["avail_actions"])[:, :-1]
        actions = to_agent_rows(batch["actions"])
        q_u, q_v = q_u.detach()[:, :-1], q_v.detach()[:, :-1]
        return advantage(self.settings, q_u, q_v, avail, actions)

    def _entries_that_count(self, batch: dict[str, Tensor]) -> Bool[Tensor, "R T M W"]:
        """Return which advantages are of real transitions, the living and available actions."""
        real = batch["filled"][..., None] & batch["alive"][:, :, :-1]
        available = batch["avail_actions"][:, :, :-1]
        if self.settings.advantage == "chosen":
            available = torch.ones_like(available[..., :1])
        return to_agent_rows(real[..., None] & available)

    def group_loss(
        self, batch: dict[str, Tensor], roles: Int64[Tensor, "R B T1 N"]
    ) -> tuple[Float32[Tensor, "R"], dict[str, Float32[Tensor, "R"]]]:
        """Return the loss of the group selector's own task, whose steps are periods   (eq. 8).

        Measures of how its values vary are returned as well.
        """
        s, length = self.settings, batch["filled"].sum(2)
        entry = self.nets.selector.entries(roles.transpose(1, 2), batch["alive"].transpose(1, 2))
        histories = Histories.of(entry, length)
        with torch.no_grad():
            target = self.target.group_values(histories)
        online = self.nets.group_values(histories)
        loss = period_loss(online, target, batch["groups"], s.group_period, batch, s)
        found = effects(*decisions(online, batch, s.group_period))
        return loss, {
            "group_loss": loss.detach(),
            "group/main": found.main,
            "group/interaction": found.interaction,
            "group/one_group": found.one_group,
        }

    def _periods(self, advantages: Float32[Tensor, "R T M W"], batch: dict[str, Tensor]) -> Periods:
        """Return one whole period of each episode, drawn anew, with the noise of its code.

        The agents that live through it count.
        """
        s, (_, copies, _, n) = self.settings, batch["alive"].shape
        noise = normal(self.noise, copies * n, s.roles).to(self.device)
        share = uniform(self.noise, copies).to(self.device)
        length = batch["filled"].sum(2)
        first = (share * (length // s.period)).long() * s.period
        times = first[..., None] + torch.arange(s.period, device=self.device)
        times = times.clamp(max=advantages.shape[1] - 1)
        alive = to_agent_rows(gather_time(batch["alive"], times)).all(1)
        counts = alive & (length >= s.period).repeat_interleave(n, 1)
        read = to_agent_rows(gather_time(from_agent_rows(advantages, copies), times))
        return Periods(read, counts, noise)

    def selector_loss(
        self, periods: Periods, code: Code
    ) -> tuple[Float32[Tensor, "R"], Float32[Tensor, "R"]]:
        """Return the role selector's loss (BDPS eq. 7), and R^2 of its reconstruction."""
        read, counts, noise = periods
        error, divergence, reconstruction = self.selector.losses(read, code, noise)
        each = error + self.settings.kl * divergence
        loss = (each * counts).sum(-1) / counts.sum(-1).clamp(min=1)
        return loss, explained(read, reconstruction.detach(), counts)

    def test_policies(self) -> dict[str, Actor]:
        """Return the other ways in which each test is played, by name."""
        return ways_of_testing(self.policy)

    def test_measures(
        self, scores: Mapping[str, Float32[Tensor, "R"]]
    ) -> dict[str, Float32[Tensor, "R"]]:
        """Return what a test's scores say, by the ways it was played in ("": the usual)."""
        return group_gain(scores)

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


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> BDPS:
    """Return BDPS for this task, one run per seed."""
    return BDPS(spec, settings, seeds, device)
