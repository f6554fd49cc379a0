"""`StarCraft2Env` is what SMAC's class is for those who use it: arguments, methods, values."""

import inspect
import itertools
import math
from typing import Any

import numpy as np
import pytest

from partage.errors import UserError
from partage.wrappers.smac import Direction, StarCraft2Env
from partage.wrappers.smac_units import Unit

# PyMARL's config/envs/sc2.yaml and EPyMARL's, which differ in one value.
PYMARL: dict[str, Any] = {
    "continuing_episode": False,
    "difficulty": "7",
    "game_version": None,
    "map_name": "3m",
    "move_amount": 2,
    "obs_all_health": True,
    "obs_instead_of_state": False,
    "obs_last_action": False,
    "obs_own_health": True,
    "obs_pathing_grid": False,
    "obs_terrain_height": False,
    "obs_timestep_number": False,
    "reward_death_value": 10,
    "reward_defeat": 0,
    "reward_negative_scale": 0.5,
    "reward_only_positive": True,
    "reward_scale": True,
    "reward_scale_rate": 20,
    "reward_sparse": False,
    "reward_win": 200,
    "replay_dir": "",
    "replay_prefix": "",
    "state_last_action": True,
    "state_timestep_number": False,
    "step_mul": 8,
    "seed": None,
    "heuristic_ai": False,
    "heuristic_rest": False,
    "debug": False,
}
EPYMARL = PYMARL | {"state_last_action": False, "seed": 527829}
OF_A_BATTLE: dict[str, tuple[Any, ...]] = {  # what has no answer before the first reset
    "step": ([1, 1, 1],),
    "get_obs": (),
    "get_obs_agent": (0,),
    "get_state": (),
    "get_state_dict": (),
    "get_avail_actions": (),
    "get_avail_agent_actions": (0,),
    "get_visibility_matrix": (),
    "get_unit_by_id": (0,),
    "init_units": (),
    "update_units": (),
    "only_medivac_left": (True,),
    "reward_battle": (),
}
OF_THE_MAP: dict[str, tuple[Any, ...]] = {
    "get_obs_size": (),
    "get_obs_move_feats_size": (),
    "get_obs_enemy_feats_size": (),
    "get_obs_ally_feats_size": (),
    "get_obs_own_feats_size": (),
    "get_state_size": (),
    "get_ally_num_attributes": (),
    "get_enemy_num_attributes": (),
    "get_total_actions": (),
    "get_env_info": (),
    "get_stats": (),
    "get_unit_types": (),
    "unit_shoot_range": (0,),
    "unit_sight_range": (0,),
    "distance": (0, 0, 3, 4),
    "check_bounds": (31, 0),
    "seed": (),
    "close": (),
    "full_restart": (),
}
OF_A_UNIT: dict[str, tuple[Any, ...]] = {
    "get_unit_type_id": (True,),
    "unit_max_cooldown": (),
    "unit_max_shield": (),
    "can_move": (Direction.NORTH,),
    "get_surrounding_points": (),
    "get_surrounding_pathing": (),
    "get_surrounding_height": (),
}
OF_THE_GAME: dict[str, tuple[Any, ...]] = {  # which there is none of
    "save_replay": (),
    "get_agent_action": (0, 1),
    "get_agent_action_heuristic": (0, 1),
    "render": ("rgb_array",),
}
FLAGS = [
    name
    for name, default in PYMARL.items()
    if name.startswith(("obs_", "state_")) and isinstance(default, bool)
]


@pytest.mark.parametrize("configuration", [PYMARL, EPYMARL], ids=["PyMARL", "EPyMARL"])
def test_the_shipped_configurations_play(configuration: dict[str, Any]) -> None:
    env = StarCraft2Env(**configuration)
    obs, state = env.reset()
    about = env.get_env_info()
    assert state.shape == (about["state_shape"],) and obs[0].shape == (about["obs_shape"],)
    assert about["state_shape"] == 21 + 27 * configuration["state_last_action"]
    assert env.state_last_action == configuration["state_last_action"] and env.map_name == "3m"
    assert env.step([1, 1, 1])[1] is False


