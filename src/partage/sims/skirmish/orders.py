"""Who does what: agents carry out their order and nothing else; enemies look for targets and help
each other.

Enemies that are ordered to attack the group of agents do so one after the other. One that
attack-moves (or has arrived) takes up the nearest target within its scan range, those that can hurt
before those that cannot, and keeps it until it is dead or the leash ends; while walking to it, it
prefers one that is already within reach. Who is hurt without having a target turns on whom it was
hurt by, and calls those around it.
"""

import math

from partage.sims.batch import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.battle import HEAL_ENERGY, attack, carry_on, foes, heal, square, within
from partage.sims.skirmish.motion import free, walk
from partage.sims.skirmish.world import ATTACK, ATTACK_MOVE, HEAL, MOVE, NOBODY, STOP, Rules, Units

LOOK = 4  # loops from one look around to the next
LEASH = 21.0  # how far somebody follows a target from where it took it up
HELP, HELP_EVERY = 4.0, 32  # who is that near hears a call for help; loops between two calls
SHORTER = 0.25  # by which a move into a wall is cut, again and again


@lean_inlined
def nearest(rules: Rules, units: Units, unit: int, length: float) -> int:
    """The best target within that length (plus the target's radius): one that can hurt, then the
    nearest; or -1.
    """
    best, best_square, best_hurts = NOBODY, 0.0, False
    first, last = foes(rules, unit)
    for foe in range(first, last):
        if units[foe].health <= 0 or rules.damage[unit, foe] == 0:
            continue
        far, apart = length + rules.slots[foe].radius, square(units, unit, foe)
        if apart > far * far:
            continue
        hurts = (
            not rules.slots[foe].heals or units[foe].healing
        )  # a healer at work counts as one that hurts
        if (
            best == NOBODY
            or (hurts and not best_hurts)
            or (hurts == best_hurts and apart < best_square)
        ):
            best, best_square, best_hurts = foe, apart, hurts
    return best


@lean_inlined
def patient(rules: Rules, units: Units, unit: int) -> int:
    """The nearest hurt friend that an enemy's medivac would heal by itself; or -1."""
    best, best_square = NOBODY, 0.0
    if units[unit].energy < HEAL_ENERGY:
        return best
    for friend in range(rules.n_agents, rules.n_agents + rules.n_enemies):
        if needs_healing(rules, units, friend) and within(
            rules, units, unit, friend, rules.slots[unit].scan
        ):
            apart = square(units, unit, friend)
            if best == NOBODY or apart < best_square:
                best, best_square = friend, apart
    return best


@lean_inlined
def needs_healing(rules: Rules, units: Units, unit: int) -> bool:
    my = rules.slots[unit]
    return my.biological and 0 < units[unit].health < my.health_max


@lean_inlined
def take_up(units: Units, unit: int, target: int) -> None:
    me = units[unit]
    me.target = target
    me.from_x, me.from_y = me.x, me.y


@lean_inlined
def obey(rules: Rules, units: Units, unit: int) -> None:
    """An agent's order ends when it cannot be carried out any more."""
    me = units[unit]
    order, target = me.order, me.target
    if order == ATTACK:
        if target < 0 or units[target].health <= 0 or rules.damage[unit, target] == 0:
            me.order, me.target = STOP, NOBODY
    elif order == HEAL:
        if target < 0 or not rules.slots[unit].heals or not needs_healing(rules, units, target):
            me.order, me.target = STOP, NOBODY
    else:
        me.target = NOBODY


@lean_inlined
def living_agent(rules: Rules, units: Units) -> int:
    """The first agent alive, which enemies that hunt a group turn to next; or -1."""
    for agent in range(rules.n_agents):
        if units[agent].health > 0:
            return agent
    return NOBODY


@lean_inlined
def think(rules: Rules, units: Units, loop: int, unit: int) -> None:
    """An enemy's choice of target."""
    me, my = units[unit], rules.slots[unit]
    target, lost = me.target, False
    if target >= 0:
        if my.heals:
            lost = not needs_healing(rules, units, target)
        else:
            dx, dy = me.x - me.from_x, me.y - me.from_y
            lost = units[target].health <= 0 or dx * dx + dy * dy > LEASH * LEASH
    if lost:
        me.target = target = NOBODY
        if me.order == ATTACK:
            me.target = target = living_agent(rules, units)
            me.order = ATTACK if target >= 0 else STOP
    if me.order == ATTACK or not (lost or (loop + unit) % LOOK == 0):
        return
    if my.heals:
        found = patient(rules, units, unit) if target == NOBODY else NOBODY
    elif target == NOBODY:
        found = nearest(rules, units, unit, my.scan)
    elif me.stride > 0 or me.stall > 0:
        found = nearest(rules, units, unit, my.reach)
    else:
        found = NOBODY
    if found != NOBODY:
        take_up(units, unit, found)


@lean_inlined
def answer(rules: Rules, units: Units) -> None:
    """Enemies hurt in this loop, and those around them that have no target, turn on whom they were
    hurt by.
    """
    for unit in range(rules.n_agents, rules.n_agents + rules.n_enemies):
        me = units[unit]
        me.quiet = max(me.quiet - 1, 0)
        foe = me.hurt_by
        me.hurt_by = NOBODY
        if foe == NOBODY or units[foe].health <= 0:
            continue
        heard = HELP if me.quiet == 0 else 0.0  # by itself in any case
        if me.quiet == 0:
            me.quiet = HELP_EVERY
        for friend in range(rules.n_agents, rules.n_agents + rules.n_enemies):
            idle = (
                units[friend].target == NOBODY
                and units[friend].health > 0
                and not rules.slots[friend].heals
            )
            if (
                idle
                and rules.damage[friend, foe] > 0
                and square(units, unit, friend) <= heard * heard
            ):
                take_up(units, friend, foe)


@lean_inlined
def go(rules: Rules, units: Units, unit: int) -> None:
    """Walk to where the order says. What would end in a wall ends before it."""
    me = units[unit]
    x, y = me.x, me.y
    dx, dy = me.goal_x - x, me.goal_y - y
    length = math.sqrt(dx * dx + dy * dy)
    while length > SHORTER and not free(rules, unit, x + dx, y + dy):
        dx, dy = dx * (1 - SHORTER / length), dy * (1 - SHORTER / length)
        length -= SHORTER
        me.goal_x, me.goal_y = x + dx, y + dy
    walk(rules, units, unit, x + dx, y + dy, length)
    if length <= rules.slots[unit].speed:
        me.order = STOP


@lean_inlined
def act(rules: Rules, units: Units, buffers: Buffers, copy: int, unit: int) -> None:
    """Fight or heal the target, walk to it, or go where the order says."""
    me, my = units[unit], rules.slots[unit]
    target, order = me.target, me.order
    me.stride = 0
    me.healing = False
    me.cooldown = max(me.cooldown - 1, 0.0)
    if me.aim >= 0:
        carry_on(rules, units, unit)
        if me.aim >= 0:
            return  # it stands while it strikes
    if target >= 0:
        gap = math.sqrt(square(units, unit, target)) - my.reach - rules.slots[target].radius
        if gap > 0:
            walk(rules, units, unit, units[target].x, units[target].y, gap + 0.01)
        elif my.heals:
            heal(rules, units, unit, target)
        elif me.cooldown <= 0:
            attack(rules, units, buffers, copy, unit, target)
    elif order in (MOVE, ATTACK_MOVE):
        go(rules, units, unit)
