"""Who kills whom how fast and by which rule, against arithmetic of its own on the unit data."""

import math

import numpy as np
import pytest
from battlefield import Field

from partage.sims.skirmish.data import UnitType, unit_types

FIGHTERS = ["marine", "marauder", "stalker", "zealot", "zergling", "hydralisk", "colossus"]
PAIRS = [
    (one, other)
    for one in FIGHTERS
    for other in [*FIGHTERS, "baneling", "medivac"]
    if other != "medivac" or one in ("marine", "stalker", "hydralisk")
]
SECOND = 16  # game loops
RADIUS = {name: unit.radius for name, unit in unit_types().items()}


def hits(attacker: UnitType, target: UnitType) -> float:
    return attacker.damage + (
        attacker.bonus if attacker.against and attacker.against in target.attributes else 0
    )


def duel(attacker: UnitType, target: UnitType, gap: float) -> tuple[int, float]:
    """Attacks and loops that the data say a kill takes; a cooldown is on average half a loop longer
    than the period for its jitter (-1..2), and half for ending on whole loops."""
    health, shield, now, attacks = target.health, target.shield, 0.0, 0
    times = [attacker.point + (gap / attacker.missile if attacker.missile else 0.0)]
    times += [times[0] + attacker.gap] * (attacker.hits - 1)
    if attacker.beams:
        times = [attacker.point + 11 / SECOND] * 2
    while True:
        for after in times:
            landed = attacks * (attacker.period * SECOND + 1) + after * SECOND
            health, now = (
                min(target.health, health + target.regeneration * (landed - now) / SECOND),
                landed,
            )
            absorbed = min(shield, hits(attacker, target))
            shield -= absorbed
            if hits(attacker, target) > absorbed:
                health -= max(hits(attacker, target) - absorbed - target.armour, 0.5)
            if health <= 0:
                return attacks + 1, landed
        attacks += 1


@pytest.mark.parametrize(("attacker", "target"), PAIRS)
def test_a_kill_takes_the_time_that_the_unit_data_say(attacker: str, target: str) -> None:
    one, other = unit_types()[attacker], unit_types()[target]
    gap = min(one.range, 3.0)
    field = Field([attacker], [target]).harmless(1)
    field.place((10, 16), (10 + one.radius + other.radius + gap - 0.01, 16)).attack(0, 1)
    attacks, expected = duel(one, other, gap)
    loops = 0
    while field.unit["health"][1] > 0 and loops < 2000:
        field.run(1)
        loops += 1
    # each pause is off by up to 1.5 loops of jitter, evenly spread; hits and missiles come in whole
    # loops
    assert abs(loops - expected) <= 4 + 3.5 * 0.87 * math.sqrt(attacks) + 0.05 * attacks


def after_hits(attacker: str, target: str, shield: float | None = None) -> tuple[float, float]:
    """What the first attack took: health, shield."""
    field = Field([attacker], [target]).harmless(1)
    field.place((10, 16), (10 + RADIUS[attacker] + RADIUS[target] + 0.05, 16)).attack(0, 1)
    if shield is not None:
        field.unit["shield"][1] = shield
    health, before = field.unit["health"][1], field.unit["shield"][1]
    field.loops_until_hurt(1)
    field.run(6)
    return health - field.unit["health"][1], before - field.unit["shield"][1]


@pytest.mark.parametrize(
    ("attacker", "target", "shield", "health_lost", "shield_lost"),
    [
        ("marine", "marauder", None, 5, 0),  # 6 less an armour of 1
        ("marauder", "marauder", None, 19, 0),  # 10 and 10 for armoured, less 1
        ("marauder", "marine", None, 10, 0),  # no bonus to light
        ("stalker", "zealot", 0, 9, 0),
        ("stalker", "stalker", 0, 13, 0),
        ("stalker", "stalker", 80, 0, 14),  # shields have no armour
        ("stalker", "stalker", 5, 8, 5),  # the shield takes 5 of 14, armour 1 of the rest
        ("zealot", "zergling", None, 16, 0),  # both hits
        ("zealot", "stalker", 0, 14, 0),  # armour counts for each
        ("hydralisk", "zealot", 50, 0, 12),
        ("colossus", "zealot", 0, 38, 0),  # two beams
    ],
)
def test_a_hit_is_damage_and_bonus_less_armour_and_shields_come_first(
    attacker: str, target: str, shield: float | None, health_lost: float, shield_lost: float
) -> None:
    lost = after_hits(attacker, target, shield)
    assert lost == pytest.approx(
        (health_lost, shield_lost), abs=0.2
    )  # Zerg recover a little meanwhile


