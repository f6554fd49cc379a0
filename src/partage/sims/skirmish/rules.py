"""Make a map's data the constants of compiled code: unit types become slots, seconds game loops."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from partage.sims.skirmish.data import BattleMap, UnitType, unit_types
from partage.sims.skirmish.ground import SIZE, place_units, terrain
from partage.sims.skirmish.world import AIR, GROUND, NOBODY, STRIDER, TRAITS, Rules

LOOPS = 16  # of the game in a second of its speed "normal"
LOOPS_PER_STEP = 8
SETTLING = 2  # loops from the spawn to the first observation
MIN_SCAN = 5.0  # range of looking for targets, or the weapon's if that is longer
HEAL_SCAN = 6.0  # a healer's
SIGHT = 9.0  # how far an agent sees in SMAC v1
SHOOT = 6.0  # how far an enemy may be to be ordered attacked in SMAC v1
ENERGY_MAX = 200.0  # a medivac's
PLANES = {"ground": GROUND, "air": AIR, "strider": STRIDER}


class Lineup(NamedTuple):
    """Hold who stands in which slot when a battle begins."""

    names: list[str]  # [U] unit types
    places: Float64[np.ndarray, "U 2"]  # x, y
    first: int  # slot of the ally created first


def line_up(battle_map: BattleMap) -> Lineup:
    """Return who stands in which slot.

    Agents are sorted by (unit type, x, y) as SMAC does at each reset, enemies stay in the order of
    creation.
    """
    groups = (*battle_map.allies, *battle_map.enemies)
    names: list[str] = []
    for group in groups:
        names += [group.unit] * group.number
    places = place_units(groups, battle_map.ground)
    n = battle_map.n_agents
    order = sorted(range(n), key=lambda created: (names[created], *places[created]))
    created = [*order, *range(n, len(names))]
    return Lineup([names[number] for number in created], places[created], order.index(0))


def scan_range(unit: UnitType) -> float:
    """Return how far a unit looks for targets, from its edge."""
    return HEAL_SCAN if unit.heals else max(unit.range, MIN_SCAN)


def put_body(record: np.void, unit: UnitType) -> None:
    """Write what a unit's body is like, times in game loops."""
    record["health_max"] = unit.health
    record["shield_max"] = unit.shield
    record["max_cd"] = unit.max_cd
    record["heals"] = unit.heals
    record["sight"], record["shoot"] = SIGHT, SHOOT
    record["radius"] = unit.radius
    record["body"] = unit.separation
    record["plane"] = PLANES[unit.plane]
    record["speed"] = unit.speed / LOOPS
    record["acceleration"] = unit.acceleration / LOOPS**2
    record["armour"] = unit.armour
    record["regeneration"] = unit.regeneration / LOOPS
    record["biological"] = "biological" in unit.attributes


def put_weapon(record: np.void, unit: UnitType) -> None:
    """Write how a unit attacks, times in game loops."""
    record["reach"] = unit.range + unit.radius
    record["scan"] = scan_range(unit) + unit.radius
    record["hits"] = unit.hits
    record["gap"] = unit.gap * LOOPS
    record["period"] = unit.period * LOOPS
    record["damage_point"] = unit.point * LOOPS
    record["backswing"] = unit.backswing * LOOPS
    record["missile"] = unit.missile / LOOPS
    record["blast"] = unit.blast


def type_bits(names: list[str], bits: tuple[str, ...]) -> list[int]:
    """Return each name's place in the one-hot of a side's unit types, -1 where it has none."""
    return [bits.index(name) if bits else -1 for name in names]


def make_traits(battle_map: BattleMap, lineup: Lineup) -> np.ndarray:
    """Return the slots' constants, [U] of `TRAITS`."""
    known = unit_types()
    numbers = {name: number for number, name in enumerate(known)}
    traits = np.zeros(len(lineup.names), TRAITS)
    for record, name in zip(traits, lineup.names, strict=True):
        put_body(record, known[name])
        put_weapon(record, known[name])
        record["kind"] = numbers[name]
    has_beams = np.array([known[name].beams for name in lineup.names])
    traits["beam"] = np.where(has_beams, has_beams.cumsum() - 1, -1)
    n = battle_map.n_agents
    ally_bits = type_bits(lineup.names[:n], battle_map.ally_bits)
    traits["type_bit"] = ally_bits + type_bits(lineup.names[n:], battle_map.enemy_bits)
    traits["spawn_x"] = lineup.places[:, 0]
    traits["spawn_y"] = lineup.places[:, 1]
    return traits


def make_damage(types: list[UnitType]) -> Float64[np.ndarray, "U U"]:
    """Return the damage of one hit of each slot on each other, before armour."""
    damage = np.zeros((len(types), len(types)))
    for attacker, unit in enumerate(types):
        damage[attacker] = [unit.hit(victim) for victim in types]
    return damage


def make_rules(
    battle_map: BattleMap, ignore_recovery: bool = False, keep_order: bool = False
) -> Rules:
    """Return a map's constants; see `Rules` for the two options."""
    lineup = line_up(battle_map)
    types = [unit_types()[name] for name in lineup.names]
    enemies = types[battle_map.n_agents :]
    strength = sum(float(unit.health + unit.shield) for unit in enemies)
    return Rules(
        n_agents=battle_map.n_agents,
        n_enemies=len(enemies),
        centre_x=SIZE / 2,
        centre_y=SIZE / 2,
        width=float(SIZE),
        height=float(SIZE),
        n_bits=len(battle_map.ally_bits),
        shows_ally_shield=battle_map.shows_ally_shield,
        shows_enemy_shield=battle_map.shows_enemy_shield,
        max_reward=10.0 * len(enemies) + 200 + strength,
        ignore_recovery=ignore_recovery,
        energy_max=ENERGY_MAX,
        traits=make_traits(battle_map, lineup),
        damage=make_damage(types),
        goal_x=battle_map.goal[0],
        goal_y=battle_map.goal[1],
        prey=lineup.first if battle_map.hunt else NOBODY,
        keep_order=keep_order,
        **terrain(battle_map.ground)._asdict(),
    )
