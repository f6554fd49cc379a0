"""smacv2's battles in the simulator: what is drawn, and what is shown of it, read anew from its
code.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from battlefield import random_actions

from partage.envs import make
from partage.errors import UserError
from partage.sims.batch import Batched
from partage.sims.skirmish.armies import armies
from partage.sims.skirmish.world import ATTACK, NOBODY, STOP

# observation, state: 4 + 5 (5 + shield + 3) + 4 (5 + shield + 3) + 1 + shield + 2 + 3, and
# 5 (4 + shield + 3) + 5 (3 + shield + 3) + 5 * 11
SIZES = {"terran": (82, 120), "protoss": (92, 130), "zerg": (82, 120)}
# smacv2: in the order of their bits; what they see, and from how far they are given a target
UNITS = {
    "terran": [("marine", 9, 5), ("marauder", 10, 6), ("medivac", 11, 4)],
    "protoss": [("stalker", 10, 6), ("zealot", 9, 2), ("colossus", 10, 7)],
    "zerg": [("zergling", 8, 2), ("hydralisk", 9, 5), ("baneling", 8, 2)],
}
every_army = pytest.mark.parametrize("army", SIZES)


def drawn(army: str, copies: int, seed: int = 0, units: int = 5) -> Batched:
    """Battles that have begun."""
    env = make(f"smacv2/{army}_{units}_vs_{units}", [seed], copies)
    env.reset()
    assert isinstance(env, Batched)
    return env


def world_of(env: Batched):
    return env._sim.world  # type: ignore[attr-defined]


def names(army: str, env: Batched) -> np.ndarray:
    """The unit types, [C, U]."""
    return np.array([name for name, _, _ in UNITS[army]])[world_of(env).kind]


@every_army
def test_the_sizes_are_those_of_smacv2(army: str) -> None:
    spec = drawn(army, 1).spec
    assert (spec.obs_dim, spec.state_dim) == SIZES[army]
    assert (spec.n_agents, spec.n_actions, spec.horizon) == (5, 11, 200)
    assert armies()[army].units == tuple(name for name, _, _ in UNITS[army])


@every_army
def test_types_are_drawn_by_their_weights_and_alike_for_both_sides(army: str) -> None:
    env = drawn(army, 4000)
    found = names(army, env)
    assert (np.sort(found[:, :5]) == np.sort(found[:, 5:])).all()
    for (name, _, _), weight in zip(UNITS[army], (0.45, 0.45, 0.1), strict=True):
        assert (found == name).mean() == pytest.approx(weight, abs=0.015)
    before = found.copy()
    env.reset()
    assert (names(army, env) != before).any(), "the next battles are of other units"


def test_no_army_is_all_of_a_type_that_cannot_win() -> None:
    for army, name in (("terran", "medivac"), ("zerg", "baneling")):
        found = names(army, drawn(army, 4000, units=1))
        assert not (found == name).any()
    assert (names("protoss", drawn("protoss", 400, units=1)) == "colossus").any()


@every_army
def test_half_of_the_battles_are_mirrored_and_in_the_others_agents_are_surrounded(
    army: str,
) -> None:
    spawn = world_of(drawn(army, 2000)).spawn
    agents, enemies = spawn[:, :5], spawn[:, 5:]
    middle = (np.abs(agents - 16) < 4).all((1, 2))
    assert middle.mean() == pytest.approx(0.5, abs=0.04)
    mirrored = ~middle
    assert (agents[mirrored, :, 0] < 18).all()
    across = np.sort(32 - enemies[mirrored, :, 0]), np.sort(agents[mirrored, :, 0])
    assert np.abs(across[0] - across[1]).max() < 4  # who stood on the border has moved
    # surrounded: on a diagonal, as near as there is room
    off = np.abs(np.abs(enemies[middle, :, 0] - 16) - np.abs(enemies[middle, :, 1] - 16))
    assert np.median(off) < 1 and (np.abs(enemies[middle] - 16).max(2) > 0.5).all()


def test_enemies_around_come_from_one_to_four_corners() -> None:
    spawn = world_of(drawn("terran", 4000, units=12)).spawn
    around = (np.abs(spawn[:, :12] - 16) < 5).all((1, 2))
    sides = np.sign(spawn[around, 12:] - 16)
    corners = [len(set(map(tuple, each))) for each in sides.tolist()]
    shares = np.bincount(corners, minlength=5)[1:5] / len(corners)
    assert shares == pytest.approx([0.25, 0.25, 0.25, 0.25], abs=0.06)


@every_army
def test_nobody_stands_on_another_nor_where_nobody_can(army: str) -> None:
    env = drawn(army, 500, units=10)
    spawn, traits = world_of(env).spawn, world_of(env).traits
    assert (spawn >= 2).all() and (spawn < 30).all()
    for a in range(20):
        for b in range(a):
            apart = np.hypot(*(spawn[:, a] - spawn[:, b]).T)
            near = apart < traits["body"][:, a] + traits["body"][:, b]
            assert not (near & (traits["plane"][:, a] == traits["plane"][:, b])).any()


@every_army
def test_agents_are_numbered_by_type_and_place(army: str) -> None:
    env = drawn(army, 300)
    found, spawn = names(army, env), world_of(env).spawn
    for copy in range(300):
        keys = [(found[copy, n], *spawn[copy, n]) for n in range(5)]
        assert keys == sorted(keys)


def shown(army: str, env: Batched, copy: int, agent: int) -> list[float]:
    """What an agent observes, as smacv2's code puts it together."""
    units, kinds = world_of(env).units[copy], world_of(env).kind[copy]
    own, shields = units[agent], army == "protoss"
    if own["health"] <= 0:
        return [0.0] * SIZES[army][0]
    _, sight, _ = UNITS[army][kinds[agent]]
    available = env.now.avail_actions[0, copy, agent].tolist()
    entries = [float(each) for each in available[2:6]]

    def body(slot: int) -> list[float]:
        traits = world_of(env).traits[copy, slot]
        bits = [float(kinds[slot] == k) for k in range(3)]
        shield = [units[slot]["shield"] / traits["shield_max"]] if shields else []
        return [units[slot]["health"] / traits["health_max"], *shield, *bits]

    for slot in [*range(5, 10), *(n for n in range(5) if n != agent)]:
        dx, dy = units[slot]["x"] - own["x"], units[slot]["y"] - own["y"]
        if units[slot]["health"] > 0 and math.hypot(dx, dy) < sight:
            first = float(available[6 + slot - 5]) if slot >= 5 else 1.0
            away = [math.hypot(dx, dy) / sight, dx / sight, dy / sight]
            entries += [first, *away, *body(slot)]
        else:
            entries += [0.0] * (8 + shields)
    mine = body(agent)
    return [*entries, *mine[:-3], own["x"] / 32, own["y"] / 32, *mine[-3:]]


