"""Units and maps as their data files hold them; who stands in which slot; the sizes that follow."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from partage.errors import look_up
from partage.sims.contract import Spec

Rectangle = tuple[int, int, int, int]  # y from, y to, x from, x to, cells, both included


class Unit(NamedTuple):
    """A row of units.toml, which explains the fields: seconds, map units, health."""

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
    acceleration: float = 0  # 0: at once
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

    def hit(self, target: "Unit") -> float:
        """Damage of one hit before armour; 0 if this unit cannot attack that one."""
        if target.plane == "air" and not self.air:
            return 0.0
        return self.damage + (self.bonus if self.against in target.attributes else 0)


class Group(NamedTuple):
    """Units created at once, packed around a point (x, y)."""

    unit: str
    number: int
    at: tuple[float, float]


class Ground(NamedTuple):
    """See maps.toml."""

    open: tuple[Rectangle, ...]
    cliffs: tuple[Rectangle, ...] = ()
    levels: tuple[tuple[int, int, int, int, int], ...] = ()


class Map(NamedTuple):
    """A table of maps.toml, which explains the fields."""

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
        return sum(group.number for group in self.allies)

    @property
    def n_enemies(self) -> int:
        return sum(group.number for group in self.enemies)

    @property
    def spec(self) -> Spec:
        """SMAC's sizes: no-op, stop, four moves and an attack per enemy; features as in `contract`."""
        n, e, bits = self.n_agents, self.n_enemies, len(self.ally_bits)
        ally, enemy = (bits + (race == "P") for race in self.races)
        actions = 6 + e
        obs = 4 + e * (5 + enemy) + (n - 1) * (5 + ally) + 1 + ally
        state = n * (4 + ally) + e * (3 + enemy) + n * actions
        return Spec(n, actions, obs, state, self.limit, common_reward=True)


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))


def frozen(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value


@cache
def units() -> dict[str, Unit]:
    """All unit types, in alphabetical order: that of SMAC's own ids, by which it sorts the agents."""
    rows = read("units.toml")
    return {
        name: Unit(**{key: frozen(value) for key, value in rows[name].items()})
        for name in sorted(rows)
    }


@cache
def maps() -> dict[str, Map]:
    tables = read("maps.toml")
    grounds = {name: Ground(**{key: frozen(value) for key, value in row.items()})
               for name, row in tables["ground"].items()}  # fmt: skip
    return {name: parsed(name, dict(row), grounds) for name, row in tables["map"].items()}


def parsed(name: str, row: dict[str, Any], grounds: dict[str, Ground]) -> Map:
    """A map's table, every key a field of `Map` or `Group`."""
    sides = {side: tuple(Group(**{key: frozen(value) for key, value in group.items()}) for group in row.pop(side))
             for side in ("allies", "enemies")}  # fmt: skip
    ground = grounds[row.pop("ground")]
    return Map(name, **sides, ground=ground, **{key: frozen(value) for key, value in row.items()})


def named(task: str) -> Map:
    """The map of that name.

    >>> named("5m_vs_6m").spec
    Spec(n_agents=5, n_actions=12, obs_dim=55, state_dim=98, horizon=70, common_reward=True)
    """
    return look_up(maps(), "map of smac", task)
