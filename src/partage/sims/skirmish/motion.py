"""How bodies move: straight or round walls, round those that stand, apart from those that walk.

A walker heads for where it wants to be, or for the next stop on the way there if a wall is between.
If somebody that stands or a wall is in its way it turns aside by up to a right angle, keeping to
the side on which it last went round; if no way is free it stays for a few loops. Walkers may push
into one another a little and are then pushed apart. Who fights hand to hand closes ranks: a ring
around a victim fills up until bodies touch.
"""

import math

import numpy as np

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.world import AIR, GROUND, STRIDER, Rules, Units

TURN_COS, TURN_SIN = np.cos(np.pi / 6), np.sin(np.pi / 6)  # of one turn aside
TURNS = 3  # tried on each side
PATIENCE = 4  # loops that somebody waits whose way is blocked
SKIN = 0.02  # bodies that overlap by less do not block
YIELDING = 0.8  # share of their distance to which walkers let one another come
CLOSING, HAND = (
    0.9,
    0.5,
)  # the same of those who close ranks; weapons of less range are for fighting hand to hand
PASSES, ENOUGH = 3, 0.05  # of pushing apart in a loop, at most; overlap that may stay
BORDER = 0.5  # how near flyers come to the map's edge


@lean_inlined
def free(rules: Rules, unit: int, x: float, y: float) -> bool:
    """Whether the ground carries the unit there."""
    my = rules.slots[unit]
    if my.plane == AIR:
        return BORDER <= x <= rules.width - BORDER and BORDER <= y <= rules.height - BORDER
    if my.plane == STRIDER:
        return rules.striding[int(y), int(x)]
    return rules.pathing[int(y), int(x)]


@lean_inlined
def lives(units: Units, unit: int) -> bool:
    return units[unit].health > 0


@lean_inlined
def walk(rules: Rules, units: Units, unit: int, x: float, y: float, most: float) -> None:
    """Let the unit go up to `most` towards the point in this loop."""
    me = units[unit]
    me.to_x, me.to_y = x, y
    me.stride = min(most, rules.slots[unit].speed)


@lean_inlined
def collect(rules: Rules, units: Units, unit: int) -> int:
    """Write the bodies that the unit could touch in this loop to the list `near`; their number."""
    me, my = units[unit], rules.slots[unit]
    count = 0
    for other in range(len(units)):
        it = units[other]
        if it.health <= 0 or other == unit:
            continue
        dx, dy = it.x - me.x, it.y - me.y
        reach = my.body + rules.slots[other].body + my.speed
        if dx * dx + dy * dy < reach * reach and rules.slots[other].plane == my.plane:
            units[count].near = other
            count += 1
    return count


@lean_inlined
def close_ranks(rules: Rules, one: int, other: int) -> bool:
    """Whether both fight hand to hand on one side: then who stands moves over for who comes to
    stand beside it.
    """
    a, b = rules.slots[one], rules.slots[other]
    same_side = (one < rules.n_agents) == (other < rules.n_agents)
    return same_side and a.reach - a.radius < HAND and b.reach - b.radius < HAND


@lean_inlined
def open_to(rules: Rules, units: Units, unit: int, count: int, dx: float, dy: float) -> bool:
    """Whether a step there is on open ground and brings the unit into (or deeper into) nobody."""
    me = units[unit]
    if not free(rules, unit, me.x + dx, me.y + dy):
        return False
    for entry in range(count):
        it = units[units[entry].near]
        away_x, away_y = me.x - it.x, me.y - it.y
        apart = rules.slots[unit].body + rules.slots[units[entry].near].body - SKIN
        if it.stride > 0:
            apart *= YIELDING
        elif close_ranks(rules, unit, units[entry].near):
            apart *= CLOSING
        nearer = away_x * dx + away_y * dy < 0
        if nearer and (away_x + dx) ** 2 + (away_y + dy) ** 2 < apart * apart:
            return False
    return True


