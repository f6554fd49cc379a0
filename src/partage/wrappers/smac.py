"""Stand in for SMAC's `StarCraft2Env` with our simulator: ``StarCraft2Env("MMM2", seed=3)``.

The methods, their names and what they return are those of oxwhirl/smac, so that PyMARL's runners
and their like need another import and nothing else. It is not the game, and a score on it is no
SMAC result. SMAC's arguments are taken where the simulator plays what they ask for, and refused
otherwise; as in SMAC, so is an action that is not available.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from partage.errors import UserError, one_of
from partage.sims.batch import Batched
from partage.sims.skirmish.data import find_map
from partage.sims.skirmish.simulator import Options, make_kernel

# SMAC's own defaults, the only values that are played here
PLAYED = {
    "step_mul": 8,
    "move_amount": 2,
    "difficulty": "7",
    "reward_sparse": False,
    "reward_only_positive": True,
    "reward_death_value": 10,
    "reward_win": 200,
    "reward_defeat": 0,
    "reward_negative_scale": 0.5,
    "reward_scale": True,
    "reward_scale_rate": 20,
    "obs_all_health": True,
    "obs_own_health": True,
    "obs_last_action": False,
    "obs_pathing_grid": False,
    "obs_terrain_height": False,
    "obs_instead_of_state": False,
    "obs_timestep_number": False,
    "state_last_action": True,
    "state_timestep_number": False,
    "heuristic_ai": False,
    "heuristic_rest": False,
}
WITHOUT_EFFECT = (
    "game_version",
    "window_size_x",
    "window_size_y",
    "replay_dir",
    "replay_prefix",
    "debug",
)


def check_arguments(arguments: dict[str, Any]) -> None:
    """Raise `UserError` for an argument that SMAC has not, or whose value is not played here."""
    for name, value in arguments.items():
        one_of("argument of StarCraft2Env", name, (*PLAYED, *WITHOUT_EFFECT))
        if value != PLAYED.get(name, value):
            raise UserError(
                f"The simulator plays SMAC's {name}={PLAYED[name]!r} only, but {value!r} came."
            )


class StarCraft2Env:
    """Play one battle after the other on one map.

    Without a seed each object plays other battles, as with SMAC.
    """

    def __init__(
        self,
        map_name: str = "8m",
        seed: int | None = None,
        continuing_episode: bool = False,
        **arguments: Any,
    ) -> None:
        check_arguments(arguments)
        self._map = find_map(map_name)
        self._shows_limit = continuing_episode
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._sim = make_kernel(self._map, Options(), copies=1)
        spec = self._map.spec
        self._env = Batched(spec, lambda _: self._sim, [self._seed], 1, "truncation")
        self.map_name = map_name
        self.max_reward = self._sim.rules.max_reward
        self.n_agents = self._map.n_agents
        self.n_enemies = self._map.n_enemies
        self.n_actions = spec.n_actions
        self.episode_limit = self._map.limit
        self.battles_won = 0
        self.battles_game = 0
        self.timeouts = 0

    def reset(self) -> tuple[list[Float32[np.ndarray, "O"]], Float32[np.ndarray, "S"]]:
        """Start a battle; return all observations, and the state."""
        self._now = self._env.reset()
        return self.get_obs(), self.get_state()

    def step(self, actions: Iterable[Any]) -> tuple[float, bool, dict[str, Any]]:
        """Play a step; return the team's reward, whether the episode is over, and SMAC's info.

        Raises `UserError` for an action that is not available.
        """
        chosen = [int(action) for action in actions]
        self._check_available(chosen)
        self._now = now = self._env.step(torch.tensor(chosen)[None, None])
        over = bool(now.ended.item())
        if over:
            self._count_battle()
        return now.reward[0, 0, 0].item(), over, self._info()

    def _check_available(self, actions: list[int]) -> None:
        """Raise `UserError` unless each agent has its action."""
        for agent, action in enumerate(actions):
            available = self.get_avail_agent_actions(agent)
            if not 0 <= action < self.n_actions or not available[action]:
                choices = ", ".join(map(str, np.flatnonzero(available)))
                raise UserError(f"Agent {agent} cannot do action {action}: it has {choices}.")

    def _count_battle(self) -> None:
        """Count the battle that is over."""
        self.battles_game += 1
        self.battles_won += bool(self._now.score.item())
        self.timeouts += bool(self._now.truncated.item())

    def _info(self) -> dict[str, Any]:
        """Return what SMAC says of a step: who has died, and whether the battle is won."""
        dead = self._sim.world.health[0] <= 0
        info: dict[str, Any] = {
            "battle_won": bool(self._now.score.item()),
            "dead_allies": int(dead[: self.n_agents].sum()),
            "dead_enemies": int(dead[self.n_agents :].sum()),
        }
        if self._shows_limit and self._now.truncated.item():
            info["episode_limit"] = True
        return info

    def get_obs(self) -> list[Float32[np.ndarray, "O"]]:
        """Return the observations in the agents' order."""
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int) -> Float32[np.ndarray, "O"]:
        """Return what an agent observes."""
        return self._now.obs[0, 0, agent_id].numpy().copy()

    def get_state(self) -> Float32[np.ndarray, "S"]:
        """Return the global state."""
        return self._now.state[0, 0].numpy().copy()

    def get_avail_actions(self) -> list[list[int]]:
        """Return which actions each agent has, 0 or 1 for each."""
        return [self.get_avail_agent_actions(agent) for agent in range(self.n_agents)]

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Return which actions an agent has, 0 or 1 for each."""
        return self._now.avail_actions[0, 0, agent_id].int().tolist()

    def get_obs_size(self) -> int:
        """Return the length of an observation."""
        return self._map.spec.obs_dim

    def get_state_size(self) -> int:
        """Return the length of the state."""
        return self._map.spec.state_dim

    def get_total_actions(self) -> int:
        """Return the number of actions."""
        return self.n_actions

    def get_env_info(self) -> dict[str, Any]:
        """Return the sizes, and the names of a unit's features in the state."""
        types = [f"type_{bit}" for bit in range(len(self._map.ally_bits))]
        ally_shield = ["shield"] if self._map.shows_ally_shield else []
        enemy_shield = ["shield"] if self._map.shows_enemy_shield else []
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": self.n_actions,
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
            "agent_features": ["health", "energy/cooldown", "rel_x", "rel_y", *ally_shield, *types],
            "enemy_features": ["health", "rel_x", "rel_y", *enemy_shield, *types],
        }

    def get_stats(self) -> dict[str, float]:
        """Return the counts of all battles so far; SMAC calls those out of time draws."""
        return {
            "battles_won": self.battles_won,
            "battles_game": self.battles_game,
            "battles_draw": self.timeouts,
            "win_rate": self.battles_won / max(self.battles_game, 1),
            "timeouts": self.timeouts,
            "restarts": 0,
        }

    def seed(self) -> int:
        """Return the seed of the battles."""
        return self._seed

    def save_replay(self) -> None:
        """Raise `UserError`: there is no replay of a simulator's battle."""
        raise UserError(
            "A simulator's battle is no replay of the game: none can be saved, watch the arrays "
            "instead."
        )

    def render(self) -> None:
        """Do nothing: nothing is drawn."""

    def close(self) -> None:
        """Close the simulator."""
        self._env.close()
