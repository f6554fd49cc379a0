"""What the battles tell, allow and pay, against a slow reading of SMAC's rules written here once
more.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from partage.envs import make
from partage.sims import batch
from partage.sims.buffers import Buffers
from partage.sims.skirmish.actions import give_orders
from partage.sims.skirmish.data import find_map, maps, unit_types
from partage.sims.skirmish.observations import observe
from partage.sims.skirmish.rewards import begin_episode, pay
from partage.sims.skirmish.rules import make_rules
from partage.sims.skirmish.world import ATTACK, HEAL, MOVE, NOBODY, STOP, Rules, World, blank
from partage.sims.spec import Spec

# map: agents, enemies, limit, actions, observation, state, largest reward before scaling
SIZES = {
    "bane_vs_bane": (24, 24, 200, 30, 336, 984, 1260),
    "MMM2": (10, 12, 180, 18, 176, 322, 1205),
    "5m_vs_6m": (5, 6, 70, 12, 55, 98, 530),
    "3s_vs_5z": (3, 5, 250, 11, 48, 68, 1000),
    "2c_vs_64zg": (2, 64, 400, 70, 332, 342, 3080),
    "27m_vs_30m": (27, 30, 180, 36, 285, 1170, 1850),
    "6h_vs_8z": (6, 8, 150, 14, 78, 140, 1480),
    "corridor": (6, 24, 400, 30, 156, 282, 1280),
    "3s5z_vs_3s6z": (8, 9, 170, 15, 136, 230, 1670),
    "3s5z": (8, 8, 150, 14, 128, 216, 1510),
    "3m": (3, 3, 60, 9, 30, 48, 365),
    "8m": (8, 8, 120, 14, 80, 168, 640),
}
AGENTS = {
    "bane_vs_bane": ["baneling"] * 4 + ["zergling"] * 20,
    "MMM2": ["marauder"] * 2 + ["marine"] * 7 + ["medivac"],
    "5m_vs_6m": ["marine"] * 5,
    "3s_vs_5z": ["stalker"] * 3,
    "2c_vs_64zg": ["colossus"] * 2,
    "27m_vs_30m": ["marine"] * 27,
    "6h_vs_8z": ["hydralisk"] * 6,
    "corridor": ["zealot"] * 6,
    "3s5z_vs_3s6z": ["stalker"] * 3 + ["zealot"] * 5,
    "3s5z": ["stalker"] * 3 + ["zealot"] * 5,
    "3m": ["marine"] * 3,
    "8m": ["marine"] * 8,
}
# health, shield, loops by which the state divides a cooldown (a medivac's energy)
UNITS = {
    "marine": (45, 0, 15),
    "marauder": (125, 0, 25),
    "medivac": (150, 0, 200),
    "stalker": (80, 80, 35),
    "zealot": (100, 50, 22),
    "colossus": (200, 150, 24),
    "hydralisk": (80, 0, 10),
    "zergling": (35, 0, 11),
    "baneling": (30, 0, 1),
}
PROTOSS = {"stalker", "zealot", "colossus"}
BITS = {  # of agents, of enemies: turned round on one map
    "MMM2": (["marauder", "marine", "medivac"], ["marauder", "marine", "medivac"]),
    "bane_vs_bane": (["baneling", "zergling"], ["baneling", "zergling"]),
    "3s5z_vs_3s6z": (["stalker", "zealot"], ["zealot", "stalker"]),
    "3s5z": (["stalker", "zealot"], ["zealot", "stalker"]),
}
NORTH, SOUTH, EAST, WEST = (0, 1), (0, -1), (1, 0), (-1, 0)
every_map = pytest.mark.parametrize("name", SIZES)


class Battle(NamedTuple):
    """One copy of a map, to be arranged by hand."""

    rules: Rules
    world: World
    buffers: Buffers

    def observed(self) -> "Battle":
        for copy in range(len(self.world.health)):
            observe(self.rules, self.world, self.buffers, copy)
        return self

    def paid(self) -> tuple[float, bool, float]:
        """Reward times its scale, end, victory of copy 0."""
        pay(self.rules, self.world, self.buffers, 0)
        assert len(set(self.buffers.reward[0].tolist())) == 1
        raw = self.buffers.reward[0, 0] * self.rules.max_reward / 20
        return round(float(raw), 2), bool(self.buffers.terminated[0]), float(self.buffers.score[0])

    def ordered(self, actions: list[int]) -> "Battle":
        give_orders(self.rules, self.world, np.array([actions]), 0)
        return self


def battle(name: str, copies: int = 1, **options: bool) -> Battle:
    """Everyone is whole, in the middle of the map; the enemies stand 3 to the east."""
    rules = make_rules(find_map(name), **options)
    world, buffers = (
        blank(rules, copies),
        batch.idle_buffers(find_map(name).spec, [0], copies),
    )
    world.health[:], world.shield[:] = rules.health_max, rules.shield_max
    world.x[:], world.y[:] = 16.5, 16.5
    world.x[:, rules.n_agents :] += 3
    for copy in range(copies):
        begin_episode(rules, world, copy)
    return Battle(rules, world, buffers)


def scattered(name: str, copies: int, seed: int) -> Battle:
    """Battles in any state: near and far, hurt and dead, at the map's edge, all orders given
    before.
    """
    found, rng = battle(name, copies), np.random.default_rng(seed)
    rules, world, _ = found
    u = rules.n_agents + rules.n_enemies
    centre, reach = rng.uniform(2, 30, (copies, 1)), rng.uniform(1, 16, (copies, 1))
    for axis in (world.x, world.y):
        axis[:] = np.clip(centre + reach * rng.uniform(-1, 1, (copies, u)), 0, 31.999)
    world.health[:] *= rng.uniform(0.01, 1, (copies, u)) * (rng.random((copies, u)) > 0.3)
    world.shield[:] *= rng.uniform(0, 1, (copies, u))
    world.energy[:] = rng.uniform(0, 200, (copies, u))
    world.cooldown[:] = rng.uniform(0, 40, (copies, u)) * (rng.random((copies, u)) > 0.3)
    world.last_action[:] = rng.integers(-1, 6 + rules.n_enemies, world.last_action.shape)
    return found


def names_of(rules: Rules) -> list[str]:
    return [list(unit_types())[kind] for kind in rules.kind]


def may(name: str, rules: Rules, world: World, copy: int, agent: int) -> list[bool]:
    """Which actions an agent has."""
    kinds, health, n = names_of(rules), world.health[copy], rules.n_agents
    x, y = world.x[copy], world.y[copy]
    if health[agent] <= 0:
        return [True] + [False] * (5 + rules.n_enemies)
    steps = []
    for dx, dy in (NORTH, SOUTH, EAST, WEST):
        column, row = int(x[agent] + dx), int(y[agent] + dy)
        steps.append(0 <= column < 32 and 0 <= row < 32 and bool(rules.pathing[row, column]))
    targets = [False] * rules.n_enemies
    heals = kinds[agent] == "medivac"
    for target in range(n if heals else rules.n_enemies):
        slot = target if heals else n + target
        near = math.hypot(x[slot] - x[agent], y[slot] - y[agent]) <= 6
        if health[slot] > 0 and near and not (heals and kinds[slot] == "medivac"):
            targets[target] = True
    return [False, True, *steps, *targets]


def one_hot(name: str, rules: Rules, slot: int) -> list[float]:
    bits = BITS[name][slot >= rules.n_agents] if name in BITS else []
    return [float(bit == names_of(rules)[slot]) for bit in bits]


def condition(name: str, rules: Rules, world: World, copy: int, slot: int) -> list[float]:
    """Health, and shield where the side has one."""
    kinds = names_of(rules)
    health, shield, _ = UNITS[kinds[slot]]
    first = kinds[0 if slot < rules.n_agents else rules.n_agents]
    return [world.health[copy, slot] / health] + (
        [world.shield[copy, slot] / shield] if first in PROTOSS else []
    )


def seen(name: str, rules: Rules, world: World, copy: int, agent: int) -> list[float]:
    """What an agent observes."""
    if world.health[copy, agent] <= 0:
        return [0.0] * SIZES[name][4]
    available, x, y = may(name, rules, world, copy, agent), world.x[copy], world.y[copy]
    features = [float(flag) for flag in available[2:6]]
    enemies = range(rules.n_agents, rules.n_agents + rules.n_enemies)
    for slot in (*enemies, *(other for other in range(rules.n_agents) if other != agent)):
        dx, dy = x[slot] - x[agent], y[slot] - y[agent]
        what = condition(name, rules, world, copy, slot) + one_hot(name, rules, slot)
        if world.health[copy, slot] > 0 and math.hypot(dx, dy) < 9:
            first = available[6 + slot - rules.n_agents] if slot >= rules.n_agents else True
            features += [float(first), math.hypot(dx, dy) / 9, dx / 9, dy / 9, *what]
        else:
            features += [0.0] * (4 + len(what))
    return features + condition(name, rules, world, copy, agent) + one_hot(name, rules, agent)


def known(name: str, rules: Rules, world: World, copy: int) -> list[float]:
    """The state."""
    features: list[float] = []
    for slot in range(rules.n_agents + rules.n_enemies):
        kind, own = names_of(rules)[slot], slot < rules.n_agents
        health, *shield = condition(name, rules, world, copy, slot)
        load = (world.energy if kind == "medivac" else world.cooldown)[copy, slot] / UNITS[kind][2]
        place = [(world.x[copy, slot] - 16) / 32, (world.y[copy, slot] - 16) / 32]
        row = [health, *([load] if own else []), *place, *shield, *one_hot(name, rules, slot)]
        features += row if world.health[copy, slot] > 0 else [0.0] * len(row)
    for action in world.last_action[copy]:
        features += [float(action == each) for each in range(6 + rules.n_enemies)]
    return features


def test_the_nine_maps_and_two_easy_ones_are_there() -> None:
    assert set(maps()) == set(SIZES) == set(AGENTS)


@every_map
def test_a_maps_sizes_and_largest_reward_are_smacs(name: str) -> None:
    rules, (n_agents, n_enemies, limit, n_actions, obs, state, most) = (
        make_rules(find_map(name)),
        SIZES[name],
    )
    spec = find_map(name).spec
    assert spec._replace(types=()) == Spec(n_agents, n_actions, obs, state, limit, True)
    assert (rules.n_agents, rules.n_enemies, rules.max_reward) == (n_agents, n_enemies, most)
    assert names_of(rules)[:n_agents] == AGENTS[name] == list(find_map(name).spec.types)


@every_map
def test_observations_state_and_actions_are_those_of_smacs_rules(name: str) -> None:
    rules, world, buffers = scattered(name, 24, seed=SIZES[name][5]).observed()
    for copy in range(24):
        for agent in range(rules.n_agents):
            expected = np.array(seen(name, rules, world, copy, agent))
            np.testing.assert_allclose(buffers.obs[copy, agent], expected, rtol=1e-6, atol=1e-7)
            assert buffers.avail_actions[copy, agent].tolist() == may(
                name, rules, world, copy, agent
            )
        np.testing.assert_allclose(
            buffers.state[copy], known(name, rules, world, copy), rtol=1e-6, atol=1e-7
        )
        assert buffers.alive[copy].tolist() == (world.health[copy, : rules.n_agents] > 0).tolist()
    far = np.hypot(*(axis[:, :1] - axis[:, rules.n_agents :] for axis in (world.x, world.y))) >= 9
    assert (
        far.any() and not far.all() and not buffers.alive.all()
    )  # the worlds had something to tell apart


def test_a_dead_agent_observes_nothing_can_do_nothing_and_is_seen_by_nobody() -> None:
    found = battle("5m_vs_6m")
    found.world.health[0, 2] = 0
    _, _, buffers = found.observed()
    assert not buffers.obs[0, 2].any() and np.flatnonzero(buffers.avail_actions[0, 2]).tolist() == [
        0
    ]
    assert buffers.alive[0].tolist() == [True, True, False, True, True]
    allies = buffers.obs[0, 0, 4 + 6 * 5 : -1].reshape(4, 5)
    assert allies[:, 0].tolist() == [1, 0, 1, 1] and not allies[1].any()
    assert not buffers.avail_actions[0, 0, 0]


def test_a_unit_is_seen_within_9_and_attackable_up_to_6() -> None:
    found = battle("5m_vs_6m")
    found.world.x[0, 5:] = 16.5 + np.array([6.0, 6.001, 8.999, 9.0, -6.0, -9.5])
    _, _, buffers = found.observed()
    assert buffers.avail_actions[0, 0, 6:].tolist() == [True, False, False, False, True, False]
    enemies = buffers.obs[0, 0, 4:34].reshape(6, 5)
    assert (enemies[:, 4] > 0).tolist() == [True, True, True, False, True, False]
    assert enemies[0].tolist() == pytest.approx([1, 6 / 9, 6 / 9, 0, 1])
    assert enemies[2].tolist() == pytest.approx([0, 8.999 / 9, 8.999 / 9, 0, 1])


def test_a_step_needs_an_open_cell_one_unit_on() -> None:
    """The flat arena is open for y in 7..24 and x in 2..29; SMAC cuts 24.99 + 1 to cell 25."""
    found = battle("5m_vs_6m")
    found.world.x[0, :4] = [16.5, 16.5, 2.5, 29.2]
    found.world.y[0, :4] = [24.99, 7.0, 16.5, 16.5]
    _, _, buffers = found.observed()
    north_south_east_west = buffers.avail_actions[0, :4, 2:6].tolist()
    assert north_south_east_west == [
        [False, True, True, True],
        [True, False, True, True],
        [True, True, True, False],
        [True, True, False, True],
    ]
    assert buffers.obs[0, :4, :4].tolist() == north_south_east_west


def test_the_enemys_type_bits_are_turned_round_on_one_map() -> None:
    rules, _, buffers = battle("3s5z_vs_3s6z").observed()
    enemies = buffers.obs[0, 0, 4 : 4 + 9 * 8].reshape(9, 8)[:, 6:]
    assert enemies.argmax(1).tolist() == [int(name == "stalker") for name in names_of(rules)[8:]]
    assert buffers.obs[0, 0, -2:].tolist() == [1, 0] and buffers.obs[0, 7, -2:].tolist() == [0, 1]


def test_a_medivac_heals_living_agents_that_are_no_medivacs_and_attacks_nobody() -> None:
    found = battle("MMM2")
    found.world.health[0, 3], found.world.x[0, 4] = 0, 26.0
    _, world, buffers = found.observed()
    targets = [
        True,
        True,
        True,
        False,
        False,
        *[True] * 4,
        False,
        False,
        False,
    ]  # 9 is itself, there is no 10 and 11
    assert buffers.avail_actions[0, 9, 6:].tolist() == targets
    first = buffers.obs[0, 9, 4 : 4 + 12 * 8].reshape(12, 8)[:, 0]
    assert first.tolist() == targets  # shown, as SMAC does, with the enemies of those numbers
    found.ordered([1] * 9 + [6])
    assert (world.order[0, 9], world.target[0, 9]) == (HEAL, 0)
    found.ordered([1] * 9 + [15])
    assert (world.order[0, 9], world.target[0, 9]) == (HEAL, 0)  # itself: no new order


def test_a_medivacs_state_has_its_energy_and_others_their_cooldown() -> None:
    found = battle("MMM2")
    found.world.energy[0, 9], found.world.cooldown[0, :3] = 50, [12.5, 0, 30]
    _, _, buffers = found.observed()
    assert buffers.state[0, 1:70:7].tolist() == [0.5, 0, 2, *[0] * 6, 0.25]


def test_actions_become_orders() -> None:
    _, world, _ = battle("5m_vs_6m").ordered([1, 2, 4, 6, 11])
    assert world.order[0, :5].tolist() == [STOP, MOVE, MOVE, ATTACK, ATTACK]
    assert world.target[0, :5].tolist() == [NOBODY, NOBODY, NOBODY, 5, 10]
    assert (world.goal_x[0, 1], world.goal_y[0, 1]) == (16.5, 18.5)
    assert (world.goal_x[0, 2], world.goal_y[0, 2]) == (18.5, 16.5)
    assert world.last_action[0].tolist() == [1, 2, 4, 6, 11]


def test_an_action_that_is_not_available_gives_no_order() -> None:
    found = battle("5m_vs_6m").ordered([6, 6, 3, 5, 6])
    found.world.y[0, 2], found.world.x[0, 0], found.world.health[0, 5] = 24.5, 2.5, 0
    orders = found.world.order.copy()
    found.ordered([5, 6, 2, 0, 6])  # into the wall, a dead enemy, into the wall, nothing
    assert np.array_equal(found.world.order, orders)
    found.world.health[0, 3] = 0
    found.ordered([0, 0, 0, 1, 0])
    assert np.array_equal(found.world.order, orders)


def test_losses_deaths_and_victory_are_paid() -> None:
    found = battle("3s_vs_5z")
    world = found.world
    world.shield[0, 3], world.health[0, 4] = 30, 90
    assert found.paid() == (30.0, False, 0.0)
    assert found.paid() == (0.0, False, 0.0)
    world.health[0, 3] = 0  # it dies with 30 of its shield left: it had 100 + 30
    assert found.paid() == (140.0, False, 0.0)
    assert found.paid() == (0.0, False, 0.0)
    world.health[0, :3] = 0.5  # agents' losses are not counted
    assert found.paid() == (0.0, False, 0.0)
    world.health[0, 4:] = 0
    assert found.paid() == (140.0 + 3 * 150 + 4 * 10 + 200, True, 1.0)


def test_a_battle_won_without_regeneration_pays_20() -> None:
    found = battle("27m_vs_30m")
    total = 0.0
    for slot in range(27, 57):
        found.world.health[0, slot] = 0
        pay(found.rules, found.world, found.buffers, 0)
        total += found.buffers.reward[0, 0]
    assert total == pytest.approx(20)


@pytest.mark.parametrize(("ignored", "raw"), [(False, 12.0), (True, 0.0)])
def test_regeneration_is_paid_in_version_1_and_not_in_version_2(ignored: bool, raw: float) -> None:
    found = battle("6h_vs_8z", ignore_recovery=ignored)
    found.world.shield[0, 6:8] = 20
    assert found.paid() == (60.0, False, 0.0)
    found.world.shield[0, 6:8] += 6
    assert found.paid() == (raw, False, 0.0)
    found.world.shield[0, 6], found.world.health[0, 8] = 50, 90  # +24 -10
    assert found.paid() == (14.0 if not ignored else 0.0, False, 0.0)


END, GOES_ON = True, False


@pytest.mark.parametrize(
    ("name", "agents", "enemies", "end", "won"),
    [
        ("5m_vs_6m", [0], [0], GOES_ON, 0),
        ("5m_vs_6m", [], [0], END, 0),
        ("5m_vs_6m", [0], [], END, 1),
        ("5m_vs_6m", [], [], END, 0),  # a draw
        ("MMM2", [9], [0], END, 0),  # only the medivac is left
        ("MMM2", [9], [], END, 0),  # even when the enemies are gone
        ("MMM2", [0], [11], END, 1),  # only the enemies' medivac is left
        ("MMM2", [0, 9], [0, 11], GOES_ON, 0),
        ("MMM2", [], [11], END, 0),
    ],
)
def test_a_battle_ends_when_a_side_has_none_left_but_medivacs(
    name: str, agents: list[int], enemies: list[int], end: bool, won: float
) -> None:
    found = battle(name)
    rules, world, _ = found
    world.health[0] = 0
    for slot in (*agents, *(rules.n_agents + enemy for enemy in enemies)):
        world.health[0, slot] = rules.health_max[slot]
    assert names_of(rules)[-1] == ("medivac" if name == "MMM2" else "marine")
    health = rules.health_max[rules.n_agents :]
    dead = np.delete(health, enemies)
    assert found.paid() == (dead.sum() + 10 * len(dead) + 200 * won, end, won)


@pytest.mark.parametrize("time_limit", ["terminal", "truncation"])
def test_a_battle_that_nobody_wins_ends_at_the_limit_and_the_option_names_that_end(
    time_limit: str,
) -> None:
    env: Any = make("smac/5m_vs_6m", [0], 2, time_limit=time_limit)
    env.reset()
    nothing = torch.ones(1, 2, 5, dtype=torch.int64)
    for _ in range(69):
        assert not env.step(nothing).ended.any()
        env._sim.world.health[:] = 45
    last = env.step(nothing)
    assert last.terminated.all() == (time_limit == "terminal") and last.truncated.all() == (
        time_limit == "truncation"
    )
    assert not last.score.any()


@every_map
def test_what_a_battle_shows_as_it_goes_on_is_what_smacs_rules_say(name: str) -> None:
    """Through the environment, with random legal play, over more than one episode."""
    env: Any = make(f"smac/{name}", [1], 2)
    rules, world, now = env._sim.rules, env._sim.world, env.reset()
    generator, last = torch.Generator().manual_seed(0), torch.full((2, rules.n_agents), -1)
    for _ in range(30):
        for copy in range(2):
            assert torch.equal(torch.from_numpy(world.last_action[copy]), last[copy])
            np.testing.assert_allclose(
                now.state[0, copy], known(name, rules, world, copy), rtol=1e-6, atol=1e-7
            )
            for agent in range(0, rules.n_agents, 5):
                expected = seen(name, rules, world, copy, agent)
                np.testing.assert_allclose(now.obs[0, copy, agent], expected, rtol=1e-6, atol=1e-7)
                assert now.avail_actions[0, copy, agent].tolist() == may(
                    name, rules, world, copy, agent
                )
        if now.ended.any():
            last[now.ended[0]] = -1
            now = env.reset(now.ended)
            continue
        rows = now.avail_actions.float().flatten(0, 2)
        last = torch.multinomial(rows, 1, generator=generator).reshape(2, rules.n_agents)
        before = [standing(rules, world, copy) for copy in range(2)]
        now = env.step(last[None])
        for copy in range(2):
            after = standing(rules, world, copy)
            losses = abs(
                sum(before[copy]) - sum(after) + 10 * (after.count(0) - before[copy].count(0))
            )
            won = now.score[0, copy].item()
            assert now.reward[0, copy, 0].item() == pytest.approx(
                (losses + 200 * won) / (SIZES[name][6] / 20), abs=1e-5
            )
            assert now.terminated[0, copy].item() or not won


def standing(rules: Rules, world: World, copy: int) -> list[float]:
    """Health and shield of each enemy."""
    health, shield = (axis[copy, rules.n_agents :] for axis in (world.health, world.shield))
    return [h + s if h > 0 else 0.0 for h, s in zip(health, shield, strict=True)]


def test_v2_pays_the_positive_part_and_sorted_enemies_keep_their_places() -> None:
    rewards: list[Any] = [make("smac/6h_vs_8z", [0], 1, reward=name) for name in ("v1", "v2")]
    assert [env._sim.rules.ignore_recovery for env in rewards] == [False, True]
    for name, same in (("sorted", True), ("unsorted", False)):
        env: Any = make("smac/27m_vs_30m", [0], 1, enemies=name)
        starts = [env.reset().state.clone() for _ in range(2)]
        assert torch.equal(*starts) == same
