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
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, device, nn

from partage.learners._off_policy import OffPolicyLearner, before
from partage.nn.mixer import Mixer
from partage.nn.networks import RecurrentQ, Sharing, fixed_sharing
from partage.rl.exploration import Exploration, ExplorationNoise, choose
from partage.rl.noise import generators
from partage.rl.rollout import Choice
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, TimeStep, stream


@dataclass(frozen=True)
class Settings:
    sharing: Sharing = (
        "id"  # id: one network with a one-hot id in its input; full: without; none: QMIX-NS
    )
    copies: int = 1  # episodes collected an update   (PyMARL's episode runner)
    hidden: int = 64  # units of the agent network   (PyMARL)
    mixer: int = 32  # units of the mixer   (PyMARL)
    hyper: int = 64  # units of its hypernetworks   (PyMARL)
    lr: float = 5e-4  # RMSprop   (PyMARL)
    alpha: float = 0.99  # RMSprop's smoothing   (PyMARL)
    rms_eps: float = 1e-5  # PyMARL
    gamma: float = 0.99  # discount   (PyMARL)
    clip: float = 10.0  # global gradient norm of a run   (PyMARL)
    batch: int = 32  # episodes an update   (PyMARL)
    buffer: int = 5000  # episodes kept   (PyMARL)
    target_every: int = 200  # episodes between copies to the target networks   (PyMARL)
    epsilon_start: float = 1.0  # BDPS App. G
    epsilon_end: float = 0.05  # BDPS App. G
    epsilon_anneal: int = (
        50_000  # environment steps; tasks.toml has the papers' value for each task
    )
    double_q: bool = True  # the online network chooses, the target network values   (PyMARL)


class Networks(nn.Module):
    """The agents' networks and the mixer: what is trained, and what a target network copies."""

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        share = fixed_sharing(settings.sharing, len(seeds), spec.n_agents)
        g = generators([stream(seed, "networks") for seed in seeds])
        self.assignment = share.assignment
        self.agent = RecurrentQ(g, share, spec.obs_dim, spec.n_actions, settings.hidden)
        self.mixer = Mixer(g, spec.n_agents, spec.state_dim, settings.mixer, settings.hyper)

    def q(self, obs: Tensor, actions: Int64[Tensor, "R B T N"]) -> Float32[Tensor, "R B T1 N A"]:
        """Action values at every instant of whole episodes in which these actions were taken."""
        return self.agent(obs, before(actions), self.agent.initial_for(obs), self.assignment)[0]


class Memory(NamedTuple):
    agent: Any  # the networks (`SelectedQ` or alike), as they are when the episode begins
    h: Float32[Tensor, "R B N H"]  # hidden state of the agents' networks
    last_action: Int64[Tensor, "R B N"]  # -1: none yet
    dice: ExplorationNoise | None  # None: greedy
    t: int


class EpsilonGreedy:
    """Acts by the agents' own values, those of ``nets.agent``."""

    def __init__(self, nets: Any, spec: Spec, exploration: Exploration, where: device) -> None:
        self.nets, self.spec, self.exploration, self.where = nets, spec, exploration, where

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        n, actions, horizon = self.spec.n_agents, self.spec.n_actions, self.spec.horizon
        agent, h = self.nets.agent.select(self.nets.assignment), self.nets.agent.initial(copies, n)
        last_action = torch.full(h.shape[:3], -1, device=h.device)
        dice = self.exploration.episode_noise(horizon, copies, n, actions) if explore else None
        return Memory(agent, h, last_action, dice, 0)

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        agent, h, last_action, dice, t = memory
        q, h = agent(step.obs[:, :, None].to(self.where), last_action[:, :, None], h)
        actions = choose(q[:, :, 0], step.avail_actions, dice, t)
        return Choice(actions), Memory(agent, h, actions.to(self.where), dice, t + 1)


class QMIX(OffPolicyLearner):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        super().__init__(spec, settings, seeds, where, Networks(spec, settings, seeds))
        self.policy = EpsilonGreedy(self.nets, spec, self.exploration, where)

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        return update(self, batch, active)

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """The softmax of each agent's action values along whole episodes in which its column did
        these actions.
        """
        return self.nets.q(obs.to(self.where), actions[:, :, :-1].to(self.where)).softmax(-1)

    def sharing(self) -> dict[str, Assignment]:
        return {"agent": self.nets.assignment}


def update(
    learner: OffPolicyLearner, batch: dict[str, Tensor], active: Bool[Tensor, "R"]
) -> dict[str, Tensor]:
    """QMIX's own step, of any learner with its networks."""
    q = learner.nets.q(batch["obs"], batch["actions"])
    with torch.no_grad():
        q_target = learner.target.q(batch["obs"], batch["actions"])
    loss, measures = learner.td_loss(q, q_target, batch)
    return measures | {"gradient_norm": learner.optimiser.step(loss * active)}


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> QMIX:
    return QMIX(spec, settings, seeds, where)
