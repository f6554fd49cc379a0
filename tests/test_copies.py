"""Copies of an environment by pickle, cloudpickle and `copy.deepcopy`: every family and engine."""

import copy
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from test_env_contract import CASES, actions, assert_same, snapshot
from test_pool import SPEC
from toy import Forgetful, Toy

from partage.envs import make
from partage.errors import UserError
from partage.sims.batch import Batched
from partage.sims.contract import TimeStep
from partage.sims.copying import by_name
from partage.sims.skirmish import simulator
from partage.sims.workers.pool import Pool

# The maps are one kernel: the smallest, one with a healer, one with sweeping beams.
MAPS = ("smac/3m", "smac/MMM2", "smac/1c3s5z")
ENVS = [case for case in CASES if "smac" not in case[0] or case[0] in MAPS]
every_env = pytest.mark.parametrize(("task", "engine"), ENVS)


def by_pickle(env: Any) -> Any:
    return pickle.loads(pickle.dumps(env))


def by_cloudpickle(env: Any) -> Any:
    reason = "cloudpickle is not installed: no dependency asks for it"
    return pickle.loads(pytest.importorskip("cloudpickle", reason=reason).dumps(env))


def by_read_only_buffers(env: Any) -> Any:
    """As Ray does: arrays come back in memory that may only be read."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(env, 5, buffer_callback=buffers.append)
    return pickle.loads(content, buffers=[bytes(each.raw()) for each in buffers])


WAYS = [by_pickle, by_cloudpickle, by_read_only_buffers, copy.deepcopy]


def enough(copied: Any, task: str) -> None:
    """Leave out the further ways for football, whose matches take seconds to begin."""
    if task.startswith("grf") and copied is not by_pickle:
        pytest.skip("football is copied as the others are: pickled here, once")


every_way = pytest.mark.parametrize("copied", WAYS)


def legal(step: TimeStep, generator: torch.Generator) -> torch.Tensor:
    """Actions at random among those that are available."""
    weights = step.avail_actions.float().flatten(0, -2)
    return torch.multinomial(weights, 1, generator=generator).view(step.alive.shape)


def play(env: Any, steps: int, seed: int) -> Iterator[TimeStep]:
    """Go on from where the environment is, from one episode to the next."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        if env.now.ended.any():
            yield snapshot(env.reset(env.now.ended.clone()))
        yield snapshot(env.step(legal(env.now, generator)))


@every_way
@every_env
def test_a_copy_plays_on_as_the_original_and_apart_from_it(
    task: str, engine: str, copied: Callable[[Any], Any]
) -> None:
    enough(copied, task)
    env = make(task, [1, 2], 2, engine=engine)
    env.reset()
    list(play(env, 4, seed=0))
    other = copied(env)
    assert_same(env.now, other.now)
    steps = env.spec.horizon + 5  # to the end and into the next episode
    for ours, its in zip(play(env, steps, seed=1), play(other, steps, seed=1), strict=True):
        assert_same(ours, its)
    kept = snapshot(env.now)
    other.reset()
    list(play(other, 3, seed=2))
    assert_same(env.now, kept)
    third = copied(env)  # the original's turn
    kept = snapshot(third.now)
    env.reset()
    list(play(env, 3, seed=3))
    assert_same(third.now, kept)
    for each in (env, other, third):
        each.close()


@every_way
@every_env
def test_a_copy_of_what_nobody_has_played_begins_as_the_original_does(
    task: str, engine: str, copied: Callable[[Any], Any]
) -> None:
    enough(copied, task)
    env = make(task, [1, 2], 2, engine=engine)
    other = copied(copied(env))  # and a copy's copy
    chosen = next(actions(env))
    assert_same(env.step(chosen), other.step(chosen))
    assert_same(env.reset(), other.reset())
    for ours, its in zip(play(env, 3, seed=1), play(other, 3, seed=1), strict=True):
        assert_same(ours, its)
    env.close()
    other.close()


IN_ANOTHER_PROCESS = """
import pickle, sys
import numpy as np
env = pickle.load(sys.stdin.buffer)
env.reset()
for _ in range(3):
    env.step(env.now.avail_actions.long().argmax(-1))
np.save(sys.stdout.buffer, env.now.state.numpy())
"""


@pytest.mark.parametrize("task", ["smac/3m", "mpe/15a_3c", "lbf/6x6-3p-2f-v3"])
def test_a_copy_goes_on_in_another_process(task: str) -> None:
    env = make(task, [1], 1)
    place = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS],
        input=pickle.dumps(env),
        env=place,
        check=True,
        stdout=subprocess.PIPE,
    )
    env.reset()
    for _ in range(3):
        env.step(env.now.avail_actions.long().argmax(-1))
    assert np.array_equal(np.load(io.BytesIO(done.stdout)), env.now.state.numpy())


def test_compiled_functions_are_found_by_their_names_so_that_nothing_is_compiled_anew() -> None:
    found = pickle.loads(pickle.dumps(by_name(simulator.advance)))
    assert found() is simulator.advance
    assert len(pickle.dumps(make("smac/3m", [0], 1)._sim.start)) > len(pickle.dumps(found))


def test_a_copy_of_a_pool_has_workers_of_its_own() -> None:
    env = Batched(SPEC, partial(Pool, Toy, SPEC), [1], 2, "truncation")
    env.reset()
    stay = torch.zeros(1, 2, 2, dtype=torch.int64)
    env.step(stay)
    other = by_pickle(env)
    env.close()
    assert other.step(stay).obs[0, :, 0, 3].tolist() == [2, 2]
    other.close()


def test_an_episode_that_cannot_be_saved_is_not_copied() -> None:
    env = Batched(SPEC, partial(Pool, Forgetful, SPEC), [1], 2, "truncation")
    other = by_pickle(env)  # nobody plays yet
    assert torch.equal(other.reset().obs, env.reset().obs)
    with pytest.raises(UserError, match="cannot be copied: copy an environment before its first"):
        copy.deepcopy(env)
    env.close()
    with pytest.raises(UserError, match="closed"):
        pickle.dumps(env)
    other.close()


def test_a_copy_keeps_the_state_in_the_observations_memory() -> None:
    env = make("lbf/8x8-2p-2f-v3", [0], 2)
    other = by_pickle(env)
    assert np.shares_memory(other._buffers.obs, other._buffers.state)
    assert np.shares_memory(other._buffers.obs, other.now.obs.numpy())
    assert not np.shares_memory(other._buffers.obs, env._buffers.obs)
