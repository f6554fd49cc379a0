"""Say which armies smacv2 draws, and make a scenario's data the constants of compiled code."""

import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from partage.errors import UserError, at_most
from partage.sims.contract import Spec
from partage.sims.skirmish.data import (
    BattleMap,
    Group,
    as_fields,
    maps,
    read_table,
    unit_types,
)
from partage.sims.skirmish.ground import lattice
from partage.sims.skirmish.rules import line_up, make_damage, make_rules, make_traits
from partage.sims.skirmish.world import Rules

LIMIT = 200  # steps of an episode
LIKE = "3s_vs_5z"  # whose ground is that of smacv2's map 32x32_flat, cell by cell
MOST_UNITS, WHY_UNITS = 32, "more do not find room around a point"
MIDDLE = (16.0, 16.0)


class Army(NamedTuple):
    """Hold an entry of armies.toml, which explains the fields."""

    name: str
    race: str
    units: tuple[str, ...]
    weights: tuple[float, ...]
    never_alone: tuple[str, ...]


class Scenario(NamedTuple):
    """Hold what one task draws: so many units of an army for the agents, as many against them."""

    army: Army
    units: int

    @property
    def spec(self) -> Spec:
        """Return smacv2's sizes: those of v1, and an agent's place in its own entries.

        It names no types: an agent's is another in each battle.
        """
        spec = self.battle_map.spec
        return spec._replace(obs_dim=spec.obs_dim + 2, types=())

    @property
    def battle_map(self) -> BattleMap:
        """Return a map with as many units, all of one type, for what no draw changes."""
        groups = tuple(Group(self.army.units[0], 1, MIDDLE) for _ in range(self.units))
        return BattleMap(
            name=f"{self.units}_vs_{self.units}",
            limit=LIMIT,
            races=2 * self.army.race,
            map_type="gen",
            allies=groups,
            enemies=groups,
            goal=MIDDLE,
            ground=maps()[LIKE].ground,
            ally_bits=self.army.units,
            enemy_bits=self.army.units,
        )


class DrawnRules(NamedTuple):
    """Hold a scenario's constants, readable in compiled code."""

    battle: Rules  # its traits, damage and greatest reward are an example: each battle has its own
    types: Any  # [K] of TRAITS: the army's types, in the order of their bits
    damage: Float64[np.ndarray, "K K"]  # a hit by the first on the second, before armour
    chance: Float64[np.ndarray, "K"]  # of a unit to be of this type or one before it
    suffices: Bool[np.ndarray, "K"]  # an army may be all of this type
    offsets: Float64[np.ndarray, "P 2"]  # places around a point, the nearest first


@cache
def armies() -> dict[str, Army]:
    """Return all armies by their names."""
    tables = read_table("armies.toml")["army"]
    return {name: Army(name, **as_fields(table)) for name, table in tables.items()}


def find_scenario(task: str) -> Scenario:
    """Return the scenario of that name. Raises `UserError` where there is none.

    >>> find_scenario("terran_5_vs_5").spec[:6]
    (5, 11, 82, 120, 200, True)
    """
    found = re.fullmatch(rf"({'|'.join(armies())})_([1-9]\d{{0,4}})_vs_\2", task)
    if found is None:
        raise UserError(
            f"Unknown task smacv2/{task}: expected <army>_<units>_vs_<units>, as many on both "
            f"sides, such as terran_5_vs_5; the armies are {', '.join(armies())}."
        )
    at_most(f"smacv2/{task}: the number of units", int(found[2]), MOST_UNITS, WHY_UNITS)
    return Scenario(armies()[found[1]], int(found[2]))


def make_drawn_rules(scenario: Scenario, ignore_recovery: bool) -> DrawnRules:
    """Return a scenario's constants."""
    army = scenario.army
    types = one_of_each(scenario)
    tables = read_table("armies.toml")
    types["sight"] = [tables["sight"][name] for name in army.units]
    types["shoot"] = [tables["shoot"][name] for name in army.units]
    types["type_bit"] = range(len(army.units))
    battle = make_rules(scenario.battle_map, ignore_recovery, keep_order=True)
    return DrawnRules(
        battle=battle._replace(shows_own_place=True),
        types=types,
        damage=make_damage([unit_types()[name] for name in army.units]),
        chance=np.cumsum(army.weights),
        suffices=np.array([name not in army.never_alone for name in army.units]),
        offsets=lattice(),
    )


def one_of_each(scenario: Scenario) -> np.ndarray:
    """Return the constants of the army's types, [K] of `TRAITS`, in the order of their bits."""
    army = scenario.army
    example = scenario.battle_map._replace(
        allies=tuple(Group(name, 1, MIDDLE) for name in army.units), enemies=()
    )
    lineup = line_up(example)
    order = [lineup.names.index(name) for name in army.units]
    return make_traits(example, lineup)[order]
