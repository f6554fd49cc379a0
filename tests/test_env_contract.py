"""The contract of `Env`, over every environment and engine there is here."""

import copy
import importlib.metadata
import io
import itertools
from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from packages import FOOTBALL

from partage.config.pins import pins, require
from partage.envs import ENVS, load, make
from partage.errors import UserError
from partage.sims.contract import Env, TimeStep
from partage.sims.skirmish.armies import armies
from partage.sims.skirmish.data import maps

CASES = [
    ("roll_call/4x3-6", "batched"),
    ("games/specialisation-4x3-6", "batched"),
    ("games/synchronisation-3x3-6-last", "batched"),
    ("games/specialisation-3x4-6-own", "batched"),
    ("vmas/dispersion-3", "batched"),
    ("mpe/15a_3c", "batched"),
    ("mpe/30a_5c_shuffle", "batched"),
    ("mpe/simple_spread_v3", "batched"),
    ("lbf/6x6-3p-2f-v3", "batched"),
    ("lbf/2s-5x5-3p-2f-v2", "batched"),
    *((f"smac/{name}", "batched") for name in maps()),
    *((f"smacv2/{name}_5_vs_5", "batched") for name in armies()),
    ("mpe/15a_3c_shuffle", "package"),
    ("mpe/simple_spread_v3", "package"),
    ("lbf/6x6-3p-2f-v3", "package"),
    ("lbf/2s-5x5-3p-2f-v2", "package"),
    pytest.param("grf/academy_pass_and_shoot_with_keeper", "package", marks=FOOTBALL),
]
TASK_OF = {
    "roll_call": "4x4-8",
    "games": "synchronisation-2x2-3",
    "vmas": "dispersion-4",
    "mpe": "15a_3c",
    "lbf": "8x8-2p-2f-v3",
    "smac": "3m",
    "smacv2": "zerg_5_vs_5",
}
every_env = pytest.mark.parametrize(("task", "engine"), CASES)
# In battles idle agents die early, and the score is the victory: tests/test_smac_contract.py has
# these two tests' like.
every_peaceful_env = pytest.mark.parametrize(
    ("task", "engine"), [case for case in CASES if "smac" not in case[0]]
)


