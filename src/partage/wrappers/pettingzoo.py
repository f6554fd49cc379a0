"""Wrap any task as a PettingZoo `ParallelEnv`: ``ParallelTask("smac/MMM2")``, for example.

An agent observes ``{"observation": float32 [O], "action_mask": int8 [A]}``, whatever the family, so
that one program plays them all; ``env.action_space(agent).sample(mask=...)`` takes the mask as it
is. With ``action_mask="info"`` it observes the float32 [O] alone, as SuperSuit's wrappers and
Stable-Baselines3 want it, and the mask is ``infos[agent]["action_mask"]``. `state` is the global
state, and ``infos[agent]["score"]`` the task's own measure of the episode so far (battle won, share
of food, return).

All agents stay to the episode's end. One that has died observes zeros and has one action left: it
still earns the team's reward, as SMAC's own runners have it.

Pickled or copied, an episode goes on from where it was, apart from the original, and with the same
random numbers. Copies of a task that has no seed and was never reset play episodes of their own.
Needs PettingZoo: ``pip install partage[pettingzoo]``.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, SupportsInt, cast

import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import ParallelEnv

from partage.envs import make
from partage.errors import UserError, look_up, one_of
from partage.sims.batch import Batched
from partage.sims.contract import Engine, Spec, TimeStep
from partage.wrappers.numbers import fresh_seed, whole_number

MASK_PLACES = ("observation", "info")  # where an agent finds which actions it has
Observations = dict[str, Any]  # by agent: an array, or two by their names


def observation_box(obs_dim: int) -> Box:
    """Return the space of O = `obs_dim` numbers."""
    return Box(-np.inf, np.inf, (obs_dim,), np.float32)


def observation_dict(obs_dim: int, n_actions: int) -> Dict:
    """Return the space of what an agent observes: O = `obs_dim` numbers and a mask of A actions."""
    mask = Box(0, 1, (n_actions,), np.int8)
    return Dict({"observation": observation_box(obs_dim), "action_mask": mask})


class ParallelTask(ParallelEnv):
    """Play one copy of ``family/name``; `options` are those of the family's `make`.

    Without a seed, here or in `reset`, each object plays other episodes. `observation_spaces` and
    `action_spaces` have the spaces by agent. Raises `UserError` where `make` does.
    """

    render_mode = None

    def __init__(
        self,
        task: str,
        seed: SupportsInt | None = None,
        engine: Engine = "batched",
        action_mask: str = "observation",
        **options: Any,
    ) -> None:
        one_of("place of action_mask", action_mask, MASK_PLACES)
        self.metadata = {"name": task, "render_modes": []}
        self._make = partial(make, task, copies=1, engine=engine, **options)
        self._tells_mask_apart = action_mask == "info"
        self._seeded, self._begun = seed is not None, False
        first_seed = fresh_seed() if seed is None else whole_number("seed", seed)
        self._env = self._make([first_seed])
        self._now: TimeStep | None = None
        self._describe(self._env.spec)

    def _describe(self, spec: Spec) -> None:
        """Name the agents and their spaces."""
        self.agents: list[str] = []
        self.possible_agents = [f"agent_{n}" for n in range(spec.n_agents)]
        self.observation_spaces: dict[str, Any] = {}
        self.action_spaces: dict[str, Any] = {}
        for agent in self.possible_agents:
            self.observation_spaces[agent] = (
                observation_box(spec.obs_dim)
                if self._tells_mask_apart
                else observation_dict(spec.obs_dim, spec.n_actions)
            )
            self.action_spaces[agent] = Discrete(spec.n_actions)
        self.state_space = observation_box(spec.state_dim)

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name != "_now"}
        if self._draws_anew():
            del kept["_env"]
        return kept

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        if self._draws_anew():
            self._env = self._make([fresh_seed()])
        self._now = cast(Batched, self._env).now if self._begun else None

    def _draws_anew(self) -> bool:
        """Return whether nobody has given a seed, and no episode has begun."""
        return not (self._seeded or self._begun)

    def observation_space(self, agent: str) -> Any:
        """Return the space of an agent's observations, always the same object."""
        return look_up(self.observation_spaces, "agent", str(agent))

    def action_space(self, agent: str) -> Discrete:
        """Return the space of an agent's actions, always the same object."""
        return look_up(self.action_spaces, "agent", str(agent))

    def reset(
        self, seed: SupportsInt | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict]]:
        """Start an episode; return observations and infos.

        A seed starts the simulator's random numbers anew; without one they go on. `options` are not
        used.
        """
        if seed is not None:
            self._env.close()
            self._env = self._make([whole_number("seed", seed)])
            self._seeded = True
        self._begun = True
        self._now = self._env.reset()
        self.agents = self.possible_agents[:]
        return self._observations(self._now), self._infos(self._now)

    def step(self, actions: Any) -> tuple[Observations, dict, dict, dict, dict[str, dict]]:
        """Play a step of ``{agent: action}``.

        Return observations, rewards, terminations, truncations and infos by agent.
        Without agents, after an episode, all are empty. Raises `UserError` before the first
        `reset`, and where an agent has no action.
        """
        self._shown()
        if not self.agents:
            return {}, {}, {}, {}, {}
        self._now = now = self._env.step(self._chosen(actions))
        rewards = dict(zip(self.agents, now.reward[0, 0].tolist(), strict=True))
        terminated = dict.fromkeys(self.agents, now.terminated.item())
        truncated = dict.fromkeys(self.agents, now.truncated.item())
        if now.ended.item():
            self.agents = []
        return self._observations(now), rewards, terminated, truncated, self._infos(now)

    def _shown(self) -> TimeStep:
        """Return the instant. Raises `UserError` where no episode has begun."""
        if self._now is None:
            raise UserError("No episode has begun: call reset() first.")
        return self._now

    def _chosen(self, actions: Any) -> torch.Tensor:
        """Return the actions, [1, 1, N]. Raises `UserError` unless every agent has one."""
        if not isinstance(actions, Mapping):
            raise UserError(
                f"Expected actions by agent, a dict, but {type(actions).__name__} came."
            )
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise UserError(
                f"Expected an action of every agent, but none came of {', '.join(missing)}."
            )
        chosen = [whole_number(f"The action of {agent}", actions[agent]) for agent in self.agents]
        for agent, action in zip(self.agents, chosen, strict=True):
            last = int(self.action_spaces[agent].n) - 1
            if not 0 <= action <= last:
                raise UserError(f"The action of {agent} is in 0..{last}, but {action} came.")
        return torch.tensor(chosen)[None, None]

    def _observations(self, now: TimeStep) -> Observations:
        """Return what each agent observes, in arrays of its own."""
        seen = now.obs[0, 0].numpy()
        if self._tells_mask_apart:
            return {agent: seen[n].copy() for n, agent in enumerate(self.possible_agents)}
        observations: Observations = {}
        for agent, view, mask in zip(self.possible_agents, seen, self._masks(now), strict=True):
            observations[agent] = {"observation": view.copy(), "action_mask": mask}
        return observations

    def _infos(self, now: TimeStep) -> dict[str, dict]:
        """Return each agent's info: the task's score so far; its mask, if that is told here."""
        infos: dict[str, dict] = {}
        for agent, mask in zip(self.possible_agents, self._masks(now), strict=True):
            infos[agent] = {"score": now.score.item()}
            if self._tells_mask_apart:
                infos[agent]["action_mask"] = mask
        return infos

    def _masks(self, now: TimeStep) -> list[np.ndarray]:
        """Return which actions each agent has: int8 [A] for each."""
        return list(now.avail_actions[0, 0].numpy().astype(np.int8))

    def state(self) -> np.ndarray:
        """Return the global state, float32 [S], as of the last `reset` or `step`."""
        return self._shown().state[0, 0].numpy().copy()

    def render(self) -> None:
        """Do nothing: nothing is drawn."""

    def close(self) -> None:
        """Close the simulator."""
        self._env.close()
