"""How units hurt and recover: attacks under way, hits that land, beams, explosions, shields,
healing.
"""

import math

import numpy as np
from jaxtyping import Int64

from partage.sims.batch import Buffers
from partage.sims.compilation import lean_inlined
from partage.sims.random_numbers import uniform
from partage.sims.skirmish.world import NOBODY, Rules, Units

SLOP = 1.0  # how far beyond its range a target may get before an attack under way is given up
JITTER = (-1.0, 2.0)  # loops that a cooldown is shorter or longer
LEAST = 0.5  # damage to health that armour cannot stop
SHIELD_DELAY, SHIELD_RATE = 160, 2 / 16  # loops unhurt until a shield recovers; then per loop
ENERGY_RATE, ENERGY_START = 0.5625 / 16, 50.0
HEAL_RATE, HEAL_COST, HEAL_ENERGY = (
    9 / 16,
    0.33,
    5.0,
)  # health per loop, energy per health, energy to begin by itself

SAMPLES, SPACING, SPOT = (
    11,
    0.25,
    0.15,
)  # of a beam's line: how many points, how far apart, how wide
SWEEP = 5  # loops from the first sample to the last, two in a loop
BURN = 4  # loops from a sample to its damage
FINISH = 11  # loops from the start to the damage of the target itself
STEP_UP = 32  # difference of terrain levels that a beam does not cross


@lean_inlined
def square(units: Units, one: int, other: int) -> float:
    """The squared distance of two units' centres."""
    it = units[other]
    dx, dy = units[one].x - it.x, units[one].y - it.y
    return dx * dx + dy * dy


@lean_inlined
def within(rules: Rules, units: Units, unit: int, other: int, length: float) -> bool:
    """Whether the other's edge is nearer to the unit's centre than that."""
    far = length + rules.slots[other].radius
    return square(units, unit, other) <= far * far


@lean_inlined
def foes(rules: Rules, unit: int) -> tuple[int, int]:
    """The slots of the other side: the first, and the one after the last."""
    n = rules.n_agents
    return (n, n + rules.n_enemies) if unit < n else (0, n)


@lean_inlined
def hurt(rules: Rules, units: Units, unit: int, victim: int) -> None:
    """One hit: first on the shield, the rest less the armour on health; half a point gets through
    any armour.
    """
    it = units[victim]
    amount = rules.damage[unit, victim]
    absorbed = min(amount, it.shield)
    it.shield -= absorbed
    if amount > absorbed:
        it.health -= max(amount - absorbed - rules.slots[victim].armour, LEAST)
    it.calm = 0
    it.hurt_by = unit


@lean_inlined
def launch(rules: Rules, units: Units, unit: int, target: int) -> None:
    """The moment of an attack's damage point. What is launched goes on even if its unit dies."""
    me, my = units[unit], rules.slots[unit]
    if my.blast > 0:
        me.health = 0
        return
    me.blow_at = target
    if my.beam >= 0:
        begin_sweep(units, unit, target)
        return
    me.blows = my.hits
    me.blow_in = 0
    if my.missile > 0:
        flight = math.sqrt(square(units, unit, target)) - my.radius - rules.slots[target].radius
        me.blow_in = max(flight, 0.0) / my.missile


@lean_inlined
def carry_on(rules: Rules, units: Units, unit: int) -> None:
    """One loop of the attack under way. Another order or a lost target ends it; before its hit it
    then cost nothing.
    """
    me = units[unit]
    aim, target = me.aim, me.target
    if me.swing >= 0:
        if target != aim or not within(rules, units, unit, aim, rules.slots[unit].reach + SLOP):
            me.aim = NOBODY
            me.cooldown = 0
            return
        me.swing -= 1
        if me.swing <= 0:
            me.swing = -1
            launch(rules, units, unit, aim)
        return
    me.pause -= 1
    if target != aim or me.pause <= 0:
        me.aim = NOBODY


@lean_inlined
def attack(rules: Rules, units: Units, buffers: Buffers, copy: int, unit: int, target: int) -> None:
    """Begin an attack on a target in reach."""
    me, my = units[unit], rules.slots[unit]
    jitter = uniform(buffers.key, buffers.counter, copy, JITTER[0], JITTER[1])
    me.cooldown = my.period + jitter
    me.aim = target
    me.swing = my.point
    me.pause = my.backswing
    if my.point <= 0:
        me.swing = -1
        launch(rules, units, unit, target)


@lean_inlined
def heal(rules: Rules, units: Units, unit: int, target: int) -> None:
    """One loop of healing somebody in reach."""
    me, it = units[unit], units[target]
    missing = rules.slots[target].health_max - it.health
    amount = min(HEAL_RATE, missing, me.energy / HEAL_COST)
    it.health += amount
    me.energy -= amount * HEAL_COST
    me.healing = amount > 0


