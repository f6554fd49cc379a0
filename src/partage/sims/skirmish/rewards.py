"""Pay the team, and say when a battle is over and who has won it (oxwhirl/smac, version 1).

A step pays what enemies lost in health and shield and 10 for each that died, and 200 for victory,
over 1/20 of the most there is. Version 1 takes the absolute value of the losses: enemies that
regenerate pay, too; smacv2 takes their positive part.
"""

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.actions import NONE_YET
from partage.sims.skirmish.world import Rules, Units, World

DEATH = 10.0
VICTORY = 200.0
SCALE = 20.0  # what a battle won without regeneration pays in all


@lean_inlined
def count_fighters(rules: Rules, units: Units, first: int, last: int) -> int:
    """Return how many of the slots from `first` to before `last` live and are no medivac."""
    count = 0
    for slot in range(first, last):
        if units[slot].health > 0 and not rules.traits[slot].heals:
            count += 1
    return count


@lean_inlined
def strength(rules: Rules, units: Units, enemy: int) -> float:
    """Return an enemy's health and shield, 0 when it is dead."""
    unit = units[rules.n_agents + enemy]
    return unit.health + unit.shield if unit.health > 0 else 0.0


@lean_inlined
def pay(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Write reward, end, victory, and what of the reward is for kills (`feature`).

    A side is beaten when it has nobody left but medivacs; if both are, nobody has won.
    """
    units = world.units[copy]
    lost = 0.0
    killed = 0
    for enemy in range(rules.n_enemies):
        before = world.before[copy, enemy]
        now = strength(rules, units, enemy)
        lost += before - now
        if now == 0 and before > 0:
            killed += 1
        world.before[copy, enemy] = now
    lost += DEATH * killed
    agents = count_fighters(rules, units, 0, rules.n_agents)
    enemies = count_fighters(rules, units, rules.n_agents, len(units))
    won = agents > 0 and enemies == 0
    earned = (max(lost, 0.0) if rules.ignore_recovery else abs(lost)) + VICTORY * won
    buffers.reward[copy] = earned / (rules.max_reward / SCALE)
    buffers.feature[copy] = DEATH * killed / (rules.max_reward / SCALE)
    buffers.terminated[copy] = agents == 0 or enemies == 0
    buffers.score[copy] = won


@lean_inlined
def begin_episode(rules: Rules, world: World, copy: int) -> None:
    """Forget last actions, and count losses from here on."""
    world.last_action[copy] = NONE_YET
    for enemy in range(rules.n_enemies):
        world.before[copy, enemy] = strength(rules, world.units[copy], enemy)
