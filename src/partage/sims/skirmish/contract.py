"""What SMAC (oxwhirl/smac, version 1) tells of a battle, lets agents do, and pays.

Actions: nothing (the dead's only one), stop, a step of 2 units north (+y), south, east (+x) or
west, and 6 + j: attack enemy j or, for a medivac, heal agent j. An order stands until the next; an
action that is not available gives none.

An agent observes which steps it may take, each enemy, each other agent, and itself. A living unit
less than 9 away is told by (may be attacked, or 1 for an agent; distance, dx, dy over 9; health),
its shield where its race has one, and the bits of its type; others are zeros, and so is all that a
dead agent observes. As in SMAC, what a medivac sees as "enemy j may be attacked" says whether it
may heal agent j. The state has all living units, seen from the map's centre: (health, cooldown or a
medivac's energy, dx, dy, shield, type) of agents, the same without the second of enemies, then
everyone's last action.

A step pays what enemies lost in health and shield and 10 for each that died, and 200 for victory,
over 1/20 of the most there is. Version 1 takes the absolute value of the losses: enemies that
regenerate pay, too.
"""

import math

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partage.sims.batch import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.world import ATTACK, HEAL, MOVE, NOBODY, STOP, Rules, Units, World

NOTHING, HALT, NORTH, SOUTH, EAST, WEST, FIRST = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
)  # actions; FIRST is at target 0
STEP = 2.0  # how far a step is ordered to go; half of it must be open
DEATH, VICTORY, SCALE = 10.0, 200.0, 20.0
NONE_YET = -1  # the last action when an episode begins


@lean_inlined
def may_step(rules: Rules, units: Units, agent: int, action: int) -> bool:
    """Is the cell one unit on open? SMAC cuts coordinates to whole ones, and asks walkers' ground
    of all units.
    """
    column = int(units[agent].x + STEP / 2 * ((action == EAST) - (action == WEST)))
    row = int(units[agent].y + STEP / 2 * ((action == NORTH) - (action == SOUTH)))
    rows, columns = rules.pathing.shape
    return 0 <= row < rows and 0 <= column < columns and rules.pathing[row, column]


@lean_inlined
def slot_of(rules: Rules, agent: int, target: int) -> int:
    """Whom an agent means by a target: medivacs count agents, others enemies. NOBODY: there is none
    such.
    """
    if not rules.slots[agent].heals:
        return rules.n_agents + target
    if target < rules.n_agents and not rules.slots[target].heals:
        return target
    return NOBODY


@lean_inlined
def may_target(rules: Rules, units: Units, agent: int, slot: int) -> bool:
    """Alive and within 6, whatever the weapon's range; a medivac's patient need not be hurt."""
    if slot == NOBODY or units[slot].health <= 0:
        return False
    dx, dy = units[slot].x - units[agent].x, units[slot].y - units[agent].y
    return dx * dx + dy * dy <= rules.shoot * rules.shoot


@lean_inlined
def command(rules: Rules, world: World, actions: Int64[np.ndarray, "C N"], copy: int) -> None:
    """Turn the agents' actions into orders."""
    units = world.units[copy]
    for agent in range(rules.n_agents):
        action, unit = actions[copy, agent], units[agent]
        world.last_action[copy, agent] = action
        if unit.health <= 0:
            pass
        elif action == HALT:
            unit.order, unit.target = STOP, NOBODY
        elif NORTH <= action < FIRST and may_step(rules, units, agent, action):
            unit.order, unit.target = MOVE, NOBODY
            unit.goal_x = unit.x + STEP * ((action == EAST) - (action == WEST))
            unit.goal_y = unit.y + STEP * ((action == NORTH) - (action == SOUTH))
        elif action >= FIRST:
            slot = slot_of(rules, agent, action - FIRST)
            if may_target(rules, units, agent, slot):
                unit.order, unit.target = HEAL if rules.slots[agent].heals else ATTACK, slot


@lean_inlined
def offer(rules: Rules, units: Units, available: Bool[np.ndarray, "A"], agent: int) -> None:
    """Which actions a living agent has."""
    available[NOTHING], available[HALT] = False, True
    for action in range(NORTH, FIRST):
        available[action] = may_step(rules, units, agent, action)
    for target in range(rules.n_enemies):
        available[FIRST + target] = may_target(rules, units, agent, slot_of(rules, agent, target))


@lean_inlined
def shows_shield(rules: Rules, slot: int) -> bool:
    return rules.shows_ally_shield if slot < rules.n_agents else rules.shows_enemy_shield


@lean_inlined
def told(rules: Rules, slot: int) -> int:
    """How many numbers `describe` writes."""
    return 1 + shows_shield(rules, slot) + rules.n_bits


