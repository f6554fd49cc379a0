"""CDS on QMIX: a shared network and a head of one's own, paid for what tells agents apart.

**Paper.** Li et al. 2021, "Celebrating diversity in shared multi-agent reinforcement learning": Q_i
is a shared part plus an own one held small by an L1 penalty. An intrinsic reward is the information
between an agent's identity and its trajectory: how far its policy is from the mean one, and how
much better its next observation is predicted knowing who it is.

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
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, device, nn
from torch.nn import functional

from partage.errors import UserError
from partage.learners import qmix
from partage.learners._off_policy import OffPolicyLearner, before
from partage.nn.bank import Bank, from_rows, to_rows
from partage.nn.dense import Layer, apply_layers
from partage.nn.mixer import Mixer
from partage.nn.networks import FixedSharing, Recurrent, SelectedRecurrent
from partage.nn.optimiser import Optimiser
from partage.nn.pointwise import log_softmax
from partage.rl.losses import linear_schedule, total
from partage.rl.noise import generators, uniform
from partage.rl.replay import sample_transitions
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream


@dataclass(frozen=True)
class Settings(qmix.Settings):
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


class SelectedDiverse(NamedTuple):
    body: SelectedRecurrent
    head: Layer
    own: Layer

    def parts(self, obs: Tensor, last_action: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shared and own values ``[R, B, T, N, A]``, and the states behind them ``[R, B, T, N,
        H]``.
        """
        n, rows = obs.shape[3], self.body(obs, last_action, h)
        states = from_rows(rows, n)
        return from_rows(self.head(rows), n), from_rows(self.own(to_rows(states, n)), n), states

    def __call__(self, obs: Tensor, last_action: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        shared, own, states = self.parts(obs, last_action, h)
        return shared + own, states[:, :, -1]


class Diverse(nn.Module):
    """An agent's values: a head shared by all plus one of its own on the same recurrent body."""

    def __init__(self, generators: list, share: FixedSharing, spec: Spec, hidden: int) -> None:
        super().__init__()
        self.body = Recurrent(generators, share, spec.obs_dim, spec.n_actions, hidden)
        self.head = Bank(generators, 1, hidden, spec.n_actions)
        self.own = Bank(generators, spec.n_agents, hidden, spec.n_actions)

    def initial(self, copies: int, n_agents: int) -> Float32[Tensor, "R B N H"]:
        return self.body.initial(copies, n_agents)

    def initial_for(self, obs: Float32[Tensor, "R B T N O"]) -> Float32[Tensor, "R B N H"]:
        """Return an empty memory for every agent and copy that these observations show."""
        return self.body.initial_for(obs)

    def select(self, index: Assignment) -> SelectedDiverse:
        return SelectedDiverse(
            self.body.select(index),
            self.head.select(index),
            self.own.select(assignment.none(*index.shape)),
        )

    def by_all_heads(self, states: Float32[Tensor, "R B T N H"]) -> Float32[Tensor, "R B T N J A"]:
        """Own values by every agent's head on every agent's states."""
        return (
            torch.einsum("rbtnh,rjha->rbtnja", states, self.own.weight)
            + self.own.bias[:, None, None, None]
        )


class Networks(nn.Module):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        g = generators([stream(seed, "networks") for seed in seeds])
        self.assignment = assignment.full(len(seeds), spec.n_agents)
        share = FixedSharing(1, spec.n_agents if settings.sharing == "id" else 0, self.assignment)
        self.agent = Diverse(g, share, spec, settings.hidden)
        self.mixer = Mixer(g, spec.n_agents, spec.state_dim, settings.mixer, settings.hyper)

    def parts(
        self, obs: Tensor, actions: Int64[Tensor, "R B T N"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Shared values, own values and states at every instant."""
        picked = self.agent.select(self.assignment)
        return picked.parts(obs, before(actions), self.agent.initial_for(obs))

    def q(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T1 N A"]:
        shared, own, _ = self.parts(obs, actions)
        return shared + own


class Predictor(nn.Module):
    """The next observation from (h, o, a), for one who knows the agent's id or not."""

    def __init__(self, generators: list, spec: Spec, s: Settings, agent_id: int) -> None:
        super().__init__()
        self.everyone = assignment.full(len(generators), spec.n_agents)
        inputs = s.hidden + spec.obs_dim
        self.first = Bank(generators, 1, inputs, s.units, one_hot=spec.n_actions, agent_id=agent_id)
        self.second = Bank(generators, 1, s.units, s.units, agent_id=agent_id)
        self.last = Bank(generators, 1, s.units, spec.obs_dim)

    def errors(
        self, known: Tensor, actions: Int64[Tensor, "R K N"], later: Tensor
    ) -> Float32[Tensor, "R K N"]:
        """Squared error summed over the observation (less a constant, -log p)."""
        rows, hot = known.flatten(1, 2)[:, None, None], actions.flatten(1)[:, None, None]
        inner = [bank.select(self.everyone, relu=True) for bank in (self.first, self.second)]
        links = [*inner, self.last.select(self.everyone)]
        return (
            (apply_layers(rows, links, hot)[:, 0, 0].unflatten(1, actions.shape[1:]) - later)
            .square()
            .sum(-1)
        )


class CDS(OffPolicyLearner):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        if min(settings.fade_steps, settings.chunk, settings.chunks) < 1:
            counts = f"{settings.fade_steps}, {settings.chunk}, {settings.chunks}"
            raise UserError(
                f"CDS counts fade_steps, chunk and chunks from 1 on, but they are {counts}."
            )
        self.settings: Settings
        super().__init__(spec, settings, seeds, where, Networks(spec, settings, seeds))
        g = generators([stream(seed, "predictors") for seed in seeds])
        self.predictors: Any = nn.ModuleList(
            Predictor(g, spec, settings, ids) for ids in (0, spec.n_agents)
        ).to(where)
        self.predictors_target = deepcopy(self.predictors).requires_grad_(False)
        adam = partial(torch.optim.Adam, lr=settings.predictor_lr, fused=True)
        self.predictor_optimiser = Optimiser(self.predictors, adam, settings.predictor_clip)
        self.policy = qmix.EpsilonGreedy(self.nets, spec, self.exploration, where)
        self.drawing = generators([stream(seed, "transitions") for seed in seeds])
        self.generators += self.drawing

    def renew(self) -> None:
        super().renew()
        self.predictors_target.load_state_dict(self.predictors.state_dict())

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        s, mask = self.settings, batch["filled"]
        shared, own, states = self.nets.parts(batch["obs"], batch["actions"])
        q = shared + own
        with torch.no_grad():
            q_target = self.target.q(batch["obs"], batch["actions"])
            intrinsic = self.intrinsic(batch, q, shared, states)
        paid = batch | {"team_reward": batch["team_reward"] + self.weight() * intrinsic}
        loss, measures = self.td_loss(q, q_target, paid)
        each = own[:, :, :-1].abs().mean((3, 4))
        penalty = total(each * mask) / mask.sum((1, 2)).clamp(min=1)
        norm = self.optimiser.step((loss + s.own * penalty) * active)
        prediction = torch.zeros_like(loss)
        for chunk in uniform(self.drawing, s.chunks, s.chunk).to(self.where).unbind(1):
            prediction = self._prediction(batch, states.detach(), sample_transitions(mask, chunk))
            self.predictor_optimiser.step(prediction * active)
        means = {
            "intrinsic_reward": total(intrinsic * mask) / mask.sum((1, 2)).clamp(min=1),
            "own_part": penalty.detach(),
        }
        return measures | means | {"gradient_norm": norm, "prediction_loss": prediction.detach()}

    def weight(self) -> Float32[Tensor, "R 1 1"]:
        """Of the intrinsic reward, now."""
        s = self.settings
        gone = (self.exploration.steps - s.fade_from).clamp(min=0) * (s.fade_from > 0)
        return s.beta * linear_schedule(1.0, 0.0, s.fade_steps, gone).to(self.where)[:, None, None]

    def intrinsic(
        self,
        batch: dict[str, Tensor],
        q: Tensor,
        shared: Tensor,
        states: Float32[Tensor, "R B T1 N H"],
    ) -> Float32[Tensor, "R B T"]:
        """[beta1 log q(o' | ., id) - log p(o' | .)] + beta2 KL(softmax(beta1 Q_i) || mean policy),
        mean over agents.
        """
        s, now = self.settings, slice(0, -1)
        log_pi = log_softmax(s.beta1 * q[:, :, now])
        if s.mean_policy == "agents":
            mean = log_softmax(q[:, :, now]).exp().mean(3, keepdim=True)
        else:
            heads = shared[:, :, now, :, None] + self.nets.agent.by_all_heads(states[:, :, now])
            mean = log_softmax(heads).exp().mean(4)
        divergence = (log_pi.exp() * (log_pi - mean.clamp(min=1e-12).log())).sum(-1)
        earlier = functional.pad(states[:, :, :-2], (0, 0, 0, 0, 1, 0))
        known = torch.cat((earlier, batch["obs"][:, :, now]), -1).flatten(1, 2)
        actions, later = batch["actions"].flatten(1, 2), batch["obs"][:, :, 1:].flatten(1, 2)
        anyone, someone = (
            predictor.errors(known, actions, later) for predictor in self.predictors_target
        )
        told = (anyone - s.beta1 * someone).unflatten(1, batch["actions"].shape[1:3])
        return (told + s.beta2 * divergence).mean(-1)

    def _prediction(
        self, batch: dict[str, Tensor], states: Tensor, chosen: tuple[Tensor, ...]
    ) -> Float32[Tensor, "R"]:
        """Mean squared error of both predictors on K transitions of each run."""
        r, b, t = chosen
        earlier = torch.where((t > 0)[..., None, None], states[r, b, (t - 1).clamp(min=0)], 0.0)
        known = torch.cat((earlier, batch["obs"][r, b, t]), -1)
        alive, later = batch["alive"][r, b, t], batch["obs"][r, b, t + 1]
        both = sum(
            predictor.errors(known, batch["actions"][r, b, t], later)
            for predictor in self.predictors
        )
        return (both * alive).sum((1, 2)) / alive.sum((1, 2)).clamp(min=1) / later.shape[-1]

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        return self.nets.q(obs.to(self.where), actions[:, :, :-1].to(self.where)).softmax(-1)

    def sharing(self) -> dict[str, Assignment]:
        return {"agent": self.nets.assignment, "own": assignment.none(*self.nets.assignment.shape)}


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> CDS:
    return CDS(spec, settings, seeds, where)
