"""ROMA by hand: the losses of roles, the policies that roles generate, and what is drawn when."""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training  # noqa: F401 (a fixture)
from padded import SPEC, batch, noise, padding_moves_nothing
from torch import Tensor

from partage import learners
from partage.errors import UserError
from partage.learners import _roma
from partage.learners._off_policy import previous_actions
from partage.learners._roma import Gaussian
from partage.learners.roma import ROMA


def learner(seeds: list[int], **settings: Any) -> ROMA:
    made = learners.make("roma", SPEC, {"hidden": 8, "units": 6, **settings}, seeds)
    assert isinstance(made, ROMA)
    return made


def gaussian(mean: float, variance: float = 1.0) -> Gaussian:
    return Gaussian(torch.full((1, 3), mean), torch.full((1, 3), variance))


def test_a_role_pays_for_its_entropy_and_for_what_memory_did_not_guess() -> None:
    entropy = _roma.identifiable(gaussian(0), gaussian(0), 1.0, 0.0)  # H = 4.2568
    assert entropy.expm1().log().item() == pytest.approx(4.2568, abs=1e-4)
    apart = _roma.identifiable(gaussian(0), gaussian(1), 0.0, 1.0)  # KL = 1.5
    assert apart.expm1().log().item() == pytest.approx(1.5, abs=1e-5)
    wider = _roma.identifiable(gaussian(0), gaussian(0, 2.0), 0.0, 1.0)  # 3 (ln 2 - 1/2) / 2
    assert wider.expm1().log().item() == pytest.approx(0.28972, abs=1e-4)
    both = _roma.identifiable(gaussian(0), gaussian(1), 1e-4, 1e-4)
    assert both.item() == pytest.approx(0.693435, abs=1e-6)


def test_a_role_is_likeliest_where_it_is_drawn_from_and_the_unlikely_is_cut_off() -> None:
    roles = Gaussian(torch.tensor([[0.0, 0], [4, 4]]), torch.ones(2, 2))
    alike = _roma.likeness(roles, torch.tensor([[0.0, 0], [100, 4]]))
    by_hand = [[12.98106, -13.9 / 2 + (12.98106 - 8) / 2], [12.98106 - 8, (12.98106 - 13.9) / 2]]
    torch.testing.assert_close(alike, torch.tensor(by_hand), rtol=1e-5, atol=1e-5)


def test_two_roles_are_to_be_alike_or_else_unlike() -> None:
    alike = torch.tensor([[3.0, 1], [2, 3]])  # 1, 0, 1/2, 1 of the way
    unlike = torch.tensor([[0.0, 2], [1, 0]])  # 0, 1, 1/2, 0
    assert _roma.specialised(alike, unlike, 1.0).item() == pytest.approx(0.375 - 1)
    assert _roma.specialised(alike, unlike, 0.0).item() == pytest.approx(0.375)
    neither = _roma.specialised(alike, torch.tensor([[0.0, 0], [0, 1]]), 1.0)
    assert neither.item() == pytest.approx(0.25 - (1 + 0 + 0.5 + 1) / 4)


def test_a_policy_is_what_a_generator_makes_of_its_role() -> None:
    nets = learner([3, 4]).nets
    states, roles = noise(0, 2, 2, 7, 4, 8), noise(1, 2, 2, 7, 4, 3)
    shares = nets.shares(roles)
    assert (shares[..., 0] == 1).all() and shares[..., 1:].std() > 0.1
    weight = nets.head.weight[:, 0].unflatten(-1, (7, 3))  # [R, H, U + 1, A]
    bias = nets.head.bias[:, 0].unflatten(-1, (7, 3))
    made = torch.einsum("rbtnu,rhua->rbtnha", shares, weight)
    by_hand = torch.einsum("rbtnh,rbtnha->rbtna", states, made)
    by_hand = by_hand + torch.einsum("rbtnu,rua->rbtna", shares, bias)
    torch.testing.assert_close(nets.values(states, roles), by_hand, rtol=1e-4, atol=1e-5)


