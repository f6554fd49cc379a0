"""EOI on QMIX: an agent sometimes does what would make it recognisable.

**Paper.** Jiang & Lu 2021, "The emergence of individuality": a classifier learns to tell agents by
their observations, and how surely it tells an agent is that agent's intrinsic reward.

**Reference code.** The improved version for SMAC: QMIX unchanged, a classifier p(id | o) of 64 and
64 units and as large a network for the value of the intrinsic reward on (o, id), Adam 1e-4. Every
batch is gone through in order, 256 agents' rows a step: (n - 1) // 256 of n rows, 17 to 25 steps an
episode. In a share of the exploring episodes one random agent takes, at some of the steps, the
action of the largest such value. QMIX's target has no intrinsic reward.

**Departures.** The target of the value network moves towards it by 0.005 (the reference multiplies
both terms by 0.995). Classifier and value step together: the reward is told by the classifier of
the step before (1e-4 a weight). Losses are sums over ids and of the action taken, not means over
all: N and A times as large, which Adam does not see but for its 1e-8. The last step of an episode
up to the limit counts (the reference leaves it out: one of `horizon`). `individual_training =
"drawn"` is what this suite first had: two steps on 256 joint transitions of living agents.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional

from partage.errors import at_least
from partage.kernels.policies import ByTurns, ByValues
from partage.learners import _off_policy, qmix
from partage.learners._eoi import Individual
from partage.learners._passes import Minibatch, descend, in_turn
from partage.nn.adam import adam_of_runs
from partage.nn.optimiser import Optimiser
from partage.nn.pointwise import greedy, log_softmax
from partage.rl.noise import generators, uniform
from partage.rl.replay import sample_transitions
from partage.rl.rollout import Choice
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, TimeStep, stream


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of EOI."""

    units: int = 64  # of the classifier and the intrinsic value network   (EOI)
    individual_lr: float = 1e-4  # Adam of both   (EOI)
    surely: float = 10.0  # intrinsic reward of an agent told for certain   (EOI)
    individual_gamma: float = 0.92  # discount of the intrinsic reward   (EOI)
    entropy: float = 0.1  # weight of the classifier's entropy   (EOI)
    soft: float = 0.005  # how far the target moves at each step   (EOI, its error mended)
    # a pass through all agents' rows (EOI), or `chunks` minibatches of joint ones drawn [E2]
    individual_training: Literal["pass", "drawn"] = "pass"
    chunk: int = 256  # rows of a minibatch   (EOI)
    chunks: int = 2  # minibatches an update, where they are drawn
    episode_share: float = (
        0.4  # of exploring episodes in which individuality is tried   (EOI: episode_ratio)
    )
    step_share: float = 0.05  # of their steps   (EOI: explore_ratio)


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
        return Memory(memory, self._turns(copies, self.base.spec.horizon))

    def _turns(self, copies: int, time: int) -> Int64[Tensor, "R T B"]:
        """Draw which agent acts for its individuality at each of so many steps; N: nobody."""
        s, n_agents = self.settings, self.base.spec.n_agents
        noise = uniform(self.generators, 2 * time + 1, copies)
        of_episode, of_steps, of_agents = noise.split([1, time, time], 1)
        tried = (of_episode < s.episode_share) & (of_steps < s.step_share)
        return torch.where(tried, (of_agents * n_agents).long(), n_agents)

    def in_place(self, copies: int, time: int, explore: bool) -> ByTurns | None:
        """Return what acts in episodes that begin, with their noise."""
        base = self.base.in_place(copies, time, explore)
        if base is None:
            return None
        assert isinstance(base, ByValues)  # one layer behind the memory
        who = self._turns(copies if explore else 0, time if explore else 0)
        layers = self.individual.value.in_place(self.individual.everyone)
        return ByTurns(base, layers, who.numpy())

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


