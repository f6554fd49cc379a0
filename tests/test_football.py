"""Football: agents, observations, pay and seeds on the real engine; and what is refused, with and
without it.
"""

import importlib.metadata
import json
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from packages import FOOTBALL

from partage.config.pins import pins
from partage.envs import ENVS, load, make
from partage.errors import UserError
from partage.sims.football.match import Football, Options, rings_reached
from partage.sims.football.tasks import HORIZON, TASKS
from partage.sims.football.view_cone import seen
from partage.sims.spec import Spec

every_task = pytest.mark.parametrize("task", TASKS)
SCORING = {
    "academy_3_vs_1_with_keeper": 26,
    "academy_pass_and_shoot_with_keeper": 9,
}  # seeds that end with a goal


def lively(seed: int, n: int) -> Iterator[list[int]]:
    """Actions of players who run at the goal, dodge, pass and shoot at random."""
    rng, chosen = np.random.default_rng(seed), [5] * n
    for t in range(HORIZON):
        if t % 3 == 0:
            chosen = rng.choice([4, 5, 5, 5, 6, 13, 11, 12, 12], n).tolist()
        yield chosen


def episode(football: Football, seed: int) -> list:
    """Its instants."""
    trail = [football.reset(seed)]
    for chosen in lively(seed, len(football.view.facing)):
        trail.append(football.step(chosen))
        if trail[-1].terminated:
            break
    return trail


@FOOTBALL
@every_task
def test_every_left_player_is_an_agent_and_stays_the_same_one(task: str) -> None:
    football, n = Football(task, Options()), len(TASKS[task].left)
    for seed in range(3):
        for chosen in [None, *lively(seed, n)]:
            if (
                football.reset(seed).terminated
                if chosen is None
                else football.step(chosen).terminated
            ):
                break
            assert football._core.observation()["left_agent_controlled_player"] == list(range(n))


@FOOTBALL
@every_task
def test_players_start_where_the_packages_scenario_has_them(task: str) -> None:
    from gfootball.env import config, football_env_core

    football, players = Football(task, Options()), [f"agent:left_players={len(TASKS[task].left)}"]
    theirs = football_env_core.FootballEnvCore(config.Config({"level": task, "players": players}))
    football.reset(0)
    for name in ("left_team", "right_team", "left_team_roles", "right_team_roles", "ball"):
        assert np.array_equal(football._core.observation()[name], theirs.observation()[name]), name


@FOOTBALL
def test_who_is_told_nothing_stands_still() -> None:
    football = Football("academy_3_vs_1_with_keeper", Options())
    football.reset(1)
    before = football.view.players[[0, 2, 3]].copy()  # the ball draws player 1, who is next to it
    for _ in range(40):
        football.step([0] * 4)
    assert np.abs(football.view.players[[0, 2, 3]] - before).max() < 1e-3
    assert (
        np.abs(football.view.players[4:] - [[1.011, 0], [0.758, 0]]).max() > 0.01
    )  # opponents are not lazy


@FOOTBALL
@every_task
@pytest.mark.parametrize("places", ["relative", "absolute"])
def test_agents_see_the_ball_and_whoever_is_in_their_cone(task: str, places: str) -> None:
    football = Football(task, Options(places=places))
    n, width = TASKS[task].spec.n_agents, TASKS[task].spec.obs_dim
    shown = []
    for instant, view in ((i, football.view) for i in played(football, 3)):
        centre = view.players[:n] if places == "relative" else np.zeros((n, 2))
        visible = seen(view.players[:n], view.facing, view.players)
        for k in range(n):
            others = [m for m in range(len(view.players)) if m != k]
            ball = [
                *(view.ball[:2] - centre[k]),
                view.ball[2],
                *view.ball_motion,
                *np.eye(3)[view.team + 1],
            ]
            rows = [
                [1, *(view.players[m] - centre[k])] if visible[k, m] else [0, 0, 0] for m in others
            ]
            np.testing.assert_allclose(
                instant.obs[k], [*view.players[k], *ball, *np.ravel(rows)], atol=1e-6
            )
            shown += [visible[k, m] for m in others]
        assert instant.obs.shape == (n, width)
        assert instant.state.shape == (TASKS[task].spec.state_dim,)
    assert 0.1 < np.mean(shown) < 0.95


