"""The foraging simulator against lbforaging: exactly equal episodes, equally distributed starts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from partage.envs import make
from partage.errors import UserError
from partage.sims.contract import Env
from partage.sims.foraging.rules import observe
from partage.sims.foraging.tasks import named

TASKS = [
    "15x15-4p-5f-v2",
    "8x8-2p-2f-v3",
    "8x8-3p-2f-coop-v3",
    "8x8-3p-2f-coop-v2",
    "2s-8x8-2p-2f-v3",
    "5x5-6p-2f-v3",  # crowded: players end up on one cell
    "9x9-3p-3f-pen-v3",
    "1s-7x7-5p-3f-coop-pen-v2",
]
FREE, LOAD = 5, 5


def simulator(theirs: Env) -> Any:
    return theirs._sim._singles[0]._env


def place(ours: Env, theirs: Env) -> None:
    """Put our copy where the package's is."""
    kernel, package = ours._sim, simulator(theirs)
    world = kernel.world
    world.row[0], world.col[0] = np.transpose([player.position for player in package.players])
    world.level[0] = [player.level for player in package.players]
    rows, cols = np.nonzero(package.field)
    world.foods[0], world.spawned[0] = len(rows), package.field.sum()
    world.food_row[0, : len(rows)], world.food_col[0, : len(rows)] = rows, cols
    world.food_level[0, : len(rows)] = package.field[rows, cols]
    for player in range(len(package.players)):
        observe(kernel.rules, world, ours._buffers, 0, player)


def assert_equal_episode(ours: Env, theirs: Env, actions: Sequence[torch.Tensor]) -> torch.Tensor:
    """Play one episode in both; the score it ends with."""
    ours.reset()
    theirs.reset()
    place(ours, theirs)
    for chosen in actions:
        mine, other = ours.step(chosen), theirs.step(chosen)
        for name in (
            "obs",
            "state",
            "reward",
            "score",
            "terminated",
            "truncated",
            "avail_actions",
            "alive",
        ):
            assert torch.equal(getattr(mine, name), getattr(other, name)), name
        assert mine.ended.item() == simulator(theirs).game_over
        if mine.ended:
            break
    assert mine.ended
    return mine.score.clone()


def eager(generator: torch.Generator, n_players: int) -> list[torch.Tensor]:
    """Actions for an episode: random, with enough loading for food to be eaten."""
    moves = torch.randint(FREE, (50, 1, 1, n_players), generator=generator)
    loading = torch.rand(moves.shape, generator=generator) < 0.4
    return list(torch.where(loading, LOAD, moves))