def test_a_zealots_second_hit_comes_a_quarter_second_after_its_first_and_even_if_it_has_died() -> (
    None
):
    field = Field(["zealot"], ["marine"]).harmless(1).place((10, 16), (10.9, 16)).attack(0, 1)
    assert field.loops_until_hurt(1) == 1
    field.unit["health"][0] = 0
    assert field.loops_until_hurt(1) == 5  # 0.28 s are 4.5 loops
    assert field.unit["health"][1] == 45 - 16


def test_a_missile_takes_its_time_and_lands_even_if_its_shooter_has_died() -> None:
    far = Field(["marauder"], ["marine"]).harmless(1).place((10, 16), (16, 16)).attack(0, 1)
    far.run(1).unit["health"][0] = 0
    assert far.loops_until_hurt(1) == int((6 - 0.5625 - 0.375) / 20 * SECOND)
    near = Field(["marauder"], ["marine"]).harmless(1).place((10, 16), (11, 16)).attack(0, 1)
    assert near.loops_until_hurt(1) == 1


def test_a_cooldown_is_the_period_and_minus_one_to_two_loops() -> None:
    field, seen = (
        Field(["marine"], ["colossus"]).harmless(1).place((10, 16), (13, 16)).attack(0, 1),
        [],
    )
    for _ in range(6000):
        before = field.unit["cooldown"][0]
        if field.run(1).unit["cooldown"][0] > before:
            seen.append(field.unit["cooldown"][0] - 0.8608 * SECOND)
        field.unit["health"][1] = 200
    assert -1 <= min(seen) < -0.9 and 1.9 < max(seen) <= 2
    assert np.mean(seen) == pytest.approx(0.5, abs=0.15)


def test_an_attack_broken_off_before_its_hit_costs_nothing() -> None:
    field = (
        Field(["hydralisk"], ["zealot"]).harmless(1).place((10, 16), (14, 16)).attack(0, 1).run(2)
    )
    assert field.unit["cooldown"][0] > 10
    field.move(0, 8, 16).run(8)
    assert (
        field.unit["cooldown"][0] == 0 and field.unit["shield"][1] == 50 and field.unit["x"][0] < 10
    )


def test_shields_recover_two_a_second_after_ten_calm_seconds() -> None:
    field = Field(["stalker"], ["marine"]).harmless(1)
    field.unit["shield"][0], field.unit["unhurt"][0] = 10, 0
    assert field.run(160).unit["shield"][0] == 10
    assert field.run(SECOND).unit["shield"][0] == pytest.approx(12)
    assert field.run(100 * SECOND).unit["shield"][0] == 80


def test_zerg_recover_health_always_and_others_never() -> None:
    field = Field(["zergling", "marine"], ["marine"]).harmless(2)
    field.unit["health"][:2] = 20
    field.run(10 * SECOND)
    kinds = field.rules.health_max[:2]
    zerg, other = (
        field.unit["health"][list(kinds).index(35)],
        field.unit["health"][list(kinds).index(45)],
    )
    assert (zerg, other) == (pytest.approx(22.734), 20)