@lean_inlined
def describe(
    rules: Rules, units: Units, entries: Float32[np.ndarray, "O"], place: int, slot: int
) -> None:
    """Health, shield and type of a living unit, from `place` on."""
    entries[place] = units[slot].health / rules.slots[slot].health_max
    if shows_shield(rules, slot):
        entries[place + 1] = units[slot].shield / rules.slots[slot].shield_max
    if rules.n_bits:
        entries[place + told(rules, slot) - rules.n_bits + rules.slots[slot].type_bit] = 1


@lean_inlined
def look(
    rules: Rules,
    units: Units,
    entries: Float32[np.ndarray, "O"],
    available: Bool[np.ndarray, "A"],
    agent: int,
) -> None:
    """What a living agent observes, on zeros: its steps, enemies, other agents, itself."""
    for step in range(4):
        entries[step] = available[NORTH + step]
    place = 4
    for turn in range(len(units)):
        slot = rules.n_agents + turn if turn < rules.n_enemies else turn - rules.n_enemies
        if slot == agent:
            continue
        dx, dy = units[slot].x - units[agent].x, units[slot].y - units[agent].y
        squared = dx * dx + dy * dy
        if squared < rules.sight * rules.sight and units[slot].health > 0:
            entries[place] = available[FIRST + turn] if turn < rules.n_enemies else True
            entries[place + 1] = math.sqrt(squared) / rules.sight
            entries[place + 2], entries[place + 3] = dx / rules.sight, dy / rules.sight
            describe(rules, units, entries, place + 4, slot)
        place += 4 + told(rules, slot)
    describe(rules, units, entries, place, agent)


@lean_inlined
def tell(rules: Rules, world: World, entries: Float32[np.ndarray, "S"], copy: int) -> None:
    """The state, on zeros: agents, enemies, last actions."""
    units, place = world.units[copy], 0
    for slot in range(len(units)):
        own, unit = slot < rules.n_agents, units[slot]
        if unit.health > 0:
            describe(
                rules, units, entries, place + 2 + own, slot
            )  # y comes where its health is now
            entries[place] = entries[place + 2 + own]
            if own:
                entries[place + 1] = (
                    unit.energy if rules.slots[slot].heals else unit.cooldown
                ) / rules.slots[slot].max_cd
            entries[place + 1 + own] = (unit.x - rules.centre_x) / rules.width
            entries[place + 2 + own] = (unit.y - rules.centre_y) / rules.height
        place += 2 + own + told(rules, slot)
    for action in world.last_action[copy]:
        if action != NONE_YET:
            entries[place + action] = 1
        place += FIRST + rules.n_enemies


@lean_inlined
def observe(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Write observations, available actions, who lives, and the state."""
    units = world.units[copy]
    buffers.obs[copy], buffers.state[copy] = 0, 0
    for agent in range(rules.n_agents):
        available, alive = buffers.avail_actions[copy, agent], units[agent].health > 0
        buffers.alive[copy, agent] = alive
        if alive:
            offer(rules, units, available, agent)
            look(rules, units, buffers.obs[copy, agent], available, agent)
        else:
            available[:] = False
            available[NOTHING] = True
    tell(rules, world, buffers.state[copy], copy)


@lean_inlined
def fighters(rules: Rules, units: Units, first: int, last: int) -> int:
    """How many of these slots live and are no medivac."""
    count = 0
    for slot in range(first, last):
        count += units[slot].health > 0 and not rules.slots[slot].heals
    return count


@lean_inlined
def standing(rules: Rules, units: Units, enemy: int) -> float:
    """An enemy's health and shield, nothing when it is dead."""
    unit = units[rules.n_agents + enemy]
    return unit.health + unit.shield if unit.health > 0 else 0.0


@lean_inlined
def pay(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Reward, end and victory. A side is beaten when it has nobody left but medivacs; if both are,
    nobody has won.
    """
    units, lost, killed = world.units[copy], 0.0, 0
    for enemy in range(rules.n_enemies):
        before, now = world.before[copy, enemy], standing(rules, units, enemy)
        lost += before - now
        if now == 0 and before > 0:
            killed += 1
        world.before[copy, enemy] = now
    left, foes = (
        fighters(rules, units, 0, rules.n_agents),
        fighters(rules, units, rules.n_agents, len(units)),
    )
    won = left > 0 and foes == 0
    lost += DEATH * killed
    earned = (max(lost, 0.0) if rules.positive else abs(lost)) + VICTORY * won
    buffers.reward[copy] = earned / (rules.max_reward / SCALE)
    buffers.feature[copy] = DEATH * killed / (rules.max_reward / SCALE)
    buffers.terminated[copy] = left == 0 or foes == 0
    buffers.score[copy] = won


@lean_inlined
def remember(rules: Rules, world: World, copy: int) -> None:
    """An episode begins: from here on losses are counted."""
    world.last_action[copy] = NONE_YET
    for enemy in range(rules.n_enemies):
        world.before[copy, enemy] = standing(rules, world.units[copy], enemy)
