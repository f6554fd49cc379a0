"""Give smacv2's environment a seed for what it draws, and what it shows an order of its own.

smacv2 draws armies and places from generators that nobody can seed, scales rewards by the enemies
of the first battle that a game has played, and hides enemies by numbers that were not seen yet, in
an order drawn anew for each observation. The methods here mend these; the armies, places, dynamics,
observations and rewards are the package's, with the settings of its examples.

Importing this module imports smacv2, and so pysc2.
"""

import random
from typing import Any

import numpy as np
from smacv2.env.starcraft2.distributions import (  # pyright: ignore[reportMissingImports]
    get_distribution,
)
from smacv2.env.starcraft2.starcraft2 import StarCraft2Env  # pyright: ignore[reportMissingImports]

from partage.sims.starcraft.game import DrawnSetup
from partage.sims.starcraft.smac_v1 import GameCrashed

SIZE = 32  # of the map on which places are drawn
MIRRORED = 0.5  # share of the battles; in the others agents are surrounded


def capabilities(setup: DrawnSetup) -> dict[str, Any]:
    """Return smacv2's settings of what is drawn."""
    count = {"n_units": setup.units, "n_enemies": setup.units}
    teams = {
        "dist_type": "weighted_teams",
        "unit_types": list(setup.types),
        "weights": list(setup.weights),
        "exception_unit_types": list(setup.never_alone),
        "observe": True,
        "env_key": "team_gen",
    }
    places = {
        "dist_type": "surrounded_and_reflect",
        "p": MIRRORED,
        "map_x": SIZE,
        "map_y": SIZE,
        "env_key": "start_positions",
    }
    return {**count, "team_gen": teams | count, "start_positions": places | count}


class Draws:
    """Draw armies and places by smacv2's own distributions, from one seed."""

    def __init__(self, config: dict[str, Any], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.teams, self.places = (
            get_distribution(config[key]["dist_type"])(config[key])
            for key in ("team_gen", "start_positions")
        )
        mirrored = self.places.reflect_distribution.pos_generator
        for part in (self.teams, self.places, self.places.surrounded_distribution, mirrored):
            part.rng = self.rng

    def next(self) -> dict[str, Any]:
        """Return what the next battle is made of. smacv2 shuffles armies by `random` itself."""
        random.seed(int(self.rng.integers(2**32)))
        return {**self.teams.generate(), **self.places.generate()}


class SmacV2Env(StarCraft2Env):
    """Be smacv2's environment with battles that its seed decides."""

    def __init__(self, setup: DrawnSetup, seed: int) -> None:
        # As `SmacV1Env`: the clock's end is told apart from a battle's.
        signed: dict[str, Any] = {"reward_only_positive": False, "reward_negative_scale": 0.0}
        config = capabilities(setup)
        super().__init__(
            map_name=f"10gen_{setup.army}",
            seed=seed,
            game_version="4.10",
            continuing_episode=True,
            obs_own_pos=True,
            use_unit_ranges=True,
            capability_config=config,
            **signed,
        )
        self._reward = setup.reward
        self._draws = Draws(config, seed)
        self.obs_enemies: Any

    def reset(self, episode_config: Any = None) -> Any:
        """Start a battle; return all observations and the state."""
        shown = super().reset(episode_config or self._draws.next())
        self._episode_count = max(self._episode_count, 1)  # it has been launched
        enemies = self.enemies.values()
        self.max_reward = self.n_enemies * self.reward_death_value + self.reward_win
        self.max_reward += sum(unit.health_max + unit.shield_max for unit in enemies)
        return shown

    def full_restart(self) -> None:
        """Raise `GameCrashed`: see `SmacV1Env`."""
        raise GameCrashed

    def get_obs(self) -> list[Any]:
        """Return the observations in the agents' order, which in the package is random."""
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int, fully_observable: bool = False) -> Any:
        """Return what an agent observes, all enemies having been seen before."""
        self.obs_enemies[:] = 1
        self.enemy_tags = [0] * self.n_enemies
        return super().get_obs_agent(agent_id, fully_observable)

    def reward_battle(self) -> float:
        """Return the step's reward before it is scaled, by v1's rule or v2's."""
        taken = super().reward_battle()
        return abs(taken) if self._reward == "v1" else max(taken, 0.0)
