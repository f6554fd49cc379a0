"""The spread simulator against mpe2, and against the scale of the papers' figures."""

import numpy as np
import pytest
import torch
from scipy import stats

from partage.envs import make
from partage.errors import UserError
from partage.sims.contract import Env
from partage.sims.particles.tasks import TASKS, named

COLOURED = ["15a_3c", "30a_5c_super", "15a_3c_shuffle", "30a_3c_original"]


def pair(task: str, seed: int = 0) -> tuple[Env, Env]:
    """One copy in our simulator and one in the package, at the package's start."""
    ours, theirs = make(f"mpe/{task}", [seed], 1), make(f"mpe/{task}", [seed], 1, engine="package")
    ours.reset()
    theirs.reset()
    place(ours, theirs)
    return ours, theirs


def place(ours: Env, theirs: Env) -> None:
    """Put our copy's bodies where the package's are."""
    world, package = ours._sim.world, theirs._sim._singles[0]._inner.world
    world.position[0] = [agent.state.p_pos for agent in package.agents]
    world.velocity[0] = [agent.state.p_vel for agent in package.agents]
    world.landmark[0] = [landmark.state.p_pos for landmark in package.landmarks]


def move_agents(theirs: Env, position: np.ndarray) -> None:
    for agent, place_ in zip(theirs._sim._singles[0]._inner.world.agents, position, strict=True):
        agent.state.p_pos = place_.copy()


def assert_same(ours: object, theirs: object) -> None:
    for name in ("obs", "state", "reward", "score"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-5)
    assert torch.equal(ours.terminated, theirs.terminated)
    assert torch.equal(ours.truncated, theirs.truncated)


@pytest.mark.parametrize("task", [*COLOURED, "simple_spread_v3"])
def test_same_start_and_actions_give_the_packages_episode(task: str) -> None:
    ours, theirs = pair(task)
    generator = torch.Generator().manual_seed(1)
    for _ in range(ours.spec.horizon):
        actions = torch.randint(5, (1, 1, ours.spec.n_agents), generator=generator)
        assert_same(ours.step(actions), theirs.step(actions))
    position = [agent.state.p_pos for agent in theirs._sim._singles[0]._inner.world.agents]
    np.testing.assert_allclose(ours._sim.world.position[0], position, rtol=0, atol=1e-12)


def test_agents_that_touch_are_pushed_apart_as_in_the_package() -> None:
    ours, theirs = pair("simple_spread_v3")
    move_agents(theirs, np.array([[0.0, 0.0], [0.1, 0.05], [-0.2, 0.1]]))
    place(ours, theirs)
    generator = torch.Generator().manual_seed(2)
    touched = 0
    for _ in range(25):
        actions = torch.randint(5, (1, 1, 3), generator=generator)
        mine = ours.step(actions)
        assert_same(mine, theirs.step(actions))
        touched += int((mine.reward[0, 0].max() - mine.reward[0, 0].min()) > 0.4)
    assert touched > 0


def test_the_bonus_is_paid_only_while_a_whole_colour_is_there_as_in_the_package() -> None:
    ours, theirs = pair("30a_5c_super")
    task = TASKS["30a_5c_super"]
    marks = ours._sim.world.landmark[0][task.colours]
    angle = np.linspace(0, 6, task.n_agents)
    position = marks + 0.1 * np.stack([np.cos(angle), np.sin(angle)], 1)
    position[3] = marks[3] + 0.16  # one agent of the second colour is late
    move_agents(theirs, position)
    place(ours, theirs)
    idle = torch.zeros(1, 1, task.n_agents, dtype=torch.int64)
    mine = ours.step(idle)
    assert_same(mine, theirs.step(idle))
    assert (mine.reward[0, 0, :3] > 0).all() and (mine.reward[0, 0, 6:] > 0).all()
    assert (mine.reward[0, 0, 3:6] < 0).all()


def test_the_largest_bonus_is_two_per_other_agent() -> None:
    env = make("mpe/15a_3c", [0], 1)
    env.reset()
    world = env._sim.world
    world.position[0] = world.landmark[0][TASKS["15a_3c"].colours]
    reward = env.step(torch.zeros(1, 1, 15, dtype=torch.int64)).reward
    torch.testing.assert_close(reward, torch.full((1, 1, 15), 4.0))  # half of 2 (5 - 1)