@lean_inlined
def step_aside(rules: Rules, units: Units, unit: int, count: int, dx: float, dy: float) -> bool:
    """Try the turns on the unit's side, then on the other; whether it went."""
    me = units[unit]
    for _ in range(2):
        side = me.side
        turned_x, turned_y = dx, dy
        for _ in range(TURNS):
            turned_x, turned_y = (
                turned_x * TURN_COS - side * turned_y * TURN_SIN,
                side * turned_x * TURN_SIN + turned_y * TURN_COS,
            )
            if open_to(rules, units, unit, count, turned_x, turned_y):
                me.x += turned_x
                me.y += turned_y
                return True
        me.side = -side
    return False


@lean_inlined
def advance_walker(rules: Rules, units: Units, unit: int) -> None:
    """One loop's walk of somebody on the ground."""
    me = units[unit]
    x, y = me.x, me.y
    to_x, to_y, stride = me.to_x, me.to_y, me.stride
    if rules.slots[unit].plane == GROUND:
        end = rules.stop[int(to_y), int(to_x)]
        following = rules.way[rules.stop[int(y), int(x)], end]
        if following != end:
            to_x, to_y = rules.stop_x[following], rules.stop_y[following]
    dx, dy = to_x - x, to_y - y
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-9:
        me.stride = 0
        return
    scale = min(stride, length) / length
    dx, dy = dx * scale, dy * scale
    count = collect(rules, units, unit)
    if open_to(rules, units, unit, count, dx, dy):
        me.x, me.y = x + dx, y + dy
    elif not step_aside(rules, units, unit, count, dx, dy):
        me.stride = 0
        me.stall = PATIENCE


@lean_inlined
def advance_flyer(rules: Rules, units: Units, unit: int) -> None:
    """One loop's flight: the velocity turns towards the wanted one by the acceleration; it brakes
    in time.
    """
    me, my = units[unit], rules.slots[unit]
    dx, dy = me.to_x - me.x, me.to_y - me.y
    length, change = math.sqrt(dx * dx + dy * dy), my.acceleration
    wanted_x, wanted_y = 0.0, 0.0
    if me.stride > 0 and length > 1e-9:
        fast = min(my.speed, math.sqrt(2 * change * length)) / length
        wanted_x, wanted_y = dx * fast, dy * fast
    more_x, more_y = wanted_x - me.speed_x, wanted_y - me.speed_y
    more = math.sqrt(more_x * more_x + more_y * more_y)
    part = 1.0 if more <= change else change / more
    me.speed_x += part * more_x
    me.speed_y += part * more_y
    push(rules, units, unit, me.speed_x, me.speed_y)


@lean_inlined
def push(rules: Rules, units: Units, unit: int, dx: float, dy: float) -> None:
    """Shift the unit if the ground there is open."""
    me = units[unit]
    x, y = me.x + dx, me.y + dy
    if free(rules, unit, x, y):
        me.x, me.y = x, y


@lean_inlined
def part(rules: Rules, units: Units, a: int, b: int) -> float:
    """Push two bodies apart and say how deep they overlapped. Of a walker and a stander the walker
    alone yields.
    """
    one, other = units[a], units[b]
    dx, dy = one.x - other.x, one.y - other.y
    apart, square = rules.slots[a].body + rules.slots[b].body, dx * dx + dy * dy
    if square >= apart * apart or rules.slots[a].plane != rules.slots[b].plane or other.health <= 0:
        return 0.0
    length = math.sqrt(square)
    if length < 1e-6:  # on one spot: any direction will do
        dx, dy, length = 1e-6, 0.0, 1e-6
    scale = (apart - length) / length
    share = 0.5
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
                    deepest = max(deepest, part(rules, units, a, b))
        if deepest < ENOUGH:
            break


@lean_inlined
def move_all(rules: Rules, units: Units) -> None:
    """Everybody's step of this loop."""
    for unit in range(len(units)):
        me = units[unit]
        if me.health <= 0:
            continue
        if rules.slots[unit].acceleration > 0:
            advance_flyer(rules, units, unit)
        elif me.stall > 0:
            me.stall -= 1
            me.stride = 0
        elif me.stride > 0:
            advance_walker(rules, units, unit)
    separate(rules, units)
