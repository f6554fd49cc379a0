"""CDS on QMIX: a shared head and one of each agent, paid for what tells agents apart.

**Paper.** Li et al. 2021, "Celebrating diversity in shared multi-agent reinforcement learning": Q_i
is a shared part plus one of the agent, held small by an L1 penalty. An intrinsic reward is the
information between an agent's identity and its trajectory: how far its policy is from the mean one,
and how much better its next observation is predicted knowing who it is.

**Reference code.** Predictors of 128 and 128 units, trained by Adam 1e-3, gradient norm 1, on
minibatches of 256; their copies at the last renewal of the target networks give the reward. No
agent id in the input.

**Departures.** The mixer is QMIX's everywhere, as BDPS compares with "improved baseline algorithms
based on full parameter sharing QMIX" (the reference has QPLEX in SMAC), with one gradient step an
episode and a uniform replay. Each update takes `chunks` minibatches, drawn with replacement: packs
of runs must take equally many steps.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional

from partage.errors import UserError
from partage.learners import _off_policy, qmix
from partage.learners._cds import Networks, Predictors
from partage.learners._off_policy import OffPolicyLearner, masked_mean
from partage.nn.optimiser import Optimiser
from partage.nn.pointwise import log_softmax
from partage.nn.state import copy_runs
from partage.rl.losses import linear_schedule
from partage.rl.noise import generators, uniform
from partage.rl.replay import sample_transitions
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"beta": 0.0, "chunk": 32, "chunks": 1}


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of CDS."""

    sharing: Literal["full", "id"] = "full"  # no id in the input   (CDS: obs_agent_id)
    own: float = 0.1  # weight of the L1 penalty on the own part   (CDS)
    beta: float = 0.05  # weight of the intrinsic reward   (CDS: 0.01 to 0.1 by map)
    beta1: float = (
        0.5  # of the prediction that knows the id, and sharpness of the policies   (CDS: 0.5 or 2)
    )
    beta2: float = 1.0  # weight of the policies' divergence   (CDS: 0.5 or 1)
    mean_policy: Literal["agents", "heads"] = (
        "agents"  # of all agents, or of all heads on an agent's history   (CDS)
    )
    fade_from: int = 0  # environment steps after which the reward fades; 0: never   (CDS: corridor)
    fade_steps: int = 200_000  # until it is gone   (CDS: corridor)
    units: int = 128  # of the predictors   (CDS)
    predictor_lr: float = 1e-3  # Adam   (CDS)
    predictor_clip: float = 1.0  # gradient norm   (CDS)
    chunk: int = 256  # transitions of a minibatch   (CDS)
    chunks: int = 1  # minibatches an update


