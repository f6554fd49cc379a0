"""HetDPS by hand: who is clustered with whom, whose network goes where, what noise looks like."""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training, optimisers, same, snapshot  # noqa: F401 (a fixture)
from torch import Tensor

from partage import learners
from partage.distances.distance import wasserstein
from partage.errors import UserError
from partage.learners import _meta_transition, hetdps
from partage.learners._clustering import exemplars, silhouette
from partage.nn.state import share
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.relabel import relabel, shares
from partage.sims.contract import Spec

SPEC = Spec(4, n_actions=3, obs_dim=5, state_dim=12, horizon=6, common_reward=True)
# 0 and 1 are alike, and so are 2 and 3
PAIRS = torch.where(torch.block_diag(*[torch.ones(2, 2)] * 2) > 0, 0.1, 1.0).fill_diagonal_(0)
SOON: dict[str, Any] = {"period": 4, "data": 4}


def noise(points: int, seed: int) -> Tensor:
    """Distances that are alike but for noise."""
    drawn = torch.randn(points, points, generator=torch.Generator().manual_seed(seed))
    return (1 + 0.1 * (drawn + drawn.T)).fill_diagonal_(0)


def of(player: Player) -> hetdps.HetDPS:
    assert isinstance(player.learner, hetdps.HetDPS)
    return player.learner


# ---- clusters ------------------------------------------------------------------------------------


def test_two_pairs_are_two_clusters_which_is_the_best_net_similarity() -> None:
    """Preference -0.55: two exemplars give -1.3, one -2.65, three -1.75, four -2.2."""
    assert float((-PAIRS).quantile(0.5)) == pytest.approx(-0.55)
    labels = exemplars(PAIRS, 0)
    assert labels is not None and assignment.by(labels).tolist() == [[0, 0, 1, 1]]
    assert silhouette(PAIRS, labels) == pytest.approx(0.9)


def test_all_equally_far_apart_are_one_cluster_but_two_agents_are_always_two() -> None:
    assert exemplars((1 - torch.eye(5)) * 0.3, 0) == [0] * 5
    assert exemplars(torch.zeros(5, 5), 0) == [0] * 5
    assert len(set(exemplars((1 - torch.eye(2)) * 1e-6, 0) or [])) == 2
    assert silhouette(PAIRS, [0] * 4) == silhouette(PAIRS, [0, 1, 2, 3]) == 0


def test_noise_alone_is_cut_into_four_to_six_clusters_whatever_its_size() -> None:
    counts = {}
    for points in (15, 30):
        found = [exemplars(noise(points, seed), 0) for seed in range(20)]
        again = [exemplars(1000 * noise(points, seed), 0) for seed in range(5)]
        assert again == found[:5], "how large distances are makes no difference"
        counts[points] = sum(len(set(labels or [])) for labels in found) / len(found)
        assert all(silhouette(noise(points, k), x) < 0.15 for k, x in enumerate(found) if x)
    assert 3 < counts[15] < 5 and 5 < counts[30] < 7, counts


def test_clear_groups_are_found_beside_noise_of_a_third_of_their_distance() -> None:
    groups = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2] + [3] * 12 + [4] * 9)
    far = (groups[:, None] != groups).float()
    for seed in range(5):
        distance = (0.3 * noise(30, seed).abs() + far).fill_diagonal_(0)
        labels = exemplars(distance, seed)
        assert labels is not None and assignment.by(labels)[0].tolist() == groups.tolist()


# ---- relabelling ---------------------------------------------------------------------------------


def test_as_many_clusters_keep_the_networks_they_are_matched_to() -> None:
    assert relabel([0, 0, 2, 2], [5, 1, 1, 1]) == ([0, 2, 2, 2], {}, {})
    assert relabel([3, 3, 1, 0], [0, 0, 1, 2]) == ([3, 3, 1, 0], {}, {})


def test_a_cluster_too_many_begins_as_a_copy_in_a_set_that_nobody_uses() -> None:
    moved = relabel([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 2])
    assert moved == ([0, 0, 0, 1, 1, 2], {2: {1: 1}}, {})
    assert relabel([0] * 4, [0, 1, 1, 2]).copies == {1: {0: 1}, 2: {0: 1}}, "the first time"


