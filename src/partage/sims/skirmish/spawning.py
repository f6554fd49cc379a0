"""Create a battle's units, enemies in another order each time."""

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.random_numbers import integer
from partage.sims.skirmish.recovery import ENERGY_START
from partage.sims.skirmish.world import ATTACK, ATTACK_MOVE, NOBODY, STOP, Rules, Units


@lean_inlined
def trade_places(rules: Rules, units: Units, buffers: Buffers, copy: int) -> None:
    """Shuffle the enemies among their type: the game numbers them anew in each episode."""
    first = rules.n_agents
    last = first + rules.n_enemies
    for slot in range(first, last):
        same = slot  # the last one of the type: a type's slots are side by side
        while same + 1 < last and rules.traits[same + 1].kind == rules.traits[slot].kind:
            same += 1
        unit = units[slot]
        other = units[integer(buffers.key, buffers.counter, copy, slot, same)]
        unit.x, other.x = other.x, unit.x
        unit.y, other.y = other.y, unit.y


@lean_inlined
def spawn(rules: Rules, units: Units, slot: int) -> None:
    """Create a unit; an enemy gets its one order."""
    unit = units[slot]
    traits = rules.traits[slot]
    unit.x, unit.y = traits.spawn_x, traits.spawn_y
    unit.from_x, unit.from_y = traits.spawn_x, traits.spawn_y
    unit.goal_x, unit.goal_y = rules.goal_x, rules.goal_y
    unit.health = traits.health_max
    unit.shield = traits.shield_max
    unit.energy = ENERGY_START if traits.heals else 0.0
    unit.order = STOP
    unit.target = NOBODY
    if slot >= rules.n_agents:
        unit.order = ATTACK_MOVE if rules.prey == NOBODY else ATTACK
        unit.target = rules.prey
    unit.side = 1 if slot % 2 == 0 else -1
    clear_progress(units, slot)


@lean_inlined
def clear_progress(units: Units, slot: int) -> None:
    """Let a unit have nothing under way."""
    unit = units[slot]
    unit.attacked = NOBODY
    unit.hurt_by = NOBODY
    unit.sweep = -1
    unit.cooldown = 0.0
    unit.hits_due = 0
    unit.speed_x = 0.0
    unit.speed_y = 0.0
    unit.unhurt = 0
    unit.help_in = 0
    unit.waiting = 0
    unit.exploded = 0
    unit.healing = 0
