"""Wrap any task as a PettingZoo `ParallelEnv`: ``ParallelTask("smac/MMM2")``, for example.

An agent observes ``{"observation": float32 [O], "action_mask": int8 [A]}``, whatever the family, so
that one program plays them all; ``env.action_space(agent).sample(mask=...)`` takes the mask as it
is. `state` is the global state, and ``infos[agent]["score"]`` the task's own measure of the episode
so far (battle won, share of food, return).

All agents stay to the episode's end. One that has died observes zeros and has one action left: it
still earns the team's reward, as SMAC's own runners have it. Needs PettingZoo: ``pip install
partage[pettingzoo]``.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import ParallelEnv

from partage.envs import make
from partage.errors import UserError
from partage.sims.contract import Engine, TimeStep

Observations = dict[str, dict[str, np.ndarray]]  # by agent, then by part


def observation_dict(obs_dim: int, n_actions: int) -> Dict:
    """Return the space of what an agent observes: O = `obs_dim` numbers and a mask of A actions."""
    observation = Box(-np.inf, np.inf, (obs_dim,), np.float32)
    return Dict({"observation": observation, "action_mask": Box(0, 1, (n_actions,), np.int8)})


class ParallelTask(ParallelEnv):
    """Play one copy of ``family/name``; `options` are those of the family's `make`.

    Raises `UserError` where that does.
    """

    render_mode = None

    def __init__(
        self, task: str, seed: int = 0, engine: Engine = "batched", **options: Any
    ) -> None:
        self.metadata = {"name": task, "render_modes": []}
        self._make = partial(make, task, copies=1, engine=engine, **options)
        self._env = self._make([seed])
        spec = self._env.spec
        self.agents: list[str] = []
        self.possible_agents = [f"agent_{n}" for n in range(spec.n_agents)]
        self._observation_spaces: dict[str, Dict] = {}
        self._action_spaces: dict[str, Discrete] = {}
        for agent in self.possible_agents:
            self._observation_spaces[agent] = observation_dict(spec.obs_dim, spec.n_actions)
            self._action_spaces[agent] = Discrete(spec.n_actions)
        self.state_space = Box(-np.inf, np.inf, (spec.state_dim,), np.float32)

    def observation_space(self, agent: str) -> Dict:
        """Return the space of an agent's observations, always the same object."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """Return the space of an agent's actions, always the same object."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict]]:
        """Start an episode; return observations and infos.

        A seed starts the simulator's random numbers anew. `options` are not used.
        """
        if seed is not None:
            self._env.close()
            self._env = self._make([seed])
        self._now = self._env.reset()
        self.agents = self.possible_agents[:]
        return self._observations(self._now), self._infos(self._now)

    def step(self, actions: dict[str, Any]) -> tuple[Observations, dict, dict, dict, dict]:
        """Play a step; return observations, rewards, terminations, truncations and infos.

        Without agents, after an episode, all are empty. Raises `UserError` where an agent has no
        action.
        """
        if not self.agents:
            return {}, {}, {}, {}, {}
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise UserError(
                f"Expected an action of every agent, but none came of {', '.join(missing)}."
            )
        chosen = torch.tensor([int(actions[agent]) for agent in self.agents])
        self._now = now = self._env.step(chosen[None, None])
        rewards = dict(zip(self.agents, now.reward[0, 0].tolist(), strict=True))
        terminated = dict.fromkeys(self.agents, now.terminated.item())
        truncated = dict.fromkeys(self.agents, now.truncated.item())
        if now.ended.item():
            self.agents = []
        return self._observations(now), rewards, terminated, truncated, self._infos(now)

    def _observations(self, now: TimeStep) -> Observations:
        """Return what each agent observes, in arrays of its own."""
        observations: Observations = {}
        for n, agent in enumerate(self.possible_agents):
            observations[agent] = {
                "observation": now.obs[0, 0, n].numpy().copy(),
                "action_mask": now.avail_actions[0, 0, n].numpy().astype(np.int8),
            }
        return observations

    def _infos(self, now: TimeStep) -> dict[str, dict]:
        """Return each agent's info: the task's score so far."""
        return {agent: {"score": now.score.item()} for agent in self.possible_agents}

    def state(self) -> np.ndarray:
        """Return the global state, float32 [S], as of the last `reset` or `step`."""
        return self._now.state[0, 0].numpy().copy()

    def render(self) -> None:
        """Do nothing: nothing is drawn."""

    def close(self) -> None:
        """Close the simulator."""
        self._env.close()
