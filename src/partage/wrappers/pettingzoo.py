"""Any task as a PettingZoo `ParallelEnv`: ``ParallelTask("smac/MMM2")``,
``ParallelTask("lbf/8x8-2p-2f-v3")``, ...

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

Views = dict[str, dict[str, np.ndarray]]


def views(obs_dim: int, n_actions: int) -> Dict:
    """The space of what an agent observes."""
    observation = Box(-np.inf, np.inf, (obs_dim,), np.float32)
    return Dict({"observation": observation, "action_mask": Box(0, 1, (n_actions,), np.int8)})


class ParallelTask(ParallelEnv):
    """One copy of ``family/name``; `options` are those of the family's `make`. Raises `UserError`
    as that does.
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
        self._views = {agent: views(spec.obs_dim, spec.n_actions) for agent in self.possible_agents}
        self._actions = {agent: Discrete(spec.n_actions) for agent in self.possible_agents}
        self.state_space = Box(-np.inf, np.inf, (spec.state_dim,), np.float32)

    def observation_space(self, agent: str) -> Dict:
        return self._views[agent]

    def action_space(self, agent: str) -> Discrete:
        return self._actions[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Views, dict[str, dict]]:
        """Start an episode; a seed starts the simulator's generator anew. `options` are not used."""
        if seed is not None:
            self._env.close()
            self._env = self._make([seed])
        self._now = self._env.reset()
        self.agents = self.possible_agents[:]
        return self._seen(self._now), self._infos(self._now)

    def step(self, actions: dict[str, Any]) -> tuple[Views, dict, dict, dict, dict]:
        """Observations, rewards, terminations, truncations, infos. Without agents, after an
        episode, all are empty.
        """
        if not self.agents:
            return {}, {}, {}, {}, {}
        if missing := [agent for agent in self.agents if agent not in actions]:
            raise UserError(
                f"Expected an action of every agent, but none came of {', '.join(missing)}."
            )
        chosen = torch.tensor([int(actions[agent]) for agent in self.agents])
        self._now = now = self._env.step(chosen[None, None])
        rewards = dict(zip(self.agents, now.reward[0, 0].tolist(), strict=True))
        terminated, truncated = (
            dict.fromkeys(self.agents, flag.item()) for flag in (now.terminated, now.truncated)
        )
        if now.ended.item():
            self.agents = []
        return self._seen(now), rewards, terminated, truncated, self._infos(now)

    def _seen(self, now: TimeStep) -> Views:
        rows = zip(
            self.possible_agents,
            now.obs[0, 0].numpy(),
            now.avail_actions[0, 0].numpy(),
            strict=True,
        )
        return {
            agent: {"observation": obs.copy(), "action_mask": mask.astype(np.int8)}
            for agent, obs, mask in rows
        }

    def _infos(self, now: TimeStep) -> dict[str, dict]:
        return {agent: {"score": now.score.item()} for agent in self.possible_agents}

    def state(self) -> np.ndarray:
        """The global state, as of the last `reset` or `step`."""
        return self._now.state[0, 0].numpy().copy()

    def render(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        self._env.close()
