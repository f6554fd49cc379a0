"""CDS on QMIX: a shared head and one of each agent, paid for what tells agents apart.

**Paper.** Li et al. 2021, "Celebrating diversity in shared multi-agent reinforcement learning": Q_i
is a shared part plus one of the agent, held small by an L1 penalty. An intrinsic reward is the
information between an agent's identity and its trajectory: how far its policy is from the mean one,
and how much better its next observation is predicted knowing who it is.

**Reference code.** Predictors of 128 and 128 units, each with Adam 1e-3 and gradient norm 1; a pass
goes once through all agents' rows of a batch, 256 a step: 17 to 44 steps on SMAC, with two batches
an episode. On football 25 passes of 8 episodes every 16 episodes, and a reward of its own: 100 a
goal, -1 an end without. Copies at the last renewal of the target networks pay. No id in the input.

**Departures.** QMIX's mixer everywhere, as BDPS compares with "improved baseline algorithms based
on full parameter sharing QMIX" (the reference: QPLEX on SMAC). One gradient step an update for two,
so both passes have one batch. On football 32 episodes for 8, uniform for prioritised (0.3);
training from 32 episodes on (the same; SMAC 100); the predictors' 8 are of the update's batch,
their states those before its step. In `copies` episodes an update there are as many passes as in
one. On SMAC the L1 penalty is a mean over real steps (the reference counts padding, which scales it
by a run's share of real ones). A minibatch without a real row is skipped (0 / 0 in the SMAC code).
`predictor_training = "drawn"` is what this suite first had: a step on 256 joint transitions.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

from partage.errors import UserError, at_least
from partage.learners import _off_policy, qmix
from partage.learners._cds import Networks
from partage.learners._cds_predictors import (
    Known,
    Passes,
    Predictor,
    Predictors,
    descend_drawn,
    descend_passes,
    xavier_init,
)
from partage.learners._off_policy import OffPolicyLearner, masked_mean
from partage.nn.adam import adam_of_runs
from partage.nn.bank import linear_init
from partage.nn.optimiser import Optimiser
from partage.nn.pointwise import log_softmax
from partage.nn.state import copy_runs
from partage.rl.losses import linear_schedule
from partage.rl.noise import generators, uniform
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"beta": 0.0}
BEFORE = (0, 0, 0, 0, 1, 0)  # pads one instant before the first
END_WITHOUT_GOAL = -1.0  # reward   (CDS on football)


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
    # of all agents (CDS on SMAC); of all heads on an agent's history (CDS on football, as its text
    # has it); of an agent's head on all histories (as that code does) [C3]
    mean_policy: Literal["agents", "heads", "histories"] = "agents"
    goal_pay: float = 0.0  # a goal's reward, -1 an end without; 0: the environment's   (CDS: 100)
    fade_from: int = 0  # environment steps after which the reward fades; 0: never   (CDS: corridor)
    fade_steps: int = 200_000  # until it is gone   (CDS: corridor)
    units: int = 128  # of the predictors   (CDS)
    predictor_lr: float = 1e-3  # Adam   (CDS)
    predictor_clip: float = 1.0  # gradient norm   (CDS)
    # passes through all agents' rows (CDS), or `chunks` minibatches of joint ones drawn [C2]
    predictor_training: Literal["passes", "drawn"] = "passes"
    chunk: int = 256  # rows of a minibatch   (CDS)
    chunks: int = 1  # minibatches an update, where they are drawn
    passes: int = 2  # through the rows, when predictors are trained   (CDS: 2; football 25)
    predict_every: int = 1  # episodes from one training to the next   (CDS: 1; football 16)
    predictor_batch: int = 0  # episodes of an update's batch; 0: all   (CDS: all; football 8)


class CDS(OffPolicyLearner[Networks, Settings]):
    """QMIX with an intrinsic reward for what tells agents apart."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _check(settings)
        s = settings
        super().__init__(spec, s, seeds, device, Networks(spec, s, seeds))
        self._make_predictors(seeds)
        self.policy = qmix.EpsilonGreedy(self.nets, spec, self.exploration, device)
        self.transition_noise = generators([stream(seed, "transitions") for seed in seeds])
        self.generators += self.transition_noise

    def _make_predictors(self, seeds: Sequence[int]) -> None:
        """Make the predictors, the copies that pay, and what trains them."""
        s, g = self.settings, generators([stream(seed, "predictors") for seed in seeds])
        drawn, sizes = s.predictor_training == "drawn", (s.hidden, s.units)
        made = Predictors(g, self.spec, sizes, linear_init if drawn else xavier_init)
        self.predictors = made.to(self.device)
        self.predictors_target = deepcopy(self.predictors).requires_grad_(False)
        if drawn:
            adam = partial(torch.optim.Adam, lr=s.predictor_lr, fused=True)
            self.predictor_optimiser = Optimiser(self.predictors, adam, s.predictor_clip)
        else:
            self.without_id_optimiser = self._optimiser_of(self.predictors.without_id)
            self.with_id_optimiser = self._optimiser_of(self.predictors.with_id)

    def _optimiser_of(self, predictor: Predictor) -> Optimiser:
        """Return what trains one predictor, with a gradient norm of its own."""
        s = self.settings
        return Optimiser(predictor, adam_of_runs(predictor, s.predictor_lr), s.predictor_clip)

    def team_reward(self, rollout: Rollout) -> Float32[Tensor, "R B T"]:
        """Return the environment's reward, or where goals are paid theirs alone."""
        if not self.settings.goal_pay:
            return super().team_reward(rollout)
        ended = (rollout.terminated | rollout.truncated) & rollout.filled
        pay = torch.where(ended, END_WITHOUT_GOAL, 0.0)
        return torch.where((rollout.score > 0) & rollout.filled, self.settings.goal_pay, pay)

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
        earlier = functional.pad(states[:, :, :-2].detach(), BEFORE)
        known = Known(earlier, *(batch[name] for name in Known._fields[1:]))
        prediction_loss = self._learn_predictions(known, active)
        return measures | {
            "intrinsic_reward": masked_mean(intrinsic, mask),
            "own_part": penalty.detach(),
            "gradient_norm": norm,
            "prediction_loss": prediction_loss,
        }

    def _learn_predictions(self, known: Known, active: Bool[Tensor, "R"]) -> Float32[Tensor, "R"]:
        """Train the predictors where it is their turn; return their error, zero where it is not."""
        s = self.settings
        if s.predictor_training == "drawn":
            noise = uniform(self.transition_noise, s.chunks, s.chunk).to(self.device)
            optimiser = self.predictor_optimiser
            return descend_drawn(self.predictors, optimiser, known, noise, active)
        turns, earlier_turns = (
            episodes // s.predict_every for episodes in (self.episodes, self.episodes - s.copies)
        )
        if turns == earlier_turns:
            return torch.zeros(active.shape, device=self.device)
        trained = (
            (self.predictors.without_id, self.without_id_optimiser),
            (self.predictors.with_id, self.with_id_optimiser),
        )
        passes = Passes(s.passes, s.chunk, self.transition_noise)
        episodes = s.predictor_batch or s.batch
        return descend_passes(trained, known.first(episodes), passes, active)

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
            over = {"heads": 4, "histories": 3}[s.mean_policy]  # [R, B, T, history, head, A]
            mean = log_softmax(by_all_heads).exp().mean(over)
        return (log_pi.exp() * (log_pi - mean.clamp(min=1e-12).log())).sum(-1)

    def _information(
        self, batch: dict[str, Tensor], states: Float32[Tensor, "R B T1 N H"]
    ) -> Float32[Tensor, "R B T N"]:
        """Return how much better the next observation is predicted knowing who it is."""
        earlier = functional.pad(states[:, :, :-2], BEFORE)
        known = torch.cat((earlier, batch["obs"][:, :, :-1]), -1).flatten(1, 2)
        actions, later = batch["actions"].flatten(1, 2), batch["obs"][:, :, 1:].flatten(1, 2)
        without_id = self.predictors_target.without_id.errors(known, actions, later)
        with_id = self.predictors_target.with_id.errors(known, actions, later)
        copies_and_time = batch["actions"].shape[1:3]
        return (without_id - self.settings.beta1 * with_id).unflatten(1, copies_and_time)

    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of each agent's action values along whole episodes."""
        return qmix.probabilities(self.nets, obs.to(self.device), actions.to(self.device))

    def sharing(self) -> dict[str, Assignment]:
        """Return who goes through which set; it never moves."""
        return {"agent": self.nets.assignment, "own": assignment.none(*self.nets.assignment.shape)}


def _check(s: Settings) -> None:
    """Raise `UserError` for a count below one, or for a setting that is below zero."""
    for name in ("fade_steps", "chunk", "chunks", "passes", "predict_every"):
        at_least(f"{name} of CDS", getattr(s, name), 1)
    at_least("goal_pay of CDS", s.goal_pay, 0)
    if not 0 <= s.predictor_batch <= s.batch:
        raise UserError(
            f"CDS's predictors learn from predictor_batch episodes of an update's {s.batch} "
            f"(batch), 0 for all, but predictor_batch is {s.predictor_batch}."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> CDS:
    """Return CDS for this task, one run per seed."""
    return CDS(spec, settings, seeds, device)