def test_arguments_come_by_name_or_in_smacs_order_and_have_its_defaults() -> None:
    names = list(inspect.signature(StarCraft2Env).parameters)
    assert names[:6] == [
        "map_name",
        "step_mul",
        "move_amount",
        "difficulty",
        "game_version",
        "seed",
    ]
    assert set(names) == {*PYMARL, "window_size_x", "window_size_y"}
    defaults = {name: inspect.signature(StarCraft2Env).parameters[name].default for name in PYMARL}
    assert defaults == PYMARL | {"map_name": "8m"}
    assert StarCraft2Env("3m", 8, 2.0, 7, "4.10", 11).seed() == 11
    StarCraft2Env("3m", replay_dir="there", window_size_x=10, debug=True, heuristic_rest=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"step_mul": 4}, "step_mul=8 only, but 4 came"),
        ({"move_amount": 1}, "move_amount=2 only, but 1 came"),
        ({"difficulty": "A"}, "difficulty='7' only, but 'A' came"),
        ({"heuristic_ai": True}, "heuristic_ai=False only, but True came"),
        ({"state_last_actions": True}, "did you mean 'state_last_action'"),
        ({"obs_last_action": "yes"}, "obs_last_action, True or False, 'yes'"),
        ({"reward_win": "much"}, "reward_win of StarCraft2Env is a number, but 'much' came"),
        ({"reward_win": math.nan}, "reward_win of StarCraft2Env is a number, but nan came"),
        ({"reward_scale_rate": 0}, "reward_scale_rate of StarCraft2Env is above 0, but 0 came"),
        ({"seed": 1.5}, "seed is a whole number, but 1.5 came"),
        ({"map_name": "25m"}, "Unknown map of smac '25m'"),
    ],
)
def test_what_is_not_played_is_refused_in_one_sentence(arguments: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        StarCraft2Env(**arguments)


def test_an_argument_given_twice_or_too_many_are_refused() -> None:
    with pytest.raises(UserError, match="got map_name twice"):
        StarCraft2Env("3m", map_name="8m")
    with pytest.raises(UserError, match="has 31 arguments, but 40 came"):
        StarCraft2Env(*range(40))


def test_before_the_first_battle_whatever_asks_about_one_says_so() -> None:
    env = StarCraft2Env("3m")
    for name, given in OF_A_BATTLE.items():
        with pytest.raises(UserError, match=r"No battle has begun: call reset\(\) first"):
            getattr(env, name)(*given)
    assert env.agents == env.enemies == env.previous_ally_units == {}
    assert env.last_action.tolist() == np.zeros((3, 9)).tolist()
    assert env.get_stats()["win_rate"] == 0


def test_every_public_method_of_smacs_class_answers_or_refuses() -> None:
    env = StarCraft2Env("3m", seed=0)
    env.reset()
    methods = {
        name
        for name in dir(StarCraft2Env)
        if not name.startswith("_") and callable(getattr(StarCraft2Env, name))
    }
    assert methods == {*OF_A_BATTLE, *OF_THE_MAP, *OF_A_UNIT, *OF_THE_GAME, "reset"}
    for name, given in OF_A_UNIT.items():
        getattr(env, name)(env.agents[0], *given)
    for name, given in (OF_A_BATTLE | OF_THE_MAP).items():
        getattr(env, name)(*given)
    for name, given in OF_THE_GAME.items():
        with pytest.raises(UserError):
            getattr(env, name)(*given)
    with pytest.warns(UserWarning, match="draws nothing"):
        env.render()


def test_a_battle_that_is_over_is_counted_once() -> None:
    env = StarCraft2Env("3m", seed=0)
    env.reset()
    while not env.step([row.index(1) for row in env.get_avail_actions()])[1]:
        pass
    counted = env.get_stats()
    for _ in range(2):
        with pytest.raises(UserError, match=r"over, and counted: call reset\(\)"):
            env.step([0, 0, 0])
    assert env.get_stats() == counted and counted["battles_game"] == 1
    env.reset()
    assert env.step([1, 1, 1])[1] is False


def test_a_restart_gives_the_battle_up_and_is_counted() -> None:
    env = StarCraft2Env("3m", seed=0)
    env.reset()
    env.full_restart()
    assert env.get_stats()["restarts"] == 1 and env.get_stats()["battles_game"] == 0
    with pytest.raises(UserError, match="reset"):
        env.step([1, 1, 1])
    env.reset()
    assert env.step([1, 1, 1])[1] is False


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ([1, 1], "each of 3 agents, but 2 came"),
        ([1, 1, 1.5], "An action is a whole number, but 1.5 came"),
        ([1, 1, None], "An action is a whole number, but None came"),
        ([1, 0, 1], "Agent 1 cannot do action 0"),
        ([1, 1, 9], "Agent 2 cannot do action 9"),
        ([1, 1, -1], "Agent 2 cannot do action -1"),
        (None, "an action of each agent, but None came"),
        (1, "an action of each agent, but 1 came"),
    ],
)
def test_actions_that_are_none_are_refused_and_change_nothing(actions: Any, says: str) -> None:
    env = StarCraft2Env("3m", seed=0)
    _, state = env.reset()
    with pytest.raises(UserError, match=says):
        env.step(actions)
    assert np.array_equal(env.get_state(), state)


