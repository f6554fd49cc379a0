"""Move bodies: straight or round walls, round those that stand, apart from those that walk.

A walker heads for where it wants to be, or for the next stop on the way there if a wall is between.
If somebody that stands or a wall is in its way it turns aside by up to a right angle, keeping to
the side on which it last went round; if no way is open it stays for a few loops. Walkers may push
into one another a little and are then pushed apart. Who fights hand to hand closes ranks: a ring
around a victim fills up until bodies touch.
"""

import math
from typing import Any

import numpy as np

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.bodies import close_ranks, is_open, push, separate
from partage.sims.skirmish.world import GROUND, Rules, Units

TURN_COS = np.cos(np.pi / 6)  # of one turn aside
TURN_SIN = np.sin(np.pi / 6)
TURNS = 3  # tried on each side
PATIENCE = 4  # loops that somebody waits whose way is blocked
OVERLAP = 0.02  # bodies that overlap by less do not block
YIELDING = 0.8  # share of their distance to which walkers let one another come
CLOSING = 0.9  # the same of those who close ranks


@lean_inlined
def walk(rules: Rules, units: Units, slot: int, x: float, y: float, length: float) -> None:
    """Let the unit go up to that length towards the point in this loop."""
    unit = units[slot]
    unit.to_x = x
    unit.to_y = y
    unit.stride = min(length, rules.traits[slot].speed)


@lean_inlined
def could_touch(rules: Rules, units: Units, slot: int, other: int) -> bool:
    """Return whether the unit could touch the other in this loop."""
    if units[other].health <= 0 or other == slot:
        return False
    traits = rules.traits[slot]
    dx = units[other].x - units[slot].x
    dy = units[other].y - units[slot].y
    near = traits.body + rules.traits[other].body + traits.speed
    return dx * dx + dy * dy < near * near and rules.traits[other].plane == traits.plane


@lean_inlined
def collect_neighbours(rules: Rules, units: Units, slot: int) -> int:
    """List the bodies that the unit could touch in this loop; return how many.

    Their slots go to the field `neighbour` of the first records.
    """
    count = 0
    for other in range(len(units)):
        if could_touch(rules, units, slot, other):
            units[count].neighbour = other
            count += 1
    return count


@lean_inlined
def blocks(rules: Rules, units: Units, slot: int, other: int, dx: float, dy: float) -> bool:
    """Return whether a step would bring the unit into (or deeper into) the other."""
    away_x = units[slot].x - units[other].x
    away_y = units[slot].y - units[other].y
    apart = rules.traits[slot].body + rules.traits[other].body - OVERLAP
    if units[other].stride > 0:
        apart *= YIELDING
    elif close_ranks(rules, slot, other):
        apart *= CLOSING
    nearer = away_x * dx + away_y * dy < 0
    return nearer and (away_x + dx) ** 2 + (away_y + dy) ** 2 < apart * apart


@lean_inlined
def may_go(rules: Rules, units: Units, slot: int, count: int, dx: float, dy: float) -> bool:
    """Return whether a step stays on open ground and none of the neighbours blocks it."""
    if not is_open(rules, slot, units[slot].x + dx, units[slot].y + dy):
        return False
    for entry in range(count):
        if blocks(rules, units, slot, units[entry].neighbour, dx, dy):
            return False
    return True


@lean_inlined
def turn(x: float, y: float, side: int) -> tuple[float, float]:
    """Return a step turned aside once."""
    return x * TURN_COS - side * y * TURN_SIN, side * x * TURN_SIN + y * TURN_COS


@lean_inlined
def step_aside(rules: Rules, units: Units, slot: int, count: int, dx: float, dy: float) -> bool:
    """Try the turns on the unit's side, then on the other; return whether it went."""
    unit = units[slot]
    for _ in range(2):
        side = unit.side
        turned_x = dx
        turned_y = dy
        for _ in range(TURNS):
            turned_x, turned_y = turn(turned_x, turned_y, side)
            if may_go(rules, units, slot, count, turned_x, turned_y):
                unit.x += turned_x
                unit.y += turned_y
                return True
        unit.side = -side
    return False


@lean_inlined
def next_point(rules: Rules, units: Units, slot: int) -> tuple[Any, Any]:
    """Return the point (x, y) to walk to: the next stop, or the end if the line to it is free."""
    unit = units[slot]
    if rules.traits[slot].plane == GROUND:
        end = rules.stop[int(unit.to_y), int(unit.to_x)]
        following = rules.way[rules.stop[int(unit.y), int(unit.x)], end]
        if following != end:
            return rules.stop_x[following], rules.stop_y[following]
    return unit.to_x, unit.to_y


@lean_inlined
def heading(rules: Rules, units: Units, slot: int) -> tuple[bool, float, float]:
    """Return whether a walker is not there yet, and the step (dx, dy) that it would take."""
    unit = units[slot]
    to_x, to_y = next_point(rules, units, slot)
    dx = to_x - unit.x
    dy = to_y - unit.y
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-9:
        return False, 0.0, 0.0
    scale = min(unit.stride, length) / length
    return True, dx * scale, dy * scale


@lean_inlined
def advance_walker(rules: Rules, units: Units, slot: int) -> None:
    """Walk for one loop."""
    unit = units[slot]
    on_the_way, dx, dy = heading(rules, units, slot)
    if not on_the_way:
        unit.stride = 0
        return
    count = collect_neighbours(rules, units, slot)
    if may_go(rules, units, slot, count, dx, dy):
        unit.x += dx
        unit.y += dy
    elif not step_aside(rules, units, slot, count, dx, dy):
        unit.stride = 0
        unit.waiting = PATIENCE


@lean_inlined
def advance_flyer(rules: Rules, units: Units, slot: int) -> None:
    """Fly for one loop: turn the velocity towards the wanted one, as far as acceleration allows.

    The wanted speed is such that the flyer can brake in time.
    """
    unit = units[slot]
    traits = rules.traits[slot]
    dx = unit.to_x - unit.x
    dy = unit.to_y - unit.y
    length = math.sqrt(dx * dx + dy * dy)
    wanted_x = 0.0
    wanted_y = 0.0
    if unit.stride > 0 and length > 1e-9:
        fast = min(traits.speed, math.sqrt(2 * traits.acceleration * length)) / length
        wanted_x = dx * fast
        wanted_y = dy * fast
    more_x = wanted_x - unit.speed_x
    more_y = wanted_y - unit.speed_y
    more = math.sqrt(more_x * more_x + more_y * more_y)
    part = 1.0 if more <= traits.acceleration else traits.acceleration / more
    unit.speed_x += part * more_x
    unit.speed_y += part * more_y
    push(rules, units, slot, unit.speed_x, unit.speed_y)


@lean_inlined
def move_all(rules: Rules, units: Units) -> None:
    """Move everybody by this loop's step, then push bodies apart."""
    for slot in range(len(units)):
        unit = units[slot]
        if unit.health <= 0:
            continue
        if rules.traits[slot].acceleration > 0:
            advance_flyer(rules, units, slot)
        elif unit.waiting > 0:
            unit.waiting -= 1
            unit.stride = 0
        elif unit.stride > 0:
            advance_walker(rules, units, slot)
    separate(rules, units)
