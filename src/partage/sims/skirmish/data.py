"""Read units and maps from their data files, and say which sizes follow for a task."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from partage.errors import look_up
from partage.sims.contract import Spec

Rectangle = tuple[int, int, int, int]  # y from, y to, x from, x to, cells, both included


class UnitType(NamedTuple):
    """Hold an entry of units.toml, which explains the fields: seconds, map units, health."""

    health: float
    attributes: tuple[str, ...]
    speed: float
    radius: float
    separation: float
    range: float
    max_cd: float
    shield: float = 0
    armour: float = 0
    plane: Literal["ground", "air", "strider"] = "ground"
    acceleration: float = 0  # 0: full speed at once
    regeneration: float = 0
    damage: float = 0
    bonus: float = 0
    against: str = ""
    hits: int = 1
    gap: float = 0
    period: float = 0
    point: float = 0
    backswing: float = 0.5
    missile: float = 0
    air: bool = False
    blast: float = 0
    beams: bool = False
    heals: bool = False

    def hit(self, target: "UnitType") -> float:
        """Return the damage of one hit before armour; 0 if this unit cannot attack that one."""
        if target.plane == "air" and not self.air:
            return 0.0
        return self.damage + (self.bonus if self.against in target.attributes else 0)


class Group(NamedTuple):
    """Hold units that are created at once, packed around a point."""

    unit: str
    number: int
    centre: tuple[float, float]  # x, y


class Ground(NamedTuple):
    """Hold a ground of maps.toml, which explains the fields."""

    open: tuple[Rectangle, ...]
    cliffs: tuple[Rectangle, ...] = ()
    levels: tuple[tuple[int, int, int, int, int], ...] = ()


class BattleMap(NamedTuple):
    """Hold a map of maps.toml, which explains the fields."""

    name: str
    limit: int
    races: str
    map_type: str
    allies: tuple[Group, ...]
    enemies: tuple[Group, ...]
    goal: tuple[float, float]
    ground: Ground
    hunt: bool = False
    ally_bits: tuple[str, ...] = ()
    enemy_bits: tuple[str, ...] = ()

    @property
    def n_agents(self) -> int:
        """Return the number of allies."""
        return sum(group.number for group in self.allies)

    @property
    def n_enemies(self) -> int:
        """Return the number of enemies."""
        return sum(group.number for group in self.enemies)

    @property
    def agent_types(self) -> tuple[str, ...]:
        """Return each agent's unit type: SMAC numbers agents by type first."""
        types: list[str] = []
        for group in self.allies:
            types += [group.unit] * group.number
        return tuple(sorted(types))

    @property
    def shows_ally_shield(self) -> bool:
        """Return whether SMAC shows the allies' shields."""
        return self.races[0] == "P"

    @property
    def shows_enemy_shield(self) -> bool:
        """Return whether SMAC shows the enemies' shields."""
        return self.races[1] == "P"

    @property
    def spec(self) -> Spec:
        """Return SMAC's sizes, see `actions` and `observations` for what they count."""
        n, e = self.n_agents, self.n_enemies
        ally = len(self.ally_bits) + self.shows_ally_shield  # entries of type and shield
        enemy = len(self.ally_bits) + self.shows_enemy_shield
        n_actions = 6 + e
        return Spec(
            n_agents=n,
            n_actions=n_actions,
            obs_dim=4 + e * (5 + enemy) + (n - 1) * (5 + ally) + 1 + ally,
            state_dim=n * (4 + ally) + e * (3 + enemy) + n * n_actions,
            horizon=self.limit,
            common_reward=True,
            types=self.agent_types,
        )


def read_table(name: str) -> dict[str, Any]:
    """Return what a data file beside this one holds."""
    return tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def as_tuples(value: Any) -> Any:
    """Return lists as tuples, all the way down."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


def as_fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a TOML table as the fields of a NamedTuple."""
    return {key: as_tuples(value) for key, value in table.items()}


@cache
def unit_types() -> dict[str, UnitType]:
    """Return all unit types by the alphabet, which is the order of SMAC's own ids."""
    tables = read_table("units.toml")
    return {name: UnitType(**as_fields(tables[name])) for name in sorted(tables)}


@cache
def maps() -> dict[str, BattleMap]:
    """Return all maps by their names."""
    tables = read_table("maps.toml")
    grounds = {name: Ground(**as_fields(table)) for name, table in tables["ground"].items()}
    return {name: parse_map(name, table, grounds) for name, table in tables["map"].items()}


def parse_map(name: str, table: Mapping[str, Any], grounds: Mapping[str, Ground]) -> BattleMap:
    """Return a map's table as a `BattleMap`; every key is a field of that or of `Group`."""
    fields = as_fields(table)
    fields["allies"] = parse_groups(table["allies"])
    fields["enemies"] = parse_groups(table["enemies"])
    fields["ground"] = grounds[table["ground"]]
    return BattleMap(name, **fields)


def parse_groups(tables: list[dict[str, Any]]) -> tuple[Group, ...]:
    """Return one side's groups in the order they are created."""
    return tuple(Group(**as_fields(table)) for table in tables)


def find_map(task: str) -> BattleMap:
    """Return the map of that name. Raises `UserError` where there is none.

    >>> find_map("5m_vs_6m").spec[:6]
    (5, 12, 55, 98, 70, True)
    """
    return look_up(maps(), "map of smac", task)
