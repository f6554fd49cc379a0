"""RODE on QMIX: a role is a set of actions with like effects, and restricts an agent to it.

**Paper.** Wang et al. 2021, "RODE: learning roles to decompose multi-agent tasks": an action's
representation predicts the next observation and the reward; actions are clustered by it once, and a
cluster is a role. A selector gives each agent a role every few steps, and the value of an action is
a product with its representation.

**Reference code.** Bodies FC(64)-GRU(64) for roles and actions; representations of 20, trained by
RMSprop 5e-4 while a run is younger than 50,000 steps, by decoders of the observation and of the
reward (52-32-O, 52-32-1). Till then there are three roles of all actions, and ones stand for the
representations: all actions are worth the same. Afterwards these stay as they are and epsilon
starts again. Roles learn by QMIX on sums of rewards (the future discounted once). Random actions
ignore the roles, and so does the maximum in the target. Action 0 belongs to every role; of fewer
than three, the first two are there twice (a, b, a, b).

**Departures.** All heads exist from the start (the reference appends a fourth and fifth after the
optimiser is made, so that they never learn). Roles come from the replay, where the reference
selects them anew at training, a share of 0.05 at random. Clusters start from the run's seed (the
reference: 0). Roles hold in the update that makes them (there in the next). The encoder's loss is a
mean over real steps, the dead zero (there over padding and the dead, too); it is shown everybody's
actions, one's own as zeros (N A inputs for (N - 1) A, so that it starts with weights smaller by up
to that root). No role left gives one of all actions (there an error). `basic` is SMAC's rule for
its first actions, else 0. `rode-learned` in algorithms.toml is what this suite first had.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.errors import UserError
from partage.learners import _rode_networks
from partage.learners._clustering import k_means
from partage.learners._off_policy import OffPolicyLearner
from partage.learners._periods import PeriodValues, choices_in_force, gather_time, period_loss
from partage.learners._rode_actor import Actor
from partage.learners._rode_networks import Effects, Networks, role_actions
from partage.nn.bank import from_rows
from partage.nn.optimiser import Optimiser
from partage.rl.losses import are_numbers
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"encode_until": 1000, "clusters": 3, "interval": 2}


@dataclass(frozen=True)
class Settings(_rode_networks.Settings):
    """The settings of RODE, of its networks (`_rode_networks`) and how it represents actions."""

    encode_until: int = 50_000  # environment steps on which representations are learned   (RODE)
    encoder_lr: float = 5e-4  # RMSprop   (RODE)
    reward_weight: float = 10.0  # of the predicted reward's error   (RODE)
    basic: int = 0  # SMAC: 6, the first actions, which larger roles have too   (RODE)


class RODE(OffPolicyLearner[Networks, Settings]):
    """QMIX on the actions of roles, and QMIX on roles, which are clusters of actions."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _check(settings, spec)
        s = settings
        super().__init__(spec, s, seeds, device, Networks(spec, s, seeds))
        self.effects = Effects(spec, s, seeds).to(device)
        rmsprop = partial(torch.optim.RMSprop, lr=s.encoder_lr, alpha=s.alpha, eps=s.rms_eps)
        self.encoder_optimiser = Optimiser(self.effects, rmsprop, s.clip)
        self.policy = Actor(self.nets, spec, s, self.exploration, device)
        self.seeds = [stream(seed, "clusters") % 2**32 for seed in seeds]
        self.clustered = torch.zeros(len(seeds), dtype=torch.bool)
        self.blocks = {"roles": torch.zeros(len(seeds), spec.n_agents, dtype=torch.int64)}
        self.shows_learning = s.representations == "learned"
        if self.shows_learning:
            self._copy_representations(~self.clustered)

    @torch.no_grad()
    def _copy_representations(self, where: Bool[Tensor, "R"]) -> None:
        """Give the networks of these runs the representations that they have learned."""
        where = where.to(self.device)
        self.nets.z[where] = self.effects.represent()[where]

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Learn representations, or cluster by them once; then take QMIX's steps."""
        old_enough = (self.exploration.steps > self.settings.encode_until).cpu()
        due = ~self.clustered & old_enough & active.cpu() & are_numbers(self.nets.z).cpu()
        # zero in runs that no longer learn representations
        measures = {"encoder_loss": torch.zeros(active.shape)}
        if not self.clustered.all():
            measures["encoder_loss"] = self._learn_representations(batch, active)
        if due.any():
            self._make_roles(due)
        return measures | self._learn_values(batch, active)

    def _learn_representations(
        self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]
    ) -> Float32[Tensor, "R"]:
        """Take a step of runs that have not clustered their actions yet; return the loss."""
        learning = ~self.clustered.to(self.device)
        loss = self.effects.loss(batch, self.settings.reward_weight)
        self.encoder_optimiser.step(loss, active & learning)
        if self.shows_learning:
            self._copy_representations(learning)
        return loss.detach() * learning

    def _learn_values(
        self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]
    ) -> dict[str, Tensor]:
        """Take one step of QMIX on actions and of QMIX on roles together."""
        s, n = self.settings, self.spec.n_agents
        roles = choices_in_force(batch["roles"], batch["filled"].sum(2), s.interval)
        rows, role_rows = self.nets.states(batch["obs"], batch["actions"])
        q = self.nets.action_values(rows, roles)
        with torch.no_grad():
            target_rows, target_role_rows = self.target.states(batch["obs"], batch["actions"])
            q_target = self.target.action_values(target_rows, roles)
        loss, measures = self.td_loss(q, q_target, batch)
        online = _role_values(self.nets, from_rows(role_rows, n))
        target = _role_values(self.target, from_rows(target_role_rows, n))
        role_loss = period_loss(online, target, batch["roles"], s.interval, batch, s)
        norm = self.optimiser.step(loss + role_loss, active)
        return measures | {"role_loss": role_loss.detach(), "gradient_norm": norm}

    def _make_roles(self, due: Bool[Tensor, "R"]) -> None:
        """Fix roles of these runs, renew their target networks, and let epsilon start again."""
        self._copy_representations(due)
        for run in due.nonzero().flatten().tolist():
            z = self.nets.z[run]
            labels = k_means(z, min(self.settings.clusters, len(z)), self.seeds[run])
            roles = role_actions(labels, self.settings.basic, self.settings.fill)
            self.nets.exists[run] = torch.arange(self.nets.roles, device=z.device) < len(roles)
            for role, actions in enumerate(roles):
                self.nets.allowed[run, role] = False
                self.nets.allowed[run, role, actions] = True
                self.nets.role_z[run, role] = z[actions].mean(0)
            self.exploration.since[run] = self.exploration.steps[run]
            online = self.nets.state_dict()
            for name, target in self.target.state_dict().items():
                target[run] = online[name][run]
        self.clustered |= due

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of values, roles chosen on the way as in a test."""
        obs, actions = obs.to(self.device), actions.to(self.device)
        memory, probabilities = self.policy.initial(obs.shape[1], False), []
        for t in range(obs.shape[2]):
            q, memory = self.policy.think(obs[:, :, t], memory)
            probabilities.append(q.softmax(-1))
            memory = memory._replace(last_action=actions[:, :, t], t=t + 1)
        return torch.stack(probabilities, 2)

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; experience only with `replay`."""
        own = {"clustered": self.clustered, "cluster_seeds": self.seeds}
        return super().state_dict(replay) | own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state)
        self.clustered, self.seeds = state["clustered"], state["cluster_seeds"]


def _role_values(nets: Networks, states: Float32[Tensor, "R B T1 N H"]) -> PeriodValues:
    """Return what values roles, with the states along whole episodes."""
    return PeriodValues(lambda t: nets.role_values(gather_time(states, t)), nets.role_mixer)


def _check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where the settings do not fit each other or the task."""
    if not 2 <= s.clusters <= spec.n_actions:
        raise UserError(
            f"RODE makes 2 to {spec.n_actions} clusters of {spec.n_actions} actions, "
            f"not {s.clusters}."
        )
    if not 1 <= s.interval < spec.horizon:
        raise UserError(
            f"RODE changes roles within an episode: 1 <= interval < {spec.horizon} (its horizon), "
            f"but is {s.interval}."
        )
    if not 0 <= s.basic <= spec.n_actions:
        raise UserError(
            f"RODE's basic actions are the first of {spec.n_actions}, "
            f"but there are to be {s.basic}."
        )
    if s.sharing == "none":
        raise UserError(
            "RODE shares by roles: sharing says whether agents show an id, id or full, not none."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> RODE:
    """Return RODE for this task, one run per seed."""
    return RODE(spec, settings, seeds, device)