class CDS(OffPolicyLearner[Networks, Settings]):
    """QMIX with an intrinsic reward for what tells agents apart."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _check(settings)
        s = settings
        super().__init__(spec, s, seeds, device, Networks(spec, s, seeds))
        g = generators([stream(seed, "predictors") for seed in seeds])
        self.predictors = Predictors(g, spec, s.hidden, s.units).to(device)
        self.predictors_target = deepcopy(self.predictors).requires_grad_(False)
        adam = partial(torch.optim.Adam, lr=s.predictor_lr, fused=True)
        self.predictor_optimiser = Optimiser(self.predictors, adam, s.predictor_clip)
        self.policy = qmix.EpsilonGreedy(self.nets, spec, self.exploration, device)
        self.transition_noise = generators([stream(seed, "transitions") for seed in seeds])
        self.generators += self.transition_noise

    def update_targets(self, active: Bool[Tensor, "R"]) -> None:
        """Copy the networks and the predictors of active runs to their targets."""
        super().update_targets(active)
        copy_runs(self.predictors, self.predictors_target, active)

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take a step of the networks, then one of the predictors on each minibatch."""
        s, mask = self.settings, batch["filled"]
        shared, own, states = self.nets.parts(batch["obs"], batch["actions"])
        q = shared + own
        with torch.no_grad():
            q_target = self.target.q(batch["obs"], batch["actions"])
            intrinsic = self.intrinsic(batch, q, shared, states)
        reward = batch["team_reward"] + self.intrinsic_weight() * intrinsic
        loss, measures = self.td_loss(q, q_target, batch | {"team_reward": reward})
        penalty = masked_mean(own[:, :, :-1].abs().mean((3, 4)), mask)
        norm = self.optimiser.step(loss + s.own * penalty, active)
        prediction_loss = self._learn_predictions(batch, states.detach(), active)
        return measures | {
            "intrinsic_reward": masked_mean(intrinsic, mask),
            "own_part": penalty.detach(),
            "gradient_norm": norm,
            "prediction_loss": prediction_loss,
        }

    def _learn_predictions(
        self, batch: dict[str, Tensor], states: Tensor, active: Bool[Tensor, "R"]
    ) -> Float32[Tensor, "R"]:
        """Take a step of the predictors on each minibatch; return the last one's loss."""
        s, loss = self.settings, torch.zeros(active.shape, device=self.device)
        noise = uniform(self.transition_noise, s.chunks, s.chunk).to(self.device)
        for minibatch_noise in noise.unbind(1):
            minibatch = sample_transitions(batch["filled"], minibatch_noise)
            loss = self._prediction_loss(batch, states, minibatch)
            self.predictor_optimiser.step(loss, active)
        return loss.detach()

    def intrinsic_weight(self) -> Float32[Tensor, "R 1 1"]:
        """Return the weight of the intrinsic reward by now."""
        s = self.settings
        steps_of_fading = (self.exploration.steps - s.fade_from).clamp(min=0) * (s.fade_from > 0)
        share = linear_schedule(1.0, 0.0, s.fade_steps, steps_of_fading)
        return s.beta * share.to(self.device)[:, None, None]

    def intrinsic(
        self,
        batch: dict[str, Tensor],
        q: Float32[Tensor, "R B T1 N A"],
        shared: Float32[Tensor, "R B T1 N A"],
        states: Float32[Tensor, "R B T1 N H"],
    ) -> Float32[Tensor, "R B T"]:
        """Return the intrinsic reward of every transition, mean over agents.

        It is [beta1 log q(o' | ., id) - log p(o' | .)] + beta2 KL(softmax(beta1 Q_i) || mean
        policy).
        """
        s = self.settings
        divergence = self._divergence(q[:, :, :-1], shared[:, :, :-1], states[:, :, :-1])
        information = self._information(batch, states)
        return (information + s.beta2 * divergence).mean(-1)

    def _divergence(
        self,
        q: Float32[Tensor, "R B T N A"],
        shared: Float32[Tensor, "R B T N A"],
        states: Float32[Tensor, "R B T N H"],
    ) -> Float32[Tensor, "R B T N"]:
        """Return how far each agent's policy is from the mean one."""
        s = self.settings
        log_pi = log_softmax(s.beta1 * q)
        if s.mean_policy == "agents":
            mean = log_softmax(q).exp().mean(3, keepdim=True)
        else:
            by_all_heads = shared[:, :, :, :, None] + self.nets.agent.by_all_heads(states)
            mean = log_softmax(by_all_heads).exp().mean(4)
        return (log_pi.exp() * (log_pi - mean.clamp(min=1e-12).log())).sum(-1)

    def _information(
        self, batch: dict[str, Tensor], states: Float32[Tensor, "R B T1 N H"]
    ) -> Float32[Tensor, "R B T N"]:
        """Return how much better the next observation is predicted knowing who it is."""
        earlier = functional.pad(states[:, :, :-2], (0, 0, 0, 0, 1, 0))  # zeros at the start
        known = torch.cat((earlier, batch["obs"][:, :, :-1]), -1).flatten(1, 2)
        actions, later = batch["actions"].flatten(1, 2), batch["obs"][:, :, 1:].flatten(1, 2)
        without_id = self.predictors_target.without_id.errors(known, actions, later)
        with_id = self.predictors_target.with_id.errors(known, actions, later)
        copies_and_time = batch["actions"].shape[1:3]
        return (without_id - self.settings.beta1 * with_id).unflatten(1, copies_and_time)

    def _prediction_loss(
        self,
        batch: dict[str, Tensor],
        states: Float32[Tensor, "R B T1 N H"],
        minibatch: tuple[Int64[Tensor, "..."], ...],
    ) -> Float32[Tensor, "R"]:
        """Return the mean squared error of both predictors on K transitions of each run."""
        r, b, t = minibatch
        state_before = states[r, b, (t - 1).clamp(min=0)]
        earlier = torch.where((t > 0)[..., None, None], state_before, 0.0)
        known = torch.cat((earlier, batch["obs"][r, b, t]), -1)
        actions, later = batch["actions"][r, b, t], batch["obs"][r, b, t + 1]
        without_id = self.predictors.without_id.errors(known, actions, later)
        with_id = self.predictors.with_id.errors(known, actions, later)
        alive = batch["alive"][r, b, t]
        error = ((without_id + with_id) * alive).sum((1, 2)) / alive.sum((1, 2)).clamp(min=1)
        return error / later.shape[-1]

    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of each agent's action values along whole episodes."""
        return qmix.probabilities(self.nets, obs.to(self.device), actions.to(self.device))

    def sharing(self) -> dict[str, Assignment]:
        """Return who goes through which set; it never moves."""
        return {"agent": self.nets.assignment, "own": assignment.none(*self.nets.assignment.shape)}


def _check(s: Settings) -> None:
    """Raise `UserError` for a count below one."""
    if min(s.fade_steps, s.chunk, s.chunks) < 1:
        raise UserError(
            "CDS counts fade_steps, chunk and chunks from 1 on, "
            f"but they are {s.fade_steps}, {s.chunk}, {s.chunks}."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> CDS:
    """Return CDS for this task, one run per seed."""
    return CDS(spec, settings, seeds, device)
