"""The battles as wholes: bodies, walls, orders, determinism, and which policies win."""

from pathlib import Path

import numpy as np
import pytest
import torch
from battlefield import Field, battles, random_actions

from benchmarks.scripted import Battles, record
from partage.errors import UserError
from partage.plots.battles import animate, strip
from partage.sims.skirmish.data import find_map, maps
from partage.sims.skirmish.ground import terrain
from partage.sims.skirmish.simulator import Options
from partage.sims.skirmish.world import GROUND, STRIDER

every_map = pytest.mark.parametrize("name", list(maps()))
OVERLAP = 0.5  # by which two bodies of all those in a step may overlap, in a crowd, for a moment
TOUCH = 0.15  # by which hardly any do


@every_map
def test_nobody_stands_in_a_wall_and_bodies_hardly_overlap(name: str) -> None:
    env, world, rules = battles(name, 8)
    step, generator = env.reset(), torch.Generator().manual_seed(1)
    plane, body, deepest, crowded = rules.plane, rules.body, [], []
    while not step.ended.all() and len(deepest) < 60:
        step = env.step(random_actions(step.avail_actions, generator))
        x, y, alive = world.x, world.y, world.health > 0
        cells = y.astype(int), x.astype(int)
        assert rules.pathing[cells][alive & (plane == GROUND)].all()
        assert rules.striding[cells][alive & (plane == STRIDER)].all()
        apart = np.hypot(x[:, :, None] - x[:, None], y[:, :, None] - y[:, None])
        depth = body[:, None] + body - apart
        pairs = (plane[:, None] == plane) & ~np.eye(len(plane), dtype=bool)
        depth = np.where(alive[:, :, None] & alive[:, None] & pairs, depth, 0)
        deepest.append(depth.max())
        crowded.append((depth > TOUCH).any(2).sum() / alive.sum())
    assert max(deepest) <= OVERLAP
    assert np.mean(crowded) <= 0.03


def test_colossi_cross_the_cliff_and_zerglings_go_round_by_the_ramps() -> None:
    field = Field(["colossus"], ["zergling"], "2c_vs_64zg").harmless(0, 1).place((16, 16), (16, 10))
    field.move(0, 16, 10).move(1, 16, 16)
    cells = terrain(find_map("2c_vs_64zg").ground)
    seen: list[list[tuple[float, float]]] = [[], []]
    for _ in range(400):
        field.run(1)
        for slot in range(2):
            seen[slot].append((field.unit["x"][slot], field.unit["y"][slot]))
    assert any(not cells.pathing[int(y), int(x)] for x, y in seen[0])  # over the cliff
    assert all(abs(x - 16) < 1 for x, _ in seen[0]) and seen[0][-1] == pytest.approx(
        (16, 10), abs=0.01
    )
    assert all(cells.pathing[int(y), int(x)] for x, y in seen[1])
    assert min(min(x, 32 - x) for x, _ in seen[1]) < 4.5 and seen[1][-1] == pytest.approx(
        (16, 16), abs=0.3
    )


def test_who_fights_hand_to_hand_closes_ranks_until_the_ring_is_full() -> None:
    field = Field(["colossus"], ["zergling"] * 24).harmless(0)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    around = [(16 + 4 * np.cos(angle), 16 + 4 * np.sin(angle)) for angle in angles]
    field.place((16, 16), *around).unit["health"][0] = 1e6
    for slot in range(1, 25):
        field.attack(slot, 0)
    x, y = field.run(160).unit["x"][1:], field.unit["y"][1:]
    in_reach = np.hypot(x - 16, y - 16) <= 1 + 0.375 + 0.1
    assert in_reach.sum() >= 12  # as many discs as fit side by side on that circle
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + 9 * np.eye(24)
    assert apart.min() > 0.75 - TOUCH


