"""A drop-in for SMAC's `StarCraft2Env`, on our simulator of its battles:
``StarCraft2Env(map_name="MMM2", seed=3)``.

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

# SMAC's own defaults, which are what is played here.
PLAYED = {
    "step_mul": 8, "move_amount": 2, "difficulty": "7", "reward_sparse": False, "reward_only_positive": True,
    "reward_death_value": 10, "reward_win": 200, "reward_defeat": 0, "reward_negative_scale": 0.5,
    "reward_scale": True, "reward_scale_rate": 20, "obs_all_health": True, "obs_own_health": True,
    "obs_last_action": False, "obs_pathing_grid": False, "obs_terrain_height": False, "obs_instead_of_state": False,
    "obs_timestep_number": False, "state_last_action": True, "state_timestep_number": False, "heuristic_ai": False,
    "heuristic_rest": False,
}  # fmt: skip
WITHOUT_EFFECT = (
    "game_version",
    "window_size_x",
    "window_size_y",
    "replay_dir",
    "replay_prefix",
    "debug",
)


class StarCraft2Env:
    """One battle after the other on one map. Without a seed each object plays other battles, as
    with SMAC.
    """

    def __init__(
        self,
        map_name: str = "8m",
        seed: int | None = None,
        continuing_episode: bool = False,
        **arguments: Any,
    ) -> None:
        for name, value in arguments.items():
            one_of("argument of StarCraft2Env", name, (*PLAYED, *WITHOUT_EFFECT))
            if value != PLAYED.get(name, value):
                raise UserError(
                    f"The simulator plays SMAC's {name}={PLAYED[name]!r} only, but {value!r} came."
                )
        found = find_map(map_name)
        self._map, self._tells_limit = found, continuing_episode
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._sim = make_kernel(found, Options(), 1)
        self._env = Batched(found.spec, lambda _: self._sim, [self._seed], 1, "truncation")
        self.map_name, self.max_reward = map_name, self._sim.rules.max_reward
        self.n_agents, self.n_enemies, self.episode_limit = (
            found.n_agents,
            found.n_enemies,
            found.limit,
        )
        self.n_actions = found.spec.n_actions
        self.battles_won = self.battles_game = self.timeouts = 0

    def reset(self) -> tuple[list[Float32[np.ndarray, "O"]], Float32[np.ndarray, "S"]]:
        """Start a battle: all observations, and the state."""
        self._now = self._env.reset()
        return self.get_obs(), self.get_state()

    def step(self, actions: Iterable[Any]) -> tuple[float, bool, dict[str, Any]]:
        """The team's reward, whether the episode is over, and what became of it."""
        chosen = [int(action) for action in actions]
        for agent, (action, available) in enumerate(
            zip(chosen, self.get_avail_actions(), strict=True)
        ):
            if not 0 <= action < self.n_actions or not available[action]:
                having = ", ".join(str(index) for index, flag in enumerate(available) if flag)
                raise UserError(f"Agent {agent} cannot do action {action}: it has {having}.")
        self._now = now = self._env.step(torch.tensor(chosen)[None, None])
        won, late = bool(now.score.item()), bool(now.truncated.item())
        if now.ended.item():
            self.battles_game += 1
            self.battles_won += won
            self.timeouts += late
        dead = self._sim.world.health[0] <= 0
        info: dict[str, Any] = {"battle_won": won}
        info["dead_allies"] = int(dead[: self.n_agents].sum())
        info["dead_enemies"] = int(dead[self.n_agents :].sum())
        if late and self._tells_limit:
            info["episode_limit"] = True
        return now.reward[0, 0, 0].item(), bool(now.ended.item()), info

    def get_obs(self) -> list[Float32[np.ndarray, "O"]]:
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int) -> Float32[np.ndarray, "O"]:
        return self._now.obs[0, 0, agent_id].numpy().copy()

    def get_state(self) -> Float32[np.ndarray, "S"]:
        return self._now.state[0, 0].numpy().copy()

    def get_avail_actions(self) -> list[list[int]]:
        return [self.get_avail_agent_actions(agent) for agent in range(self.n_agents)]

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        return self._now.avail_actions[0, 0, agent_id].int().tolist()

    def get_obs_size(self) -> int:
        return self._map.spec.obs_dim

    def get_state_size(self) -> int:
        return self._map.spec.state_dim

    def get_total_actions(self) -> int:
        return self.n_actions

    def get_env_info(self) -> dict[str, Any]:
        """Sizes, and the names of a unit's features in the state."""
        (ally, enemy), bits = (
            (race == "P" for race in self._map.races),
            range(len(self._map.ally_bits)),
        )
        types = [f"type_{bit}" for bit in bits]
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": self.n_actions,
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
            "agent_features": [
                "health",
                "energy/cooldown",
                "rel_x",
                "rel_y",
                *["shield"] * ally,
                *types,
            ],
            "enemy_features": ["health", "rel_x", "rel_y", *["shield"] * enemy, *types],
        }

    def get_stats(self) -> dict[str, float]:
        """Of all battles so far; SMAC calls those that ran out of time draws."""
        return {
            "battles_won": self.battles_won,
            "battles_game": self.battles_game,
            "battles_draw": self.timeouts,
            "win_rate": self.battles_won / max(self.battles_game, 1),
            "timeouts": self.timeouts,
            "restarts": 0,
        }

    def seed(self) -> int:
        """The seed of the battles."""
        return self._seed

    def save_replay(self) -> None:
        raise UserError(
            "A simulator's battle is no replay of the game: none can be saved, watch the arrays instead."
        )

    def render(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        self._env.close()
