"""Policy distance and Algorithm 1 on anybody's arrays: what comes back, and what is refused."""

import math

import numpy as np
import pytest
import torch

import partage
from partage.distances.distance import CODED, VANILLA
from partage.errors import UserError
from partage.sharing import assignment
from partage.sharing import fuse_divide as rules

AGENTS, COUNT, ACTIONS, SIZE = 4, 300, 3, 5


def policies(count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    """Four agents: 0 and 1 act alike, 2 and 3 otherwise. Returns probs [N, S, A], obs [S, O]."""
    obs = np.random.default_rng(0).normal(size=(count, SIZE))
    logits = np.stack((3 * obs[:, 0], -3 * obs[:, 0], obs[:, 1]), 1)
    left = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = left[:, ::-1]
    return np.stack((left, left, right, right)), obs


@pytest.mark.parametrize("kind", [*CODED, *VANILLA])
def test_agents_that_act_alike_are_near_and_others_far(kind: str) -> None:
    found = partage.policy_distance(*policies(), kind=kind)
    assert isinstance(found, np.ndarray) and found.shape == (4, 4)
    assert np.array_equal(found, found.T) and not np.diagonal(found).any()
    assert found[0, 1] < 1e-3 and found[2, 3] < 1e-3 and found[0, 2] > 100 * found[0, 1]


def test_tensors_lists_and_arrays_give_the_same_and_tensors_give_a_tensor() -> None:
    probs, obs = policies()
    of_arrays = partage.policy_distance(probs, obs)
    tensors = torch.tensor(probs, requires_grad=True), torch.tensor(obs, dtype=torch.float64)
    of_tensors = partage.policy_distance(*tensors)
    assert isinstance(of_tensors, torch.Tensor)
    assert np.array_equal(of_tensors.numpy(), of_arrays)
    assert np.array_equal(partage.policy_distance(probs.tolist(), obs.tolist()), of_arrays)


def test_a_seed_draws_the_code_and_nothing_else_is_drawn() -> None:
    before = torch.get_rng_state()
    first, again, other = (partage.policy_distance(*policies(), seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_not_valid_does_not_count() -> None:
    probs, obs = policies()
    valid = np.arange(COUNT) % 3 != 0
    clean = partage.policy_distance(probs, obs, valid=valid)
    spoilt_probs, spoilt_obs = probs.copy(), obs.copy()
    spoilt_probs[:, ~valid], spoilt_obs[~valid] = 7.0, 1e3
    assert np.array_equal(partage.policy_distance(spoilt_probs, spoilt_obs, valid=valid), clean)
    broken = np.where(valid[:, None], obs, np.nan)
    assert np.isfinite(partage.policy_distance(probs, broken, valid=valid)).all()


def test_a_target_is_what_the_code_tells() -> None:
    probs, obs = policies()
    same = partage.policy_distance(probs, obs, target=probs[np.arange(COUNT) % 4, range(COUNT)])
    assert np.array_equal(same, partage.policy_distance(probs, obs))
    other = partage.policy_distance(probs, obs, target=obs[:, :1])
    assert not np.array_equal(other, same)


def spoilt(what: str) -> dict:
    """Arguments of `policy_distance` with one thing wrong."""
    probs, obs = policies()
    valid = np.ones(COUNT, bool)
    negative, one_nan = probs.copy(), obs.copy()
    negative[0, 3], one_nan[7, 0] = (1.5, -0.5, 0.0), math.nan
    return {
        "order SNA": {"probs": probs.swapaxes(0, 1), "obs": obs},
        "order NAS": {"probs": probs.swapaxes(1, 2), "obs": obs},
        "order ASN": {"probs": probs.transpose(2, 1, 0), "obs": obs},
        "torch order": {"probs": torch.tensor(probs).swapaxes(0, 1), "obs": torch.tensor(obs)},
        "order OS": {"probs": probs, "obs": obs.T},
        "own obs": {"probs": probs, "obs": np.stack([obs] * AGENTS)},
        "flat": {"probs": probs[0], "obs": obs},
        "lengths": {"probs": probs[:, :200], "obs": obs},
        "logits": {"probs": np.log(probs) + 1, "obs": obs},
        "logits, all positive": {"probs": np.exp(probs), "obs": obs},
        "negative": {"probs": negative, "obs": obs},
        "nan": {"probs": probs, "obs": one_nan},
        "nan probs": {"probs": np.where(probs > 0.9, np.nan, probs), "obs": obs},
        "words": {"probs": [["a"]], "obs": obs},
        "few": {"probs": probs[:, :100], "obs": obs[:100]},
        "few valid": {"probs": probs, "obs": obs, "valid": np.arange(COUNT) < 127},
        "none valid": {"probs": probs, "obs": obs, "valid": ~valid},
        "one agent": {"probs": probs[:1], "obs": obs},
        "kind": {"probs": probs, "obs": obs, "kind": "waserstein"},
        "no such kind": {"probs": probs, "obs": obs, "kind": "vanilla_wasserstein"},
        "valid shape": {"probs": probs, "obs": obs, "valid": np.ones((AGENTS, COUNT))},
        "valid numbers": {"probs": probs, "obs": obs, "valid": np.full(COUNT, 0.5)},
        "target shape": {"probs": probs, "obs": obs, "target": np.ones(COUNT)},
        "target nan": {"probs": probs, "obs": obs, "target": one_nan},
    }[what]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("order SNA", r"order \[S, N, A\], but \[N, S, A\] .*probs.transpose\(1, 0, 2\)"),
        ("order NAS", r"order \[N, A, S\], but \[N, S, A\] .*probs.transpose\(0, 2, 1\)"),
        ("order ASN", r"order \[A, S, N\], but \[N, S, A\] .*probs.transpose\(2, 1, 0\)"),
        ("torch order", r"order \[S, N, A\], .*probs.permute\(1, 0, 2\)"),
        ("order OS", r"obs has its axes in the order \[O, S\].*obs.T"),
        ("own obs", r"obs is \[S, O\].*the shape \[4, 300, 5\]: lay what each agent met"),
        ("flat", r"probs is \[N, S, A\].*shapes are \[300, 3\] and \[300, 5\]"),
        ("lengths", r"tells of 200 observations, but obs \[S, O\] holds 300"),
        ("logits", "is among them: if these are logits, give their softmax"),
        ("logits, all positive", "1200 of 1200 do not .*logits, give their softmax"),
        ("negative", "but -0.5 is among them"),
        ("nan", "1 of 1500 numbers in obs are NaN or infinite"),
        ("nan probs", "numbers in probs are NaN or infinite"),
        ("words", "probs is an array of numbers, but is none"),
        ("few", "at least 128 valid observations, but there are 100"),
        ("few valid", "at least 128 valid observations, but there are 127"),
        ("none valid", "No observation is valid"),
        ("one agent", "two agents at least, but probs has only one"),
        ("kind", "Unknown distance 'waserstein': did you mean 'wasserstein'"),
        ("no such kind", "There is no vanilla Wasserstein distance"),
        ("valid shape", r"valid is \[S\].*its shape is \[4, 300\]"),
        ("valid numbers", "valid holds True and False"),
        ("target shape", r"target is \[S, C\].*its shape is \[300\]"),
        ("target nan", "1 of 1500 numbers in target are NaN"),
    ],
)
def test_what_no_distance_can_be_measured_on_is_refused_in_one_sentence(
    what: str, says: str
) -> None:
    with pytest.raises(UserError, match=says) as refused:
        partage.policy_distance(**spoilt(what))
    assert "\n" not in str(refused.value)


def test_a_kind_without_a_code_takes_few_observations() -> None:
    probs, obs = policies(2)
    assert partage.policy_distance(probs, obs, kind="vanilla_hellinger")[0, 2] > 0


def distances(runs: int = 3, agents: int = 5) -> torch.Tensor:
    points = torch.randn(runs, agents, 2, generator=torch.Generator().manual_seed(0))
    return 3 * torch.cdist(points, points)


def test_algorithm_1_takes_one_run_or_several_arrays_or_tensors() -> None:
    d, none = distances(), assignment.none(3, 5)
    d = (d + d.transpose(1, 2)) / 2
    full = assignment.full(3, 5)
    front, back, moves = rules.fuse_divide(d, full, none, 1.0, 0.5, 2.0)
    ours = partage.fuse_divide(d, full, none, fuse=1.0)
    assert torch.equal(ours[0], front) and torch.equal(ours[1], back) and ours[2] == moves
    for r in range(3):
        alone = partage.fuse_divide(d[r].numpy(), full[r].numpy(), none[r].tolist())
        assert isinstance(alone[0], np.ndarray) and alone[0].dtype == np.int64
        assert alone[0].tolist() == front[r].tolist() and alone[1].tolist() == back[r].tolist()
        assert [move._replace(run=r) for move in alone[2]] == [m for m in moves if m.run == r]


def test_thresholds_are_multiples_of_fuse_and_given_arrays_stay_as_they_are() -> None:
    d = np.array([[0, 1.5, 3], [1.5, 0, 3], [3, 3, 0]])
    front, back = np.zeros(3, int), np.arange(3)
    after = partage.fuse_divide(d, front, back, fuse=1.6, fuse_back=1.0, divide=1.8)
    assert after[0].tolist() == [0, 0, 1] and after[1].tolist() == [0, 0, 2]
    assert front.tolist() == [0, 0, 0] and back.tolist() == [0, 1, 2]
    division = [move for move in after[2] if move.source != move.target]
    assert [(move.agent, move.source, move.target) for move in division] == [(2, 0, 1)]
    far = np.where(np.eye(3), 0, np.inf)  # vanilla distances may be infinite
    assert partage.fuse_divide(far, front, back)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"distances": np.zeros((3, 4))}, r"its shape is \[3, 4\]"),
        ({"distances": np.zeros((1, 1)), "front": [0], "back": [0]}, "two agents at least"),
        ({"distances": np.array([[0, -1.0], [-1, 0]])}, "some are negative or NaN"),
        ({"distances": np.full((2, 2), np.nan)}, "some are negative or NaN"),
        ({"distances": np.ones((2, 2))}, "diagonal of distances is not 0"),
        ({"distances": np.array([[0, 1.0], [2, 0]])}, "not symmetric"),
        ({"front": [0, 0, 0]}, r"its shape is \[2\] beside distances \[2, 2\], but is \[3\]"),
        ({"back": [[0, 0]]}, r"back has a set for each agent"),
        ({"back": [0, 2]}, "sets from 0 to 1, as many as agents, but has 0 to 2"),
        ({"front": [0.0, 1.0]}, "holds the numbers of sets, whole ones"),
        ({"fuse": 0.0}, "fuse > 0"),
        ({"fuse": math.nan}, "fuse > 0"),
        ({"fuse_back": -1.0}, "fuse_back > 0"),
        ({"divide": 0.5}, "divide, a multiple of fuse, is at least 1.0, but is 0.5"),
    ],
)
def test_what_algorithm_1_cannot_move_by_is_refused(change: dict, says: str) -> None:
    given = {"distances": np.zeros((2, 2)), "front": [0, 1], "back": [0, 1]} | change
    with pytest.raises(UserError, match=says):
        partage.fuse_divide(**given)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"back": [[0], [0, 1]]}, "back holds the numbers of sets, but is none"),
        ({"front": ["a", "b"]}, "front holds the numbers of sets, but is none"),
        ({"distances": np.zeros((2, 2), complex)}, "distances holds real numbers"),
    ],
)
def test_what_is_no_array_of_sets_or_distances_is_refused_in_one_sentence(
    change: dict, says: str
) -> None:
    given = {"distances": np.zeros((2, 2)), "front": [0, 1], "back": [0, 1]} | change
    with pytest.raises(UserError, match=says):
        partage.fuse_divide(**given)