def test_an_order_to_walk_is_walked_at_the_units_speed_and_stops_there() -> None:
    field = (
        Field(["marine"], ["marine"]).harmless(1).place((10, 16), (25, 16)).move(0, 12, 16).run(8)
    )
    assert field.unit["x"][0] == pytest.approx(10 + 2.25 / 2)  # half a second
    assert field.run(16).unit["x"][0] == pytest.approx(12)
    assert field.unit["order"][0] == 0


def test_a_medivac_takes_time_to_get_up_to_speed() -> None:
    field = Field(["medivac"], ["marine"]).harmless(1).place((10, 16), (25, 20)).move(0, 20, 16)
    speeds = []
    for _ in range(24):
        before = field.unit["x"][0]
        speeds.append((field.run(1).unit["x"][0] - before) * 16)
    assert np.diff(speeds[:18]) == pytest.approx([2.3125 / 16] * 17)
    assert max(speeds) == pytest.approx(2.75)


def test_an_order_into_a_wall_ends_before_it() -> None:
    field = (
        Field(["marine"], ["marine"])
        .harmless(1)
        .place((3.2, 16), (25, 16))
        .move(0, 1.2, 16)
        .run(40)
    )
    assert (
        2 <= field.unit["x"][0] < 2.6 and field.unit["y"][0] == 16 and field.unit["order"][0] == 0
    )


def test_agents_do_nothing_by_themselves_even_under_fire() -> None:
    field = Field(["marine", "zealot", "medivac"], ["zealot"]).place(
        (10, 16), (12, 16), (9, 18), (13.2, 16)
    )
    places = field.unit["x"][:3].copy()
    field.run(100)
    assert (field.unit["health"][:3] < field.rules.health_max[:3]).any()
    assert (field.unit["x"][:3] == places).all() and (field.unit["order"][:3] == 0).all()
    assert field.unit["shield"][3] == 50


def test_an_order_persists_until_the_target_is_dead() -> None:
    field = (
        Field(["marine"], ["zergling", "zergling"])
        .harmless(1, 2)
        .place((6, 16), (16, 16), (17, 16))
        .attack(0, 1)
    )
    field.run(60)
    assert field.unit["x"][0] == pytest.approx(16 - 5.75, abs=0.2)  # walked until it was in range
    field.run(300)
    assert list(field.unit["health"][1:] > 0) == [False, True] and field.unit["order"][0] == 0


def test_enemies_take_up_the_nearest_within_five_and_prefer_those_that_can_hurt() -> None:
    field = (
        Field(["marine", "medivac"], ["marine", "marine"])
        .harmless(0)
        .place((16, 16), (20, 16), (22, 16), (23, 24))
    )
    field.run(4)
    assert list(field.unit["target"][2:]) == [1, -1]  # only the medivac is within range
    field.unit["target"][2] = -1
    assert field.place((17, 17), (20, 16), (22, 16), (23, 24)).run(5).unit["target"][2] == 0


def test_an_enemy_keeps_its_target_while_another_comes_nearer() -> None:
    field = (
        Field(["marine", "marine"], ["marine"])
        .harmless(0, 1)
        .place((18, 16), (10, 16), (22, 16))
        .run(4)
    )
    assert field.place((18, 16), (21, 16), (22, 16)).run(20).unit["target"][2] == 0


def test_who_is_hurt_calls_idle_friends_within_four_and_no_others() -> None:
    enemies = ["marine", "marine", "marine"]
    field = (
        Field(["stalker"], enemies).place((10, 16), (16.9, 16), (19.9, 16), (22, 16)).attack(0, 1)
    )
    field.loops_until_hurt(1)
    assert list(field.unit["target"][1:]) == [0, 0, -1]


def test_enemies_that_hunt_turn_to_the_next_agent_when_one_is_dead() -> None:
    env, world, rules = battles("2c_vs_64zg", 1)
    step = env.reset()
    assert (world.target[0, 2:] == rules.prey).all()
    world.units["health"][0, rules.prey] = 0
    env.step(torch.where(step.avail_actions[..., 1], 1, 0))
    assert (world.target[0, 2:] == 1 - rules.prey).all()