def test_an_agent_that_there_is_not_is_refused() -> None:
    env = StarCraft2Env("3m", seed=0)
    env.reset()
    for ask in (env.get_obs_agent, env.get_avail_agent_actions, env.get_unit_by_id):
        for agent in (3, -1):
            with pytest.raises(UserError, match="agents 0 to 2, but"):
                ask(agent)


def near(one: Unit, other: Unit, reach: float) -> bool:
    return math.dist(one.pos, other.pos) < reach


def health(env: StarCraft2Env, unit: Unit, shows_shield: int) -> list[float]:
    shield = [unit.shield / (env.unit_max_shield(unit) or 1)] if shows_shield else []
    return [unit.health / unit.health_max, *shield]


def bits(env: StarCraft2Env, unit: Unit, ally: bool) -> list[float]:
    if not env.unit_type_bits:
        return []
    return np.eye(env.unit_type_bits)[env.get_unit_type_id(unit, ally)].tolist()


def told_of(env: StarCraft2Env, me: Unit, other: Unit, ally: bool, first: float) -> list[float]:
    """Return what an agent sees of another unit, its last action apart."""
    dx, dy = other.pos.x - me.pos.x, other.pos.y - me.pos.y
    place = [first, math.hypot(dx, dy) / 9, dx / 9, dy / 9]
    shield = env.shield_bits_ally if ally else env.shield_bits_enemy
    condition = health(env, other, shield) if env.obs_all_health else []
    return [*place, *condition, *bits(env, other, ally)]


def observed(env: StarCraft2Env, agent: int, step: int) -> list[float]:
    """Return what an agent observes by SMAC's rules, read slowly off the units."""
    me, can = env.agents[agent], env.get_avail_agent_actions(agent)
    time = [step / env.episode_limit] * env.obs_timestep_number
    if not me.health:
        return [0.0] * (env.get_obs_size() - len(time)) + time
    seen: list[float] = [*can[2:6]]
    seen += env.get_surrounding_pathing(me) * env.obs_pathing_grid
    seen += env.get_surrounding_height(me) * env.obs_terrain_height
    for number, enemy in env.enemies.items():
        told = told_of(env, me, enemy, False, can[6 + number])
        seen += told if enemy.health and near(me, enemy, 9) else [0] * len(told)
    for number, other in env.agents.items():
        told = told_of(env, me, other, True, 1) if number != agent else []
        told += list(env.last_action[number]) * (env.obs_last_action and number != agent)
        seen += told if other.health and near(me, other, 9) else [0] * len(told)
    if env.obs_own_health or env.obs_all_health:
        seen += health(env, me, env.shield_bits_ally)
    return [*seen, *bits(env, me, True), *time]