def played(football: Football, seed: int) -> Iterator:
    """An episode's instants as they come."""
    yield football.reset(seed)
    for chosen in lively(seed, len(football.view.facing)):
        instant = football.step(chosen)
        yield instant
        if instant.terminated:
            break


@FOOTBALL
@every_task
def test_the_state_is_everything_and_absolute(task: str) -> None:
    football = Football(task, Options())
    for instant in played(football, 4):
        raw = football._core.observation()
        sides = [
            raw[f"{side}_team{what}"].ravel()
            for what in ("", "_direction")
            for side in ("left", "right")
        ]
        owned = np.eye(3)[raw["ball_owned_team"] + 1]
        np.testing.assert_array_equal(
            instant.state,
            np.concatenate([*sides, raw["ball"], raw["ball_direction"], owned]).astype(np.float32),
        )


@FOOTBALL
def test_who_stands_faces_where_it_last_moved_or_the_goal() -> None:
    for still, expected in (("last", -1.0), ("goal", 1.0)):
        football = Football("academy_3_vs_1_with_keeper", Options(still=still))
        football.reset(1)
        assert (football.view.facing[:, 0] == 1).all()
        for chosen in [1] * 8 + [14] * 20:  # run back, then let go
            football.step([0, 0, chosen, 0])
        assert (
            np.hypot(*football.view.motion[2]) < 1e-4
            and np.sign(football.view.facing[2, 0]) == expected
        )


@FOOTBALL
@every_task
def test_a_goal_and_all_rings_are_worth_two_and_the_score_is_the_goal(task: str) -> None:
    trail = episode(Football(task, Options()), SCORING[task])
    assert trail[-1].terminated and [i.gain for i in trail] == [0.0] * (len(trail) - 1) + [1.0]
    assert sum(i.reward[0] for i in trail) == pytest.approx(2.0)
    assert all(len(set(i.reward)) == 1 for i in trail)


@FOOTBALL
@every_task
def test_each_ring_is_paid_once_to_the_team(task: str) -> None:
    football = Football(task, Options())
    for seed in range(6):
        nearest, paid = 0, 0.0
        for instant in played(football, seed):
            view = football.view
            if view.team == 0:
                distance = float(np.hypot(view.ball[0] - 1, view.ball[1]))
                nearest = max(nearest, rings_reached(distance))
            paid += instant.reward[0]
            if instant.terminated:
                break
            assert paid == pytest.approx(0.1 * nearest)


def test_rings_lie_from_099_to_019_around_the_goal() -> None:
    distances = (1.0, 0.991, 0.98, 0.5, 0.2, 0.18, 0.0)
    assert [rings_reached(distance) for distance in distances] == [0, 0, 1, 6, 9, 10, 10]


@FOOTBALL
@every_task
def test_rings_counted_for_each_player_are_the_packages_checkpoints(task: str) -> None:
    from gfootball.env import config, football_env, wrappers

    football, n = Football(task, Options(checkpoints="player")), len(TASKS[task].left)
    level = {"level": f"partage_{task}", "players": [f"agent:left_players={n}"]}
    for seed in (0, 1, SCORING[task]):
        engine = {
            "game_engine_random_seed": seed % 2_000_000_000,
            "reverse_team_processing": bool(seed >> 40 & 1),
        }
        theirs = wrappers.CheckpointRewardWrapper(
            football_env.FootballEnv(config.Config(level | engine))
        )
        theirs.reset()
        for instant, chosen in zip(
            list(episode(football, seed))[1:], lively(seed, n), strict=False
        ):
            _, rewards, done, _ = theirs.step(chosen)
            assert (
                instant.reward[0] == pytest.approx(rewards.sum(), abs=1e-6)
                and instant.terminated == done
            )
        theirs.close()


@FOOTBALL
def test_an_episode_is_its_seed_whatever_was_played_before() -> None:
    football, other = (Football("academy_3_vs_1_with_keeper", Options()) for _ in range(2))
    one = [i.state for i in episode(football, 5)]
    episode(other, 6)
    for seed in (7, 1 << 40):  # another side first in the engine's turn
        episode(other, seed)
    again = [i.state for i in episode(other, 5)]
    assert len(one) == len(again) and all(
        np.array_equal(x, y) for x, y in zip(one, again, strict=True)
    )


