"""How PPO acts: it samples from its policy, or does what is most probable."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from partage.kernels.policies import ByLogits
from partage.learners._ppo_networks import Networks, SelectedNetwork
from partage.nn.pointwise import categorical, greedy
from partage.rl.noise import generators, uniform
from partage.rl.rollout import Choice
from partage.sims.contract import Spec, TimeStep, stream


class Episode(NamedTuple):
    """What is remembered within whole episodes."""

    actor: SelectedNetwork  # the networks as they are when the episode begins
    h: Float32[Tensor, "R B N H"] | None
    noise: Float32[Tensor, "R T B N"] | None  # None: greedy
    t: int  # step of the episode


class Actor:
    """Samples from the policy when exploring, takes its most probable action when not.

    In segments it remembers nothing, and draws its noise step by step; in whole episodes it draws
    an episode's when that begins, so that other runs' lengths cannot move its generators.
    """

    def __init__(
        self,
        nets: Networks,
        spec: Spec,
        whole_episodes: bool,
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        self.nets, self.spec, self.device = nets, spec, device
        self.whole_episodes = whole_episodes
        self.generators = generators([stream(seed, "actions") for seed in seeds])

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Episode | None:
        """Return what episodes begin with: nothing in segments."""
        if not self.whole_episodes:
            return None
        shape = self.spec.horizon, copies, self.spec.n_agents
        noise = uniform(self.generators, *shape) if explore else None
        return Episode(self.nets.select_actor(), None, noise, 0)

    def in_place(self, copies: int, time: int, explore: bool) -> ByLogits | None:
        """Return what acts for so many steps, with their noise; None where it remembers."""
        if self.device.type != "cpu" or self.nets.actor.hidden:
            return None
        sizes = (time, copies, self.spec.n_agents) if explore else (0, 0, 0)
        return ByLogits(self.nets.in_place(), uniform(self.generators, *sizes).numpy())

    @torch.no_grad()
    def __call__(
        self, step: TimeStep, memory: Episode | None, explore: bool
    ) -> tuple[Choice, Episode | None]:
        """Choose everyone's action."""
        actor = memory.actor if memory else self.nets.select_actor()
        obs = step.obs.to(self.device)[:, :, None]
        logits, h = actor(obs, memory.h if memory else None)
        logits, avail = logits[:, :, 0], step.avail_actions.to(self.device)
        noise = self._noise(memory, step.obs.shape[1]) if explore else None
        actions = greedy(logits, avail) if noise is None else categorical(logits, avail, noise)
        if memory:
            memory = memory._replace(h=h, t=memory.t + 1)
        return Choice(actions.cpu()), memory

    def _noise(self, memory: Episode | None, copies: int) -> Float32[Tensor, "R B N"]:
        """Return this step's uniform numbers."""
        if memory is None or memory.noise is None:
            noise = uniform(self.generators, copies, self.spec.n_agents)
        else:
            noise = memory.noise[:, memory.t]
        return noise.to(self.device)
