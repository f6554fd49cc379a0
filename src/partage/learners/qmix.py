"""QMIX on whole episodes: full sharing and none (QMIX-NS) are settings of one program.

**Paper.** BDPS §3.3 eq. 9 and App. F–G: everything that is not BDPS's own stays as in QMIX; 0.05 is
the last epsilon.

**Reference code.** PyMARL's numbers: DRQN of 64 units on (observation, last action, agent id),
mixer 32 with hypernetworks of 64, RMSprop (5e-4, 0.99, 1e-5), 32 whole episodes of the last 5000,
one gradient step per collected episode once there are 32, target networks copied every 200
episodes, double Q, gradient norm 10. QMIX-NS gives each agent its own network and, having no need
of it, no id (EPyMARL).

**Departures.** A transition that is `truncated` bootstraps; which ends of a task are, its entry in
tasks.toml says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.kernels.acting import Bank, Body
from partage.kernels.policies import ByLayeredValues, ByValues
from partage.learners import _off_policy
from partage.learners._off_policy import (
    MixedNetworks,
    OffPolicyLearner,
    SettingsT,
    previous_actions,
)
from partage.nn.mixer import Mixer
from partage.nn.networks import RecurrentQ, SelectedQ, Watch, fixed_sharing
from partage.nn.real import real_instants, real_values
from partage.nn.state import hold, used
from partage.rl.exploration import Exploration, ExplorationNoise, choose, in_place
from partage.rl.noise import generators
from partage.rl.rollout import Choice
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, TimeStep, stream

PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """QMIX has the settings that all learners on it have, and no others."""


class Networks(MixedNetworks):
    """The agents' networks and the mixer.

    A learner that moves the sharing sets `assignment`; the target networks follow when they are
    copied to.
    """

    assignment: Assignment

    def __init__(
        self,
        spec: Spec,
        settings: _off_policy.Settings,
        seeds: Sequence[int],
        behind: int = 1,  # layers behind the memory
    ) -> None:
        super().__init__()
        share = fixed_sharing(settings.sharing, len(seeds), spec.n_agents)
        g = generators([stream(seed, "networks") for seed in seeds])
        hold(self, assignment=share.assignment)
        sizes = spec.obs_dim, spec.n_actions, settings.hidden, behind
        self.agent = RecurrentQ(g, share, *sizes)
        self.mixer = Mixer(g, spec.n_agents, spec.state_dim, settings.mixer, settings.hyper)

    def q(
        self,
        obs: Tensor,
        actions: Int64[Tensor, "R B T N"],
        filled: Bool[Tensor, "R B T"] | None = None,
        watch: Watch | None = None,  # sees what the agents' encoders give
    ) -> Float32[Tensor, "R B T1 N A"]:
        """Return action values at every instant of whole episodes with these actions.

        Those behind the ends of episodes, of which `filled` (None: nothing) tells, may be zeros.
        """
        agent = self.agent.select(used(self, "assignment"))
        agent = agent._replace(body=agent.body._replace(watch=watch))
        return along_episodes(agent, self.agent.initial_for(obs), obs, actions, filled)


def along_episodes(
    agent: SelectedQ,
    h: Float32[Tensor, "R B N H"],  # hidden state that episodes begin with
    obs: Float32[Tensor, "R B T1 N O"],
    actions: Int64[Tensor, "R B T N"],
    filled: Bool[Tensor, "R B T"] | None,
) -> Float32[Tensor, "R B T1 N A"]:
    """Return what an agent's networks say at every instant, as `Networks.q` does."""
    last_action = previous_actions(actions)
    if obs.device.type != "cpu" or filled is None or filled.all():  # a card is not asked
        return agent(obs, last_action, h)[0]
    return real_values(agent, obs, last_action, h, real_instants(filled))


