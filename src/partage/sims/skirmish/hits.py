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
def arrives(rules: Rules, units: Units, slot: int) -> bool:
    """Return whether a hit or missile of the unit arrives in this loop.

    An attack's next hit follows `gap` loops after the one before (a zealot has two).
    """
    unit = units[slot]
    if unit.hits_due == 0:
        return False
    unit.hit_in -= 1
    if unit.hit_in >= 0:
        return False
    unit.hits_due -= 1
    unit.hit_in = rules.traits[slot].gap
    return True


@lean_inlined
def land(rules: Rules, units: Units, slot: int) -> None:
    """Land a hit of the unit on a target that lives."""
    if units[units[slot].hit_target].health > 0:
        hurt(rules, units, slot, units[slot].hit_target)


@lean_inlined
def land_hits(rules: Rules, units: Units) -> None:
    """Land the hits and missiles that arrive in this loop."""
    for slot in range(len(units)):
        if arrives(rules, units, slot):
            land(rules, units, slot)


@lean_inlined
def goes_off(rules: Rules, units: Units, slot: int) -> bool:
    """Return whether the unit explodes now."""
    return rules.traits[slot].blast > 0 and not (units[slot].health > 0 or units[slot].exploded)


@lean_inlined
def catch(rules: Rules, units: Units, slot: int, victim: int) -> None:
    """Hurt an enemy of who explodes, if it is around."""
    blast = rules.traits[slot].blast
    if units[victim].health > 0 and in_range(rules, units, slot, victim, blast):
        hurt(rules, units, slot, victim)


@lean_inlined
def explode(rules: Rules, units: Units) -> None:
    """Let banelings that died in this loop, attacking or killed, hurt every enemy around."""
    for slot in range(len(units)):
        if goes_off(rules, units, slot):
            units[slot].exploded = True
            first, last = foe_slots(rules, slot)
            for victim in range(first, last):
                catch(rules, units, slot, victim)
