"""EOI on QMIX: an agent sometimes does what would make it recognisable.

**Paper.** Jiang & Lu 2021, "The emergence of individuality": a classifier learns to tell agents by
their observations, and how surely it tells an agent is that agent's intrinsic reward.

**Reference code.** The improved version for SMAC: QMIX unchanged, a classifier p(id | o) of 64 and
64 units and as large a network for the value of the intrinsic reward on (o, id), Adam 1e-4. In a
share of the exploring episodes one random agent takes, at some of the steps, the action of the
largest such value. QMIX's target has no intrinsic reward.

**Departures.** The target of the value network moves towards it by 0.005 (the reference multiplies
both terms by 0.995). Each update takes `chunks` minibatches of transitions, drawn with replacement,
where the reference goes through the whole batch: packs of runs must take equally many steps.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, device, nn
from torch.nn import functional

from partage.errors import UserError
from partage.learners import qmix
from partage.learners._off_policy import OffPolicyLearner
from partage.nn.networks import MLP
from partage.nn.optimiser import Optimiser
from partage.nn.pointwise import log_softmax
from partage.rl.noise import generators, uniform
from partage.rl.replay import sample_transitions
from partage.rl.rollout import Choice
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, TimeStep, stream


@dataclass(frozen=True)
class Settings(qmix.Settings):
    units: int = 64  # of the classifier and the intrinsic value network   (EOI)
    individual_lr: float = 1e-4  # Adam of both   (EOI)
    surely: float = 10.0  # intrinsic reward of an agent told for certain   (EOI)
    individual_gamma: float = 0.92  # discount of the intrinsic reward   (EOI)
    entropy: float = 0.1  # weight of the classifier's entropy   (EOI)
    soft: float = 0.005  # how far the target moves at each step   (EOI, its error mended)
    chunk: int = 256  # transitions of a minibatch   (EOI)
    chunks: int = 2  # minibatches an update
    episode_share: float = (
        0.4  # of exploring episodes in which individuality is tried   (EOI: episode_ratio)
    )
    step_share: float = 0.05  # of their steps   (EOI: explore_ratio)


class Individual(nn.Module):
    """The classifier, and the value of being told apart. Rows are transitions x agents, agents in
    turn.
    """

    def __init__(self, spec: Spec, s: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        n, g = spec.n_agents, generators([stream(seed, "individual") for seed in seeds])
        self.everyone = assignment.full(len(seeds), n)
        self.classifier = MLP(g, 1, [spec.obs_dim, s.units, s.units, n])
        self.value = MLP(g, 1, [spec.obs_dim, s.units, s.units, spec.n_actions], agent_id=n)

    def identity(self, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N N"]:
        """log p(id | o)."""
        rows = self.classifier(obs.flatten(1, 2)[:, None, None], self.everyone)
        return log_softmax(rows[:, 0, 0]).unflatten(1, obs.shape[1:3])

    def values(self, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N A"]:
        rows = self.value(obs.flatten(1, 2)[:, None, None], self.everyone)
        return rows[:, 0, 0].unflatten(1, obs.shape[1:3])


class Memory(NamedTuple):
    base: qmix.Memory
    who: (
        Int64[Tensor, "R T B"] | None
    )  # the agent that acts for its individuality; N: nobody. None: never


class Actor:
    """Epsilon-greedy as QMIX; now and then one agent acts for its individuality instead."""

    def __init__(
        self,
        base: qmix.EpsilonGreedy,
        individual: Individual,
        settings: Settings,
        seeds: Sequence[int],
    ):
        self.base, self.individual, self.settings = base, individual, settings
        self.generators = generators([stream(seed, "individuality") for seed in seeds])

    def initial(self, copies: int, explore: bool) -> Memory:
        memory = self.base.initial(copies, explore)
        if not explore:
            return Memory(memory, None)
        s, spec = self.settings, self.base.spec
        noise = uniform(self.generators, 2 * spec.horizon + 1, copies)
        tried = (noise[:, :1] < s.episode_share) & (noise[:, 1 : spec.horizon + 1] < s.step_share)
        who = (noise[:, spec.horizon + 1 :] * spec.n_agents).long()
        return Memory(memory, torch.where(tried, who, spec.n_agents))

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        choice, base = self.base(step, memory.base, explore)
        if memory.who is None:
            return choice, Memory(base, None)
        where, who = (
            self.base.where,
            memory.who[:, base.t - 1, :, None] == torch.arange(self.base.spec.n_agents),
        )
        if who.any():
            values = (
                self.individual.values(step.obs.to(where))
                .cpu()
                .masked_fill(~step.avail_actions, -torch.inf)
            )
            actions = torch.where(who, values.argmax(-1), choice.actions)
            choice, base = (
                choice._replace(actions=actions),
                base._replace(last_action=actions.to(where)),
            )
        return choice, Memory(base, memory.who)


class EOI(OffPolicyLearner):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        if min(settings.chunk, settings.chunks) < 1:
            raise UserError(
                f"EOI counts chunk and chunks from 1 on, but they are {settings.chunk}, {settings.chunks}."
            )
        self.settings: Settings
        super().__init__(spec, settings, seeds, where, qmix.Networks(spec, settings, seeds))
        self.individual = Individual(spec, settings, seeds).to(where)
        self.individual_target = deepcopy(self.individual.value).requires_grad_(False)
        adam = partial(torch.optim.Adam, lr=settings.individual_lr, fused=True)
        self.individual_optimiser = Optimiser(self.individual, adam, float("inf"))
        acting = qmix.EpsilonGreedy(self.nets, spec, self.exploration, where)
        self.policy = Actor(acting, self.individual, settings, seeds)
        self.drawing = generators([stream(seed, "transitions") for seed in seeds])
        self.generators += [*self.policy.generators, *self.drawing]

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        measures = qmix.update(self, batch, active)
        classifier_loss = value_loss = torch.zeros(len(active))
        for chunk in (
            uniform(self.drawing, self.settings.chunks, self.settings.chunk)
            .to(self.where)
            .unbind(1)
        ):
            classifier_loss, value_loss = self._losses(
                batch, sample_transitions(batch["filled"], chunk)
            )
            self.individual_optimiser.step((classifier_loss + value_loss) * active)
            with torch.no_grad():
                for slow, fast in zip(
                    self.individual_target.parameters(),
                    self.individual.value.parameters(),
                    strict=True,
                ):
                    slow.lerp_(fast, self.settings.soft)
        return measures | {
            "classifier_loss": classifier_loss.detach(),
            "individual_loss": value_loss.detach(),
        }

    def _losses(
        self, batch: dict[str, Tensor], chosen: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Of the classifier and of the intrinsic value, on K transitions of each run."""
        s, (r, b, t) = self.settings, chosen
        obs, later, alive = (
            batch["obs"][r, b, t],
            batch["obs"][r, b, t + 1],
            batch["alive"][r, b, t],
        )
        log_p = self.individual.identity(later)
        mine = log_p.diagonal(dim1=2, dim2=3)
        classifier = -mine - s.entropy * (log_p.exp() * log_p).sum(-1)
        with torch.no_grad():
            reward = s.surely * self.individual.identity(obs).diagonal(dim1=2, dim2=3).exp()
            rows = self.individual_target(
                later.flatten(1, 2)[:, None, None], self.individual.everyone
            )[:, 0, 0]
            future = (
                rows.amax(-1).unflatten(1, later.shape[1:3])
                * ~batch["terminated"][r, b, t][..., None]
            )
            target = reward + s.individual_gamma * future
        value = (
            self.individual.values(obs).gather(-1, batch["actions"][r, b, t][..., None]).squeeze(-1)
        )
        error = functional.mse_loss(value, target, reduction="none")
        count = alive.sum((1, 2)).clamp(min=1)
        return (classifier * alive).sum((1, 2)) / count, (error * alive).sum((1, 2)) / count

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        return self.nets.q(obs.to(self.where), actions[:, :, :-1].to(self.where)).softmax(-1)

    def sharing(self) -> dict[str, Assignment]:
        return {"agent": self.nets.assignment}


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> EOI:
    return EOI(spec, settings, seeds, where)
