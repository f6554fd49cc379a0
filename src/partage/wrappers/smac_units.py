"""Tell of units what SMAC's class tells: `UnitLookup`.

A unit is a `Unit`: what the game's protocol says of it, as far as SMAC reads it. Allies have unit
types of their own, as on SMAC's maps: side by side, by the alphabet, from a number on that the
game chooses anew with each of its versions and that is chosen here.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from partage.errors import UserError
from partage.sims.skirmish.actions import FIRST_TARGET, NONE_YET
from partage.sims.skirmish.data import unit_types
from partage.sims.skirmish.rules import SHOOT, SIGHT
from partage.wrappers.numbers import whole_number
from partage.wrappers.smac_battle import Battle

# The game's own unit types, which enemies are of.
GAME_TYPES = {
    "colossus": 4,
    "baneling": 9,
    "marine": 48,
    "marauder": 51,
    "medivac": 54,
    "zealot": 73,
    "stalker": 74,
    "zergling": 105,
    "hydralisk": 107,
}
FIRST_ALLY_TYPE = 2000  # beyond all of the game's
OURS = 1  # owners of units
THEIRS = 2
OTHERS_COOLDOWN = 15  # SMAC's, of a type that it has no number for


class Position(NamedTuple):
    """Hold where a unit is, in map units from the bottom left."""

    x: float
    y: float


class Unit(NamedTuple):
    """Hold what is known of a unit at one instant. A dead one has health 0 and keeps its place."""

    tag: int
    unit_type: int
    owner: int  # OURS or THEIRS
    pos: Position
    health: float
    health_max: float
    shield: float
    shield_max: float
    energy: float  # a medivac's
    weapon_cooldown: float  # game loops until it may attack again


class UnitLookup:
    """Answer SMAC's questions on the units of a battle, their types and their ranges."""

    n_actions_no_attack = FIRST_TARGET

    def __init__(self, sim: Battle) -> None:
        self._sim, battle_map = sim, sim.map
        self.n_agents, self.n_enemies = battle_map.n_agents, battle_map.n_enemies
        self.shield_bits_ally = int(battle_map.shows_ally_shield)
        self.shield_bits_enemy = int(battle_map.shows_enemy_shield)
        self.unit_type_bits = len(battle_map.ally_bits)
        self.map_type = battle_map.map_type
        ours = sorted({group.unit for group in battle_map.allies})
        self._ally_types = {name: FIRST_ALLY_TYPE + place for place, name in enumerate(ours)}
        self._names = {number: name for name, number in GAME_TYPES.items()}
        self._ally_names = {number: name for name, number in self._ally_types.items()}
        for name in GAME_TYPES:  # marine_id and the like: 0 of those that we have not
            setattr(self, f"{name}_id", self._ally_types.get(name, 0))
        kinds = [list(unit_types())[kind] for kind in sim.rules.traits["kind"]]
        allies = [self._ally_types[name] for name in kinds[: self.n_agents]]
        self._unit_types = allies + [GAME_TYPES[name] for name in kinds[self.n_agents :]]

    @property
    def agents(self) -> dict[int, Unit]:
        """Return our units by their numbers, as they are now; none before the first battle."""
        return self._read_units(self._sim.units, 0, self.n_agents)

    @property
    def enemies(self) -> dict[int, Unit]:
        """Return the enemy's units by their numbers; none before the first battle."""
        return self._read_units(self._sim.units, self.n_agents, self.n_enemies)

    @property
    def previous_ally_units(self) -> dict[int, Unit]:
        """Return our units as they were before the last step."""
        return self._read_units(self._sim.before, 0, self.n_agents)

    @property
    def previous_enemy_units(self) -> dict[int, Unit]:
        """Return the enemy's units as they were before the last step."""
        return self._read_units(self._sim.before, self.n_agents, self.n_enemies)

    @property
    def death_tracker_ally(self) -> Float64[np.ndarray, "N"]:
        """Return 1 for each of our units that has died in this battle."""
        return np.array([float(not unit.health) for unit in self.agents.values()])

    @property
    def death_tracker_enemy(self) -> Float64[np.ndarray, "E"]:
        """Return 1 for each of the enemy's units that has died in this battle."""
        return np.array([float(not unit.health) for unit in self.enemies.values()])

    @property
    def last_action(self) -> Float64[np.ndarray, "N A"]:
        """Return everyone's last action, one-hot; zeros before a battle's first step."""
        chosen = self._sim.last_action
        rows = np.eye(self.n_actions_no_attack + self.n_enemies)[chosen]
        return rows * (chosen != NONE_YET)[:, None]

    def get_unit_by_id(self, a_id: int) -> Unit:
        """Return our unit of that number."""
        self._sim.now()
        return self._read_unit(self._sim.units, self._slot(a_id))

    def init_units(self) -> None:
        """Do nothing, but raise `UserError` where no battle has begun: units are always read."""
        self._sim.now()

    def update_units(self) -> int | None:
        """Return how the battle has ended, and None while it goes on or is out of time.

        1 is won, -1 lost, 0 that nobody is left.
        """
        self._sim.now()
        alive = self._sim.units["health"] > 0
        ours, theirs = alive[: self.n_agents].any(), alive[self.n_agents :].any()
        if (theirs and not ours) or self.only_medivac_left(ally=True):
            return -1
        if (ours and not theirs) or self.only_medivac_left(ally=False):
            return 1
        return None if ours or theirs else 0

    def only_medivac_left(self, ally: bool) -> bool:
        """Return SMAC's answer, on maps with medivacs: whether none of ours lives but medivacs.

        Of the enemy's (`ally` False): whether a medivac is the only one that lives.
        """
        self._sim.now()
        if self.map_type != "MMM":
            return False
        alive, heals = self._sim.units["health"] > 0, self._sim.rules.traits["heals"] > 0
        n = self.n_agents
        if ally:
            return not (alive & ~heals)[:n].any()
        return bool(alive[n:].sum() == 1 and (alive & heals)[n:].any())

    def get_visibility_matrix(self) -> Bool[np.ndarray, "N U"]:
        """Return which agents, then which enemies, each agent sees; itself is left out.

        Who lives sees those that live and are less than 9 away.
        """
        self._sim.now()
        units, n = self._sim.units, self.n_agents
        away = np.hypot(units["x"][:n, None] - units["x"], units["y"][:n, None] - units["y"])
        alive = units["health"] > 0
        seen = (away < SIGHT) & alive & alive[:n, None]
        seen[range(n), range(n)] = False
        return seen

    def get_unit_types(self) -> list[int]:
        """Return the unit type of each agent, then of each enemy."""
        return list(self._unit_types)

    def get_unit_type_id(self, unit: Any, ally: bool) -> int:
        """Return the place of a unit's type in the bits that a side's types are shown by.

        Raises `UserError` for a type that this side of the map has not, or whose bits SMAC does not
        show: it shows no enemies' types on maps of one type.
        """
        if ally:
            place = unit.unit_type - FIRST_ALLY_TYPE
            if 0 <= place < len(self._ally_types):
                return place
        elif self._names.get(unit.unit_type) in self._sim.map.enemy_bits:
            return self._sim.map.enemy_bits.index(self._names[unit.unit_type])
        side = "an ally's" if ally else "an enemy's"
        raise UserError(
            f"{self._sim.map.name} shows no unit type {unit.unit_type} as {side}: give a unit of "
            f"env.agents with ally=True, or of env.enemies with ally=False."
        )

    def unit_max_cooldown(self, unit: Any) -> float:
        """Return what SMAC divides an ally's cooldown by, or a medivac's energy; 15 of others."""
        name = self._ally_names.get(unit.unit_type)
        return unit_types()[name].max_cd if name else OTHERS_COOLDOWN

    def unit_max_shield(self, unit: Any) -> float | None:
        """Return the greatest shield of a Protoss unit; None of others, as SMAC does."""
        name = (self._ally_names | self._names).get(unit.unit_type)
        return unit_types()[name].shield or None if name else None

    def unit_shoot_range(self, agent_id: int) -> float:
        """Return from how far an agent may be ordered to attack: 6 for all."""
        return SHOOT

    def unit_sight_range(self, agent_id: int) -> float:
        """Return how far an agent sees: 9 for all."""
        return SIGHT

    def _slot(self, agent_id: Any) -> int:
        """Return an agent's number. Raises `UserError` where there is no such agent."""
        agent = whole_number("An agent's number", agent_id)
        if not 0 <= agent < self.n_agents:
            raise UserError(
                f"{self._sim.map.name} has agents 0 to {self.n_agents - 1}, but {agent_id!r} came."
            )
        return agent

    def _read_units(self, units: np.ndarray, first: int, count: int) -> dict[int, Unit]:
        """Return what is known of some slots, counted from 0; none before the first battle."""
        if not self._sim.has_begun():
            return {}
        return {number: self._read_unit(units, first + number) for number in range(count)}

    def _read_unit(self, units: np.ndarray, slot: int) -> Unit:
        """Return what is known of the unit in a slot."""
        unit, traits = units[slot], self._sim.rules.traits[slot]
        health = max(float(unit["health"]), 0.0)
        return Unit(
            tag=slot + 1,
            unit_type=self._unit_types[slot],
            owner=OURS if slot < self.n_agents else THEIRS,
            pos=Position(float(unit["x"]), float(unit["y"])),
            health=health,
            health_max=float(traits["health_max"]),
            shield=float(unit["shield"]),
            shield_max=float(traits["shield_max"]),
            energy=float(unit["energy"]),
            weapon_cooldown=float(unit["cooldown"]),
        )
