"""Turn SMAC's actions into orders, and tell which of them an agent has (oxwhirl/smac, version 1).

Actions: nothing (the dead's only one), stop, a step of 2 units north (+y), south, east (+x) or
west, and 6 + j: attack enemy j or, for a medivac, heal agent j. An order stands until the next; an
action that is not available gives none.
"""

import numpy as np
from jaxtyping import Bool, Int64

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.world import ATTACK, HEAL, MOVE, NOBODY, STOP, Rules, Units, World

NOTHING = 0
HALT = 1
NORTH = 2
SOUTH = 3
EAST = 4
WEST = 5
FIRST_TARGET = 6  # attack or heal target 0

STEP_LENGTH = 2.0  # how far a step is ordered to go; half of it must be open
NONE_YET = -1  # the last action when an episode begins


@lean_inlined
def may_step(rules: Rules, units: Units, agent: int, action: int) -> bool:
    """Return whether the cell one unit on is open.

    As in SMAC, coordinates are cut to whole ones, and walkers' ground is asked of all units.
    """
    column = int(units[agent].x + STEP_LENGTH / 2 * ((action == EAST) - (action == WEST)))
    row = int(units[agent].y + STEP_LENGTH / 2 * ((action == NORTH) - (action == SOUTH)))
    n_rows, n_columns = rules.pathing.shape
    return 0 <= row < n_rows and 0 <= column < n_columns and rules.pathing[row, column]


@lean_inlined
def target_slot(rules: Rules, agent: int, target: int) -> int:
    """Return the slot that an agent means by a target, NOBODY if there is none such.

    Medivacs count agents, others enemies.
    """
    if not rules.traits[agent].heals:
        return rules.n_agents + target
    if target < rules.n_agents and not rules.traits[target].heals:
        return target
    return NOBODY


@lean_inlined
def may_target(rules: Rules, units: Units, agent: int, slot: int) -> bool:
    """Return whether a slot is alive and near: in SMAC v1 6, whatever the weapon's range.

    A medivac's patient need not be hurt.
    """
    if slot == NOBODY or units[slot].health <= 0:
        return False
    dx = units[slot].x - units[agent].x
    dy = units[slot].y - units[agent].y
    shoot = rules.traits[agent].shoot
    return dx * dx + dy * dy <= shoot * shoot


@lean_inlined
def give_order(rules: Rules, units: Units, agent: int, action: int) -> None:
    """Turn a living agent's action into its order, if the action is available."""
    unit = units[agent]
    if action == HALT:
        unit.order = STOP
        unit.target = NOBODY
    elif NORTH <= action < FIRST_TARGET and may_step(rules, units, agent, action):
        unit.order = MOVE
        unit.target = NOBODY
        unit.goal_x = unit.x + STEP_LENGTH * ((action == EAST) - (action == WEST))
        unit.goal_y = unit.y + STEP_LENGTH * ((action == NORTH) - (action == SOUTH))
    elif action >= FIRST_TARGET:
        slot = target_slot(rules, agent, action - FIRST_TARGET)
        if may_target(rules, units, agent, slot):
            unit.order = HEAL if rules.traits[agent].heals else ATTACK
            unit.target = slot


@lean_inlined
def give_orders(rules: Rules, world: World, actions: Int64[np.ndarray, "C N"], copy: int) -> None:
    """Turn the agents' actions into orders."""
    for agent in range(rules.n_agents):
        take_action(rules, world, copy, agent, actions[copy, agent])


@lean_inlined
def take_action(rules: Rules, world: World, copy: int, agent: int, action: int) -> None:
    """Turn an agent's action into its order, and remember it."""
    units = world.units[copy]
    world.last_action[copy, agent] = action
    if units[agent].health > 0:
        give_order(rules, units, agent, action)


@lean_inlined
def may_do(rules: Rules, units: Units, agent: int, action: int) -> bool:
    """Return whether an agent has that action."""
    alive = units[agent].health > 0
    if action == NOTHING:
        return not alive
    if not alive or action == HALT:
        return alive
    if action < FIRST_TARGET:
        return may_step(rules, units, agent, action)
    return may_target(rules, units, agent, target_slot(rules, agent, action - FIRST_TARGET))


@lean_inlined
def write_available(
    rules: Rules, units: Units, available: Bool[np.ndarray, "A"], agent: int
) -> None:
    """Write which actions an agent has."""
    for action in range(len(available)):
        available[action] = may_do(rules, units, agent, action)
