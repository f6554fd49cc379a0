"""Sweep the colossus's two beams: they run along one line across the target in opposite ways.

The line is sampled at `POINTS` points, two in a loop for each beam. Whom a beam touches it hurts
`BURN_DELAY` loops later, once; the target itself is hurt by both in the sweep's last loop.
"""

import math

import numpy as np
from jaxtyping import Int64

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.hits import foe_slots, hurt
from partage.sims.skirmish.world import Rules, Units

POINTS = 11  # sampled on the line
SPACING = 0.25  # from one point to the next
BEAM_RADIUS = 0.15
LAST_SAMPLE = 5  # loop of the sweep in which the last point is reached, the first in loop 0
BURN_DELAY = 4  # loops from a touch to its damage
LAST_LOOP = 11  # loop of the sweep in which the target is hurt
CLIFF = 32  # difference of terrain levels that a beam does not cross


@lean_inlined
def begin_sweep(units: Units, slot: int, target: int) -> None:
    """Lay the beams' line across the target, at right angles to the line of fire."""
    unit = units[slot]
    aim = units[target]
    dx = aim.x - unit.x
    dy = aim.y - unit.y
    length = max(math.sqrt(dx * dx + dy * dy), 1e-6)
    unit.sweep = 0
    unit.line_x = aim.x
    unit.line_y = aim.y
    unit.line_dx = -dy / length
    unit.line_dy = dx / length


@lean_inlined
def touches(rules: Rules, units: Units, slot: int, victim: int, half: int) -> bool:
    """Return whether one of the two beams (`half` 0 or 1) comes over the victim in this loop."""
    unit = units[slot]
    other = units[victim]
    level = rules.level[int(unit.line_y), int(unit.line_x)]
    if abs(rules.level[int(other.y), int(other.x)] - level) >= CLIFF:
        return False
    near = BEAM_RADIUS + rules.traits[victim].radius
    direction = 1 - 2 * half
    for point in range(2 * unit.sweep, min(2 * unit.sweep + 2, POINTS)):
        along = (point - POINTS // 2) * SPACING * direction
        dx = unit.line_x + along * unit.line_dx - other.x
        dy = unit.line_y + along * unit.line_dy - other.y
        if dx * dx + dy * dy < near * near:
            return True
    return False


@lean_inlined
def burn_one(
    rules: Rules, units: Units, burns: Int64[np.ndarray, "B U"], slot: int, half: int, victim: int
) -> None:
    """Advance one of a unit's two beams by a loop, as far as a victim sees of it."""
    if units[victim].health <= 0:
        return
    unit = units[slot]
    beam = 2 * rules.traits[slot].beam + half
    if victim == unit.hit_target:
        if unit.sweep == LAST_LOOP:
            hurt(rules, units, slot, victim)
    elif burns[beam, victim] > 0:
        if burns[beam, victim] == unit.sweep:
            hurt(rules, units, slot, victim)
    elif unit.sweep <= LAST_SAMPLE and touches(rules, units, slot, victim, half):
        burns[beam, victim] = unit.sweep + BURN_DELAY


@lean_inlined
def burn(rules: Rules, units: Units, burns: Int64[np.ndarray, "B U"], slot: int, half: int) -> None:
    """Advance one of a unit's two beams by a loop."""
    first, last = foe_slots(rules, slot)
    for victim in range(first, last):
        burn_one(rules, units, burns, slot, half, victim)
    if units[slot].sweep == LAST_LOOP:
        burns[2 * rules.traits[slot].beam + half] = 0


@lean_inlined
def sweeps(rules: Rules, units: Units, slot: int) -> bool:
    """Return whether the unit's beams are on."""
    return rules.traits[slot].beam >= 0 and units[slot].sweep >= 0


@lean_inlined
def advance_sweep(units: Units, slot: int) -> None:
    """Count a loop of the unit's beams, whose last one ends them."""
    units[slot].sweep = units[slot].sweep + 1 if units[slot].sweep < LAST_LOOP else -1


@lean_inlined
def sweep(rules: Rules, units: Units, burns: Int64[np.ndarray, "B U"]) -> None:
    """Advance all beams that are on by a loop."""
    for slot in range(len(units)):
        if sweeps(rules, units, slot):
            burn(rules, units, burns, slot, 0)
            burn(rules, units, burns, slot, 1)
            advance_sweep(units, slot)