def known(env: StarCraft2Env, step: int) -> list[float]:
    """Return the state by SMAC's rules, read slowly off the units."""
    if env.obs_instead_of_state:
        return list(itertools.chain(*(observed(env, n, step) for n in range(env.n_agents))))
    told: list[float] = []
    for ally, units in ((True, env.agents), (False, env.enemies)):
        shield = env.shield_bits_ally if ally else env.shield_bits_enemy
        for unit in units.values():
            whole, *rest = health(env, unit, shield)
            load = unit.energy if unit.unit_type == env.medivac_id else unit.weapon_cooldown
            loads = [load / env.unit_max_cooldown(unit)] * ally
            place = [(unit.pos.x - 16) / 32, (unit.pos.y - 16) / 32]
            row = [whole, *loads, *place, *rest, *bits(env, unit, ally)]
            told += row if unit.health else [0] * len(row)
    told += env.last_action.ravel().tolist() * env.state_last_action
    return told + [step / env.episode_limit] * env.state_timestep_number


@pytest.mark.parametrize("name", ["3m", "MMM2", "3s5z_vs_3s6z", "bane_vs_bane", "2c_vs_64zg"])
@pytest.mark.parametrize("choice", range(4))
def test_observations_and_state_are_smacs_for_all_arguments(name: str, choice: int) -> None:
    rng = np.random.default_rng(choice)
    flags = {flag: bool(rng.integers(2)) for flag in FLAGS} if choice else {}
    env = StarCraft2Env(name, seed=choice, **flags)
    env.reset()
    over, step = False, 0
    while not over and step < 40:
        assert np.allclose(env.get_state(), known(env, step), atol=1e-6)
        assert len(env.get_state()) == env.get_state_size()
        for agent in range(0, env.n_agents, 5):
            seen = env.get_obs_agent(agent)
            assert np.allclose(seen, observed(env, agent, step), atol=1e-6)
            assert seen.dtype == np.float32 and len(seen) == env.get_obs_size()
        actions = [np.flatnonzero(row)[-1] for row in env.get_avail_actions()]
        _, over, _ = env.step(actions)
        step += 1
    parts = [np.ravel(part) for part in env.get_state_dict().values()]
    if not env.obs_instead_of_state:
        assert np.array_equal(np.concatenate(parts).astype(np.float32), env.get_state())


def loss(before: Unit, now: Unit) -> float:
    left = now.health + now.shield if now.health else 0
    return before.health + before.shield - left if before.health else 0


