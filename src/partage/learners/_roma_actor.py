"""How ROMA acts: a role of every agent at each step, drawn in tests too, and its action."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor

from partage.learners._roma import Networks, Settings, select
from partage.nn.bank import from_rows
from partage.nn.networks import SelectedRecurrent
from partage.rl.exploration import Exploration, ExplorationNoise, choose
from partage.rl.noise import generators, normal
from partage.rl.rollout import Choice
from partage.sims.contract import Spec, TimeStep


class Memory(NamedTuple):
    """What `Actor` remembers within an episode."""

    body: SelectedRecurrent  # as it is when the episode begins
    h: Float32[Tensor, "R B N H"]
    last_action: Int64[Tensor, "R B N"]  # -1: none yet
    noise: ExplorationNoise | None  # None: greedy
    of_roles: Float32[Tensor, "R T B N Z"]  # standard normal
    t: int  # step of the episode


class Actor:
    """Draws a role of each agent at each step."""

    def __init__(
        self,
        nets: Networks,
        spec: Spec,
        settings: Settings,
        exploration: Exploration,
        draws: Sequence[Generator],
        device: torch.device,
    ) -> None:
        self.nets, self.spec, self.settings, self.exploration = nets, spec, settings, exploration
        self.draws, self.device = draws, device

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        """Return the memory of episodes that begin, with their noise; that of tests is the same."""
        n, horizon = self.spec.n_agents, self.spec.horizon
        noise, draws = None, generators([0] * len(self.draws))
        if explore:
            noise = self.exploration.episode_noise(horizon, copies, n, self.spec.n_actions)
            draws = self.draws
        of_roles = normal(draws, horizon, copies, n, self.settings.role).to(self.device)
        h = self.nets.body.initial(copies, n)
        none_yet = torch.full(h.shape[:3], -1, device=h.device)
        return Memory(select(self.nets), h, none_yet, noise, of_roles, 0)

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Draw everyone's role, and choose its best action or a random one."""
        m, obs = memory, step.obs[:, :, None].to(self.device)
        last_action = m.last_action[:, :, None]
        states = from_rows(m.body(obs, last_action, m.h), obs.shape[3])
        roles = self.nets.roles(obs, last_action)
        drawn = roles.sample(m.of_roles[:, m.t, :, None])
        q = self.nets.values(states, drawn)[:, :, 0]
        actions = choose(q, step.avail_actions, m.noise, m.t)
        notes = {"roles": roles.mean[:, :, 0].cpu()}
        last = actions.to(self.device)
        return Choice(actions, notes), m._replace(h=states[:, :, 0], last_action=last, t=m.t + 1)