def state_of(army: str, env: Batched, copy: int, last: list[int]) -> list[float]:
    """The state, as smacv2's code puts it together."""
    units, kinds, entries = world_of(env).units[copy], world_of(env).kind[copy], []
    for slot in range(10):
        unit, traits = units[slot], world_of(env).traits[copy, slot]
        width = 7 + (army == "protoss") - (slot >= 5)
        if unit["health"] <= 0:
            entries += [0.0] * width
            continue
        bits = [float(kinds[slot] == k) for k in range(3)]
        shield = [unit["shield"] / traits["shield_max"]] if army == "protoss" else []
        load = unit["energy"] if traits["heals"] else unit["cooldown"]
        cooldown = [load / traits["max_cd"]] if slot < 5 else []
        place = [(unit["x"] - 16) / 32, (unit["y"] - 16) / 32]
        entries += [unit["health"] / traits["health_max"], *cooldown, *place, *shield, *bits]
    return entries + [float(action == k) for action in last for k in range(11)]


@every_army
def test_what_is_shown_is_laid_out_as_smacv2_has_it(army: str) -> None:
    env, generator = drawn(army, 12), torch.Generator().manual_seed(0)
    last, seen_dead = [[-1] * 5] * 12, False
    for _ in range(40):
        step = env.now
        for copy in np.flatnonzero(~step.ended[0].numpy()):
            for agent in range(5):
                expected = torch.tensor(shown(army, env, copy, agent), dtype=torch.float32)
                torch.testing.assert_close(step.obs[0, copy, agent], expected)
            expected = torch.tensor(state_of(army, env, copy, last[copy]), dtype=torch.float32)
            torch.testing.assert_close(step.state[0, copy], expected)
        seen_dead = seen_dead or not step.alive.all()
        actions = random_actions(step.avail_actions, generator)
        last = actions[0].tolist()
        env.step(actions)
    assert seen_dead


