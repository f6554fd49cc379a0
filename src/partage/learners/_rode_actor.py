"""How RODE acts: a role every few steps, and an action of it at each."""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from partage.learners._rode_networks import Networks, Settings
from partage.nn.bank import from_rows
from partage.nn.networks import SelectedRecurrent
from partage.rl.exploration import Exploration, ExplorationNoise, choose
from partage.rl.rollout import Choice
from partage.sims.contract import Spec, TimeStep


class Memory(NamedTuple):
    """What `Actor` remembers within an episode."""

    body: SelectedRecurrent  # the networks as they are when the episode begins
    role_body: SelectedRecurrent
    h: Float32[Tensor, "R B N H"]  # hidden state of the actions' body
    role_h: Float32[Tensor, "R B N H"]  # of the roles' body
    roles: Int64[Tensor, "R B N"]
    last_action: Int64[Tensor, "R B N"]  # -1: none yet
    action_noise: ExplorationNoise | None  # None: greedy
    role_noise: ExplorationNoise | None
    t: int  # step of the episode


class Actor:
    """Chooses a role every few steps, and an action of it at each."""

    def __init__(
        self,
        nets: Networks,
        spec: Spec,
        settings: Settings,
        exploration: Exploration,
        device: torch.device,
    ) -> None:
        self.nets, self.spec, self.settings = nets, spec, settings
        self.exploration, self.device = exploration, device

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        """Return the memory of episodes that begin, with their exploration noise."""
        nets, n, horizon = self.nets, self.spec.n_agents, self.spec.horizon
        action_noise = role_noise = None
        if explore:
            noise, intervals = self.exploration.episode_noise, -(-horizon // self.settings.interval)
            action_noise = noise(horizon, copies, n, self.spec.n_actions)
            role_noise = noise(intervals, copies, n, nets.roles)
        h = nets.body.initial(copies, n)
        no_roles = torch.zeros(h.shape[:3], dtype=torch.int64, device=h.device)
        return Memory(
            body=nets.body.select(nets.assignment),
            role_body=nets.role_body.select(nets.assignment),
            h=h,
            role_h=h,
            roles=no_roles,
            last_action=no_roles - 1,
            action_noise=action_noise,
            role_noise=role_noise,
            t=0,
        )

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Choose everyone's role, and one of its available actions (of all, where it has none)."""
        q, memory = self.think(step.obs.to(self.device), memory)
        avail = step.avail_actions.to(self.device)
        run = torch.arange(len(q), device=self.device)[:, None, None]
        of_role = self.nets.allowed[run, memory.roles] & avail
        options = torch.where(of_role.any(-1, keepdim=True), of_role, avail)
        q = q.masked_fill(~options, -torch.inf)
        # random actions ignore the roles   (reference code)
        actions = choose(q, step.avail_actions, memory.action_noise, memory.t)
        choice = Choice(actions, {"roles": memory.roles.cpu()})
        return choice, memory._replace(last_action=actions.to(self.device), t=memory.t + 1)

    def think(
        self, obs: Float32[Tensor, "R B N O"], memory: Memory
    ) -> tuple[Float32[Tensor, "R B N A"], Memory]:
        """Return the values of the actions, and the role that holds from now on."""
        m, n, interval = memory, obs.shape[2], self.settings.interval
        obs, last_action = obs[:, :, None], m.last_action[:, :, None]
        rows = m.body(obs, last_action, m.h)
        role_rows = m.role_body(obs, last_action, m.role_h)
        roles = m.roles
        if m.t % interval == 0:
            values = self.nets.role_values(from_rows(role_rows, n))[:, :, 0]
            exists = self.nets.exists[:, None, None].expand(values.shape)
            roles = choose(values, exists, m.role_noise, m.t // interval).to(self.device)
        q = self.nets.action_values(rows, roles[:, :, None])[:, :, 0]
        h, role_h = from_rows(rows, n)[:, :, 0], from_rows(role_rows, n)[:, :, 0]
        return q, m._replace(h=h, role_h=role_h, roles=roles)
