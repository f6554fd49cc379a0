"""MDPS and SePS: how they begin, when they move, what they refuse."""

import pytest
import torch
from learning import Player, as_in_training, snapshot  # noqa: F401 (fixture)

from partage import envs
from partage.config import settings
from partage.distances import distance
from partage.errors import UserError
from partage.learners import FOLDER, _transitions, make, mdps, seps
from partage.nn.state import share
from partage.runs.sharing_points import moves


def of(player: Player, kind: type):
    assert isinstance(player.learner, kind)
    return player.learner


def test_mdps_begins_with_one_front_and_backs_of_their_own_and_measures_when_a_period_ends() -> (
    None
):
    player = Player("mdps", "roll_call/4x4-3", [0, 1], period=10, data=4)
    assert player.learner.sharing()["front"].tolist() == [[0] * 4] * 2
    assert player.learner.sharing()["back"].tolist() == [[0, 1, 2, 3]] * 2
    for _ in range(9):
        assert "distance/wasserstein" not in player.learner.learn(player.collect())
    assert player.learner.sharing()["front"].tolist() == [[0] * 4] * 2
    made = player.learner.learn(player.collect())
    assert made["distance/wasserstein"].shape == (2,) and (made["distance/wasserstein"] > 0).all()


def test_mdps_divides_agents_whose_policies_are_far_apart() -> None:
    player = Player("mdps", "roll_call/4x4-3", [0], period=10, data=4, fuse=1e-3).learn(10)
    assert len(set(player.learner.sharing()["front"][0].tolist())) > 1


def test_a_division_changes_no_policy() -> None:
    player = Player("mdps", "roll_call/4x4-3", [0, 1], period=10, data=4, fuse=1e-3).learn(10)
    learner = of(player, mdps.MDPS)
    obs = torch.randn(2, 3, 2, 4, player.env.spec.obs_dim)
    share(learner.base.net, front_of=torch.zeros(2, 4, dtype=torch.int64))
    before = learner.probabilities(obs, obs)
    learner._move(torch.tensor([True, True]))
    assert learner.base.net.front_of.unique().numel() > 1
    torch.testing.assert_close(learner.probabilities(obs, obs), before, rtol=0, atol=1e-6)


def test_without_a_rule_sharing_stays_and_all_five_distances_are_measured() -> None:
    player = Player("nps-measured", "roll_call/4x4-3", [0], period=10, data=4).learn(9)
    measures = player.learner.learn(player.collect())
    assert {name for name in measures if name.startswith("distance/")} == {
        f"distance/{kind}"
        for kind in (
            "wasserstein",
            "bhattacharyya",
            "hellinger",
            "vanilla_bhattacharyya",
            "vanilla_hellinger",
        )
    }
    assert player.learner.sharing()["front"].tolist() == [[0, 1, 2, 3]]


def test_a_customised_distance_tells_the_task_s_own_feature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    player = Player("mdps", "roll_call/4x4-3", [0, 1], period=2, data=2, feature="task")
    told, learn = [], distance.learn

    def spy(pooled: distance.Experience, generators: list) -> distance.Code:
        told.append(pooled.target)
        return learn(pooled, generators)

    monkeypatch.setattr(distance, "learn", spy)
    for _ in range(2):
        rollout = player.collect()
        player.learner.learn(
            rollout._replace(feature=torch.arange(2.0).view(2, 1, 1).expand_as(rollout.feature))
        )
    assert told[0].shape[-1] == 1 and told[0][0].eq(0).all() and told[0][1].eq(1).all()


def test_equally_initialised_networks_start_nothing_apart() -> None:
    task = envs.make("roll_call/4x4-3", [0], 1)
    for same in (True, False):
        learner = make("a2c", task.spec, {"sharing": "none", "same_init": same}, [0, 1])
        probs = learner.probabilities(
            torch.ones(2, 1, 1, 4, task.spec.obs_dim), torch.zeros(2, 1, 1, 4)
        )
        assert torch.allclose(probs[:, 0, 0, :1].expand(-1, 4, -1), probs[:, 0, 0]) == same
        assert not torch.allclose(probs[0], probs[1])  # runs differ all the same