def test_memory_guesses_by_what_came_before_and_is_not_bent_to_it() -> None:
    nets, seen = learner([3, 4]).nets, batch(4)
    obs, last = seen["obs"], previous_actions(seen["actions"])
    states = nets.along(obs, seen["actions"]).states
    guessed = nets.guessed(obs, last, states).mean
    bent = torch.autograd.grad(guessed.sum(), [*nets.body.parameters()], allow_unused=True)
    assert set(bent) == {None}
    later = states.detach().clone()
    later[:, :, 2] += 1
    moved = (nets.guessed(obs, last, later).mean != guessed).flatten(3).any(3)
    assert moved.tolist() == [[[False] * 3 + [True, False]] * 2] * 2


def test_unlikeness_is_of_the_two_roles_in_turn() -> None:
    nets, roles = learner([3, 4]).nets, noise(1, 2, 2, 7, 4, 3)
    roles[:, :, :, 2] = roles[:, :, :, 0]
    found = nets.unlikeness(roles)
    assert found.shape == (2, 2, 7, 4, 4) and (found >= 0).all()
    assert torch.equal(found[..., 2, :], found[..., 0, :])
    assert (
        torch.equal(found[..., 2], found[..., 0]) and (found[..., 0, 1] != found[..., 1, 0]).all()
    )


def test_the_least_variance_is_the_floor() -> None:
    nets, seen = learner([3], floor=0.5).nets, batch(4)
    last = previous_actions(seen["actions"])[:1]
    nets.role_end.bias.data[..., 3:] = -9
    assert (nets.roles(seen["obs"][:1], last).variance == 0.5).all()
    nets.role_end.weight.data[..., 3:], nets.role_end.bias.data[..., 3:] = 0, 1
    expected = torch.full((1, 2, 5, 4, 3), 2.718282)
    torch.testing.assert_close(nets.roles(seen["obs"][:1], last).variance, expected)


def test_longer_padding_moves_no_bit_and_no_generator() -> None:
    padding_moves_nothing(learner([3, 4]), learner([3, 4]))


def test_training_lowers_both_losses_of_roles() -> None:
    active, none = torch.ones(2, dtype=torch.bool), {"entropy": 0.0, "guess": 0.0, "special": 0.0}
    for weights in ({"entropy": 1.0, "guess": 1.0}, {"special": 1e4}):
        made = learner([3, 4], **none | weights, lr=2e-3)
        measure = "role_special" if "special" in weights else "role_identity"
        seen = [made.update(batch(4), active)[measure] for _ in range(30)]
        assert (torch.stack(seen[-10:]).mean(0) < torch.stack(seen[:10]).mean(0)).all(), measure


def test_roles_are_drawn_apart_by_target_networks_and_in_tests_too() -> None:
    made = learner([3, 4])
    obs = batch(4)["obs"]
    (online, target), (again, _) = made._noise(obs), made._noise(obs)
    assert not torch.equal(online, target) and not torch.equal(online, again)
    tests = [made.policy.initial(5, False).of_roles for _ in range(2)]
    assert torch.equal(*tests) and 0.7 < tests[0].std() < 1.3
    drawn = [made.policy.initial(5, True).of_roles for _ in range(2)]
    assert not torch.equal(*drawn)


def test_agents_of_one_mean_role_share_all_and_others_what_their_features_have_in_common() -> None:
    player = Player("roma", "roll_call/4x3-6", [0, 1])
    made: Any = player.learner
    player.learn(12)
    assert made.mean_roles.unique().numel() == 2 * 4 * 3
    made.mean_roles[:, 1] = made.mean_roles[:, 0]
    shared = made.sharing()["roles"].overlap()
    assert (shared[:, 0, 1] > 0.9999).all() and (shared[:, 0, 2] < 0.9999).all()
    features = made.nets.shares(made.mean_roles[:, None, None])[:, 0, 0]
    by_hand: Tensor = torch.cosine_similarity(features[:, 0], features[:, 2], dim=-1)
    torch.testing.assert_close(shared[:, 0, 2], by_hand)


@pytest.mark.parametrize(
    ("settings", "agents", "message"),
    [
        ({"sharing": "none"}, 4, "id or full, not none"),
        ({"floor": 0.0}, 4, "more than 0, but is 0"),
        ({}, 1, "two agents or more"),
        ({"role": 0}, 4, "'role'"),
        ({"special": -1.0}, 4, "'special'"),
    ],
)
def test_roles_that_cannot_be_are_refused_in_a_sentence(
    settings: dict[str, Any], agents: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        learners.make("roma", SPEC._replace(n_agents=agents), settings, [0])
