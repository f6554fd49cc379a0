"""Show battles as SMAC's arguments ask: `Views`, which rearranges what the simulator shows.

The simulator writes observations and state by SMAC's defaults. What an argument leaves out is cut
from them, and what it adds is put where SMAC puts it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from partage.sims.skirmish.actions import FIRST_TARGET, NORTH
from partage.sims.skirmish.data import BattleMap
from partage.wrappers.smac_arguments import Arguments

STEPS = FIRST_TARGET - NORTH  # north, south, east, west
PLACE = 4  # entries of a seen unit before its health: seen or in range, distance, dx, dy
PATHING = 8  # points around an agent that it may observe the ground of
HEIGHT = 9  # with its own


class Instant(NamedTuple):
    """Hold what an argument may add to what is shown."""

    last_action: Float64[np.ndarray, "N A"]  # one-hot; zeros before the first step
    share: float  # of the longest episode's steps
    ground: Float[np.ndarray, "G"]  # pathing and height around the agent that observes


class Views:
    """Hold which entries observations and state have, and make them."""

    def __init__(self, given: Arguments, battle_map: BattleMap) -> None:
        self._given, self._spec = given, battle_map.spec
        self._n, self._e = battle_map.n_agents, battle_map.n_enemies
        self._bits = len(battle_map.ally_bits)
        self._ally_shield = int(battle_map.shows_ally_shield)
        self._enemy_shield = int(battle_map.shows_enemy_shield)
        types = [f"type_{bit}" for bit in range(self._bits)]
        shield = ["shield"] * self._ally_shield
        self.ally_names = ["health", "energy/cooldown", "rel_x", "rel_y", *shield, *types]
        shield = ["shield"] * self._enemy_shield
        self.enemy_names = ["health", "rel_x", "rel_y", *shield, *types]

    def move_size(self) -> int:
        """Return how many entries of an observation tell where the agent may go."""
        given = self._given
        return STEPS + PATHING * given.obs_pathing_grid + HEIGHT * given.obs_terrain_height

    def enemy_sizes(self) -> tuple[int, int]:
        """Return of how many enemies an observation tells, and in how many entries each."""
        condition = (1 + self._enemy_shield) * self._given.obs_all_health
        return self._e, PLACE + condition + self._bits

    def ally_sizes(self) -> tuple[int, int]:
        """Return of how many other agents an observation tells, and in how many entries each."""
        condition = (1 + self._ally_shield) * self._given.obs_all_health
        last_action = self._spec.n_actions * self._given.obs_last_action
        return self._n - 1, PLACE + condition + self._bits + last_action

    def own_size(self) -> int:
        """Return how many entries tell of the agent itself, and of the time.

        SMAC counts the time once and observes one zero more: here the size is what is observed.
        """
        own = (1 + self._ally_shield) * self._tells_own_health()
        return self._bits + own + self._given.obs_timestep_number

    def obs_size(self) -> int:
        """Return the length of an observation."""
        enemies, per_enemy = self.enemy_sizes()
        allies, per_ally = self.ally_sizes()
        return self.move_size() + enemies * per_enemy + allies * per_ally + self.own_size()

    def state_size(self) -> int:
        """Return the length of the state."""
        if self._given.obs_instead_of_state:
            return self.obs_size() * self._n
        size = self._n * len(self.ally_names) + self._e * len(self.enemy_names)
        size += self._n * self._spec.n_actions * self._given.state_last_action
        return size + self._given.state_timestep_number

    def observation(
        self, agent: int, usual: Float32[np.ndarray, "O"], now: Instant
    ) -> Float32[np.ndarray, "P"]:
        """Return what an agent observes, of what it would by SMAC's defaults."""
        if self._given.shows_as_usual():
            return usual.copy()
        move, enemies, allies, own = self._cut(usual)
        parts = [move, now.ground, self._hide_health(enemies, self._enemy_shield).ravel()]
        allies = self._hide_health(allies, self._ally_shield)
        if self._given.obs_last_action:
            theirs = np.delete(now.last_action, agent, 0) * allies[:, :1]  # of those it sees
            allies = np.concatenate([allies, theirs], 1)
        parts += [allies.ravel(), own if self._tells_own_health() else own[1 + self._ally_shield :]]
        if self._given.obs_timestep_number:
            parts.append(np.array([now.share]))
        return np.concatenate(parts).astype(np.float32)

    def state_parts(
        self, usual: Float32[np.ndarray, "S"], now: Instant
    ) -> dict[str, Float64[np.ndarray, "..."] | float]:
        """Return the state's parts by SMAC's names, of the state by SMAC's defaults."""
        allies, enemies = len(self.ally_names) * self._n, len(self.enemy_names) * self._e
        parts: dict[str, Float64[np.ndarray, "..."] | float] = {
            "allies": usual[:allies].reshape(self._n, -1).astype(float),
            "enemies": usual[allies : allies + enemies].reshape(self._e, -1).astype(float),
        }
        if self._given.state_last_action:
            parts["last_action"] = now.last_action
        if self._given.state_timestep_number:
            parts["timestep"] = now.share
        return parts

    def shows_ground(self) -> bool:
        """Return whether agents observe pathing or height around them."""
        return self._given.obs_pathing_grid or self._given.obs_terrain_height

    def _tells_own_health(self) -> bool:
        """Return whether an agent observes its own health: SMAC's first argument implies it."""
        return self._given.obs_all_health or self._given.obs_own_health

    def _cut(self, usual: Float32[np.ndarray, "O"]) -> tuple[np.ndarray, ...]:
        """Return an observation's parts: steps, enemies [E, ..], other agents [N - 1, ..], own."""
        per_enemy = PLACE + 1 + self._enemy_shield + self._bits
        per_ally = PLACE + 1 + self._ally_shield + self._bits
        first = STEPS + self._e * per_enemy
        second = first + (self._n - 1) * per_ally
        enemies = usual[STEPS:first].reshape(self._e, per_enemy)
        allies = usual[first:second].reshape(self._n - 1, per_ally)
        return usual[:STEPS], enemies, allies, usual[second:]

    def _hide_health(self, seen: np.ndarray, shield: int) -> np.ndarray:
        """Return seen units without health and shield, unless agents observe them."""
        if self._given.obs_all_health:
            return seen
        return np.delete(seen, slice(PLACE, PLACE + 1 + shield), 1)
