"""Decide who does what: agents carry out orders only; enemies look for targets.

Enemies that are ordered to attack the group of agents do so one after the other. One that
attack-moves (or has arrived) takes up the nearest target within its scan range, those that can hurt
before those that cannot, and keeps it until it is dead or the leash ends; while walking to it, it
prefers one that is already within reach.
"""

import math

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.attacks import begin_attack, continue_attack, draw_jitter
from partage.sims.skirmish.bodies import is_open
from partage.sims.skirmish.calls import take_up
from partage.sims.skirmish.hits import foe_slots, in_range, squared_distance
from partage.sims.skirmish.motion import walk
from partage.sims.skirmish.recovery import HEAL_ENERGY, heal
from partage.sims.skirmish.world import ATTACK, ATTACK_MOVE, HEAL, MOVE, NOBODY, STOP, Rules, Units

SCAN_EVERY = 4  # loops from one search for a target to the next
LEASH = 21.0  # how far somebody follows a target from where it took it up
WALL_STEP = 0.25  # by which a move into a wall is cut, again and again
OVERSHOOT = 0.01  # how far into range a unit walks


@lean_inlined
def nearest_foe(rules: Rules, units: Units, slot: int, length: float) -> int:
    """Return the best target within that length plus the target's radius, or -1.

    One that can hurt comes before one that cannot, then the nearest.
    """
    best, best_square, best_hurts = NOBODY, 0.0, False
    first, last = foe_slots(rules, slot)
    for foe in range(first, last):
        if units[foe].health <= 0 or rules.damage[slot, foe] == 0:
            continue
        far = length + rules.traits[foe].radius
        square = squared_distance(units, slot, foe)
        if square > far * far:
            continue
        # a healer at work counts as one that hurts
        hurts = not rules.traits[foe].heals or units[foe].healing
        nearer = hurts == best_hurts and square < best_square
        if best == NOBODY or (hurts and not best_hurts) or nearer:
            best, best_square, best_hurts = foe, square, hurts
    return best


@lean_inlined
def needs_healing(rules: Rules, units: Units, slot: int) -> bool:
    """Return whether a medivac can heal the unit: alive, biological and hurt."""
    traits = rules.traits[slot]
    return traits.biological and 0 < units[slot].health < traits.health_max


@lean_inlined
def nearest_patient(rules: Rules, units: Units, healer: int) -> int:
    """Return the nearest hurt friend that an enemy's medivac would heal by itself, or -1."""
    best, best_square = NOBODY, 0.0
    if units[healer].energy < HEAL_ENERGY:
        return best
    scan = rules.traits[healer].scan
    for friend in range(rules.n_agents, rules.n_agents + rules.n_enemies):
        if needs_healing(rules, units, friend) and in_range(rules, units, healer, friend, scan):
            square = squared_distance(units, healer, friend)
            if best == NOBODY or square < best_square:
                best, best_square = friend, square
    return best


@lean_inlined
def obey(rules: Rules, units: Units, agent: int) -> None:
    """End an agent's order when it cannot be carried out any more."""
    unit = units[agent]
    target = unit.target
    if unit.order == ATTACK:
        if target < 0 or units[target].health <= 0 or rules.damage[agent, target] == 0:
            unit.order = STOP
            unit.target = NOBODY
    elif unit.order == HEAL:
        if target < 0 or not rules.traits[agent].heals or not needs_healing(rules, units, target):
            unit.order = STOP
            unit.target = NOBODY
    else:
        unit.target = NOBODY


@lean_inlined
def first_living_agent(rules: Rules, units: Units) -> int:
    """Return the first agent alive, which enemies that hunt a group turn to next, or -1."""
    for agent in range(rules.n_agents):
        if units[agent].health > 0:
            return agent
    return NOBODY


@lean_inlined
def has_lost_target(rules: Rules, units: Units, slot: int) -> bool:
    """Return whether an enemy's target is dead, healed or beyond the leash."""
    unit = units[slot]
    if rules.traits[slot].heals:
        return not needs_healing(rules, units, unit.target)
    dx = unit.x - unit.from_x
    dy = unit.y - unit.from_y
    return units[unit.target].health <= 0 or dx * dx + dy * dy > LEASH * LEASH


