"""Carry out attacks, from their beginning over the damage point to the end of the backswing."""

import math

from partage.sims.buffers import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.random_numbers import uniform, uniform_ahead
from partage.sims.skirmish.beams import begin_sweep
from partage.sims.skirmish.hits import in_range, squared_distance
from partage.sims.skirmish.world import NOBODY, Rules, Units

RANGE_SLACK = 1.0  # how far beyond its range a target may get before an attack is given up
JITTER_LOW = -1.0  # loops added to a cooldown, uniform from here ..
JITTER_HIGH = 2.0  # .. to here


@lean_inlined
def launch(rules: Rules, units: Units, slot: int, target: int) -> None:
    """Send off an attack's hits at its damage point. They land even if the unit dies meanwhile."""
    unit = units[slot]
    traits = rules.traits[slot]
    if traits.blast > 0:
        unit.health = 0  # it explodes at the end of this loop, see `hits.explode`
        return
    unit.hit_target = target
    if traits.beam >= 0:
        begin_sweep(units, slot, target)
        return
    unit.hits_due = traits.hits
    unit.hit_in = 0
    if traits.missile > 0:
        centres = math.sqrt(squared_distance(units, slot, target))
        flight = centres - traits.radius - rules.traits[target].radius
        unit.hit_in = max(flight, 0.0) / traits.missile


@lean_inlined
def draw_jitter(buffers: Buffers, copy: int) -> float:
    """Return the loops that are added to a cooldown."""
    return uniform(buffers.key, buffers.counter, copy, JITTER_LOW, JITTER_HIGH)


@lean_inlined
def jitter_ahead(buffers: Buffers, copy: int, ahead: int) -> float:
    """Return the jitter that is drawn after so many others, and draw none."""
    return uniform_ahead(buffers.key, buffers.counter, copy, ahead, JITTER_LOW, JITTER_HIGH)


@lean_inlined
def begin_attack(rules: Rules, units: Units, slot: int, target: int, jitter: float) -> None:
    """Begin an attack on a target in reach."""
    unit = units[slot]
    traits = rules.traits[slot]
    unit.cooldown = traits.period + jitter
    unit.attacked = target
    unit.windup = traits.damage_point
    unit.backswing = traits.backswing
    if traits.damage_point <= 0:
        unit.windup = -1
        launch(rules, units, slot, target)


@lean_inlined
def continue_attack(rules: Rules, units: Units, slot: int) -> None:
    """Advance the attack under way by a loop.

    Another order or a lost target ends it; if that comes before its hit, the attack has cost no
    cooldown.
    """
    unit = units[slot]
    attacked = unit.attacked
    retargeted = unit.target != attacked
    if unit.windup >= 0:
        reach = rules.traits[slot].reach + RANGE_SLACK
        if retargeted or not in_range(rules, units, slot, attacked, reach):
            unit.attacked = NOBODY
            unit.cooldown = 0
            return
        unit.windup -= 1
        if unit.windup <= 0:
            unit.windup = -1
            launch(rules, units, slot, attacked)
        return
    unit.backswing -= 1
    if retargeted or unit.backswing <= 0:
        unit.attacked = NOBODY
