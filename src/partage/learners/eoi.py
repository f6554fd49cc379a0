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
from torch import Tensor, nn
from torch.nn import functional

from partage.errors import UserError
from partage.learners import _off_policy, qmix
from partage.learners._off_policy import OffPolicyLearner
from partage.nn.networks import MLP
from partage.nn.optimiser import Optimiser
from partage.nn.pointwise import greedy, log_softmax
from partage.rl.noise import generators, uniform
from partage.rl.replay import sample_transitions
from partage.rl.rollout import Choice
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, TimeStep, stream

# what makes it quick on the small tasks of its tests
QUICK = {"chunk": 32, "chunks": 1}


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of EOI."""

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
    """The classifier, and the value of being told apart, on K transitions of each run."""

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        n, units = spec.n_agents, settings.units
        g = generators([stream(seed, "individual") for seed in seeds])
        self.everyone = assignment.full(len(seeds), n)
        self.classifier = MLP(g, 1, [spec.obs_dim, units, units, n])
        self.value = MLP(g, 1, [spec.obs_dim, units, units, spec.n_actions], agent_id=n)

    def identity(self, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N N"]:
        """Return log p(id | o) of every id."""
        return log_softmax(self.apply_to(self.classifier, obs))

    def values(self, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N A"]:
        """Return the intrinsic value of every action."""
        return self.apply_to(self.value, obs)

    def apply_to(self, network: MLP, obs: Float32[Tensor, "R K N O"]) -> Float32[Tensor, "R K N _"]:
        """Return the network's outputs for each agent's observation; rows have agents in turn."""
        rows = network(obs.flatten(1, 2)[:, None, None], self.everyone)
        return rows[:, 0, 0].unflatten(1, obs.shape[1:3])


class Memory(NamedTuple):
    """What `Actor` remembers within an episode."""

    base: qmix.Memory
    # the agent that acts for its individuality at each step; N: nobody. None: never
    who: Int64[Tensor, "R T B"] | None


class Actor:
    """Epsilon-greedy as QMIX; now and then one agent acts for its individuality instead."""

    def __init__(
        self,
        base: qmix.EpsilonGreedy,
        individual: Individual,
        settings: Settings,
        seeds: Sequence[int],
    ) -> None:
        self.base, self.individual, self.settings = base, individual, settings
        self.generators = generators([stream(seed, "individuality") for seed in seeds])

    def initial(self, copies: int, explore: bool) -> Memory:
        """Return the memory of episodes that begin, with who acts for its individuality when."""
        memory = self.base.initial(copies, explore)
        if not explore:
            return Memory(memory, None)
        s, spec = self.settings, self.base.spec
        noise = uniform(self.generators, 2 * spec.horizon + 1, copies)
        of_episode, of_steps, of_agents = noise.split([1, spec.horizon, spec.horizon], 1)
        tried = (of_episode < s.episode_share) & (of_steps < s.step_share)
        who = (of_agents * spec.n_agents).long()
        return Memory(memory, torch.where(tried, who, spec.n_agents))

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Choose everyone's action as QMIX, or by the intrinsic value where an agent's turn is."""
        choice, base = self.base(step, memory.base, explore)
        if memory.who is None:
            return choice, Memory(base, None)
        agents = torch.arange(self.base.spec.n_agents)
        its_turn = memory.who[:, memory.base.t, :, None] == agents  # [R, B, N]
        if its_turn.any():
            values = self.individual.values(step.obs.to(self.base.device)).cpu()
            best = greedy(values, step.avail_actions)
            actions = torch.where(its_turn, best, choice.actions)
            choice = choice._replace(actions=actions)
            base = base._replace(last_action=actions.to(self.base.device))
        return choice, Memory(base, memory.who)


class EOI(OffPolicyLearner[qmix.Networks, Settings]):
    """QMIX whose agents sometimes do what would make them recognisable."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _check(settings)
        super().__init__(spec, settings, seeds, device, qmix.Networks(spec, settings, seeds))
        self.individual = Individual(spec, settings, seeds).to(device)
        self.individual_target = deepcopy(self.individual.value).requires_grad_(False)
        adam = partial(torch.optim.Adam, lr=settings.individual_lr, fused=True)
        self.individual_optimiser = Optimiser(self.individual, adam, float("inf"))
        epsilon_greedy = qmix.EpsilonGreedy(self.nets, spec, self.exploration, device)
        self.policy = Actor(epsilon_greedy, self.individual, settings, seeds)
        self.transition_noise = generators([stream(seed, "transitions") for seed in seeds])
        self.generators += [*self.policy.generators, *self.transition_noise]

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take QMIX's step, then one of classifier and intrinsic value on each minibatch."""
        s, measures = self.settings, qmix.update(self, batch, active)
        classifier_loss = value_loss = torch.zeros(len(active))
        noise = uniform(self.transition_noise, s.chunks, s.chunk).to(self.device)
        for minibatch_noise in noise.unbind(1):
            minibatch = sample_transitions(batch["filled"], minibatch_noise)
            classifier_loss, value_loss = self._losses(batch, minibatch)
            self.individual_optimiser.step(classifier_loss + value_loss, active)
            self._move_target(active)
        measures["classifier_loss"] = classifier_loss.detach()
        measures["individual_loss"] = value_loss.detach()
        return measures

    @torch.no_grad()
    def _move_target(self, active: Bool[Tensor, "R"]) -> None:
        """Move the target of the intrinsic value's network towards it, in active runs."""
        online = self.individual.value.parameters()
        for target, parameter in zip(self.individual_target.parameters(), online, strict=True):
            target[active] = target.lerp(parameter, self.settings.soft)[active]

    def _losses(
        self, batch: dict[str, Tensor], minibatch: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Float32[Tensor, "R"], Float32[Tensor, "R"]]:
        """Return the losses of the classifier and of the value on K transitions of each run."""
        s, (r, b, t) = self.settings, minibatch
        obs, later, alive = (
            batch["obs"][r, b, t],
            batch["obs"][r, b, t + 1],
            batch["alive"][r, b, t],
        )
        log_p = self.individual.identity(later)
        own_log_p = log_p.diagonal(dim1=2, dim2=3)
        classifier = -own_log_p - s.entropy * (log_p.exp() * log_p).sum(-1)
        with torch.no_grad():
            own_p = self.individual.identity(obs).diagonal(dim1=2, dim2=3).exp()
            best = self.individual.apply_to(self.individual_target, later).amax(-1)
            future = best * ~batch["terminated"][r, b, t][..., None]
            target = s.surely * own_p + s.individual_gamma * future
        actions = batch["actions"][r, b, t][..., None]
        value = self.individual.values(obs).gather(-1, actions).squeeze(-1)
        error = functional.mse_loss(value, target, reduction="none")
        count = alive.sum((1, 2)).clamp(min=1)
        return (classifier * alive).sum((1, 2)) / count, (error * alive).sum((1, 2)) / count

    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of each agent's action values along whole episodes."""
        return qmix.probabilities(self.nets, obs.to(self.device), actions.to(self.device))

    def sharing(self) -> dict[str, Assignment]:
        """Return who goes through which set; it never moves."""
        return {"agent": self.nets.assignment}


def _check(s: Settings) -> None:
    """Raise `UserError` for a count below one."""
    if min(s.chunk, s.chunks) < 1:
        raise UserError(
            f"EOI counts chunk and chunks from 1 on, but they are {s.chunk}, {s.chunks}."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> EOI:
    """Return EOI for this task, one run per seed."""
    return EOI(spec, settings, seeds, device)
