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
def write_sighting(
    rules: Rules,
    units: Units,
    entries: Float32[np.ndarray, "O"],
    place: int,
    agent: int,
    slot: int,
    first: bool,
) -> int:
    """Write what an agent sees of another slot; return the place after it.

    `first` is what stands before the distance: whether the unit may be targeted.
    """
    dx = units[slot].x - units[agent].x
    dy = units[slot].y - units[agent].y
    squared = dx * dx + dy * dy
    sight = rules.traits[agent].sight
    if squared < sight * sight and units[slot].health > 0:
        entries[place] = first
        entries[place + 1] = math.sqrt(squared) / sight
        entries[place + 2] = dx / sight
        entries[place + 3] = dy / sight
        entries[place + 4] = health_share(rules, units, slot)
        write_shield_and_type(rules, units, entries, place + SIGHTING, slot)
    return place + SIGHTING + shows_shield(rules, slot) + rules.n_bits


@lean_inlined
def write_observation(
    rules: Rules,
    units: Units,
    entries: Float32[np.ndarray, "O"],
    available: Bool[np.ndarray, "A"],
    agent: int,
) -> None:
    """Write what a living agent observes, on zeros: its steps, enemies, other agents, itself."""
    for step in range(STEPS):
        entries[step] = available[NORTH + step]
    place = STEPS
    for enemy in range(rules.n_enemies):
        slot = rules.n_agents + enemy
        may_target = available[FIRST_TARGET + enemy]
        place = write_sighting(rules, units, entries, place, agent, slot, may_target)
    for other in range(rules.n_agents):
        if other != agent:
            place = write_sighting(rules, units, entries, place, agent, other, True)
    entries[place] = health_share(rules, units, agent)
    place = write_shield(rules, units, entries, place + 1, agent)
    if rules.shows_own_place:
        entries[place] = units[agent].x / rules.width
        entries[place + 1] = units[agent].y / rules.height
        place += 2
    write_type(rules, entries, place, agent)


@lean_inlined
def write_state(rules: Rules, world: World, entries: Float32[np.ndarray, "S"], copy: int) -> None:
    """Write the state, on zeros: agents, enemies, last actions."""
    units = world.units[copy]
    place = 0
    for slot in range(len(units)):
        unit = units[slot]
        is_agent = slot < rules.n_agents  # whose cooldown or energy follows its health
        if unit.health > 0:
            entries[place] = health_share(rules, units, slot)
            if is_agent:
                load = unit.energy if rules.traits[slot].heals else unit.cooldown
                entries[place + 1] = load / rules.traits[slot].max_cd
            entries[place + 1 + is_agent] = (unit.x - rules.centre_x) / rules.width
            entries[place + 2 + is_agent] = (unit.y - rules.centre_y) / rules.height
            write_shield_and_type(rules, units, entries, place + 3 + is_agent, slot)
        place += 3 + is_agent + shows_shield(rules, slot) + rules.n_bits
    for action in world.last_action[copy]:
        if action != NONE_YET:
            entries[place + action] = 1
        place += FIRST_TARGET + rules.n_enemies


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
            write_observation(rules, units, buffers.obs[copy, agent], available, agent)
    write_state(rules, world, buffers.state[copy], copy)