def test_networks_of_clusters_that_come_together_are_merged_by_agents() -> None:
    assert relabel([0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 1]) == (
        [0, 0, 0, 0, 2, 2],
        {},
        {0: {0: 2, 1: 2}},
    )
    assert relabel([0, 0, 0, 1], [0] * 4).merges == {0: {0: 3, 1: 1}}


def test_a_match_without_an_agent_in_both_is_none() -> None:
    old, new = [0, 0, 0, 0, 0, 0, 1, 2], [0, 0, 1, 1, 2, 2, 0, 0]
    sets, copies, merges = relabel(old, new)
    for target, parts in copies.items():
        assert parts == {0: 2}, f"set {target} is not of those that use it"
    (kept,) = merges
    assert merges[kept] == {kept: merges[kept][kept], **dict.fromkeys({1, 2} - {kept}, 1)}
    assert len(set(sets)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_after_any_clustering_agents_share_as_clustered_and_every_set_has_an_origin(
    seed: int,
) -> None:
    drawn = torch.Generator().manual_seed(seed)
    for _ in range(60):
        n = int(torch.randint(1, 8, (), generator=drawn))
        old, new = torch.randint(n, (2, n), generator=drawn).tolist()
        sets, copies, merges = relabel(old, new)
        assert assignment.by(sets).tolist() == assignment.by(new).tolist()
        assert set(sets) <= set(range(n)) and not copies.keys() & merges.keys()
        assert set(sets) <= set(old) | copies.keys()
        for target, parts in {**copies, **merges}.items():
            came = [o for o, s in zip(old, sets, strict=True) if s == target]
            assert parts == {source: came.count(source) for source in parts}
            assert all(parts.values())


def test_a_merged_set_is_a_mean_or_one_of_them() -> None:
    three = {4: 1, 2: 3}
    assert shares(three, "weighted", 0.0) == {4: 0.25, 2: 0.75}
    assert shares(three, "average", 0.0) == {4: 0.5, 2: 0.5}
    assert shares(three, "majority", 0.0) == {2: 1.0}
    assert [shares(three, "random", x) for x in (0.49, 0.5)] == [{4: 1.0}, {2: 1.0}]


# ---- networks ------------------------------------------------------------------------------------


def test_weights_and_moments_are_merged_and_a_split_changes_no_policy() -> None:
    learner = of(Player("hetdps", "roll_call/4x4-3", [0, 1], **SOON).learn(4))
    (optimiser,) = optimisers(learner)
    net = learner.base.net
    for number, flat in enumerate(optimiser._values_and_moments()):
        for part, p in zip(optimiser._parts(flat), optimiser.parameters, strict=True):
            of_sets = torch.tensor([1.0, 3.0, 5.0, 7.0]) + 10 * number
            part.view_as(p)[1] = of_sets.view(4, *[1] * (p.dim() - 2))
    before = snapshot(learner)
    optimiser.mix_sets(net, 1, {0: {0: 0.5, 1: 0.5}, 1: {0: 1.0}})
    for number, flat in enumerate(optimiser._values_and_moments()):
        for part, p in zip(optimiser._parts(flat), optimiser.parameters, strict=True):
            now = part.view_as(p)[1].flatten(1)[:, 0] - 10 * number
            assert now.tolist() == [2, 1, 5, 7], "all at once: set 1 is what set 0 was"
    assert all(torch.equal(p[0], before[name][0]) for name, p in snapshot(learner).items())


def test_who_parts_acts_as_before_to_the_bit() -> None:
    learner = of(Player("hetdps", "roll_call/4x4-3", [0], period=50, data=4).learn(3))
    obs = torch.randn(1, 3, 2, 4, learner.spec.obs_dim)
    assert learner.base.net.front_of.tolist() == [[0] * 4]
    before, learner.seeds = learner.probabilities(obs, obs), [0]
    learner._move(0, PAIRS)
    assert assignment.partition(learner.base.net.front_of).tolist() == [[0, 0, 1, 1]]
    assert torch.equal(learner.base.net.front_of, learner.base.net.back_of)
    assert torch.equal(learner.probabilities(obs, obs), before)


def test_affinities_that_come_to_no_rest_leave_clusters_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = of(Player("hetdps", "roll_call/4x4-3", [0], **SOON))
    learner.seeds = [0]
    learner._move(0, PAIRS)
    start = learner.base.net.front_of.clone()
    assert start.unique().numel() == 2
    monkeypatch.setattr(hetdps, "exemplars", lambda *_: None)
    learner._move(0, noise(4, 3))
    assert torch.equal(learner.base.net.front_of, start)


# ---- meta-transitions ----------------------------------------------------------------------------


def transitions(runs: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Four agents pushed about; the last two observe the axes in reverse order."""
    drawn = torch.Generator().manual_seed(5)
    place = torch.randn(4, count, 4, generator=drawn)
    act = torch.randint(2, (4, count), generator=drawn)
    push = torch.tensor([1.0, 0.5, 0, 0]) * (2 * act - 1)[..., None]
    after = place + push
    place[2:], after[2:] = place[2:].flip(-1), after[2:].flip(-1)
    known = torch.cat((place, torch.nn.functional.one_hot(act).float()), -1)
    predicted = torch.cat((after, 0 * after[..., :1]), -1)
    valid = torch.ones(4, count, 1, dtype=torch.bool)
    return tuple(x.expand(runs, *x.shape).contiguous() for x in (known, predicted, valid))  # type: ignore[return-value]


def test_gaussians_five_apart_are_five_apart() -> None:
    mean = torch.zeros(2, 10)
    mean[1, :2] = torch.tensor([3.0, 4.0])
    assert wasserstein(mean, torch.ones(2, 10)).tolist() == [[0, 5], [5, 0]]


@pytest.fixture(scope="module")
def turned() -> _meta_transition.Measured:
    return _meta_transition.measure(transitions(2, 4000), generators([7, 8]), slice(None), False)


def test_agents_that_see_axes_turned_round_are_far_from_those_that_do_not(
    turned: _meta_transition.Measured,
) -> None:
    for distance in turned.distance:
        within = (distance[0, 1] + distance[2, 3]) / 2
        assert within < 0.5 * distance[:2, 2:].mean()
        labels = exemplars(distance, 0)
        assert labels is not None and assignment.by(labels).tolist() == [[0, 0, 1, 1]]


def test_a_measurement_is_the_same_alone_and_in_a_pack_to_the_bit(
    turned: _meta_transition.Measured,
) -> None:
    alone = _meta_transition.measure(transitions(1, 4000), generators([8]), slice(None), False)
    assert torch.equal(alone.distance[0], turned.distance[1])
    assert torch.equal(alone.divergence[0], turned.divergence[1])
    assert (turned.divergence > 0.1).all()


@pytest.mark.parametrize(("own", "at"), [(0, "front"), (4, "front"), (3, "end")])
def test_what_is_known_is_the_own_state_and_act_and_rewards_count_as_much_as_observations(
    own: int, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Tensor] = []

    def fit(*told_of: Any) -> Any:
        told.extend(told_of[:3])
        raise InterruptedError

    monkeypatch.setattr(_meta_transition.codes, "fit", fit)
    player = Player("hetdps", "mpe/15a_3c", [0], **SOON, own=own, own_at=at)
    with pytest.raises(InterruptedError):
        player.learn(4)
    given, seen, target = told
    obs, actions = player.env.spec.obs_dim, player.env.spec.n_actions
    assert seen.shape[-1] == (own or obs) + actions and given.shape[-1] == 15 + seen.shape[-1]
    assert target.shape[-1] == 2 * obs and (target[..., obs:] == target[..., -1:]).all()
    if own == 4:  # velocity and position: they move by a tenth of the velocity that comes
        assert torch.allclose(target[..., 2:4] - seen[..., 2:4], 0.1 * target[..., :2], atol=1e-6)


# ---- learning ------------------------------------------------------------------------------------


def test_it_begins_as_full_sharing_and_moves_when_a_period_ends() -> None:
    player = Player("hetdps", "mpe/15a_3c", [0, 1], **SOON)
    for _ in range(3):
        assert "distance/meta" not in player.learner.learn(player.collect())
    assert player.learner.sharing()["front"].unique().tolist() == [0]
    found = player.learner.learn(player.collect())
    assert found.keys() >= {"distance/meta", "code_divergence", "silhouette", "entropy"}
    assert (found["distance/meta"] > 0).all() and (found["silhouette"].abs() <= 1).all()
    assert torch.equal(player.learner.sharing()["front"], player.learner.sharing()["back"])
    assert player.learner.sharing()["front"].unique().numel() > 1


def test_four_equals_are_split_by_affinities_and_not_by_a_threshold() -> None:
    """On roll call all see the same and are paid alike: what differs is noise."""
    sets = {}
    for variant in ("hetdps", "hetdps-threshold"):
        player = Player(variant, "roll_call/4x4-3", [0, 1], period=40, data=40).learn(40)
        sets[variant] = assignment.sets_in_use(player.learner.sharing()["front"]).tolist()
    assert min(sets["hetdps"]) > 1 and sets["hetdps-threshold"] == [1, 1]


def test_colours_that_see_in_orders_of_their_own_are_the_clusters() -> None:
    for variant in ("hetdps", "hetdps-threshold"):
        player = Player(variant, "mpe/15a_3c_shuffle", [0], period=100, data=100, own=0).learn(100)
        found = assignment.partition(player.learner.sharing()["front"])
        assert found.tolist() == [[0] * 5 + [1] * 5 + [2] * 5], variant
        assert of(player).measured["silhouette"].item() > 0.5


def test_clustering_is_the_same_alone_in_a_pack_and_after_a_resume_to_the_bit() -> None:
    alone, pack = (Player("hetdps", "mpe/15a_3c", seeds, **SOON) for seeds in ([3], [2, 3]))
    other = Player("hetdps", "mpe/15a_3c", [8, 9], **SOON).learn(1)
    alone.learn(10), pack.learn(6)
    other.learner.load_state_dict(pack.learner.state_dict())
    other.step, other.memory = other.env.load_state_dict(pack.env.state_dict()), pack.memory
    pack.learn(4), other.learn(4)
    assert same(snapshot(pack.learner), snapshot(other.learner))
    mine, theirs = snapshot(alone.learner), snapshot(pack.learner)
    assert all(torch.equal(p[0], theirs[name][1]) for name, p in mine.items())
    for name, x in of(alone).measured.items():
        assert torch.equal(x[0], of(pack).measured[name][1]), name
    sharing = [x.learner.sharing()["front"] for x in (alone, pack)]
    assert torch.equal(sharing[0][0], sharing[1][1]) and sharing[0].unique().numel() > 1


def test_a_run_that_met_too_little_keeps_its_clusters_and_one_without_numbers_says_so() -> None:
    player = Player("hetdps", "mpe/15a_3c", [0, 1, 2], **SOON).learn(3)
    learner = of(player)
    there = torch.arange(15).remainder(3).expand(3, 15).contiguous()
    share(learner.base.net, front_of=there, back_of=there)
    last = player.collect()
    last.reward[2, 0, 0, 0] = torch.nan
    for *_, valid in learner.experience:
        valid[1] = False
    last.alive[1] = False
    learner.learn(last)
    assert torch.equal(learner.base.net.front_of[1:], there[1:])
    assert not torch.equal(learner.base.net.front_of[0], there[0])
    found = learner.measured["distance/meta"]
    assert found[0] > 0 and found[1] == 0 and found[2].isnan()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"data": 3000}, "1 <= data <= 2000, not 3000"),
        ({"data": 1, "copies": 6}, "HetDPS needs at least 128 valid observations .*has 120"),
        ({"own": 6}, r"own is 0 \(all\) to 5 on this task, but is 6"),
        ({"clusters": "threshold", "fuse": 0.0}, "below a distance fuse > 0, but it is 0"),
        ({"sharing": "none"}, "sharing is full, not 'none'"),
        ({"budget": 70_000}, "after 80,000 env steps .* but a run has 70,000"),
        ({"merge": "best"}, "one of 'weighted', 'average'"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_sentence(wrong: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        learners.make("hetdps", SPEC, wrong, [0])


def test_one_agent_alone_is_refused() -> None:
    with pytest.raises(UserError, match="two of them at least"):
        learners.make("hetdps", SPEC._replace(n_agents=1), {}, [0])