@runtime_checkable
class SelectedAgent(Protocol):
    """The networks that each agent goes through, until the next update."""

    def __call__(self, obs: Tensor, last_action: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return action values ``[R, B, T, N, A]``, and the last hidden state ``[R, B, N, H]``."""
        ...


@runtime_checkable
class RecurrentAgent(Protocol):
    """Recurrent networks of action values, of which each agent goes through its own."""

    def initial(self, copies: int, n_agents: int) -> Tensor:
        """Return the hidden state that an episode begins with ``[R, B, N, H]``."""
        ...

    def select(self, index: Assignment) -> SelectedAgent:
        """Return the networks that each agent goes through."""
        ...

    def in_place(self, index: Assignment) -> tuple[Body, tuple[Bank, ...]]:
        """Return body and heads for compiled acting: views of the parameters."""
        ...


@runtime_checkable
class ValueNetworks(Protocol):
    """What `EpsilonGreedy` acts by."""

    if TYPE_CHECKING:  # from Python 3.12 on a check at run time would not find a module's parts
        assignment: Assignment

        @property
        def agent(self) -> RecurrentAgent:
            """The agents' networks."""
            ...

    def q(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Return action values at every instant of whole episodes with these actions."""
        ...


class Memory(NamedTuple):
    """What `EpsilonGreedy` remembers within an episode."""

    agent: SelectedAgent  # the networks as they are when the episode begins
    h: Float32[Tensor, "R B N H"]  # hidden state of the agents' networks
    last_action: Int64[Tensor, "R B N"]  # -1: none yet
    noise: ExplorationNoise | None  # None: greedy
    t: int  # step of the episode


class EpsilonGreedy:
    """Acts by the agents' own values, those of ``nets.agent``."""

    captured = True  # on a card: acting asks it for nothing

    def __init__(
        self,
        nets: ValueNetworks,
        spec: Spec,
        exploration: Exploration,
        device: torch.device,
        in_layers: bool = False,  # what lies behind the memory: layers in turn, or heads to add up
    ) -> None:
        self.nets, self.spec, self.exploration, self.device = nets, spec, exploration, device
        self.acting = ByLayeredValues if in_layers else ByValues

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        """Return the memory of episodes that begin, with their exploration noise."""
        n, actions, horizon = self.spec.n_agents, self.spec.n_actions, self.spec.horizon
        agent = self.nets.agent.select(used(self.nets, "assignment"))
        h = self.nets.agent.initial(copies, n)
        last_action = torch.full(h.shape[:3], -1, device=h.device)
        noise = self.exploration.episode_noise(horizon, copies, n, actions) if explore else None
        return Memory(agent, h, last_action, noise, 0)

    def in_place(self, copies: int, time: int, explore: bool) -> ByValues | ByLayeredValues | None:
        """Return what acts in episodes that begin, with their noise."""
        if self.device.type != "cpu":
            return None
        nets, spec = self.nets, self.spec
        body, heads = nets.agent.in_place(nets.assignment)
        h = nets.agent.initial(copies, spec.n_agents).flatten(0, 2)
        noise = None
        if explore:
            noise = self.exploration.episode_noise(time, copies, spec.n_agents, spec.n_actions)
        last = np.full(len(h), -1)
        return self.acting(body, heads, in_place(noise), h.numpy(), last)

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Choose everyone's action: the one of the largest value, or a random one."""
        obs, last_action = step.obs[:, :, None].to(self.device), memory.last_action[:, :, None]
        q, h = memory.agent(obs, last_action, memory.h)
        actions = choose(q[:, :, 0], step.avail_actions, memory.noise, memory.t)
        last_action = actions.to(self.device)
        return Choice(actions), memory._replace(h=h, last_action=last_action, t=memory.t + 1)


class OnQMIX(OffPolicyLearner[Networks, SettingsT]):
    """A learner with QMIX's networks, and its step, whatever sets agents go through."""

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take one step down the loss of eq. 9."""
        return self.descend(batch, active)

    def descend(
        self, batch: dict[str, Tensor], active: Bool[Tensor, "R"], watch: Watch | None = None
    ) -> dict[str, Tensor]:
        """Take QMIX's own step; `watch` sees it (`Networks.q`)."""
        episodes = batch["obs"], batch["actions"], batch["filled"]
        q = self.nets.q(*episodes, watch)
        with torch.no_grad():
            q_target = self.target.q(*episodes)
        loss, measures = self.td_loss(q, q_target, batch)  # eq. 9
        return measures | {"gradient_norm": self.optimiser.step(loss, active)}

    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of each agent's action values along whole episodes."""
        return probabilities(self.nets, obs.to(self.device), actions.to(self.device))


class QMIX(OnQMIX[Settings]):
    """Agents' values joined by a mixer that is monotonic in each of them."""

    captured = True

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        super().__init__(spec, settings, seeds, device, Networks(spec, settings, seeds))
        self.policy = EpsilonGreedy(self.nets, spec, self.exploration, device)

    def sharing(self) -> dict[str, Assignment]:
        """Return who goes through which set."""
        return {"agent": self.nets.assignment}


@torch.no_grad()
def probabilities(
    nets: ValueNetworks, obs: Float32[Tensor, "R B T N O"], actions: Int64[Tensor, "R B T N"]
) -> Float32[Tensor, "R B T N A"]:
    """Return the softmax of action values along whole episodes in which each agent did these."""
    return nets.q(obs, actions[:, :, :-1]).softmax(-1)


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> QMIX:
    """Return QMIX for this task, one run per seed."""
    return QMIX(spec, settings, seeds, device)