@pytest.mark.parametrize("killed", [False, True])
def test_a_baneling_hurts_all_enemies_around_by_attack_or_death_and_no_friend(killed: bool) -> None:
    field = Field(["baneling", "marine"], ["zergling", "baneling", "marauder", "marine"]).harmless(
        1, 2, 3, 4, 5
    )
    edge = 2.2 + 0.375
    field.place(
        (10, 16), (10, 17), (10.9, 16), (10, 15), (10, 16 - 2.2 - 0.56), (10, 16 + edge + 0.05)
    )
    if killed:
        field.unit["health"][0] = 0
    else:
        field.attack(0, 2)
    field.run(1)
    assert field.unit["health"][0] == 0
    assert field.unit["health"][1] == 45  # a friend
    assert field.unit["health"][2] == 0  # light: 35 of 35
    assert field.unit["health"][3] == pytest.approx(
        10, abs=0.1
    )  # biological, neither light nor armoured: 20 of 30
    assert field.unit["health"][4] == 125 - 19  # at the edge; armour 1
    assert field.unit["health"][5] == 45  # beyond it


@pytest.mark.parametrize("line", ["across", "along"])
def test_a_colossus_burns_a_line_across_its_target_once_with_each_beam(line: str) -> None:
    field = Field(["colossus", "marine"], ["marauder"] * 4).harmless(1, 2, 3, 4, 5)
    colossus = int(np.argmax(field.rules.beam[:2] >= 0))
    across, along = [(15, 17.2), (15, 14.8), (15, 18.9)], [(17, 16), (18.2, 16), (20, 16)]
    places = [
        (10, 16),
        (15, 16.7),
        (15, 16),
        *(across if line == "across" else along),
    ]  # the second is a friend's
    if colossus == 1:
        places[:2] = places[1::-1]
    field.place(*places).attack(colossus, 2)
    field.run(20)
    lost = 125 - field.unit["health"][2:]
    assert list(lost) == ([38, 38, 38, 0] if line == "across" else [38, 0, 0, 0])
    assert field.unit["health"][1 - colossus] == 45


def test_a_beam_does_not_leave_the_cliff_level_of_its_target() -> None:
    field = Field(["colossus"], ["zergling", "zergling"], "2c_vs_64zg").harmless(1, 2)
    field.place((18, 12), (16, 14.3), (16, 13.4)).attack(0, 1)
    assert field.run(20).unit["health"][1] == 0
    assert field.unit["health"][2] == 35


def test_a_medivac_heals_nine_a_second_for_a_third_of_energy_and_only_the_biological() -> None:
    field = Field(["marine", "medivac", "stalker"], ["marine"]).harmless(0, 1, 2, 3)
    kinds = list(field.rules.health_max[:3])
    marine, medivac, stalker = kinds.index(45), kinds.index(150), kinds.index(80)
    spots = {marine: (10, 16), medivac: (12, 16), stalker: (10, 18)}
    field.place(*(spots[slot] for slot in range(3)), (25, 16))
    field.unit["health"][[marine, stalker]] = 10, 10
    field.unit["order"][medivac], field.unit["target"][medivac] = 3, marine
    field.run(2 * SECOND)
    assert field.unit["health"][marine] == pytest.approx(28)
    assert field.unit["energy"][medivac] == pytest.approx(50 - 18 * 0.33 + 3 * 0.5625, abs=0.6)
    field.run(4 * SECOND)
    assert (field.unit["health"][marine], field.unit["order"][medivac]) == (45, 0)
    field.unit["order"][medivac], field.unit["target"][medivac] = 3, stalker
    assert field.run(SECOND).unit["health"][stalker] == 10


def test_a_medivac_without_energy_heals_no_more_than_it_gains() -> None:
    field = (
        Field(["marauder", "medivac"], ["marine"])
        .harmless(0, 1, 2)
        .place((10, 16), (12, 16), (25, 16))
    )
    field.unit["health"][0], field.unit["energy"][1] = 10, 0
    field.unit["order"][1], field.unit["target"][1] = 3, 0
    assert field.run(10 * SECOND).unit["health"][0] == pytest.approx(10 + 5.625 / 0.33, abs=0.5)


def test_who_cannot_hit_flyers_drops_the_order() -> None:
    field = Field(["marauder"], ["medivac"]).place((10, 16), (12, 16)).attack(0, 1).run(SECOND)
    assert (field.unit["health"][1], field.unit["order"][0]) == (150, 0)