@lean_inlined
def land(rules: Rules, units: Units) -> None:
    """Hits and missiles that arrive in this loop. A zealot's second hit follows its first."""
    for unit in range(len(units)):
        if units[unit].blows == 0:
            continue
        units[unit].blow_in -= 1
        if units[unit].blow_in < 0:
            units[unit].blows -= 1
            units[unit].blow_in = rules.slots[unit].gap
            if units[units[unit].blow_at].health > 0:
                hurt(rules, units, unit, units[unit].blow_at)


@lean_inlined
def begin_sweep(units: Units, unit: int, target: int) -> None:
    """Lay the beams' line across the target, at right angles to the line of fire."""
    me, it = units[unit], units[target]
    dx, dy = it.x - me.x, it.y - me.y
    length = max(math.sqrt(dx * dx + dy * dy), 1e-6)
    me.sweep = 0
    me.line_x, me.line_y = it.x, it.y
    me.line_dx, me.line_dy = -dy / length, dx / length


@lean_inlined
def touches(rules: Rules, units: Units, unit: int, victim: int, half: int) -> bool:
    """Whether one of the two beams comes over the victim in this loop; they run along the line in
    opposite ways.
    """
    me, it = units[unit], units[victim]
    level = rules.level[int(me.line_y), int(me.line_x)]
    if abs(rules.level[int(it.y), int(it.x)] - level) >= STEP_UP:
        return False
    near = SPOT + rules.slots[victim].radius
    for point in range(2 * me.sweep, min(2 * me.sweep + 2, SAMPLES)):
        along = (point - SAMPLES // 2) * SPACING * (1 - 2 * half)
        dx, dy = me.line_x + along * me.line_dx - it.x, me.line_y + along * me.line_dy - it.y
        if dx * dx + dy * dy < near * near:
            return True
    return False


@lean_inlined
def burn(rules: Rules, units: Units, burns: Int64[np.ndarray, "B U"], unit: int, half: int) -> None:
    """One loop of one beam: whom it touches it hurts a little later, once; the target itself at the
    end.
    """
    me, beam = units[unit], 2 * rules.slots[unit].beam + half
    first, last = foes(rules, unit)
    for victim in range(first, last):
        if units[victim].health <= 0:
            continue
        if victim == me.blow_at:
            if me.sweep == FINISH:
                hurt(rules, units, unit, victim)
        elif burns[beam, victim] > 0:
            if burns[beam, victim] == me.sweep:
                hurt(rules, units, unit, victim)
        elif me.sweep <= SWEEP and touches(rules, units, unit, victim, half):
            burns[beam, victim] = me.sweep + BURN
    if me.sweep == FINISH:
        burns[beam] = 0


@lean_inlined
def sweep(rules: Rules, units: Units, burns: Int64[np.ndarray, "B U"]) -> None:
    """One loop of all beams."""
    for unit in range(len(units)):
        if rules.slots[unit].beam >= 0 and units[unit].sweep >= 0:
            burn(rules, units, burns, unit, 0)
            burn(rules, units, burns, unit, 1)
            units[unit].sweep = units[unit].sweep + 1 if units[unit].sweep < FINISH else -1


@lean_inlined
def explode(rules: Rules, units: Units) -> None:
    """Banelings that died in this loop, by attacking or killed, hurt every enemy around."""
    for unit in range(len(units)):
        if rules.slots[unit].blast == 0 or units[unit].health > 0 or units[unit].spent:
            continue
        units[unit].spent = True
        first, last = foes(rules, unit)
        for victim in range(first, last):
            if units[victim].health > 0 and within(
                rules, units, unit, victim, rules.slots[unit].blast
            ):
                hurt(rules, units, unit, victim)


@lean_inlined
def recover(rules: Rules, units: Units) -> None:
    """Shields after ten calm seconds, Zerg health and energy always; the dead are left at zero."""
    for unit in range(len(units)):
        if units[unit].health <= 0:
            units[unit].health = 0
            units[unit].stride = 0
            continue
        units[unit].calm += 1
        units[unit].health = min(
            units[unit].health + rules.slots[unit].regeneration, rules.slots[unit].health_max
        )
        if units[unit].calm > SHIELD_DELAY:
            units[unit].shield = min(units[unit].shield + SHIELD_RATE, rules.slots[unit].shield_max)
        if rules.slots[unit].heals:
            units[unit].energy = min(units[unit].energy + ENERGY_RATE, rules.energy_max)
