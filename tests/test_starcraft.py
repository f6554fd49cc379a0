"""StarCraft II's adapter with the stand-in game behind unmodified smacv2 and pysc2, where these are
installed.
"""

import importlib.util
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from standin import install
from standin.battle import Battle

from partage.envs import ENVS, make
from partage.errors import UserError
from partage.sims.contract import TimeStep
from partage.sims.single import Instant
from partage.sims.starcraft.game import Game, GameSetup, Supervision
from partage.sims.starcraft.installation import require_packages

NEEDS = "smacv2 is not installed: `make starcraft` adds it"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("smacv2") is None, reason=NEEDS)
PATIENCE = Supervision(timeout=60)
NINE = [
    "bane_vs_bane",
    "MMM2",
    "5m_vs_6m",
    "3s_vs_5z",
    "2c_vs_64zg",
    "27m_vs_30m",
    "6h_vs_8z",
    "corridor",
    "3s5z_vs_3s6z",
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in is installed."""
    monkeypatch.setenv("SC2PATH", str(tmp_path / "game"))
    return install.lay(tmp_path / "game")


@pytest.fixture
def games() -> Iterator[Any]:
    """Makes games that are closed after the test."""
    made: list[Game] = []

    def game(name: str = "5m_vs_6m", **how: Any) -> Game:
        made.append(Game(GameSetup(name, **{"supervision": PATIENCE, **how})))
        return made[-1]

    yield game
    for one in made:
        one.close()


def launches(root: Path) -> int:
    return len(list(root.glob("launch-*")))


def legal(instant: Instant, dice: np.random.Generator) -> list[int]:
    assert instant.avail_actions is not None
    return [int(dice.choice(np.flatnonzero(row))) for row in instant.avail_actions]


def play(game: Game, first: Instant, steps: int, seed: int = 0) -> list[Instant]:
    """At most that many steps of random legal actions."""
    dice, trail = np.random.default_rng(seed), [first]
    while len(trail) <= steps and not trail[-1].terminated:
        trail.append(game.step(legal(trail[-1], dice)))
    return trail


@pytest.fixture(autouse=True, scope="session")
def compiled() -> None:
    """The battle, so that no game takes its time over it."""
    Battle("5m_vs_6m", 0).advance(1)


def assert_equal(ours: TimeStep, theirs: Instant) -> None:
    """The game tells single precision, and smacv2 counts in double."""
    assert theirs.avail_actions is not None and theirs.alive is not None
    assert np.array_equal(ours.avail_actions[0, 0].numpy(), theirs.avail_actions)
    assert np.array_equal(ours.alive[0, 0].numpy(), theirs.alive)
    np.testing.assert_allclose(ours.obs[0, 0].numpy(), theirs.obs, atol=2e-6)
    np.testing.assert_allclose(ours.state[0, 0].numpy(), theirs.state, atol=2e-6)
    np.testing.assert_allclose(ours.reward[0, 0].numpy(), theirs.reward, atol=2e-5)
    np.testing.assert_allclose(ours.feature[0, 0].numpy(), theirs.feature, atol=2e-5)
    assert ours.terminated.item() == theirs.terminated


def eager(instant: Instant, dice: np.random.Generator) -> list[int]:
    """Legal actions, mostly attacks where there are any."""
    assert instant.avail_actions is not None
    weights = instant.avail_actions * np.where(
        np.arange(instant.avail_actions.shape[1]) < 6, 1.0, 9.0
    )
    return [int(dice.choice(len(row), p=row / row.sum())) for row in weights]


@pytest.mark.parametrize(("name", "reward"), [*((name, "v1") for name in NINE), ("6h_vs_8z", "v2")])
def test_the_same_battle_is_the_same_through_smacv2_as_through_our_simulator(
    name: str, reward: str, root: Path, games: Any
) -> None:
    ours: Any = make(f"smac/{name}", [0], 1, reward=reward)
    # with 1 both sides of bane_vs_bane die at once, and the game's next battle begins before ours
    dice = np.random.default_rng(2)
    ours._buffers.key[0] = 12345
    theirs = games(name, reward=reward)
    total = 0.0
    for seed in (12345, None):  # then the map's own next battle
        mine, instant = ours.reset(), theirs.reset(seed)
        assert_equal(mine, instant)
        for _ in range(min(ours.spec.horizon - 1, 90)):
            actions = eager(instant, dice)
            mine, instant = ours.step(torch.tensor([[actions]])), theirs.step(actions)
            assert_equal(mine, instant)
            total += instant.reward[0]
            if instant.terminated:
                assert mine.score.item() == instant.gain
                break
    assert total > 1  # there was a fight


def test_the_pinned_packages_are_those_that_are_tested_here() -> None:
    require_packages(ENVS / "smac.py")


@pytest.mark.parametrize(("kind", "regained", "dealt"), [("v1", 7.0, 33.0), ("v2", 0.0, 33.0)])
def test_what_enemies_regain_pays_by_version_1_and_not_by_smacv2(
    kind: str, regained: float, dealt: float
) -> None:
    from partage.sims.starcraft.smac_v1 import SmacV1Env

    def unit(health: float, shield: float) -> Any:
        return SimpleNamespace(health=health, shield=shield)

    env = SmacV1Env("3s_vs_5z", 0, kind, "unsorted")
    env.agents = env.previous_ally_units = {0: unit(80, 80)}
    env.previous_enemy_units = {0: unit(100, 40), 1: unit(20, 3)}
    env.enemies = {0: unit(100, 47), 1: unit(20, 3)}
    assert env.reward_battle() == regained
    env.agents = {0: unit(0, 0)}  # an agent's death neither pays nor costs
    env.enemies = {0: unit(100, 40), 1: unit(0, 3)}
    assert env.reward_battle() == dealt  # 20 + 3 + 10 for the death


def test_an_unfinished_first_episode_is_given_up_with_no_new_launch_and_no_greater_reward(
    root: Path, games: Any
) -> None:
    game = games()
    play(game, game.reset(1), 6)
    for _ in range(2):
        again = game.reset(2)
        assert again.alive is not None and again.alive.all() and (again.obs[:, -1] == 1).all()
        assert launches(root) == 1 and game._env.max_reward == 530


def test_the_clock_does_not_end_the_battle(root: Path, games: Any) -> None:
    game = games()
    first = game.reset(1)
    game._env.episode_limit = 3
    trail = play(game, first, 3)
    assert game._env.timeouts == 1
    assert not any(instant.terminated for instant in trail)
    assert trail[-1].gain == 0


def test_a_battle_that_is_fought_to_its_end_is_lost_or_won_and_the_score_says_so(
    root: Path, games: Any
) -> None:
    game = games("3s_vs_5z")
    trail = play(game, game.reset(1), 249)
    assert trail[-1].terminated and trail[-1].gain == 0  # no luck wins this map
    game.reset(2)
    game._env._kill_units([unit.tag for unit in game._env.enemies.values()])
    won = game.step([1, 1, 1])
    assert won.terminated and won.gain == 1
    assert won.reward == pytest.approx(
        [20.0] * 3
    )  # (750 health and shield + 5 * 10 + 200) / (1000 / 20)


def test_enemies_are_numbered_by_type_and_place_where_that_is_asked_for(
    root: Path, games: Any
) -> None:
    orders = {}
    for kind in ("sorted", "unsorted"):
        game, orders[kind] = games("bane_vs_bane", enemies=kind), []
        for _ in range(2):
            game.reset(3)
            units = game._env.enemies.values()
            orders[kind].append([(unit.unit_type, unit.pos.x, unit.pos.y) for unit in units])
    assert all(order == sorted(order) for order in orders["sorted"])
    assert not all(order == sorted(order) for order in orders["unsorted"])


def test_a_game_is_launched_anew_after_the_steps_that_are_named(root: Path, games: Any) -> None:
    game = games(supervision=Supervision(20, relaunch=5))
    play(game, game.reset(1), 3)
    play(game, game.reset(2), 3)
    assert launches(root) == 1
    old = game._env._sc2_proc
    game.reset(3)
    assert launches(root) == 2 and game._env.max_reward == 530
    assert not old.running


def test_a_seed_fixes_an_episode_whatever_the_global_generators_are_at(
    root: Path, games: Any
) -> None:
    def episode(seed: int, elsewhere: int) -> Sequence[np.ndarray]:
        game = games("MMM2")
        random.seed(elsewhere)
        np.random.seed(elsewhere)  # noqa: NPY002 (what smacv2 draws from)
        return [instant.obs for instant in play(game, game.reset(seed), 20)]

    one, same, other = episode(7, 0), episode(7, 1), episode(8, 0)
    assert all(map(np.array_equal, one, same)) and not all(map(np.array_equal, one, other))


def test_an_action_that_is_not_available_is_refused(root: Path, games: Any) -> None:
    game = games()
    game.reset(1)
    with pytest.raises(UserError, match="agent 2 of smac/5m_vs_6m chose 0"):
        game.step([1, 1, 0, 1, 1])
