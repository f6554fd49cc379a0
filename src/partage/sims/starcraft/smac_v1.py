"""Give smacv2's environment the rules of SMAC v1 on v1's maps.

smacv2 ships the maps of v1 but cannot play them: its second reset waits for a map that never gets
empty, allies' unit types are told by the enemies' rule, and enemies are hidden that nobody has seen
in the order of their numbers. Each method here mends one of these, or leaves a choice to the
caller; dynamics, observations and rewards are the package's.

Importing this module imports smacv2, and so pysc2.
"""

from operator import attrgetter
from typing import Any

from smacv2.env.starcraft2.starcraft2 import StarCraft2Env  # pyright: ignore[reportMissingImports]


class GameCrashed(Exception):
    """The game is gone, or answers what it should not."""


class SmacV1Env(StarCraft2Env):
    """Be smacv2's environment with SMAC v1's rules.

    `seed` is the game's. `reward` is "v1" (what enemies regain counts as if it was taken) or "v2"
    (it does not count); `enemies` "unsorted" (numbered as the game lists them) or "sorted" (by unit
    type, x and y).
    """

    def __init__(self, name: str, seed: int, reward: str, enemies: str) -> None:
        # The clock's end is told apart from a battle's; allies count for nothing, and the reward
        # may be negative.
        signed: dict[str, Any] = {"reward_only_positive": False, "reward_negative_scale": 0.0}
        super().__init__(
            map_name=name, seed=seed, game_version="4.10", continuing_episode=True, **signed
        )
        self._reward = reward
        self._enemies = enemies
        self._controller: Any
        self.obs_enemies: Any

    def reset(self, episode_config: Any = None) -> Any:
        """Start an episode; return all observations and the state."""
        shown = super().reset(episode_config or {})
        # Before its first episode has ended the package would launch the game anew, and add its
        # enemies to those that the greatest reward is made of.
        self._episode_count = max(self._episode_count, 1)
        return shown

    def full_restart(self) -> None:
        """Raise `GameCrashed`.

        The package would launch the next game here, and go on with the units of the one that is
        gone.
        """
        raise GameCrashed

    def _kill_all_units(self) -> None:
        """Kill all once: where all are dead, the map itself starts the next battle at once."""
        units = [*self.agents.values(), *self.enemies.values()]
        self._kill_units([unit.tag for unit in units if unit.health > 0])
        self._controller.step(2)
        self._obs = self._controller.observe()

    def init_units(self, ally_team: Any, enemy_team: Any, episode_config: Any = None) -> None:
        """Number the units of a new battle."""
        super().init_units(ally_team, enemy_team, episode_config or {})
        if self._enemies == "sorted":
            found = sorted(self.enemies.values(), key=attrgetter("unit_type", "pos.x", "pos.y"))
            self.enemies = dict(enumerate(found))

    def get_unit_type_id(self, unit: Any, ally: bool) -> int:
        """Return a unit type's bit; an ally's counts from the map's first unit of its own."""
        if ally:
            return unit.unit_type - self._min_unit_type
        return super().get_unit_type_id(unit, ally)

    def get_obs(self) -> list[Any]:
        """Return the observations in the agents' order, which in the package is random."""
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int, fully_observable: bool = False) -> Any:
        """Return what an agent observes as if the team had seen all enemies before.

        What it sees is then what is in its own sight.
        """
        self.obs_enemies[:] = 1
        self.enemy_tags = [0] * self.n_enemies
        return super().get_obs_agent(agent_id, fully_observable)

    def reward_battle(self) -> float:
        """Return the step's reward before it is scaled, by v1's rule or v2's."""
        taken = super().reward_battle()
        return abs(taken) if self._reward == "v1" else max(taken, 0.0)
