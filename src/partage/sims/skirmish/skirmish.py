"""StarCraft II micromanagement: battles of the SMAC v1 maps, on the game's own unit data. A
simulator, not the game.

A step of the environment is eight game loops, half a second at the game speed "normal". In a loop
enemies choose their targets, everybody acts on its order, bodies move, then all hits of the loop
land: no slot shoots first. What SMAC shows, allows and pays is in `contract`; every rule and its
source in docs/skirmish.md.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from partage.sims.batch import Buffers, Kernel
from partage.sims.compilation import lean, lean_inlined
from partage.sims.gpu import Threads
from partage.sims.random_numbers import integer
from partage.sims.skirmish import contract, rules
from partage.sims.skirmish.battle import ENERGY_START, explode, land, recover, sweep
from partage.sims.skirmish.data import Map
from partage.sims.skirmish.motion import move_all
from partage.sims.skirmish.orders import act, answer, obey, think
from partage.sims.skirmish.world import (
    ATTACK,
    ATTACK_MOVE,
    NOBODY,
    STOP,
    Rules,
    Units,
    World,
    blank,
)

STEP = 8  # game loops of a step
SETTLING = 2  # loops from the spawn to the first observation


class Options(NamedTuple):
    """What the maps leave open."""

    positive: bool = False  # reward as in smacv2: enemies' recovery costs nothing and pays nothing
    in_order: bool = False  # enemy j of an episode stands where enemy j of every episode does


def kernel(found: Map, options: Options, copies: int, device: str = "cpu") -> Kernel | Threads:
    """The compiled simulator of that many copies."""
    constants = rules.make(found, options.positive, options.in_order)
    world = blank(constants, copies)
    if device == "cuda":
        return Threads(constants, world, begin_copy, advance_copy)
    return Kernel(constants, world, begin, advance)


@lean_inlined
def trade_places(rules: Rules, units: Units, buffers: Buffers, copy: int) -> None:
    """Shuffle the enemies among their type: the game numbers them anew in each episode."""
    first, last = rules.n_agents, rules.n_agents + rules.n_enemies
    for unit in range(first, last):
        same = unit
        while same + 1 < last and rules.slots[same + 1].kind == rules.slots[unit].kind:
            same += 1
        me, it = units[unit], units[integer(buffers.key, buffers.counter, copy, unit, same)]
        x, y = me.x, me.y
        me.x, me.y = it.x, it.y
        it.x, it.y = x, y


@lean_inlined
def spawn(rules: Rules, units: Units, unit: int) -> None:
    """A unit as it is created; an enemy has its one order."""
    me, my = units[unit], rules.slots[unit]
    me.x, me.y, me.health, me.shield = my.spawn_x, my.spawn_y, my.health_max, my.shield_max
    me.energy = ENERGY_START if my.heals else 0.0
    me.order, me.target = STOP, NOBODY
    if unit >= rules.n_agents:
        me.order, me.target = (ATTACK_MOVE if rules.prey == NOBODY else ATTACK), rules.prey
    me.goal_x, me.goal_y, me.from_x, me.from_y = rules.goal_x, rules.goal_y, my.spawn_x, my.spawn_y
    me.aim, me.hurt_by, me.sweep = NOBODY, NOBODY, -1
    me.cooldown, me.speed_x, me.speed_y = 0.0, 0.0, 0.0
    me.blows, me.calm, me.quiet, me.stall, me.spent, me.healing = 0, 0, 0, 0, 0, 0
    me.side = 1 if unit % 2 == 0 else -1


@lean_inlined
def tick(
    rules: Rules,
    units: Units,
    burns: Int64[np.ndarray, "B U"],
    buffers: Buffers,
    copy: int,
    loop: int,
) -> None:
    """One game loop."""
    for unit in range(len(units)):
        if units[unit].health > 0:
            if unit < rules.n_agents:
                obey(rules, units, unit)
            else:
                think(rules, units, loop, unit)
            act(rules, units, buffers, copy, unit)
    move_all(rules, units)
    land(rules, units)
    sweep(rules, units, burns)
    explode(rules, units)
    recover(rules, units)
    answer(rules, units)


@lean
def play(rules: Rules, world: World, buffers: Buffers, copy: int, loops: int) -> None:
    """That many game loops of one copy."""
    units, burns = world.units[copy], world.burns[copy]
    for _ in range(loops):
        tick(rules, units, burns, buffers, copy, world.loop[copy])
        world.loop[copy] += 1


@lean_inlined
def begin_copy(
    rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"], copy: int
) -> None:
    if where[copy]:
        units = world.units[copy]
        for unit in range(len(units)):
            spawn(rules, units, unit)
        if not rules.in_order:
            trade_places(rules, units, buffers, copy)
        world.burns[copy] = 0
        world.loop[copy] = 0
        play(rules, world, buffers, copy, SETTLING)
        contract.remember(rules, world, copy)
        contract.observe(rules, world, buffers, copy)


@lean_inlined
def advance_copy(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"], copy: int
) -> None:
    if buffers.live[copy]:
        contract.command(rules, world, actions, copy)
        play(rules, world, buffers, copy, STEP)
        contract.pay(rules, world, buffers, copy)
        contract.observe(rules, world, buffers, copy)


@lean
def begin(rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    for copy in range(len(where)):
        begin_copy(rules, world, buffers, where, copy)


@lean
def advance(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"]
) -> None:
    for copy in range(len(actions)):
        advance_copy(rules, world, buffers, actions, copy)
