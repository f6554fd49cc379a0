"""How LDSA acts: a subtask of every agent at each step, and an action of its policy."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor

from partage.learners._ldsa import Networks, Selected, choose_subtask, gumbel, of_chosen
from partage.rl.exploration import Exploration, ExplorationNoise, choose
from partage.rl.rollout import Choice
from partage.sims.contract import Spec, TimeStep


class Memory(NamedTuple):
    """What `Actor` remembers within an episode."""

    nets: Selected  # as they are when the episode begins
    choosing_h: Float32[Tensor, "R B N H"]  # hidden state of the body that chooses subtasks
    h: Float32[Tensor, "R B N H"]  # of the one that acts
    last_action: Int64[Tensor, "R B N"]  # -1: none yet
    noise: ExplorationNoise | None  # None: greedy
    subtask_noise: Float32[Tensor, "R T B N K"] | None
    t: int  # step of the episode


class Actor:
    """Draws a subtask of each agent at each step; in tests it takes the likeliest."""

    def __init__(
        self,
        nets: Networks,
        spec: Spec,
        exploration: Exploration,
        draws: Sequence[Generator],
        device: torch.device,
    ) -> None:
        self.nets, self.spec, self.exploration = nets, spec, exploration
        self.draws, self.device = draws, device

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        """Return the memory of episodes that begin, with their noise."""
        n, horizon = self.spec.n_agents, self.spec.horizon
        noise = subtask_noise = None
        if explore:
            noise = self.exploration.episode_noise(horizon, copies, n, self.spec.n_actions)
            shape = horizon, copies, n, self.nets.subtasks.count
            subtask_noise = gumbel(self.draws, *shape).to(self.device)
        h = self.nets.body.initial(copies, n)
        none_yet = torch.full(h.shape[:3], -1, device=h.device)
        return Memory(self.nets.select(), h, h, none_yet, noise, subtask_noise, 0)

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Choose everyone's subtask, and its best action or a random one."""
        m, obs = memory, step.obs[:, :, None].to(self.device)
        last_action = m.last_action[:, :, None]
        preferences, choosing_h = m.nets.chooser(obs, last_action, m.choosing_h)
        values, h = m.nets.actor(obs, last_action, m.h)
        noise = None if m.subtask_noise is None else m.subtask_noise[:, m.t]
        subtasks = choose_subtask(preferences[:, :, 0], noise)
        q = of_chosen(values[:, :, 0], subtasks)
        actions = choose(q, step.avail_actions, m.noise, m.t)
        notes = {"subtasks": subtasks.argmax(-1).cpu()}
        memory = m._replace(
            choosing_h=choosing_h, h=h, last_action=actions.to(self.device), t=m.t + 1
        )
        return Choice(actions, notes), memory