@FOOTBALL
@pytest.mark.parametrize("seed", [3, 1 << 40 | 3])
def test_both_of_the_engines_seeds_are_set_for_every_episode(seed: int) -> None:
    football = Football("academy_3_vs_1_with_keeper", Options())
    football.reset(0)
    football.reset(seed)
    scenario = football._core._config.ScenarioConfig()
    assert scenario.game_engine_random_seed == seed % 2_000_000_000
    assert scenario.reverse_team_processing == bool(seed >> 40)


@FOOTBALL
@every_task
def test_a_saved_game_goes_on_exactly_elsewhere(task: str) -> None:
    football, other = (Football(task, Options()) for _ in range(2))
    moves = list(lively(SCORING[task], len(TASKS[task].left)))
    football.reset(SCORING[task])
    for chosen in moves[:10]:
        football.step(chosen)
    saved = football.save()
    episode(other, 1)
    other.load(saved)
    assert json.loads(other.save())["seed"] == SCORING[task]
    for chosen in moves[10:]:
        one, two = football.step(chosen), other.step(chosen)
        assert (
            np.array_equal(one.obs, two.obs)
            and one.reward == two.reward
            and one.terminated == two.terminated
        )
        if one.terminated:
            assert one.gain == 1
            return
    pytest.fail("this seed's episode ends with a goal")


@FOOTBALL
@pytest.mark.parametrize("time_limit", ["terminal", "truncation"])
def test_the_150th_step_is_the_last_and_the_option_names_that_end(time_limit: str) -> None:
    env = make("grf/academy_3_vs_1_with_keeper", [0], 6, engine="package", time_limit=time_limit)
    step, still = env.reset(), torch.zeros(1, 6, 4, dtype=torch.int64)
    for _ in range(HORIZON - 1):
        step = env.step(still)
    live = ~step.ended.clone()
    assert live.any() and not live.all()  # some lost the ball
    last = env.step(still)
    assert (last.terminated if time_limit == "terminal" else last.truncated)[
        live
    ].all() and not last.void.any()
    env.close()


def versions(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    """Pretend that these distributions are installed, in these versions."""

    def version(name: str) -> str:
        if name not in found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    listed = [SimpleNamespace(metadata={"Name": name}) for name in found]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: listed)


GOOD = {"gfootball": "2.10.2", "gym": "0.25.2"}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "needs gfootball 2.10.2, found none: run `make football`"),
        (GOOD | {"gfootball": "2.10.3"}, "needs gfootball 2.10.2, found 2.10.3"),
        (
            GOOD | {"gym": "0.26.2"},
            "gym 0.25.2, found 0.26.2 .*breaks gfootball's reward of checkpoints",
        ),
        (
            GOOD | {"pygame": "2.6.1", "pygame-ce": "2.5.8"},
            "pygame and pygame-ce are both installed, .*pip uninstall",
        ),
    ],
)
def test_an_installation_that_cannot_play_is_refused(
    found: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions(monkeypatch, **found)
    with pytest.raises(UserError, match=words):
        make("grf/academy_3_vs_1_with_keeper", [0], 1, engine="package")


def test_what_the_header_pins_is_what_an_installation_is_held_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pins(ENVS / "grf.py") == GOOD
    versions(monkeypatch, **GOOD, **{"pygame-ce": "2.5.8"})
    env = make("grf/academy_3_vs_1_with_keeper", [0], 2, engine="package")
    assert env.spec == Spec(4, 19, 26, 33, 150, common_reward=True)
    assert (
        make(
            "grf/academy_pass_and_shoot_with_keeper", [0], 2, agents=3, engine="package"
        ).spec.n_agents
        == 3
    )


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("academy_corner", {}, "Unknown task of grf 'academy_corner': known are academy_3_vs_1"),
        ("academy_3_vs_1_with_keeper", {"agents": 3}, "each of the 4 left players .* got agents=3"),
        (
            "academy_3_vs_1_with_keeper",
            {"engine": "batched"},
            "Unknown engine of grf 'batched': known are package",
        ),
        ("academy_3_vs_1_with_keeper", {"still": "spin"}, "known are goal, last"),
        ("academy_3_vs_1_with_keeper", {"wind": 1}, "Unknown option 'wind'"),
    ],
)
def test_what_does_not_exist_is_refused(task: str, options: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load("grf")(task, [0], 1, **options)