@lean_inlined
def drop_target(rules: Rules, units: Units, slot: int) -> None:
    """Take an enemy's target away; one that hunts the agents turns to the next of them."""
    unit = units[slot]
    unit.target = NOBODY
    if unit.order == ATTACK:
        if rules.prey != NOBODY:
            unit.target = first_living_agent(rules, units)
        if unit.target == NOBODY:
            unit.order = STOP


@lean_inlined
def find_target(rules: Rules, units: Units, slot: int) -> int:
    """Return whom an enemy would rather attack or heal than what it does now, or -1."""
    unit = units[slot]
    traits = rules.traits[slot]
    if traits.heals:
        return nearest_patient(rules, units, slot) if unit.target == NOBODY else NOBODY
    if unit.target == NOBODY:
        return nearest_foe(rules, units, slot, traits.scan)
    if unit.stride > 0 or unit.waiting > 0:
        return nearest_foe(rules, units, slot, traits.reach)
    return NOBODY


@lean_inlined
def think(rules: Rules, units: Units, loop: int, slot: int) -> None:
    """Choose an enemy's target for this loop."""
    unit = units[slot]
    lost = unit.target >= 0 and has_lost_target(rules, units, slot)
    if lost:
        drop_target(rules, units, slot)
    if unit.order == ATTACK:
        return
    if lost or (loop + slot) % SCAN_EVERY == 0:
        found = find_target(rules, units, slot)
        if found != NOBODY:
            take_up(units, slot, found)


@lean_inlined
def go(rules: Rules, units: Units, slot: int) -> None:
    """Walk to where the order says. What would end in a wall ends before it."""
    unit = units[slot]
    dx = unit.goal_x - unit.x
    dy = unit.goal_y - unit.y
    length = math.sqrt(dx * dx + dy * dy)
    while length > WALL_STEP and not is_open(rules, slot, unit.x + dx, unit.y + dy):
        dx *= 1 - WALL_STEP / length
        dy *= 1 - WALL_STEP / length
        length -= WALL_STEP
        unit.goal_x = unit.x + dx
        unit.goal_y = unit.y + dy
    walk(rules, units, slot, unit.x + dx, unit.y + dy, length)
    if length <= rules.traits[slot].speed:
        unit.order = STOP


@lean_inlined
def act_on_target(rules: Rules, units: Units, slot: int) -> bool:
    """Walk to the target or heal it in reach; return whether an attack on it begins."""
    unit = units[slot]
    target = unit.target
    centres = math.sqrt(squared_distance(units, slot, target))
    gap = centres - rules.traits[slot].reach - rules.traits[target].radius
    if gap > 0:
        walk(rules, units, slot, units[target].x, units[target].y, gap + OVERSHOOT)
    elif rules.traits[slot].heals:
        heal(rules, units, slot, target)
    else:
        return unit.cooldown <= 0
    return False


@lean_inlined
def carry_on(rules: Rules, units: Units, slot: int) -> bool:
    """Carry on with the attack under way, see to the target, or go where the order says.

    Return whether an attack on the target begins.
    """
    unit = units[slot]
    unit.stride = 0
    unit.healing = False
    unit.cooldown = max(unit.cooldown - 1, 0.0)
    if unit.attacked >= 0:
        continue_attack(rules, units, slot)
        if unit.attacked >= 0:
            return False  # it stands while it strikes
    if unit.target >= 0:
        return act_on_target(rules, units, slot)
    if unit.order in (MOVE, ATTACK_MOVE):
        go(rules, units, slot)
    return False


@lean_inlined
def act(rules: Rules, units: Units, buffers: Buffers, copy: int, slot: int) -> None:
    """Act for one loop."""
    if carry_on(rules, units, slot):
        begin_attack(rules, units, slot, units[slot].target, draw_jitter(buffers, copy))