@pytest.mark.parametrize("name", ["3m", "3s_vs_5z", "MMM2"])
@pytest.mark.parametrize("only_positive", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_the_reward_is_smacs_for_all_arguments(
    name: str, only_positive: bool, sparse: bool
) -> None:
    given = {"reward_win": 50, "reward_defeat": -30, "reward_death_value": 4}
    given |= {"reward_scale_rate": 10, "reward_scale": name != "MMM2"}
    given |= {"reward_only_positive": only_positive, "reward_sparse": sparse}
    env = StarCraft2Env(name, seed=1, **given)
    outcomes = set()
    for attacks in (False, True, True):
        env.reset()
        over = False
        while not over:
            rows = env.get_avail_actions()
            reward, over, info = env.step(
                [np.flatnonzero(row)[-1 if attacks else 0] for row in rows]
            )
            theirs = ours = 0.0
            for number, enemy in env.enemies.items():
                before = env.previous_enemy_units[number]
                theirs += loss(before, enemy) + 4 * (before.health > 0 and enemy.health == 0)
            for number, unit in env.agents.items():
                before = env.previous_ally_units[number]
                ours += loss(before, unit) + 4 * (before.health > 0 and unit.health == 0)
            paid = abs(theirs) if only_positive else theirs - 0.5 * ours
            assert env.reward_battle() == pytest.approx(0 if sparse else paid)
            outcome = env.update_units()
            outcomes.add(outcome)
            assert info["battle_won"] == (outcome == 1)
            final = {1: 1, -1: -1} if sparse else {1: 50, -1: -30}
            expected = (0 if sparse else paid) + (final.get(outcome, 0) if outcome else 0)
            scale = env.max_reward / 10 if env.reward_scale else 1
            assert reward == env.reward == pytest.approx(expected / scale)
    assert -1 in outcomes and None in outcomes


def test_the_usual_reward_is_what_its_rules_say() -> None:
    env = StarCraft2Env("3s_vs_5z", seed=4)
    env.reset()
    over = False
    while not over:
        reward, over, info = env.step([np.flatnonzero(row)[-1] for row in env.get_avail_actions()])
        paid = env.reward_battle() + 200 * info["battle_won"]
        assert reward == pytest.approx(paid * 20 / env.max_reward, rel=1e-5, abs=1e-6)


def test_who_sees_whom_is_told_by_distance_and_life() -> None:
    env = StarCraft2Env("MMM2", seed=3)
    env.reset()
    seen_dead = False
    for _ in range(30):
        found = env.get_visibility_matrix()
        assert found.dtype == bool and found.shape == (10, 22)
        everyone = [*env.agents.values(), *env.enemies.values()]
        for agent, me in env.agents.items():
            for slot, other in enumerate(everyone):
                alive = me.health > 0 and other.health > 0
                assert found[agent, slot] == (alive and slot != agent and near(me, other, 9))
                seen_dead |= not alive
        if env.step([np.flatnonzero(row)[-1] for row in env.get_avail_actions()])[1]:
            break
    assert seen_dead and env.death_tracker_ally.sum() + env.death_tracker_enemy.sum() > 0


def test_units_tell_their_types_and_what_smac_divides_by() -> None:
    env = StarCraft2Env("3s5z_vs_3s6z", seed=0)
    env.reset()
    ours = [env.get_unit_type_id(unit, True) for unit in env.agents.values()]
    theirs = [env.get_unit_type_id(unit, False) for unit in env.enemies.values()]
    assert ours == [0] * 3 + [1] * 5 and theirs == [1] * 3 + [0] * 6  # turned round, as in SMAC
    assert env.get_unit_types()[8:] == [74] * 3 + [73] * 6
    assert env.get_unit_by_id(0).unit_type == env.stalker_id == env.zealot_id - 1
    assert [env.unit_max_shield(env.agents[n]) for n in (0, 3)] == [80, 50]
    assert [env.unit_max_cooldown(env.agents[n]) for n in (0, 3)] == [35, 22]
    assert env.unit_max_cooldown(env.enemies[0]) == 15 and env.marine_id == 0
    with pytest.raises(UserError, match="shows no unit type 74 as an ally's"):
        env.get_unit_type_id(env.enemies[0], True)
    marines = StarCraft2Env("3m", seed=0)
    marines.reset()
    assert marines.unit_max_shield(marines.agents[0]) is None


def test_ground_is_asked_as_the_actions_are() -> None:
    env = StarCraft2Env("2c_vs_64zg", seed=0)
    env.reset()
    for _ in range(20):
        for agent, unit in env.agents.items():
            if unit.health:
                free = [env.can_move(unit, direction) for direction in Direction]
                assert free == [bool(one) for one in env.get_avail_agent_actions(agent)[2:6]]
        if env.step([np.flatnonzero(row)[-1] for row in env.get_avail_actions()])[1]:
            break
    assert env.check_bounds(0, 31) and not env.check_bounds(32, 0) and not env.check_bounds(0, -1)
    corner = Unit(1, 0, 1, type(env.agents[0].pos)(0.5, 0.5), 1, 1, 0, 0, 0, 0)
    assert env.get_surrounding_points(corner, True)[-1] == (0, 0)
    assert len(env.get_surrounding_pathing(corner)) == 8
    assert env.get_surrounding_pathing(corner)[1] == env.get_surrounding_height(corner)[1] == 1