def test_seps_trains_nothing_before_it_clusters_and_then_does() -> None:
    player = Player("seps", "mpe/15a_3c_shuffle", [0], pretraining=10, data=5)
    start = snapshot(player.learner)
    player.learn(9)
    assert player.learner.sharing()["front"].unique().tolist() == [0]
    player.learn(1)
    assert player.learner.sharing()["front"].unique().numel() == 2  # as many as `clusters`
    assert all(torch.equal(x, start[name]) for name, x in snapshot(player.learner).items())
    player.learn(1)
    assert not all(torch.equal(x, start[name]) for name, x in snapshot(player.learner).items())


def test_seps_finds_the_colours_where_agents_see_differently() -> None:
    player = Player("seps", "mpe/15a_3c_shuffle", [0], clusters=0, pretraining=100, data=100).learn(
        100
    )
    assert player.learner.sharing()["front"].tolist() == [[0] * 5 + [1] * 5 + [2] * 5]


@pytest.mark.parametrize("data", [1, 3, 4, 7, 9])
def test_seps_keeps_as_many_updates_as_it_says(data: int) -> None:
    player = Player("seps", "mpe/15a_3c", [0], pretraining=10, data=data).learn(9)
    assert len(of(player, seps.SePS).experience) == data - 1  # the last comes with the clustering


def test_seps_learns_nothing_from_the_dead_and_across_ends() -> None:
    player = Player("seps", "roll_call/4x4-3", [0], pretraining=10, data=10)
    rollout = player.collect()
    rollout.alive[:, 0, 0, 1] = False
    *_, valid = _transitions.of(rollout, player.env.spec.n_actions)
    ended = int(rollout.terminated.sum())
    assert ended > 0 and int((~valid).sum()) == 4 * ended + (not rollout.terminated[0, 0, 0])


@pytest.mark.parametrize(
    ("learner", "wrong", "words"),
    [
        ("mdps", {"fuse": 0.0}, "fuse > 0"),
        ("mdps", {"fuse": float("nan")}, "from 0 on, but is nan"),
        ("mdps", {"fuse_back": -1.0}, "from 0 on, but is -1"),
        ("mdps", {"fuse_back": 0.0}, "fuse_back > 0"),
        ("mdps", {"data": 1, "copies": 6}, "at least 128 valid observations .*has 120"),
        ("seps", {"data": 1, "copies": 6}, "SePS needs at least 128 valid observations .*has 120"),
        ("mdps", {"data": 3000}, "1 <= data <= 2000, not 3000"),
        ("mdps", {"sharing": "full"}, "front or none, not 'full'"),
        ("seps", {"clusters": 9}, "to 4, but is 9"),
        ("seps", {"data": 9000}, "1 to 2000, not 9000"),
        ("seps", {"sharing": "none"}, "sharing is full"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_sentence(
    learner: str, wrong: dict, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        make(learner, envs.make("roll_call/4x4-3", [0], 1).spec, wrong, [0])


def test_seps_wants_the_number_of_clusters_for_two_agents() -> None:
    with pytest.raises(UserError, match="give clusters"):
        make("seps", envs.make("roll_call/2x2-2", [0], 1).spec, {}, [0])


def test_a_learner_s_settings_may_build_on_another_s() -> None:
    base, own = settings.read(FOLDER / "a2c.py"), settings.read(FOLDER / "mdps.py")
    assert base.keys() < own.keys()
    assert own["sharing"].choices == base["sharing"].choices and own["sharing"].default == "front"


def test_every_learner_on_qmix_has_qmix_s_settings() -> None:
    qmix = settings.read(FOLDER / "qmix.py")
    for name in ("bdps", "cds", "eoi", "rode", "ldsa", "roma"):
        assert qmix.keys() < settings.read(FOLDER / f"{name}.py").keys(), name


def test_moves_name_who_was_joined_and_who_was_left() -> None:
    assert list(moves([0, 0, 0], [0, 1, 1])) == [("divide", 1, 0), ("divide", 2, 0)]
    assert list(moves([0, 1, 2], [0, 0, 2])) == [("fuse", 1, 0)]
    assert list(moves([0, 1], [0, 1])) == []
