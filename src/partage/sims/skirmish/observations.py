"""Write what SMAC shows of a battle: observations and state (oxwhirl/smac, version 1).

An agent observes which steps it may take, each enemy, each other agent, and itself. A living unit
less than 9 away is shown by (may be attacked, or 1 for an agent; distance, dx, dy over 9; health),
its shield where its race has one, and the bits of its type; others are zeros, and so is all that a
dead agent observes. As in SMAC, what a medivac sees as "enemy j may be attacked" says whether it
may heal agent j.

The state has all living units, seen from the map's centre: (health, cooldown or a medivac's energy,
dx, dy, shield, type) of agents, the same without the second of enemies, then everyone's last
action.
"""

import math

import numpy as np
from jaxtyping import Bool, Float32

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.actions import FIRST_TARGET, NONE_YET, NORTH, write_available
from partage.sims.skirmish.world import Rules, Units, World

STEPS = FIRST_TARGET - NORTH  # north, south, east, west
SIGHTING = 5  # entries of a seen unit before its shield: four of its place, and its health


@lean_inlined
def shows_shield(rules: Rules, slot: int) -> bool:
    """Return whether SMAC shows a shield of that slot's side."""
    return rules.shows_ally_shield if slot < rules.n_agents else rules.shows_enemy_shield


@lean_inlined
def health_share(rules: Rules, units: Units, slot: int) -> float:
    """Return a unit's health as a share of the most it can have."""
    return units[slot].health / rules.traits[slot].health_max


@lean_inlined
def write_shield(
    rules: Rules, units: Units, entries: Float32[np.ndarray, "O"], place: int, slot: int
) -> int:
    """Write a living unit's shield, where its side has one; return the place after it."""
    if shows_shield(rules, slot):
        entries[place] = units[slot].shield / rules.traits[slot].shield_max
        return place + 1
    return place


@lean_inlined
def write_type(rules: Rules, entries: Float32[np.ndarray, "O"], place: int, slot: int) -> None:
    """Write the bit of a unit's type, where the map shows types."""
    if rules.n_bits:
        entries[place + rules.traits[slot].type_bit] = 1


@lean_inlined
def write_shield_and_type(
    rules: Rules, units: Units, entries: Float32[np.ndarray, "O"], place: int, slot: int
) -> None:
    """Write a living unit's shield, where its side has one, and its type's bit from `place` on."""
    write_type(rules, entries, write_shield(rules, units, entries, place, slot), slot)


@lean_inlined
def width(rules: Rules, slot: int) -> int:
    """Return how many entries an observation has for another unit in that slot."""
    return SIGHTING + shows_shield(rules, slot) + rules.n_bits


@lean_inlined
def own_place(rules: Rules) -> int:
    """Return where in an observation an agent's own entries begin, behind all others."""
    others = (rules.n_agents - 1) * width(rules, 0)
    return STEPS + rules.n_enemies * width(rules, rules.n_agents) + others


@lean_inlined
def place_of(rules: Rules, agent: int, slot: int) -> int:
    """Return where in an agent's observation another unit's entries begin."""
    n = rules.n_agents
    if slot >= n:
        return STEPS + (slot - n) * width(rules, n)
    return STEPS + rules.n_enemies * width(rules, n) + (slot - (slot > agent)) * width(rules, 0)


@lean_inlined
def write_sighting(
    rules: Rules,
    units: Units,
    entries: Float32[np.ndarray, "O"],
    agent: int,
    slot: int,
    first: bool,
) -> None:
    """Write what an agent sees of another slot.

    `first` is what stands before the distance: whether the unit may be targeted.
    """
    dx = units[slot].x - units[agent].x
    dy = units[slot].y - units[agent].y
    squared = dx * dx + dy * dy
    sight = rules.traits[agent].sight
    if squared < sight * sight and units[slot].health > 0:
        place = place_of(rules, agent, slot)
        entries[place] = first
        entries[place + 1] = math.sqrt(squared) / sight
        entries[place + 2] = dx / sight
        entries[place + 3] = dy / sight
        entries[place + 4] = health_share(rules, units, slot)
        write_shield_and_type(rules, units, entries, place + SIGHTING, slot)


@lean_inlined
def write_self(
    rules: Rules,
    units: Units,
    entries: Float32[np.ndarray, "O"],
    available: Bool[np.ndarray, "A"],
    agent: int,
) -> None:
    """Write what a living agent observes of itself, and its steps."""
    for step in range(STEPS):
        entries[step] = available[NORTH + step]
    place = own_place(rules)
    entries[place] = health_share(rules, units, agent)
    place = write_shield(rules, units, entries, place + 1, agent)
    if rules.shows_own_place:
        entries[place] = units[agent].x / rules.width
        entries[place + 1] = units[agent].y / rules.height
        place += 2
    write_type(rules, entries, place, agent)


@lean_inlined
def write_slot(
    rules: Rules,
    units: Units,
    entries: Float32[np.ndarray, "O"],
    available: Bool[np.ndarray, "A"],
    agent: int,
    slot: int,
) -> None:
    """Write what a living agent observes of a slot, on zeros: of another, or of itself."""
    if slot == agent:
        write_self(rules, units, entries, available, agent)
    else:
        enemy = slot - rules.n_agents
        first = enemy < 0 or available[FIRST_TARGET + enemy]
        write_sighting(rules, units, entries, agent, slot, first)


@lean_inlined
def write_unit(rules: Rules, units: Units, entries: Float32[np.ndarray, "S"], slot: int) -> None:
    """Write a living unit's part of the state, on zeros."""
    n, more = rules.n_agents, rules.n_bits
    of_agent = 4 + rules.shows_ally_shield + more
    unit = units[slot]
    if unit.health <= 0:
        return
    if slot < n:  # whose cooldown or energy follows its health
        place = slot * of_agent
        load = unit.energy if rules.traits[slot].heals else unit.cooldown
        entries[place + 1] = load / rules.traits[slot].max_cd
    else:
        place = n * of_agent + (slot - n) * (3 + rules.shows_enemy_shield + more)
    entries[place] = health_share(rules, units, slot)
    place += 1 + (slot < n)
    entries[place] = (unit.x - rules.centre_x) / rules.width
    entries[place + 1] = (unit.y - rules.centre_y) / rules.height
    write_shield_and_type(rules, units, entries, place + 2, slot)


@lean_inlined
def write_last_action(
    rules: Rules, world: World, entries: Float32[np.ndarray, "S"], copy: int, agent: int
) -> None:
    """Write an agent's last action to the state's end, on zeros."""
    action = world.last_action[copy, agent]
    if action != NONE_YET:
        actions = FIRST_TARGET + rules.n_enemies
        entries[len(entries) - (rules.n_agents - agent) * actions + action] = 1


@lean_inlined
def observe(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Write observations, available actions, who lives, and the state."""
    units = world.units[copy]
    buffers.obs[copy] = 0
    buffers.state[copy] = 0
    for agent in range(rules.n_agents):
        available = buffers.avail_actions[copy, agent]
        alive = units[agent].health > 0
        buffers.alive[copy, agent] = alive
        write_available(rules, units, available, agent)
        if alive:
            for slot in range(len(units)):
                write_slot(rules, units, buffers.obs[copy, agent], available, agent, slot)
        write_last_action(rules, world, buffers.state[copy], copy, agent)
    for slot in range(len(units)):
        write_unit(rules, units, buffers.state[copy], slot)
