"""A map's data as the constants of compiled code: seconds become game loops, unit types become
slots.
"""

import numpy as np
from jaxtyping import Float64

from partage.sims.skirmish.data import Map, Unit, units
from partage.sims.skirmish.ground import SIZE, placed, terrain
from partage.sims.skirmish.world import AIR, GROUND, NOBODY, SLOT, STRIDER, Rules

LOOPS = 16  # of the game in a second of its speed "normal"
LEAST_SCAN = 5.0  # range of looking for targets, or the weapon's if that is longer
HEAL_SCAN = 6.0  # a healer's
PLANES = {"ground": GROUND, "air": AIR, "strider": STRIDER}


def slots(found: Map) -> tuple[list[str], Float64[np.ndarray, "U 2"], int]:
    """Unit type and place of each slot, and the slot of the ally created first.

    Agents are sorted by (unit type, x, y) as SMAC does at each reset, enemies stay in the order of
    creation.
    """
    groups = (*found.allies, *found.enemies)
    names = [group.unit for group in groups for _ in range(group.number)]
    places = placed(groups, found.ground)
    order = sorted(range(found.n_agents), key=lambda n: (names[n], *places[n]))
    chosen = [*order, *range(found.n_agents, len(names))]
    return [names[unit] for unit in chosen], places[chosen], order.index(0)


def slot(
    unit: Unit, kind: int, place: Float64[np.ndarray, "2"], bit: int, beam: int
) -> tuple[float, ...]:
    """One unit's constants, in the order of SLOT."""
    row = dict(
        health_max=unit.health,
        shield_max=unit.shield,
        max_cd=unit.max_cd,
        type_bit=bit,
        heals=unit.heals,
        radius=unit.radius,
        body=unit.separation,
        plane=PLANES[unit.plane],
        speed=unit.speed / LOOPS,
        acceleration=unit.acceleration / LOOPS**2,
        armour=unit.armour,
        regeneration=unit.regeneration / LOOPS,
        biological="biological" in unit.attributes,
        kind=kind,
        reach=unit.range + unit.radius,
        scan=(HEAL_SCAN if unit.heals else max(unit.range, LEAST_SCAN)) + unit.radius,
        hits=unit.hits,
        gap=unit.gap * LOOPS,
        period=unit.period * LOOPS,
        point=unit.point * LOOPS,
        backswing=unit.backswing * LOOPS,
        missile=unit.missile / LOOPS,
        blast=unit.blast,
        beam=beam if unit.beams else -1,
        spawn_x=place[0],
        spawn_y=place[1],
    )
    return tuple(row[name] for name in SLOT.names or ())


def make(found: Map, positive: bool = False, in_order: bool = False) -> Rules:
    """The constants; `positive`: smacv2's reward, `in_order`: enemies are not shuffled. See
    `Rules`.
    """
    names, places, first = slots(found)
    types = [units()[name] for name in names]
    n, e = found.n_agents, found.n_enemies
    bits = [known.index(name) if known else -1
            for name, known in zip(names, [found.ally_bits] * n + [found.enemy_bits] * e, strict=True)]  # fmt: skip
    kinds = [list(units()).index(name) for name in names]
    beams = (np.cumsum([unit.beams for unit in types]) - 1).tolist()
    return Rules(
        n_agents=n,
        n_enemies=e,
        sight=9.0,
        shoot=6.0,
        centre_x=SIZE / 2,
        centre_y=SIZE / 2,
        width=float(SIZE),
        height=float(SIZE),
        n_bits=len(found.ally_bits),
        shows_ally_shield=found.races[0] == "P",
        shows_enemy_shield=found.races[1] == "P",
        max_reward=10.0 * e + 200 + sum(float(unit.health + unit.shield) for unit in types[n:]),
        positive=positive,
        energy_max=200.0,
        slots=np.array(
            [slot(*row) for row in zip(types, kinds, places, bits, beams, strict=True)], SLOT
        ),
        damage=np.array([[unit.hit(other) for other in types] for unit in types], np.float64),
        goal_x=found.goal[0],
        goal_y=found.goal[1],
        prey=first if found.hunt else NOBODY,
        in_order=in_order,
        **terrain(found.ground)._asdict(),
    )