@every_army
def test_a_target_may_be_given_from_as_far_as_the_type_reaches(army: str) -> None:
    env = drawn(army, 300)
    units, kinds = world_of(env).units, world_of(env).kind
    for copy in range(300):
        for agent in range(5):
            name, _, reach = UNITS[army][kinds[copy, agent]]
            own = units[copy, agent]
            targets = range(5) if name == "medivac" else range(5, 10)
            for j, slot in enumerate(targets):
                other = units[copy, slot]
                near = math.hypot(own["x"] - other["x"], own["y"] - other["y"]) <= reach
                heals_flyer = name == "medivac" and UNITS[army][kinds[copy, slot]][0] == "medivac"
                may = env.now.avail_actions[0, copy, agent, 6 + j].item()
                assert may == (near and not heals_flyer)


@every_army
def test_enemies_with_nothing_to_do_go_for_the_nearest_agent(army: str) -> None:
    env = drawn(army, 200)
    before = world_of(env).units.copy()
    env.step(torch.ones(1, 200, 5, dtype=torch.int64))
    units, heals = world_of(env).units, world_of(env).traits["heals"]
    ordered = 0
    for copy in range(200):
        for slot in range(5, 10):
            start = before[copy, slot]
            if start["order"] != STOP or start["target"] != NOBODY or heals[copy, slot]:
                continue
            if units[copy, slot]["order"] == ATTACK:
                away = np.hypot(*(before[copy, :5][axis] - start[axis] for axis in "xy"))
                assert units[copy, slot]["target"] == away.argmin()
                ordered += 1
    assert ordered > 200


@every_army
def test_a_battle_won_without_a_loss_pays_twenty(army: str) -> None:
    env = drawn(army, 50)
    world_of(env).units["health"][:, 5:] = 0
    step = env.step(torch.ones(1, 50, 5, dtype=torch.int64))
    assert step.reward[0, :, 0].tolist() == pytest.approx([20] * 50)
    assert step.score.all() and step.terminated.all()
    assert len(set(world_of(env).max_reward.tolist())) > 3, "of its own enemies, in each battle"


@pytest.mark.parametrize("task", ["terran", "orc_5_vs_5", "zerg_5_vs_6", "terran_0_vs_0"])
def test_a_scenario_that_is_not_there_is_refused(task: str) -> None:
    with pytest.raises(UserError, match="<army>_<units>_vs_<units>"):
        make(f"smacv2/{task}", [0], 1)
    with pytest.raises(UserError, match="at most 32"):
        make("smacv2/terran_99_vs_99", [0], 1)


def test_the_game_itself_is_refused_in_a_sentence_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="engine='package' of smac"):
        make("smacv2/terran_5_vs_5", [0], 1, engine="package")
    with pytest.raises(UserError, match="option 'relaunch'"):
        make("smacv2/terran_5_vs_5", [0], 1, relaunch=7)
