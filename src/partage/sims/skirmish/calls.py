"""Let enemies help each other.

Who is hurt without having a target turns on whom it was hurt by, and calls those around it.
"""

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.hits import squared_distance
from partage.sims.skirmish.world import NOBODY, Rules, Units

HELP_RANGE = 4.0  # who is that near hears a call for help
HELP_EVERY = 32  # loops between two calls


@lean_inlined
def take_up(units: Units, slot: int, target: int) -> None:
    """Give the unit a target, and start its leash where it stands."""
    unit = units[slot]
    unit.target = target
    unit.from_x = unit.x
    unit.from_y = unit.y


@lean_inlined
def would_help(rules: Rules, units: Units, friend: int, foe: int) -> bool:
    """Return whether an enemy has no target and can hurt that agent."""
    unit = units[friend]
    idle = unit.target == NOBODY and unit.health > 0 and not rules.traits[friend].heals
    return idle and rules.damage[friend, foe] > 0


@lean_inlined
def call(units: Units, slot: int) -> tuple[int, float]:
    """Return the living foe that hurt an enemy in this loop, or -1, and how far its call is heard.

    A unit hears itself in any case.
    """
    unit = units[slot]
    unit.help_in = max(unit.help_in - 1, 0)
    foe = unit.hurt_by
    unit.hurt_by = NOBODY
    if foe == NOBODY or units[foe].health <= 0:
        return NOBODY, 0.0
    if unit.help_in > 0:
        return foe, 0.0
    unit.help_in = HELP_EVERY
    return foe, HELP_RANGE


@lean_inlined
def hear(rules: Rules, units: Units, slot: int, friend: int, foe: int, heard: float) -> None:
    """Turn an idle enemy that hears the call on the foe."""
    square = squared_distance(units, slot, friend)
    if would_help(rules, units, friend, foe) and square <= heard * heard:
        take_up(units, friend, foe)


@lean_inlined
def answer(rules: Rules, units: Units) -> None:
    """Turn enemies hurt in this loop, and idle ones that they call, on whom they were hurt by."""
    last = rules.n_agents + rules.n_enemies
    for slot in range(rules.n_agents, last):
        foe, heard = call(units, slot)
        if foe != NOBODY:
            for friend in range(rules.n_agents, last):
                hear(rules, units, slot, friend, foe, heard)
