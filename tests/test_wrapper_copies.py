"""A copied environment plays, apart from the original: pickled, cloudpickled or deep-copied."""

import copy
import importlib.util
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pytest

from partage.wrappers.pettingzoo import ParallelTask
from partage.wrappers.smac import StarCraft2Env

# By the engine that plays: each keeps its state in its own way.
TASKS = [
    ("mpe/15a_3c", "batched"),
    ("lbf/8x8-2p-2f-v3", "batched"),
    ("smac/3m", "batched"),
    ("roll_call/4x3-6", "batched"),
    ("mpe/15a_3c", "package"),
    ("lbf/8x8-2p-2f-v3", "package"),
    ("grf/academy_3_vs_1_with_keeper", "package"),
]
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: cloudpickle.loads(cloudpickle.dumps(env)),
    "deepcopy": copy.deepcopy,
}
every_task = pytest.mark.parametrize(("task", "engine"), TASKS)
every_way = pytest.mark.parametrize("way", WAYS)


def skip_without(task: str) -> None:
    if task.startswith("grf") and importlib.util.find_spec("gfootball") is None:
        pytest.skip("gfootball is not installed")


def allowed(views: dict[str, Any], rng: np.random.Generator) -> dict[str, int]:
    """Return an action of each agent, drawn from those that it has."""
    chosen = {}
    for agent, view in views.items():
        chosen[agent] = int(rng.choice(np.flatnonzero(view["action_mask"])))
    return chosen


def play(env: ParallelTask, views: dict[str, Any], steps: int, seed: int = 0) -> list[Any]:
    """Return what is seen and paid in some steps, episode after episode, and the last views."""
    rng, told = np.random.default_rng(seed), []
    for _ in range(steps):
        if env.agents:
            views, rewards, terminated, truncated, infos = env.step(allowed(views, rng))
            told.append((rewards, terminated, truncated, infos))
        else:
            views, _ = env.reset()
        told.append({agent: view["observation"].tolist() for agent, view in views.items()})
        told.append(env.state().tolist())
    return [told, views]


@every_task
def test_a_copy_goes_on_from_the_same_state_and_apart_from_the_original(
    task: str, engine: Any
) -> None:
    skip_without(task)
    env = ParallelTask(task, seed=3, engine=engine)
    views, _ = env.reset()
    _, views = play(env, views, 3)
    copies = [make(env) for make in WAYS.values()]
    told, _ = play(env, views, 80)
    for made in copies:
        assert play(made, views, 80)[0] == told
    env.close()
    for made in copies:
        made.close()


@every_task
def test_a_copy_from_before_the_first_reset_or_after_the_end_plays_the_same_episodes(
    task: str, engine: Any
) -> None:
    skip_without(task)
    env = ParallelTask(task, seed=3, engine=engine)
    early = copy.deepcopy(env)
    first, views = play(env, {}, 12)
    assert play(early, {}, 12)[0] == first
    while env.agents:
        _, views = play(env, views, 1)
    late = pickle.loads(pickle.dumps(env))
    assert late.agents == [] and late.step({}) == ({}, {}, {}, {}, {})
    assert play(late, {}, 12)[0] == play(env, {}, 12)[0]
    for made in (env, early, late):
        made.close()


@every_way
def test_a_copied_battle_ends_and_pays(way: str) -> None:
    env = WAYS[way](ParallelTask("smac/3m"))
    views, _ = env.reset()
    rng, steps, masks = np.random.default_rng(0), 0, set()
    while env.agents:
        views, *_ = env.step(allowed(views, rng))
        masks.add(tuple(views["agent_0"]["action_mask"]))
        steps += 1
    assert steps <= 60 and len(masks) > 1


def test_without_a_seed_objects_and_their_copies_play_other_episodes() -> None:
    env = ParallelTask("lbf/8x8-2p-2f-v3")
    envs = [env, ParallelTask("lbf/8x8-2p-2f-v3"), copy.deepcopy(env)]
    envs.append(cloudpickle.loads(cloudpickle.dumps(env)))
    starts = []
    for each in envs:
        each.reset()
        starts.append(tuple(each.state().tolist()))
    assert len(set(starts)) == len(envs)


def test_a_seed_makes_episodes_repeatable_and_without_one_they_go_on() -> None:
    env, other = ParallelTask("lbf/8x8-2p-2f-v3"), ParallelTask("lbf/8x8-2p-2f-v3", seed=5)
    env.reset(seed=np.int64(5))
    first = env.state().tolist()
    other.reset()
    assert other.state().tolist() == first
    env.reset()
    other.reset()
    assert env.state().tolist() == other.state().tolist() != first


def battles(env: StarCraft2Env, steps: int) -> list[Any]:
    """Return what SMAC's class tells of some steps, battle after battle."""
    rng, told = np.random.default_rng(0), []
    over = env.agents == {} or env.get_stats()["battles_game"] > 0
    for _ in range(steps):
        if over:
            env.reset()
        actions = [rng.choice(np.flatnonzero(row)) for row in env.get_avail_actions()]
        reward, over, info = env.step(actions)
        told += [reward, over, info, env.get_state().tolist(), env.reward_battle(), env.agents]
    return [*told, env.get_stats()]


@every_way
@pytest.mark.parametrize("begun", [False, True])
def test_a_copy_of_the_drop_in_goes_on_and_apart_from_the_original(way: str, begun: bool) -> None:
    env = StarCraft2Env("3m", seed=2, state_last_action=False)
    if begun:
        env.reset()
        env.step([1, 1, 1])
    made = WAYS[way](env)
    told = battles(env, 90)
    assert battles(made, 90) == told
    assert told[-1]["battles_game"] > 1


def test_copies_of_a_drop_in_without_a_seed_and_a_battle_have_seeds_of_their_own() -> None:
    env = StarCraft2Env("3m")
    assert len({env.seed(), copy.deepcopy(env).seed(), WAYS["pickle"](env).seed()}) == 3
    env.reset()
    assert copy.deepcopy(env).seed() == env.seed()