@pytest.mark.parametrize("task", ["15a_3c", "simple_spread_v3"])
def test_starts_are_distributed_as_in_the_package(task: str) -> None:
    ours, theirs = make(f"mpe/{task}", [3], 400), make(f"mpe/{task}", [3], 60, engine="package")
    mine, other = ours.reset().state[0].numpy(), theirs.reset().state[0].numpy()
    n, marks = ours.spec.n_agents, named(task).n_landmarks
    for columns in (slice(0, 2 * n), slice(4 * n, 4 * n + 2 * marks)):
        assert stats.ks_2samp(mine[:, columns].ravel(), other[:, columns].ravel()).pvalue > 0.01
    assert not mine[:, 2 * n : 4 * n].any()
    assert (
        np.abs(np.corrcoef(mine[:, : 2 * n].T) - np.eye(2 * n)).max() < 0.25
    )  # nothing is drawn twice


def greedy(env: Env, task: str) -> torch.Tensor:
    """Push along the axis on which the agent, gliding on, would end farther from its landmark."""
    world = env._sim.world
    stop = (
        world.position + 0.3 * world.velocity
    )  # where it comes to rest: 0.1 (0.75 + 0.75^2 + ...) v
    aim = world.landmark[:, named(task).colours] - stop
    axis = np.abs(aim).argmax(-1)
    along = np.take_along_axis(aim, axis[..., None], -1)[..., 0]
    action = np.where(np.abs(along) < 0.1, 0, 1 + 2 * axis + (along > 0))
    return torch.from_numpy(action[None].astype(np.int64))


@pytest.mark.parametrize(
    ("task", "aimless", "aimed"),
    [
        ("15a_3c", -943, 349),
        ("30a_3c", -1881, 1998),
        ("30a_5c", -1853, 977),
        ("30a_5c_super", -1847, 1562),
        ("15a_3c_original", -943, -217),
        ("30a_3c_original", -1881, -435),
    ],
)
def test_returns_have_the_scale_of_the_papers_figures(
    task: str, aimless: float, aimed: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    env = make(f"mpe/{task}", [0], 1000)
    env.reset()
    for _ in range(50):
        random = (
            env.step(torch.randint(5, (1, 1000, env.spec.n_agents), generator=generator))
            .score.mean()
            .item()
        )
    assert random == pytest.approx(aimless, rel=0.02)
    env.reset()
    for _ in range(50):
        score = env.step(greedy(env, task)).score.mean().item()
    assert score == pytest.approx(aimed, rel=0.05)


def test_a_shuffled_task_shows_the_same_entries_in_an_order_of_each_colour() -> None:
    plain, shuffled = make("mpe/15a_3c", [5], 3).reset(), make("mpe/15a_3c_shuffle", [5], 3).reset()
    assert torch.equal(plain.obs.sort(-1).values, shuffled.obs.sort(-1).values)
    orders = TASKS["15a_3c_shuffle"].orders
    for agent, colour in enumerate(TASKS["15a_3c_shuffle"].colours):
        assert torch.equal(plain.obs[:, :, agent, orders[colour]], shuffled.obs[:, :, agent])
    assert len({tuple(order) for order in orders}) == 3


def test_the_original_tasks_show_no_distance_and_pay_no_bonus() -> None:
    hard, original = make("mpe/15a_3c", [5], 2), make("mpe/15a_3c_original", [5], 2)
    assert (hard.spec.obs_dim, original.spec.obs_dim) == (11, 10)
    assert torch.equal(hard.reset().obs[..., :10], original.reset().obs)
    world = original._sim.world
    world.position[...] = world.landmark[:, TASKS["15a_3c"].colours]
    assert not original.step(torch.zeros(1, 2, 15, dtype=torch.int64)).reward.any()


@pytest.mark.parametrize(
    "task", ["15a_4c", "", "simple_spread_v3_original", "15a_3c_original_original"]
)
def test_an_unknown_scenario_is_refused_with_the_known_ones(task: str) -> None:
    with pytest.raises(UserError, match=r"15a_3c_shuffle"):
        make(f"mpe/{task}", [0], 1)