def actions(env: Env, seed: int = 0) -> Iterator[torch.Tensor]:
    """Endless legal actions; those of run 0's copies do not depend on how many runs there are."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        one = torch.randint(
            env.spec.n_actions, (1, env.copies, env.spec.n_agents), generator=generator
        )
        yield one.expand(env.runs, -1, -1)


def snapshot(step: TimeStep) -> TimeStep:
    return TimeStep(*(tensor.clone() for tensor in step))


def assert_same(one: Any, other: Any) -> None:
    for name, left, right in zip(TimeStep._fields, one, other, strict=True):
        assert torch.equal(left, right), name


def play(env: Env, steps: int, seed: int = 0) -> list[TimeStep]:
    """Episodes one after the other, starting the next wherever one has ended."""
    trail = [snapshot(env.reset())]
    for chosen in itertools.islice(actions(env, seed), steps):
        if trail[-1].ended.any():
            trail.append(snapshot(env.reset(trail[-1].ended)))
        trail.append(snapshot(env.step(chosen)))
    return trail


@every_env
def test_shapes_and_dtypes_are_those_of_the_spec(task: str, engine: str) -> None:
    env = make(task, [0, 1, 2], 2, engine=engine)
    assert isinstance(env, Env)
    assert (env.runs, env.copies) == (3, 2)
    n, spec = env.spec.n_agents, env.spec
    of_agents = [(n, spec.obs_dim), (spec.state_dim,), (n, spec.n_actions), (n,), (n,)]
    shapes = [*of_agents, (), (), (), (), ()]
    dtypes = [
        torch.float32,
        torch.float32,
        torch.bool,
        torch.bool,
        torch.float32,
        torch.bool,
        torch.bool,
        torch.float32,
        torch.float32,
        torch.int64,
    ]
    for clock, move in enumerate((env.reset, lambda: env.step(next(actions(env))))):
        step = move()
        assert (step.clock == clock).all()
        for tensor, shape, dtype in zip(step, shapes, dtypes, strict=True):
            assert (tensor.shape, tensor.dtype) == ((3, 2, *shape), dtype)
            assert tensor.isfinite().all()
        observed = step.obs.flatten(-2)
        alike = observed.shape == step.state.shape and torch.equal(observed, step.state)
        assert spec.state_is_obs == alike
    env.close()


@every_env
def test_a_copy_is_idle_before_its_reset_and_after_its_end(task: str, engine: str) -> None:
    env = make(task, [0, 1], 2, engine=engine)
    moves = actions(env)
    before = snapshot(env.step(next(moves)))
    assert not before.ended.any() and not before.reward.any()
    first = torch.tensor([[True, False], [False, True]])
    started = snapshot(env.reset(first))
    for _ in range(env.spec.horizon + 3):
        last = snapshot(env.step(next(moves)))
        if last.ended[first].all():
            break
    assert last.ended[first].all() and not last.ended[~first].any()
    frozen = snapshot(env.step(next(moves)))
    assert not frozen.reward.any() and not frozen.feature.any()
    assert_same(frozen._replace(reward=last.reward, feature=last.feature), last)
    for now, start in ((frozen, started), (frozen, before)):
        assert torch.equal(now.obs[~first], start.obs[~first])
    one = torch.tensor([[True, False], [False, False]])
    again = snapshot(env.reset(one))
    assert not again.ended[0, 0] and again.score[0, 0] == 0
    assert again.ended[1, 1] and torch.equal(again.obs[1, 1], last.obs[1, 1])


@every_env
def test_an_idle_copy_ignores_even_actions_that_do_not_exist(task: str, engine: str) -> None:
    env = make(task, [0], 2, engine=engine)
    env.reset(torch.tensor([[True, False]]))
    chosen = next(actions(env)).clone()
    chosen[0, 1] = -7
    env.step(chosen)
    chosen[0, 0] = env.spec.n_actions
    with pytest.raises(UserError, match="actions"):
        env.step(chosen)


@every_env
def test_there_is_always_a_legal_action(task: str, engine: str) -> None:
    env = make(task, [0], 2, engine=engine)
    assert env.step(next(actions(env))).avail_actions.any(-1).all()
    assert all(step.avail_actions.any(-1).all() for step in play(env, 10))


@every_env
def test_runs_of_different_seeds_differ_and_those_of_one_seed_do_not(
    task: str, engine: str
) -> None:
    if task.startswith(("roll_call", "games")):
        pytest.skip("nothing is random in roll call and in games")
    kick_off = 30 if task.startswith("grf") else 0  # every game of football begins alike
    trail = play(make(task, [7, 8, 7], 2, engine=engine), kick_off + 3)
    assert all(torch.equal(step.obs[0], step.obs[2]) for step in trail)
    assert not torch.equal(trail[kick_off].state[0], trail[kick_off].state[1])
    assert not torch.equal(
        trail[kick_off].state[0, 0], trail[kick_off].state[0, 1]
    )  # nor are a run's copies the same


@every_env
def test_a_run_is_bit_for_bit_the_same_alone_and_in_any_pack(task: str, engine: str) -> None:
    env = make(task, [3], 2, engine=engine)
    steps = 2 * env.spec.horizon + 2
    alone, packed = play(env, steps), make(task, [9, 3, 4], 2, engine=engine)
    step = packed.reset()
    moves = actions(packed)
    for expected in alone:
        assert_same([tensor[1:2] for tensor in step], expected)
        step = packed.reset(step.ended) if step.ended[1].any() else packed.step(next(moves))


@every_env
def test_a_run_does_not_depend_on_how_many_copies_it_has(task: str, engine: str) -> None:
    few, many = make(task, [3], 1, engine=engine), make(task, [3], 4, engine=engine)
    assert torch.equal(few.reset().obs, many.reset().obs[:, :1])
    chosen = torch.zeros(1, 4, few.spec.n_agents, dtype=torch.int64)
    assert torch.equal(few.step(chosen[:, :1]).obs, many.step(chosen).obs[:, :1])


@every_env
def test_saving_and_going_on_elsewhere_changes_nothing(task: str, engine: str) -> None:
    env, other = make(task, [1, 2], 2, engine=engine), make(task, [5, 6], 2, engine=engine)
    play(env, env.spec.horizon // 2)
    other.reset()
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    saved = torch.load(file)  # in its safe mode
    kept = copy.deepcopy(saved["buffers"])
    here = snapshot(env.step(next(actions(env, 4))))
    for name, array in kept.items():
        assert torch.equal(saved["buffers"][name], array), f"stepping changed the saved {name}"
    other.load_state_dict(saved)
    assert_same(here, other.step(next(actions(other, 4))))
    for left, right in zip(
        play(env, env.spec.horizon + 2), play(other, env.spec.horizon + 2), strict=True
    ):
        assert_same(left, right)


@every_env
def test_a_saved_state_of_another_number_of_copies_is_refused(task: str, engine: str) -> None:
    saved = make(task, [1], 3, engine=engine).state_dict()
    with pytest.raises(UserError, match="load with the same"):
        make(task, [1], 2, engine=engine).load_state_dict(saved)


@every_env
def test_a_common_reward_is_the_same_for_all_agents(task: str, engine: str) -> None:
    env = make(task, [0], 3, engine=engine)
    trail = play(env, 2 * env.spec.horizon)
    spread = torch.stack(
        [step.reward.max(-1).values - step.reward.min(-1).values for step in trail]
    )
    assert bool((spread == 0).all()) == env.spec.common_reward
    assert any(step.reward.any() for step in trail)


@every_peaceful_env
def test_the_score_adds_up_the_rewards(task: str, engine: str) -> None:
    if task.startswith("grf"):
        pytest.skip("football pays more than the goals that are its score: tests/test_football.py")
    env = make(task, [0], 2, engine=engine)
    total, step = 0.0, env.reset()
    for chosen in itertools.islice(actions(env), env.spec.horizon):
        step = env.step(chosen)
        total = total + (step.reward[..., 0] if env.spec.common_reward else step.reward.sum(-1))
        torch.testing.assert_close(step.score, total, rtol=1e-4, atol=1e-5)


@every_peaceful_env
@pytest.mark.parametrize("time_limit", ["terminal", "truncation"])
def test_an_episode_ends_at_the_horizon_and_the_option_names_that_end(
    task: str, engine: str, time_limit: str
) -> None:
    if task.startswith("grf"):
        pytest.skip("who stands still loses the ball: tests/test_football.py")
    env = make(task, [0], 2, engine=engine, time_limit=time_limit)
    env.reset()
    still = torch.zeros(1, 2, env.spec.n_agents, dtype=torch.int64)
    for _ in range(env.spec.horizon - 1):
        assert not env.step(still).ended.any()
    last = env.step(still)
    assert last.terminated.all() == (time_limit == "terminal")
    assert last.truncated.all() == (time_limit == "truncation")
    assert not (last.terminated & last.truncated).any()


def test_a_real_end_at_the_last_moment_is_a_termination() -> None:
    env = make("lbf/5x5-2p-1f-v3", [0], 1)
    env.reset()
    still, load = torch.zeros(1, 1, 2, dtype=torch.int64), torch.full((1, 1, 2), 5)
    for _ in range(env.spec.horizon - 1):
        env.step(still)
    world = env._sim.world
    world.row[0], world.col[0] = world.food_row[0] + [-1, 1], world.food_col[0]
    world.food_level[0] = 1
    last = env.step(load)
    assert last.terminated.item() and not last.truncated.item()


@pytest.mark.parametrize("shape", [(2, 1), (2,), (1, 2, 1)])
def test_a_mask_of_other_axes_resets_nothing(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    env = make("mpe/15a_3c", [0], 2)
    with pytest.raises(UserError, match=r"a mask of \[1, 2\] copies to reset"):
        env.reset(torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("family", TASK_OF)
def test_what_does_not_exist_is_refused_with_what_does(family: str) -> None:
    task = TASK_OF[family]
    with pytest.raises(UserError, match=r"expected|known are"):
        make(f"{family}/nothing", [0], 1)
    with pytest.raises(UserError, match="batched"):
        load(family)(task, [0], 1, "other")
    with pytest.raises(UserError, match="time_limit"):
        make(f"{family}/{task}", [0], 1, wind=3)
    with pytest.raises(UserError, match="truncation"):
        make(f"{family}/{task}", [0], 1, time_limit="never")
    with pytest.raises(UserError, match="one seed"):
        make(f"{family}/{task}", [], 1)
    env = make(f"{family}/{task}", [0], 2)
    with pytest.raises((UserError, TypeError)):
        env.step(torch.zeros(1, 2, env.spec.n_agents + 1, dtype=torch.int64))


@pytest.mark.parametrize("family", ["roll_call", "games", "vmas"])
def test_what_is_written_here_alone_has_no_package(family: str) -> None:
    with pytest.raises(UserError, match="batched"):
        make(f"{family}/{TASK_OF[family]}", [0], 1, engine="package")


@pytest.mark.parametrize("family", ["mpe", "lbf"])
def test_a_missing_or_other_version_of_a_package_is_refused_with_what_to_install(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, version = next(iter(pins(ENVS / f"{family}.py").items()))

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    require(ENVS / f"{family}.py")
    for found, versions in (("0.1", lambda name: "0.1"), ("none", absent)):
        monkeypatch.setattr(importlib.metadata, "version", versions)
        with pytest.raises(
            UserError, match=f"found {found}: run `\\S*pip install {package}=={version}`"
        ):
            require(ENVS / f"{family}.py")


def test_the_views_share_the_simulators_memory() -> None:
    env = make("lbf/8x8-2p-2f-v3", [0], 2)
    step = env.reset()
    assert step.obs.data_ptr() == step.state.data_ptr() == env._buffers.obs.ctypes.data
    env._buffers.obs[0, 0, 0] = 42
    assert step.obs[0, 0, 0, 0] == 42
    assert np.shares_memory(step.reward.numpy(), env._buffers.reward)


def test_what_is_no_tensor_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    env = make("lbf/5x5-2p-1f-v3", [0], 2)
    env.reset()
    with pytest.raises(UserError, match=r"int64 actions of shape \(1, 2, 2\), got a NoneType"):
        env.step(None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"got torch\.float32 \(1, 2, 2\)"):
        env.step(torch.zeros(1, 2, 2))
    with pytest.raises(UserError, match=r"mask of \[1, 2\] copies to reset, got a list"):
        env.reset([True])  # type: ignore[arg-type]
