"""Keep bodies on open ground and apart from one another."""

import math

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.world import AIR, STRIDER, Rules, Units

BORDER = 0.5  # how near flyers come to the map's edge
MELEE = 0.5  # weapons of less range are for fighting hand to hand
PASSES = 3  # of pushing apart in a loop, at most
TOLERANCE = 0.05  # overlap that may stay


@lean_inlined
def is_open(rules: Rules, slot: int, x: float, y: float) -> bool:
    """Return whether the ground carries the unit there."""
    plane = rules.traits[slot].plane
    if plane == AIR:
        return BORDER <= x <= rules.width - BORDER and BORDER <= y <= rules.height - BORDER
    if plane == STRIDER:
        return rules.striding[int(y), int(x)]
    return rules.pathing[int(y), int(x)]


@lean_inlined
def close_ranks(rules: Rules, one: int, other: int) -> bool:
    """Return whether both fight hand to hand on one side.

    Then who stands moves over for who comes to stand beside it.
    """
    a = rules.traits[one]
    b = rules.traits[other]
    same_side = (one < rules.n_agents) == (other < rules.n_agents)
    return same_side and a.reach - a.radius < MELEE and b.reach - b.radius < MELEE


@lean_inlined
def push(rules: Rules, units: Units, slot: int, dx: float, dy: float) -> None:
    """Shift the unit if the ground there is open."""
    unit = units[slot]
    x = unit.x + dx
    y = unit.y + dy
    if is_open(rules, slot, x, y):
        unit.x = x
        unit.y = y


@lean_inlined
def overlap(rules: Rules, units: Units, a: int, b: int) -> bool:
    """Return whether two bodies do, of which the second may be dead."""
    dx = units[a].x - units[b].x
    dy = units[a].y - units[b].y
    apart = rules.traits[a].body + rules.traits[b].body
    near = dx * dx + dy * dy < apart * apart
    return near and rules.traits[a].plane == rules.traits[b].plane and units[b].health > 0


@lean_inlined
def push_apart(rules: Rules, units: Units, a: int, b: int) -> float:
    """Push two bodies apart and return how deep they overlapped.

    Of a walker and a stander the walker alone yields, unless both close ranks.
    """
    if not overlap(rules, units, a, b):
        return 0.0
    one = units[a]
    other = units[b]
    dx = one.x - other.x
    dy = one.y - other.y
    apart = rules.traits[a].body + rules.traits[b].body
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-6:  # on one spot: any direction will do
        dx = 1e-6
        dy = 0.0
        length = 1e-6
    scale = (apart - length) / length
    share = 0.5  # of the way that the first goes
    if (one.stride > 0) != (other.stride > 0) and not close_ranks(rules, a, b):
        share = 1.0 if one.stride > 0 else 0.0
    if share > 0:
        push(rules, units, a, share * scale * dx, share * scale * dy)
    if share < 1:
        push(rules, units, b, -(1 - share) * scale * dx, -(1 - share) * scale * dy)
    return apart - length


@lean_inlined
def separate(rules: Rules, units: Units) -> None:
    """Push all bodies apart, again while some overlap."""
    for _ in range(PASSES):
        deepest = 0.0
        for a in range(len(units)):
            if units[a].health > 0:
                for b in range(a):
                    deepest = max(deepest, push_apart(rules, units, a, b))
        if deepest < TOLERANCE:
            break
