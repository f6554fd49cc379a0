"""Recover health, shields and energy, by medivacs and by nature."""

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.world import Rules, Units

SHIELD_DELAY = 160  # loops unhurt until a shield recovers: 10 s
SHIELD_RATE = 2 / 16  # per loop
ENERGY_RATE = 0.5625 / 16  # per loop
ENERGY_START = 50.0
HEAL_RATE = 9 / 16  # health per loop
HEAL_COST = 0.33  # energy per health
HEAL_ENERGY = 5.0  # energy from which an enemy's medivac begins by itself


@lean_inlined
def heal(rules: Rules, units: Units, healer: int, patient: int) -> None:
    """Heal somebody in reach for one loop."""
    unit = units[healer]
    missing = rules.traits[patient].health_max - units[patient].health
    amount = min(HEAL_RATE, missing, unit.energy / HEAL_COST)
    units[patient].health += amount
    unit.energy -= amount * HEAL_COST
    unit.healing = amount > 0


@lean_inlined
def recover_one(rules: Rules, units: Units, slot: int) -> None:
    """Let a unit recover for one loop: its shield when calm, Zerg health and energy always.

    The dead are left at zero health.
    """
    unit = units[slot]
    traits = rules.traits[slot]
    if unit.health <= 0:
        unit.health = 0
        unit.stride = 0
        return
    unit.unhurt += 1
    unit.health = min(unit.health + traits.regeneration, traits.health_max)
    if unit.unhurt > SHIELD_DELAY:
        unit.shield = min(unit.shield + SHIELD_RATE, traits.shield_max)
    if traits.heals:
        unit.energy = min(unit.energy + ENERGY_RATE, rules.energy_max)


@lean_inlined
def recover(rules: Rules, units: Units) -> None:
    """Let everybody recover for one loop."""
    for slot in range(len(units)):
        recover_one(rules, units, slot)