def test_a_sparse_tensor_is_read_and_complex_numbers_are_not() -> None:
    d, sets = torch.tensor([[0, 3.0], [3, 0]]), torch.tensor([0, 0])
    dense = partage.fuse_divide(d, sets, torch.tensor([0, 1]))
    assert torch.equal(partage.fuse_divide(d.to_sparse(), sets, torch.tensor([0, 1]))[0], dense[0])
    probs, obs = policies()
    with pytest.raises(UserError, match="obs holds real numbers"):
        partage.policy_distance(probs, obs + 0j, kind="vanilla_hellinger")


def test_nothing_to_compare_is_refused() -> None:
    probs, obs = policies()
    for what in ({"obs": obs[:, :0]}, {"probs": probs[..., :0]}):
        with pytest.raises(UserError, match="There are actions and numbers of an observation"):
            partage.policy_distance(**({"probs": probs, "obs": obs} | what))
    with pytest.raises(UserError, match=r"target is \[S, C\]"):
        partage.policy_distance(probs, obs, target=np.zeros((len(obs), 0)))


def test_a_code_that_went_astray_is_no_distance() -> None:
    probs, obs = policies()
    with pytest.raises(UserError, match="observations and targets are best of size 1"):
        partage.policy_distance(probs, obs * 1e30)