@pytest.mark.parametrize("units", ["package", "smac"])
@pytest.mark.parametrize("reward", ["team", "individual"])
@pytest.mark.parametrize("task", TASKS)
def test_same_start_and_actions_give_exactly_the_packages_episodes(
    task: str, reward: str, units: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    options = {"reward": reward, "time_limit": "terminal", "units": units}
    ours, theirs = (
        make(f"lbf/{task}", [0], 1, **options),
        make(f"lbf/{task}", [0], 1, engine="package", **options),
    )
    n_players = named(task).n_players
    scores = [
        assert_equal_episode(ours, theirs, eager(generator, n_players)).item() for _ in range(8)
    ]
    assert max(scores) > 0 or "coop" in task


@pytest.mark.parametrize("task", TASKS)
def test_smacs_units_change_the_numbers_and_nothing_else(task: str) -> None:
    plain, scaled = (make(f"lbf/{task}", [5], 20, units=units) for units in ("package", "smac"))
    spec, side = plain.spec, named(task).rows
    units = torch.tensor([side, side, 2 * min(3, spec.n_agents)]).repeat(spec.obs_dim // 3)
    generator = torch.Generator().manual_seed(5)
    one, other = plain.reset(), scaled.reset()
    for _ in range(50):
        assert other.obs.abs().max() <= 1
        assert torch.allclose(other.obs, torch.where(one.obs < 0, one.obs, one.obs / units))
        assert torch.allclose(other.reward, 20 * one.reward) and torch.equal(other.score, one.score)
        actions = torch.randint(6, one.reward.shape, generator=generator)
        one, other = plain.step(actions), scaled.step(actions)
    assert plain._sim.world.foods.sum() == scaled._sim.world.foods.sum()


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(4, 7),
    players=st.integers(2, 5),
    foods=st.integers(1, 5),
    sight=st.sampled_from(["", "1s-", "3s-"]),
    end=st.sampled_from(["", "-coop", "-pen"]),
    version=st.integers(2, 3),
    seed=st.integers(0, 2**32),
)
def test_any_size_plays_exactly_as_the_package(
    size: int, players: int, foods: int, sight: str, end: str, version: int, seed: int
) -> None:
    task = f"lbf/{sight}{size}x{size}-{players}p-{foods}f{end}-v{version}"
    ours, theirs = make(task, [seed], 1), make(task, [seed], 1, engine="package")
    generator = torch.Generator().manual_seed(seed)
    assert_equal_episode(ours, theirs, eager(generator, players))


def starts(env: Env, episodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Foods [E, F, 3] and players [E, P, 3] (row, column, level) at the start of that many episodes
    of each copy.
    """
    foods, players, n_foods = [], [], env.spec.obs_dim // 3 - env.spec.n_agents
    for _ in range(episodes):
        obs = (
            env.reset().obs.numpy().copy().reshape(-1, env.spec.n_agents, env.spec.obs_dim // 3, 3)
        )
        foods.append(obs[:, 0, :n_foods])
        players.append(obs[:, :, n_foods])  # itself comes first
    return np.concatenate(foods), np.concatenate(players)


def same_frequencies(one: np.ndarray, other: np.ndarray) -> float:
    """The p-value of a chi-square test that two samples of whole numbers come from one
    distribution.
    """
    one, other = one.astype(int).ravel(), other.astype(int).ravel()
    low = min(one.min(), other.min())
    size = max(one.max(), other.max()) - low + 1
    table = np.stack([np.bincount(sample - low, minlength=size) for sample in (one, other)])
    return (
        float(stats.chi2_contingency(table[:, table.sum(0) > 0]).pvalue)
        if (table.sum(0) > 0).sum() > 1
        else 1.0
    )


@pytest.mark.parametrize(
    "task", ["5x5-6p-2f-v3", "8x8-4p-3f-v2", "6x6-2p-2f-coop-v3", "7x7-2p-2f-v2"]
)
def test_starts_are_distributed_as_in_the_package(task: str) -> None:
    ours, theirs = make(f"lbf/{task}", [1], 500), make(f"lbf/{task}", [1], 20, engine="package")
    foods, players = starts(ours, 20)
    their_foods, their_players = starts(theirs, 25)
    assert same_frequencies((foods[..., 2] > 0).sum(1), (their_foods[..., 2] > 0).sum(1)) > 0.005
    eaten, their_eaten = foods[foods[..., 2] > 0], their_foods[their_foods[..., 2] > 0]
    assert same_frequencies(foods[..., 2].sum(1), their_foods[..., 2].sum(1)) > 0.005
    assert (
        same_frequencies(
            eaten[:, 0] * 100 + eaten[:, 1], their_eaten[:, 0] * 100 + their_eaten[:, 1]
        )
        > 0.005
    )
    for entry in range(3):
        assert same_frequencies(eaten[:, entry], their_eaten[:, entry]) > 0.005
        assert same_frequencies(players[..., entry], their_players[..., entry]) > 0.005
    levels, their_levels = (
        players[..., 2].sum(1) * 10 + eaten[:, 2].max(),
        their_players[..., 2].sum(1) * 10,
    )
    assert same_frequencies(levels - levels.min(), their_levels - their_levels.min()) > 0.005


@pytest.mark.parametrize(
    ("task", "highest"), [("8x8-2p-2f-v2", 3), ("8x8-2p-2f-v3", 4), ("8x8-4p-2f-coop-v2", 6)]
)
def test_version_2_leaves_out_the_highest_food_level_unless_players_must_cooperate(
    task: str, highest: int
) -> None:
    foods, _ = starts(make(f"lbf/{task}", [0], 2000), 1)
    assert foods[..., 2].max() == highest


@pytest.mark.parametrize("engine", ["batched", "package"])
def test_the_first_player_never_starts_where_someone_stood_at_the_end_of_the_last_episode(
    engine: str,
) -> None:
    env = make("lbf/5x5-6p-1f-v3", [0], 30, engine=engine)
    before: np.ndarray | None = None
    for _ in range(5):
        _, players = starts(env, 1)
        cells = players[..., 0] * 5 + players[..., 1]
        if before is not None:
            assert not (cells[:, :1] == before).any()
        before = cells


def test_the_score_is_the_share_of_food_eaten_and_never_passes_one() -> None:
    generator = torch.Generator().manual_seed(0)
    env = make("lbf/5x5-3p-2f-v3", [0], 200)
    env.reset()
    for actions in eager(generator, 600):
        step = env.step(actions.reshape(1, 200, 3))
    cleared = env._sim.world.foods == 0
    assert cleared.any() and not cleared.all()
    torch.testing.assert_close(
        step.score[0, torch.from_numpy(cleared)], torch.ones(int(cleared.sum()))
    )
    assert (step.score[0, torch.from_numpy(~cleared)] < 0.99).all()
    assert torch.equal(step.terminated[0], torch.from_numpy(cleared))


@pytest.mark.parametrize(
    "task",
    [
        "15x15-4p-5f",
        "15x15-4p-5f-v1",
        "Foraging-8x8-2p-2f-v3",
        "8x8-1p-2f-v3",
        "2x8-2p-1f-v3",
        "0s-8x8-2p-2f-v3",
    ],
)
def test_a_task_outside_the_grammar_is_refused(task: str) -> None:
    with pytest.raises(UserError, match="expected"):
        make(f"lbf/{task}", [0], 1)


def test_the_package_is_refused_a_field_that_is_not_square() -> None:
    assert make("lbf/5x9-2p-2f-v3", [0], 1).reset().obs.shape == (1, 1, 2, 12)
    with pytest.raises(UserError, match="square"):
        make("lbf/5x9-2p-2f-v3", [0], 1, engine="package")
