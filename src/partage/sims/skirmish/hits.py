"""Land the hits of a battle: damage, missiles on their way, explosions."""

from partage.sims.compilation import lean_inlined
from partage.sims.skirmish.world import Rules, Units

MIN_DAMAGE = 0.5  # damage to health that armour cannot stop


@lean_inlined
def squared_distance(units: Units, one: int, other: int) -> float:
    """Return the squared distance of two units' centres."""
    dx = units[one].x - units[other].x
    dy = units[one].y - units[other].y
    return dx * dx + dy * dy


@lean_inlined
def in_range(rules: Rules, units: Units, slot: int, other: int, length: float) -> bool:
    """Return whether the other's edge is at most that far from the unit's centre."""
    far = length + rules.traits[other].radius
    return squared_distance(units, slot, other) <= far * far


@lean_inlined
def foe_slots(rules: Rules, slot: int) -> tuple[int, int]:
    """Return the slots of the other side: the first, and the one after the last."""
    n = rules.n_agents
    return (n, n + rules.n_enemies) if slot < n else (0, n)


@lean_inlined
def hurt(rules: Rules, units: Units, attacker: int, victim: int) -> None:
    """Deal one hit: first to the shield, the rest less the armour to health.

    At least `MIN_DAMAGE` of what comes past the shield gets through any armour.
    """
    unit = units[victim]
    amount = rules.damage[attacker, victim]
    absorbed = min(amount, unit.shield)
    unit.shield -= absorbed
    if amount > absorbed:
        unit.health -= max(amount - absorbed - rules.traits[victim].armour, MIN_DAMAGE)
    unit.unhurt = 0
    unit.hurt_by = attacker


@lean_inlined
def land_hits(rules: Rules, units: Units) -> None:
    """Land the hits and missiles that arrive in this loop.

    An attack's next hit follows `gap` loops after the one before (a zealot has two).
    """
    for slot in range(len(units)):
        unit = units[slot]
        if unit.hits_due == 0:
            continue
        unit.hit_in -= 1
        if unit.hit_in < 0:
            unit.hits_due -= 1
            unit.hit_in = rules.traits[slot].gap
            if units[unit.hit_target].health > 0:
                hurt(rules, units, slot, unit.hit_target)


@lean_inlined
def explode(rules: Rules, units: Units) -> None:
    """Let banelings that died in this loop, attacking or killed, hurt every enemy around."""
    for slot in range(len(units)):
        blast = rules.traits[slot].blast
        if blast == 0 or units[slot].health > 0 or units[slot].exploded:
            continue
        units[slot].exploded = True
        first, last = foe_slots(rules, slot)
        for victim in range(first, last):
            if units[victim].health > 0 and in_range(rules, units, slot, victim, blast):
                hurt(rules, units, slot, victim)
