"""QMIX on whole episodes: full sharing and none (QMIX-NS) are settings of one program.

**Paper.** BDPS §3.3 eq. 9 and App. F–G: everything that is not BDPS's own stays as in QMIX; 0.05 is the last epsilon.

**Reference code.** PyMARL's numbers: DRQN of 64 units on (observation, last action, agent id), mixer 32 with
hypernetworks of 64, RMSprop (5e-4, 0.99, 1e-5), 32 whole episodes of the last 5000, one gradient step per collected
episode once there are 32, target networks copied every 200 episodes, double Q, gradient norm 10.
QMIX-NS gives each agent its own network and, having no need of it, no id (EPyMARL).

**Departures.** A transition that is `truncated` bootstraps; which ends of a task are, its entry in tasks.toml says.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, device, nn

from partage.assignment import Assignment
from partage.env import Spec, TimeStep, stream
from partage.nets import Mixer, PickedQ, RecurrentQ, Sharing, static
from partage.optimiser import Optimiser
from partage.replay import Replay
from partage.rollout import Choice, Rollout, generators, restore, team_reward, uniform
from partage.targets import linear_schedule, masked_mse, td_target, total


@dataclass(frozen=True)
class Settings:
    sharing: Sharing = "id"  # id: one network with a one-hot id in its input; full: without; none: QMIX-NS
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
    epsilon_anneal: int = 50_000  # environment steps; tasks.toml has the papers' value for each task
    double_q: bool = True  # the online network chooses, the target network values   (PyMARL)


class Networks(nn.Module):
    """The agents' networks and the mixer: what is trained, and what a target network copies."""

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        share = static(settings.sharing, len(seeds), spec.n_agents)
        g = generators([stream(seed, "networks") for seed in seeds])
        self.assignment = share.assignment
        self.agent = RecurrentQ(g, share, spec.obs_dim, spec.n_actions, settings.hidden)
        self.mixer = Mixer(g, spec.n_agents, spec.state_dim, settings.mixer, settings.hyper)

    def q(self, obs: Tensor, actions: Int64[Tensor, "R B T N"]) -> Float32[Tensor, "R B T1 N A"]:
        """Action values at every instant of whole episodes in which these actions were taken."""
        last_action = torch.cat((torch.full_like(actions[:, :, :1], -1), actions), 2)
        return self.agent(obs, last_action, self.agent.initial(*obs.shape[1:4:2]), self.assignment)[0]


class Memory(NamedTuple):
    agent: PickedQ  # the networks, as they are when the episode begins
    h: Float32[Tensor, "R B N H"]  # hidden state of the agents' networks
    last_action: Int64[Tensor, "R B N"]  # -1: none yet
    wander: Bool[Tensor, "R T B N"] | None  # where to act at random, for the whole episode; None: greedy
    whim: Float32[Tensor, "R T B N A"] | None  # then it takes the available action of the largest whim
    t: int