class EOI(qmix.OnQMIX[Settings]):
    """QMIX whose agents sometimes do what would make them recognisable."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _check(settings)
        super().__init__(spec, settings, seeds, device, qmix.Networks(spec, settings, seeds))
        self.individual = Individual(spec, settings.units, seeds).to(device)
        self.individual_target = deepcopy(self.individual.value).requires_grad_(False)
        if settings.individual_training == "drawn":
            adam = partial(torch.optim.Adam, lr=settings.individual_lr, fused=True)
        else:
            adam = adam_of_runs(self.individual, settings.individual_lr)
        self.individual_optimiser = Optimiser(self.individual, adam, float("inf"))
        epsilon_greedy = qmix.EpsilonGreedy(self.nets, spec, self.exploration, device)
        self.policy = Actor(epsilon_greedy, self.individual, settings, seeds)
        self.transition_noise = generators([stream(seed, "transitions") for seed in seeds])
        self.generators += [*self.policy.generators, *self.transition_noise]

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take QMIX's step, then one of classifier and intrinsic value on each minibatch."""
        measures = super().update(batch, active)
        if self.settings.individual_training == "drawn":
            losses = self._learn_from_drawn(batch, active)
        else:
            losses = self._learn_from_rows(batch, active)
        measures["classifier_loss"], measures["individual_loss"] = losses
        return measures

    def _learn_from_rows(
        self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]
    ) -> Sequence[Float32[Tensor, "R"]]:
        """Go through the agents' rows of the batch in turn; return the mean losses."""

        def step(rows: Minibatch, stepping: Bool[Tensor, "R"]) -> tuple[Tensor, Tensor]:
            losses = self._losses_of_rows(batch, rows)
            self.individual_optimiser.step(losses[0] + losses[1], stepping)
            self._move_target(stepping)
            return losses

        agents, size = self.spec.n_agents, self.settings.chunk
        return descend(in_turn(batch["filled"], agents, size), active, step)

    def _learn_from_drawn(
        self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]
    ) -> Sequence[Float32[Tensor, "R"]]:
        """Take a step on each minibatch drawn; return the last one's losses."""
        s = self.settings
        classifier_loss = value_loss = torch.zeros(len(active))
        noise = uniform(self.transition_noise, s.chunks, s.chunk).to(self.device)
        for minibatch_noise in noise.unbind(1):
            minibatch = sample_transitions(batch["filled"], minibatch_noise)
            classifier_loss, value_loss = self._losses(batch, minibatch)
            self.individual_optimiser.step(classifier_loss + value_loss, active)
            self._move_target(active)
        return classifier_loss.detach(), value_loss.detach()

    @torch.no_grad()
    def _move_target(self, stepping: Bool[Tensor, "R"]) -> None:
        """Move the target of the intrinsic value's network towards it, in runs that step."""
        online, soft = self.individual.value.parameters(), self.settings.soft
        for target, parameter in zip(self.individual_target.parameters(), online, strict=True):
            target[stepping] = target.lerp(parameter, soft)[stepping]

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

    def _losses_of_rows(
        self, batch: dict[str, Tensor], rows: Minibatch
    ) -> tuple[Float32[Tensor, "R"], Float32[Tensor, "R"]]:
        """Return the losses of the classifier and of the value on rows of agents."""
        s, net, who = self.settings, self.individual, rows.agent
        obs, later = rows.of_agents(batch["obs"]), rows.of_agents(batch["obs"], later=1)
        log_p = log_softmax(net.apply_to_rows(net.classifier, later, who))
        own_log_p = log_p.gather(-1, who[..., None]).squeeze(-1)
        classifier = -own_log_p - s.entropy * (log_p.exp() * log_p).sum(-1)
        with torch.no_grad():
            own = log_softmax(net.apply_to_rows(net.classifier, obs, who))
            own_p = own.gather(-1, who[..., None]).squeeze(-1).exp()
            best = net.apply_to_rows(self.individual_target, later, who).amax(-1)
            future = best * ~batch["terminated"][rows.run, rows.copy, rows.time]
            target = s.surely * own_p + s.individual_gamma * future
        actions = rows.of_agents(batch["actions"])[..., None]
        value = net.apply_to_rows(net.value, obs, who).gather(-1, actions).squeeze(-1)
        return rows.mean(classifier), rows.mean((value - target).square())

    def sharing(self) -> dict[str, Assignment]:
        """Return who goes through which set; it never moves."""
        return {"agent": self.nets.assignment}


def _check(s: Settings) -> None:
    """Raise `UserError` for a count below one."""
    for name in ("chunk", "chunks"):
        at_least(f"{name} of EOI", getattr(s, name), 1)


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> EOI:
    """Return EOI for this task, one run per seed."""
    return EOI(spec, settings, seeds, device)
