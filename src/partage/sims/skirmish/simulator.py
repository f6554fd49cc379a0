"""Simulate StarCraft II micromanagement: battles of SMAC v1's maps, on the game's own unit data.

A step of the environment is eight game loops, half a second at the game speed "normal". In a loop
enemies choose their targets, everybody acts on its order, bodies move, then all hits of the loop
land: no slot shoots first. Every rule's source stands in docs/skirmish.md.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean, lean_inlined
from partage.sims.kernel import Kernel
from partage.sims.skirmish.actions import give_orders
from partage.sims.skirmish.beams import sweep
from partage.sims.skirmish.calls import answer
from partage.sims.skirmish.data import BattleMap
from partage.sims.skirmish.hits import explode, land_hits
from partage.sims.skirmish.motion import move_all
from partage.sims.skirmish.observations import observe
from partage.sims.skirmish.orders import act, obey, think
from partage.sims.skirmish.recovery import recover
from partage.sims.skirmish.rewards import begin_episode, pay
from partage.sims.skirmish.rules import LOOPS_PER_STEP, SETTLING, make_rules
from partage.sims.skirmish.spawning import spawn, trade_places
from partage.sims.skirmish.steps_together import battle
from partage.sims.skirmish.world import Rules, Units, World, blank


class Options(NamedTuple):
    """Choose what the maps leave open."""

    ignore_recovery: bool = False  # what enemies regain costs nothing and pays nothing, as smacv2
    keep_order: bool = False  # enemy j of an episode stands where enemy j of every episode does


def make_kernel(battle_map: BattleMap, options: Options, copies: int) -> Kernel:
    """Return the compiled simulator of that many copies."""
    rules = make_rules(battle_map, options.ignore_recovery, options.keep_order)
    world = blank(rules, copies)
    return Kernel(rules, world, begin, advance, begin_copy, advance_copy, battle)


@lean_inlined
def tick(
    rules: Rules,
    units: Units,
    burns: Int64[np.ndarray, "B U"],
    buffers: Buffers,
    copy: int,
    loop: int,
) -> None:
    """Run one game loop."""
    for slot in range(len(units)):
        if units[slot].health > 0:
            if slot < rules.n_agents:
                obey(rules, units, slot)
            else:
                think(rules, units, loop, slot)
            act(rules, units, buffers, copy, slot)
    move_all(rules, units)
    land_hits(rules, units)
    sweep(rules, units, burns)
    explode(rules, units)
    recover(rules, units)
    answer(rules, units)


@lean
def run_loops(rules: Rules, world: World, buffers: Buffers, copy: int, loops: int) -> None:
    """Run that many game loops of one copy."""
    units = world.units[copy]
    burns = world.burns[copy]
    for _ in range(loops):
        tick(rules, units, burns, buffers, copy, world.loop[copy])
        world.loop[copy] += 1


@lean_inlined
def begin_copy(rules: Rules, world: World, buffers: Buffers, copy: int) -> None:
    """Begin a copy's battle."""
    units = world.units[copy]
    for slot in range(len(units)):
        spawn(rules, units, slot)
    if not rules.keep_order:
        trade_places(rules, units, buffers, copy)
    world.burns[copy] = 0
    world.loop[copy] = 0
    run_loops(rules, world, buffers, copy, SETTLING)
    begin_episode(rules, world, copy)
    observe(rules, world, buffers, copy)


@lean_inlined
def advance_copy(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"], copy: int
) -> None:
    """Advance a copy's battle by a step."""
    give_orders(rules, world, actions, copy)
    run_loops(rules, world, buffers, copy, LOOPS_PER_STEP)
    pay(rules, world, buffers, copy)
    observe(rules, world, buffers, copy)


@lean
def begin(rules: Rules, world: World, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
    """Begin the battles marked."""
    for copy in range(len(where)):
        if where[copy]:
            begin_copy(rules, world, buffers, copy)


@lean
def advance(
    rules: Rules, world: World, buffers: Buffers, actions: Int64[np.ndarray, "C N"]
) -> None:
    """Advance all battles that are going on by a step."""
    for copy in range(len(actions)):
        if buffers.live[copy]:
            advance_copy(rules, world, buffers, actions, copy)
