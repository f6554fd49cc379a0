"""The environments behind the interfaces of other frameworks."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from pettingzoo.test import parallel_api_test, parallel_seed_test

from partage.envs import make
from partage.errors import UserError
from partage.wrappers.pettingzoo import ParallelTask
from partage.wrappers.smac import StarCraft2Env

TASKS = ["mpe/15a_3c", "lbf/8x8-2p-2f-v3", "smac/3m"]
every_task = pytest.mark.parametrize("task", TASKS)


@every_task
def test_pettingzoos_own_test_of_its_interface_passes(task: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        parallel_api_test(ParallelTask(task), num_cycles=450)


@every_task
def test_pettingzoos_own_test_of_seeding_passes(task: str) -> None:
    parallel_seed_test(lambda: ParallelTask(task), num_cycles=60)


@every_task
def test_what_is_seen_belongs_to_the_spaces_and_is_the_envs(task: str) -> None:
    env, ours = ParallelTask(task, seed=3), make(task, [3], 1)
    views, _ = env.reset()
    now = ours.reset()
    while env.agents:
        assert all(env.observation_space(agent).contains(view) for agent, view in views.items())
        assert env.state_space.contains(env.state()) and np.array_equal(
            env.state(), now.state[0, 0]
        )
        assert np.array_equal(
            np.stack([view["observation"] for view in views.values()]), now.obs[0, 0]
        )
        masks = np.stack([view["action_mask"] for view in views.values()])
        assert np.array_equal(masks, now.avail_actions[0, 0])
        chosen = {
            agent: env.action_space(agent).sample(mask=views[agent]["action_mask"])
            for agent in env.agents
        }
        now = ours.step(torch.tensor([*chosen.values()])[None, None])
        views, rewards, terminated, truncated, infos = env.step(chosen)
        assert list(rewards.values()) == now.reward[0, 0].tolist()
        assert set(terminated.values()) == {now.terminated.item()} and set(truncated.values()) == {
            now.truncated.item()
        }
        assert {info["score"] for info in infos.values()} == {now.score.item()}
    assert env.step({}) == ({}, {}, {}, {}, {})


def test_an_agent_without_an_action_is_refused() -> None:
    env = ParallelTask("lbf/8x8-2p-2f-v3")
    env.reset()
    with pytest.raises(UserError, match="none came of agent_1"):
        env.step({"agent_0": 0})


@every_task
def test_without_a_dict_the_mask_is_in_the_infos(task: str) -> None:
    env, other = ParallelTask(task, seed=3, action_mask="info"), ParallelTask(task, seed=3)
    parallel_api_test(ParallelTask(task, action_mask="info"), num_cycles=120)
    views, infos = env.reset()
    theirs, _ = other.reset()
    while env.agents:
        for agent, view in views.items():
            assert isinstance(env.observation_spaces[agent], Box)
            assert env.observation_spaces[agent].contains(view)
            assert np.array_equal(view, theirs[agent]["observation"])
            assert np.array_equal(infos[agent]["action_mask"], theirs[agent]["action_mask"])
        actions = {
            agent: env.action_spaces[agent].sample(mask=infos[agent]["action_mask"])
            for agent in env.agents
        }
        views, _, _, _, infos = env.step(actions)
        theirs, _, _, _, told = other.step(actions)
        assert [infos[agent]["score"] for agent in infos] == [
            told[agent]["score"] for agent in told
        ]


def test_spaces_are_had_by_agent_and_all_at_once() -> None:
    env = ParallelTask("lbf/8x8-2p-2f-v3")
    assert list(env.observation_spaces) == list(env.action_spaces) == env.possible_agents
    for agent in env.possible_agents:
        assert env.observation_space(agent) is env.observation_spaces[agent]
        assert env.action_space(agent) is env.action_spaces[agent]
    with pytest.raises(UserError, match="did you mean 'agent_1'"):
        env.observation_space("agent_11")
    with pytest.raises(UserError, match="place of action_mask 'infos': did you mean 'info'"):
        ParallelTask("lbf/8x8-2p-2f-v3", action_mask="infos")


def test_before_the_first_reset_an_episode_is_asked_for_in_one_sentence() -> None:
    env = ParallelTask("lbf/8x8-2p-2f-v3")
    for ask in (env.state, lambda: env.step({"agent_0": 0, "agent_1": 0}), lambda: env.step({})):
        with pytest.raises(UserError, match=r"No episode has begun: call reset\(\) first"):
            ask()
    assert env.agents == []


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ({"agent_0": 0, "agent_1": 0.5}, "The action of agent_1 is a whole number, but 0.5 came"),
        ({"agent_0": "0", "agent_1": 0}, "The action of agent_0 is a whole number, but '0' came"),
        ({"agent_0": 0, "agent_1": 60}, r"The action of agent_1 is in 0\.\.5, but 60 came"),
        ({"agent_0": 2**70, "agent_1": 0}, r"The action of agent_0 is in 0\.\.5, but 1180591"),
        ([0, 0], "actions by agent, a dict"),
        (None, "actions by agent, a dict"),
    ],
)
def test_actions_that_are_none_are_refused(actions: Any, says: str) -> None:
    env = ParallelTask("lbf/8x8-2p-2f-v3")
    env.reset()
    with pytest.raises(UserError, match=says):
        env.step(actions)
    with pytest.raises(UserError, match=r"seed is a whole number, but 1\.5 came"):
        env.reset(seed=1.5)


def test_what_was_seen_does_not_change_with_the_next_step() -> None:
    env = ParallelTask("lbf/8x8-2p-2f-v3")
    views, _ = env.reset()
    kept = views["agent_0"]["observation"].copy()
    env.step({"agent_0": 1, "agent_1": 2})
    assert np.array_equal(views["agent_0"]["observation"], kept)


def test_a_runner_in_pymarls_way_plays_whole_battles() -> None:
    env, rng = (
        StarCraft2Env(map_name="3m", seed=5, difficulty="7", game_version=None),
        np.random.default_rng(0),
    )
    about = env.get_env_info()
    assert about["agent_features"] == ["health", "energy/cooldown", "rel_x", "rel_y"]
    for _ in range(4):
        env.reset()
        terminated, steps, info = False, 0, {}
        while not terminated:
            state, obs, available = env.get_state(), env.get_obs(), env.get_avail_actions()
            assert state.shape == (about["state_shape"],) and np.stack(obs).shape == (
                3,
                about["obs_shape"],
            )
            assert np.array(available).shape == (about["n_agents"], about["n_actions"])
            actions = torch.tensor([rng.choice(np.flatnonzero(row)) for row in available])
            reward, terminated, info = env.step(actions)
            steps += 1
            assert isinstance(reward, float) and set(info) == {
                "battle_won",
                "dead_allies",
                "dead_enemies",
            }
        assert steps <= env.episode_limit
        assert 3 in (info["dead_allies"], info["dead_enemies"]) or steps == env.episode_limit
        assert info["battle_won"] == (info["dead_enemies"] == 3 and info["dead_allies"] < 3)
    stats = env.get_stats()
    assert stats["battles_game"] == 4 and stats["win_rate"] == stats["battles_won"] / 4
    env.close()


def test_the_drop_in_shows_and_pays_what_the_env_does() -> None:
    theirs, ours = StarCraft2Env(map_name="3s5z_vs_3s6z", seed=2), make("smac/3s5z_vs_3s6z", [2], 1)
    seen, state = theirs.reset()
    now = ours.reset()
    rng, terminated = np.random.default_rng(1), False
    while not terminated:
        assert np.array_equal(np.stack(seen), now.obs[0, 0]) and np.array_equal(
            state, now.state[0, 0]
        )
        assert np.array_equal(theirs.get_avail_actions(), now.avail_actions[0, 0].int())
        actions = [rng.choice(np.flatnonzero(row)) for row in theirs.get_avail_actions()]
        reward, terminated, info = theirs.step(actions)
        seen, state = theirs.get_obs(), theirs.get_state()
        now = ours.step(torch.tensor(np.array(actions))[None, None])
        assert (reward, terminated) == (now.reward[0, 0, 0].item(), now.ended.item())
        assert info["battle_won"] == bool(now.score.item())


def test_running_out_of_time_is_told_only_when_asked_for() -> None:
    for continuing in (False, True):
        env = StarCraft2Env("3m", seed=0, continuing_episode=continuing)
        env.reset()
        results = []
        for _ in range(env.episode_limit):
            results.append(env.step([1] * 3))
            env._sim.units["health"] = 45
        assert [terminated for _, terminated, _ in results] == [False] * 59 + [True]
        assert results[-1][2].get("episode_limit", False) == continuing
        assert env.get_stats()["timeouts"] == env.get_stats()["battles_draw"] == 1


def test_the_drop_in_refuses_what_the_simulator_does_not_play() -> None:
    with pytest.raises(UserError, match="step_mul=8 only, but 4"):
        StarCraft2Env("3m", step_mul=4)
    with pytest.raises(UserError, match="argument of StarCraft2Env 'wind'"):
        StarCraft2Env("3m", wind=3)
    with pytest.raises(UserError, match="Unknown map"):
        StarCraft2Env("4m")
    env = StarCraft2Env("3m", seed=1)
    env.reset()
    with pytest.raises(UserError, match="Agent 1 cannot do action 6: it has 1, 2, 3, 4, 5"):
        env.step([1, 6, 1])
    with pytest.raises(UserError, match="no replay"):
        env.save_replay()
    assert env.seed() == 1 and StarCraft2Env("3m").seed() != StarCraft2Env("3m").seed()


def test_the_spaces_of_an_agent_that_there_is_not_are_refused() -> None:
    task = ParallelTask("roll_call/4x2-6")
    for ask in (task.action_space, task.observation_space):
        with pytest.raises(UserError, match="Unknown agent 'agent_9'"):
            ask("agent_9")