class EpsilonGreedy:
    """Epsilon falls with each run's own environment steps."""

    def __init__(self, nets: Networks, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        self.nets, self.spec, self.settings, self.where = nets, spec, settings, where
        self.generators = generators([stream(seed, "actions") for seed in seeds])
        self.steps = torch.zeros(len(seeds), dtype=torch.int64)  # environment steps seen so far, for epsilon

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        n, actions, horizon = self.spec.n_agents, self.spec.n_actions, self.spec.horizon
        agent, h = self.nets.agent.picked(self.nets.assignment), self.nets.agent.initial(copies, n)
        last_action = torch.full(h.shape[:3], -1, device=h.device)
        if not explore:
            return Memory(agent, h, last_action, None, None, 0)
        noise = uniform(self.generators, horizon, copies, n, actions + 1)
        wander = noise[..., 0] < self.epsilon()[:, None, None, None]
        return Memory(agent, h, last_action, wander, 1 + noise[..., 1:], 0)

    def epsilon(self) -> Float32[Tensor, "R"]:
        s = self.settings
        return linear_schedule(s.epsilon_start, s.epsilon_end, s.epsilon_anneal, self.steps)

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        agent, h, last_action, wander, whim, t = memory
        q, h = agent(step.obs[:, :, None].to(self.where), last_action[:, :, None], h)
        actions = q[:, :, 0].masked_fill(~step.avail_actions.to(self.where), -torch.inf).argmax(-1).cpu()
        if wander is not None and whim is not None:
            anything = (step.avail_actions * whim[:, t]).argmax(-1)
            actions = torch.where(wander[:, t], anything, actions)
        return Choice(actions), Memory(agent, h, actions.to(self.where), wander, whim, t + 1)


class QMIX:
    segment = None  # whole episodes

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        self.spec, self.settings, self.where, self.copies = spec, settings, where, settings.copies
        self.nets = Networks(spec, settings, seeds).to(where)
        self.target = deepcopy(self.nets).requires_grad_(False)
        self.policy = EpsilonGreedy(self.nets, spec, settings, seeds, where)
        rmsprop = partial(torch.optim.RMSprop, lr=settings.lr, alpha=settings.alpha, eps=settings.rms_eps)
        self.optimiser = Optimiser(self.nets, rmsprop, settings.clip)
        self.replay = Replay(len(seeds), settings.buffer)
        self.sampling = generators([stream(seed, "replay") for seed in seeds])
        self.episodes = 0  # collected by each run that still collects

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        active = rollout.filled.any(2).any(1)
        self.policy.steps += rollout.steps
        self.replay.add(rollout, {"team_reward": team_reward(rollout.reward, self.spec)})
        before, self.episodes = self.episodes, self.episodes + self.copies
        measures = {"epsilon": self.policy.epsilon()}
        if min(self.episodes, self.settings.buffer) >= self.settings.batch:  # a run that stopped early may have fewer
            batch = self.replay.sample(self.settings.batch, self.sampling)
            measures |= self.update({name: x.to(self.where) for name, x in batch.items()}, active)
        if self.episodes // self.settings.target_every > before // self.settings.target_every:
            self.target.load_state_dict(self.nets.state_dict())
        return measures

    def update(self, batch: dict[str, Tensor], active: Tensor) -> dict[str, Tensor]:
        """One gradient step of each active run on its own episodes."""
        actions, state, mask = batch["actions"], batch["state"], batch["filled"]
        q = self.nets.q(batch["obs"], actions)
        chosen = q[:, :, :-1].gather(-1, actions[..., None]).squeeze(-1)
        with torch.no_grad():
            q_target = self.target.q(batch["obs"], actions)[:, :, 1:]
            best = (q[:, :, 1:] if self.settings.double_q else q_target).masked_fill(
                ~batch["avail_actions"][:, :, 1:], -torch.inf
            )
            next_q = q_target.gather(-1, best.argmax(-1, keepdim=True)).squeeze(-1)
            next_total = self.target.mixer(next_q, state[:, :, 1:])
            target = td_target(batch["team_reward"], next_total, batch["terminated"], self.settings.gamma)
        mixed = self.nets.mixer(chosen, state[:, :, :-1])
        loss = masked_mse(mixed, target, mask)  # BDPS eq. 9, over real transitions
        norm = self.optimiser.step(loss * active.to(self.where))
        return {
            "td_loss": loss.detach(),
            "gradient_norm": norm,
            "q_target": total(target * mask) / mask.sum((1, 2)).clamp(min=1),
        }

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """The softmax of each agent's action values along whole episodes in which its column did these actions."""
        return self.nets.q(obs.to(self.where), actions[:, :, :-1].to(self.where)).softmax(-1)

    def sharing(self) -> dict[str, Assignment]:
        return {"agent": self.nets.assignment}

    def state_dict(self) -> dict[str, Any]:
        return {
            "nets": self.nets.state_dict(),
            "target": self.target.state_dict(),
            "optimiser": self.optimiser.torch.state_dict(),
            "generators": [g.get_state() for g in (*self.policy.generators, *self.sampling)],
            "steps": self.policy.steps,
            "episodes": self.episodes,
            "replay": self.replay.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.nets.load_state_dict(state["nets"])
        self.target.load_state_dict(state["target"])
        self.optimiser.torch.load_state_dict(state["optimiser"])
        restore((*self.policy.generators, *self.sampling), state["generators"])
        self.policy.steps.copy_(state["steps"])
        self.episodes = state["episodes"]
        if "replay" in state:  # policies are kept without
            self.replay.load_state_dict(state["replay"])


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> QMIX:
    return QMIX(spec, settings, seeds, where)
