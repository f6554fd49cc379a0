"""Stand in for SMAC's `StarCraft2Env` with our simulator: ``StarCraft2Env("MMM2", seed=3)``.

The arguments, the methods, their names and what they return are those of oxwhirl/smac, so that
PyMARL's and EPyMARL's runners and their like need another import and nothing else. It is not the
game, and a score on it is no SMAC result. Arguments that only the game has an effect on do nothing;
those that would change the battles are refused, and so are commands to the game and its replays. As
in SMAC, an action that is not available is refused.

Pickled or copied, a battle goes on from where it was, apart from the original.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float32

from partage.errors import UserError
from partage.sims.contract import TimeStep
from partage.sims.skirmish.data import find_map
from partage.wrappers.numbers import actions_of_agents
from partage.wrappers.smac_arguments import SIGNATURE, read_arguments
from partage.wrappers.smac_battle import Battle
from partage.wrappers.smac_ground import Direction, GroundLookup
from partage.wrappers.smac_rewards import battle_reward, largest_reward, step_reward
from partage.wrappers.smac_units import Unit, UnitLookup
from partage.wrappers.smac_views import HEIGHT, PATHING, STEPS, Instant, Views

__all__ = ["Direction", "StarCraft2Env"]


class StarCraft2Env(UnitLookup, GroundLookup):
    """Play one battle after the other on one map.

    Without a seed each object plays other battles, as with SMAC. Raises `UserError` for a map or an
    argument that is not there, or whose value is not played; and, where a battle is asked about,
    before the first `reset`.
    """

    __signature__ = SIGNATURE

    n_actions_move = STEPS
    n_obs_pathing = PATHING
    n_obs_height = HEIGHT

    def __init__(self, *given: Any, **named: Any) -> None:
        self._given = read_arguments(given, named)
        arguments = dataclasses.asdict(self._given)
        sim = Battle(find_map(self._given.map_name), arguments.pop("seed"))
        vars(self).update(arguments)  # SMAC's class has them all as attributes
        UnitLookup.__init__(self, sim)
        GroundLookup.__init__(self, sim.rules)
        self._views = Views(self._given, sim.map)
        self.max_reward = largest_reward(self._given, sim.rules.traits[self.n_agents :])
        self.n_actions = sim.map.spec.n_actions
        self.episode_limit = sim.map.limit
        self.ally_state_attr_names = self._views.ally_names
        self.enemy_state_attr_names = self._views.enemy_names
        self.battles_won = self.battles_game = self.timeouts = self.force_restarts = 0
        self.reward = 0.0
        self.window_size = (self._given.window_size_x, self._given.window_size_y)

    # Playing

    def reset(self) -> tuple[list[Float32[np.ndarray, "O"]], Float32[np.ndarray, "S"]]:
        """Start a battle; return all observations, and the state."""
        self._sim.begin()
        return self.get_obs(), self.get_state()

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Play a step; return the team's reward, whether the episode is over, and SMAC's info.

        Raises `UserError` for an action that is not available, and where no battle is under way.
        """
        chosen = actions_of_agents(actions)
        self._check_available(chosen)
        now = self._sim.advance(chosen)
        over = bool(now.ended.item())
        self.battles_game += over
        self.battles_won += bool(now.score.item())
        self.timeouts += bool(now.truncated.item())
        self.reward = self._paid(now)
        return self.reward, over, self._info(now)

    def _check_available(self, actions: list[int]) -> None:
        """Raise `UserError` unless each agent has its action."""
        if len(actions) != self.n_agents:
            raise UserError(
                f"Expected an action of each of {self.n_agents} agents, but {len(actions)} came."
            )
        for agent, action in enumerate(actions):
            available = self.get_avail_agent_actions(agent)
            if not 0 <= action < self.n_actions or not available[action]:
                choices = ", ".join(map(str, np.flatnonzero(available)))
                raise UserError(f"Agent {agent} cannot do action {action}: it has {choices}.")

    def _paid(self, now: TimeStep) -> float:
        """Return the step's reward: the simulator's own, where it is SMAC's usual one."""
        if self._given.pays_as_usual():
            return now.reward[0, 0, 0].item()
        outcome = self.update_units()
        return step_reward(self._given, self.reward_battle(), outcome, self.max_reward)

    def _info(self, now: TimeStep) -> dict[str, Any]:
        """Return what SMAC says of a step: who has died, and whether the battle is won."""
        dead = self._sim.units["health"] <= 0
        info: dict[str, Any] = {
            "battle_won": bool(now.score.item()),
            "dead_allies": int(dead[: self.n_agents].sum()),
            "dead_enemies": int(dead[self.n_agents :].sum()),
        }
        if self._given.continuing_episode and now.truncated.item():
            info["episode_limit"] = True
        return info

    def reward_battle(self) -> float:
        """Return what the last step's losses pay: not scaled, without victory or defeat."""
        self._sim.now()
        return battle_reward(self._given, self._sim.before, self._sim.units, self.n_agents)

    # What is seen

    def get_obs(self) -> list[Float32[np.ndarray, "O"]]:
        """Return the observations in the agents' order."""
        return [self.get_obs_agent(agent) for agent in range(self.n_agents)]

    def get_obs_agent(self, agent_id: int) -> Float32[np.ndarray, "O"]:
        """Return what an agent observes."""
        usual = self._sim.now().obs[0, 0, self._slot(agent_id)].numpy()
        return self._views.observation(agent_id, usual, self._instant(agent_id))

    def get_state(self) -> Float32[np.ndarray, "S"]:
        """Return the global state."""
        if self._given.obs_instead_of_state:
            return np.concatenate(self.get_obs())
        parts = [np.ravel(part) for part in self.get_state_dict().values()]
        return np.concatenate(parts).astype(np.float32)

    def get_state_dict(self) -> dict[str, Any]:
        """Return the state's parts: allies, enemies; last_action and timestep where asked for."""
        usual = self._sim.now().state[0, 0].numpy()
        return self._views.state_parts(usual, self._instant(None))

    def _instant(self, agent: int | None) -> Instant:
        """Return what arguments may add to what is shown; the ground is that around an agent."""
        now = self._sim.now()
        ground: list[Any] = []
        if agent is not None and self._views.shows_ground():
            ground = self._ground(self.get_unit_by_id(agent))
        return Instant(self.last_action, now.clock.item() / self.episode_limit, np.array(ground))

    def _ground(self, unit: Unit) -> list[Any]:
        """Return what a unit observes of the ground around it: nothing where it is dead."""
        pathing = self.get_surrounding_pathing(unit) if self._given.obs_pathing_grid else []
        height = self.get_surrounding_height(unit) if self._given.obs_terrain_height else []
        seen = [*pathing, *height]
        return seen if unit.health else [0] * len(seen)

    def get_avail_actions(self) -> list[list[int]]:
        """Return which actions each agent has, 0 or 1 for each."""
        return [self.get_avail_agent_actions(agent) for agent in range(self.n_agents)]

    def get_avail_agent_actions(self, agent_id: int) -> list[int]:
        """Return which actions an agent has, 0 or 1 for each."""
        return self._sim.now().avail_actions[0, 0, self._slot(agent_id)].int().tolist()

    # Sizes

    def get_total_actions(self) -> int:
        """Return the number of actions."""
        return self.n_actions

    def get_obs_size(self) -> int:
        """Return the length of an observation."""
        return self._views.obs_size()

    def get_state_size(self) -> int:
        """Return the length of the state."""
        return self._views.state_size()

    def get_obs_move_feats_size(self) -> int:
        """Return how many entries of an observation tell where the agent may go."""
        return self._views.move_size()

    def get_obs_enemy_feats_size(self) -> tuple[int, int]:
        """Return of how many enemies an observation tells, and in how many entries each."""
        return self._views.enemy_sizes()

    def get_obs_ally_feats_size(self) -> tuple[int, int]:
        """Return of how many other agents an observation tells, and in how many entries each."""
        return self._views.ally_sizes()

    def get_obs_own_feats_size(self) -> int:
        """Return how many entries of an observation tell of the agent itself, and of the time."""
        return self._views.own_size()

    def get_ally_num_attributes(self) -> int:
        """Return in how many entries the state tells of each agent."""
        return len(self.ally_state_attr_names)

    def get_enemy_num_attributes(self) -> int:
        """Return in how many entries the state tells of each enemy."""
        return len(self.enemy_state_attr_names)

    def get_env_info(self) -> dict[str, Any]:
        """Return the sizes, and the names of a unit's features in the state."""
        return {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": self.n_actions,
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
            "agent_features": self.ally_state_attr_names,
            "enemy_features": self.enemy_state_attr_names,
        }

    # Around the battles

    def get_stats(self) -> dict[str, float]:
        """Return the counts of all battles so far; SMAC calls those out of time draws."""
        return {
            "battles_won": self.battles_won,
            "battles_game": self.battles_game,
            "battles_draw": self.timeouts,
            "win_rate": self.battles_won / max(self.battles_game, 1),
            "timeouts": self.timeouts,
            "restarts": self.force_restarts,
        }

    def seed(self) -> int:
        """Return the seed of the battles."""
        return self._sim.seed

    def full_restart(self) -> None:
        """Give the battle up, and count that: the next one begins with `reset`."""
        self._sim.give_up()
        self.force_restarts += 1

    def get_agent_action(self, a_id: int, action: int) -> None:
        """Raise `UserError`: there is no game to send a command to."""
        raise UserError("There is no game to send a command to: give action numbers to step().")

    get_agent_action_heuristic = get_agent_action

    def save_replay(self) -> None:
        """Raise `UserError`: there is no replay of a simulator's battle."""
        raise UserError("A simulator's battle is no replay of the game: none can be saved.")

    def render(self, mode: str = "human") -> None:
        """Warn that nothing is drawn. Raises `UserError` where an image is asked for."""
        if mode != "human":
            raise UserError(f"The simulator draws no images, but mode={mode!r} came.")
        warnings.warn("The simulator draws nothing: render() does nothing.", stacklevel=2)

    def close(self) -> None:
        """Close the simulator."""
        self._sim.close()