@pytest.mark.parametrize("name", ["MMM2", "2c_vs_64zg", "bane_vs_bane"])
def test_seeds_decide_everything_and_a_saved_battle_goes_on_exactly(name: str) -> None:
    def trail(env, step, steps: int, seed: int) -> list[torch.Tensor]:
        generator, seen = torch.Generator().manual_seed(seed), []
        for _ in range(steps):
            step = env.step(random_actions(step.avail_actions, generator))
            seen.append(torch.cat([step.obs.flatten(), step.reward.flatten()]).clone())
        return seen

    one, other, third = battles(name, 4)[0], battles(name, 4)[0], battles(name, 4, seed=1)[0]
    first = trail(one, one.reset(), 20, 0)
    assert all(
        torch.equal(a, b) for a, b in zip(first, trail(other, other.reset(), 20, 0), strict=True)
    )
    assert not all(
        torch.equal(a, b) for a, b in zip(first, trail(third, third.reset(), 20, 0), strict=True)
    )
    saved = one.state_dict()
    onward = trail(one, one._step, 10, 3)
    later = battles(name, 4)[0]
    assert all(
        torch.equal(a, b)
        for a, b in zip(onward, trail(later, later.load_state_dict(saved), 10, 3), strict=True)
    )


def test_copies_do_not_touch_one_another() -> None:
    several, alone = battles("corridor", 3)[0], battles("corridor", 1)[0]
    step, single = several.reset(), alone.reset()
    for _ in range(30):
        actions = random_actions(step.avail_actions, torch.Generator().manual_seed(0))
        actions[0, 0] = random_actions(single.avail_actions, torch.Generator().manual_seed(1))[0, 0]
        step, single = several.step(actions), alone.step(actions[:, :1])
        assert torch.equal(step.obs[:, 0], single.obs[:, 0])


def test_enemies_trade_places_unless_they_are_to_keep_their_order() -> None:
    shuffled, world, _ = battles("5m_vs_6m", 2)
    shuffled.reset()
    assert not np.array_equal(world.x[0, 5:], world.x[1, 5:])
    ordered, kept, _ = battles("5m_vs_6m", 2, options=Options(keep_order=True))
    ordered.reset()
    assert np.array_equal(kept.x[0], kept.x[1]) and np.array_equal(
        np.sort(kept.x[0]), np.sort(world.x[0])
    )


@every_map
def test_standing_still_loses(name: str) -> None:
    won, _, _ = Battles(name, "stop", 64).play()
    assert won <= (
        0.15 if name == "bane_vs_bane" else 0
    )  # banelings that die can kill everybody around


@pytest.mark.parametrize(
    "name", ["3m", "8m", "5m_vs_6m", "27m_vs_30m", "MMM2", "3s5z_vs_3s6z", "6h_vs_8z", "corridor"]
)
def test_attacking_the_weakest_earns_more_than_random_play_which_never_wins(name: str) -> None:
    focused, dabbled = Battles(name, "focus", 32).play(), Battles(name, "random", 32).play()
    assert dabbled[0] == 0
    assert focused[2] > 1.3 * dabbled[2] and focused[0] >= dabbled[0]


def test_random_play_does_not_win_against_64_zerglings() -> None:
    won, _, returns = Battles("2c_vs_64zg", "random", 128).play()
    assert won == 0 and returns < 13


def test_an_unknown_map_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="known are 27m_vs_30m, 2c_vs_64zg, 3m"):
        find_map("4m")


def test_a_recorded_battle_is_drawn_as_a_strip_and_an_animation(tmp_path: Path) -> None:
    battle = record("3m", "focus", 0)
    assert "simulator" in battle.title
    strip(battle, tmp_path / "3m.png")
    animate(battle._replace(x=battle.x[:3]), tmp_path / "3m.gif")
    assert (tmp_path / "3m.png").read_bytes()[:4] == b"\x89PNG" and (
        tmp_path / "3m.gif"
    ).read_bytes()[:3] == b"GIF"
