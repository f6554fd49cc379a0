"""PPO's targets and losses against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from partage.rl.advantages import gae, mean_of, n_step_targets, normalised
from partage.rl.losses import n_step_returns
from partage.rl.running import RewardNorm, ValueNorm
from partage.rl.surrogate import annealed, entropy_of, policy_terms, value_terms

GAMMA = 0.9
REWARD, VALUE, LAST = [1.0, 0.0, 2.0], [0.5, 1.0, -1.0], 4.0
CPU = torch.device("cpu")


def steps(*numbers: float) -> Tensor:
    """One run, one copy, one agent."""
    return torch.tensor(numbers, dtype=torch.float32).view(1, 1, -1, 1)


def flags(*at: int) -> Tensor:
    where = torch.zeros(1, 1, 3, dtype=torch.bool)
    where[:, :, list(at)] = True
    return where


def advantages(lam: float, terminated: Tensor, truncated: Tensor, after: Tensor) -> list[float]:
    found = gae(steps(*REWARD), steps(*VALUE), after, terminated, truncated, GAMMA, lam)
    return found.flatten().tolist()


AFTER = (1.0, -1.0, LAST)  # the values of what followed


@pytest.mark.parametrize(
    ("terminated", "truncated", "after", "expected"),
    [
        ((), (), AFTER, [3.45344, 2.852, 6.6]),
        ((1,), (), AFTER, [0.68, -1.0, 6.6]),
        ((), (1,), (1.0, 3.0, LAST), [2.624, 1.7, 6.6]),
    ],
)
def test_advantages_end_where_episodes_do_and_bootstrap_where_the_clock_cut_them(
    terminated: tuple[int, ...], truncated: tuple[int, ...], after: tuple, expected: list[float]
) -> None:
    found = advantages(0.8, flags(*terminated), flags(*truncated), steps(*after))
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("end", [(), (1,)])
def test_advantages_are_returns_less_values_at_lambda_1_and_one_step_s_errors_at_0(
    end: tuple[int, ...],
) -> None:
    for terminated, truncated in ((flags(*end), flags()), (flags(), flags(*end))):
        whole = advantages(1.0, terminated, truncated, steps(*AFTER))
        returns = n_step_returns(steps(*REWARD), steps(*AFTER), terminated, truncated, GAMMA)
        assert whole == pytest.approx((returns - steps(*VALUE)).flatten().tolist(), abs=1e-5)
        errors = steps(*REWARD) + GAMMA * steps(*AFTER).masked_fill(terminated[..., None], 0)
        one_step = (errors - steps(*VALUE)).flatten().tolist()
        assert advantages(0.0, terminated, truncated, steps(*AFTER)) == pytest.approx(one_step)


def test_n_step_targets_look_so_many_steps_ahead_and_never_into_the_next_episode() -> None:
    def targets(n: int, terminated: Tensor, truncated: Tensor) -> list[float]:
        found = n_step_targets(steps(*REWARD), steps(*AFTER), terminated, truncated, GAMMA, n)
        return found.flatten().tolist()

    # 1 + 0.9 * 0 + 0.81 * -1; 0 + 0.9 * 2 + 0.81 * 4; 2 + 0.9 * 4
    assert targets(2, flags(), flags()) == pytest.approx([0.19, 5.04, 5.6])
    assert targets(5, flags(1), flags()) == pytest.approx([1.0, 0.0, 5.6])
    assert targets(5, flags(), flags(1)) == pytest.approx([0.19, -0.9, 5.6])  # 0.9 * -1 is last
    for end in (flags(), flags(1)):  # with all steps they are the returns
        returns = n_step_returns(steps(*REWARD), steps(*AFTER), flags(), end, GAMMA)
        assert targets(3, flags(), end) == pytest.approx(returns.flatten().tolist())


def test_advantages_are_normalised_by_the_biased_deviation_of_what_counts() -> None:
    all_count = torch.ones(1, 1, 3, 1, dtype=torch.bool)
    found = normalised(steps(3.45344, 2.852, 6.6), all_count).flatten().tolist()
    assert found == pytest.approx([-0.516197, -0.882145, 1.398342], abs=1e-5)
    counts = torch.tensor([True, True, True, False]).view(1, 1, 4, 1)
    more = normalised(steps(3.45344, 2.852, 6.6, 1e6), counts).flatten()[:3].tolist()
    assert more == pytest.approx(found, abs=1e-6)


def test_agents_are_normalised_together_and_each_by_itself_only_where_asked() -> None:
    """The example of what peers do: one agent's advantages are 0 and 2, the other's 10 and 14."""
    x = torch.tensor([[0.0, 10.0], [2.0, 14.0]]).view(1, 1, 2, 2)
    counts = torch.ones_like(x, dtype=torch.bool)
    together = [-1.14, 0.61, -0.79, 1.31]
    assert normalised(x, counts).flatten().tolist() == pytest.approx(together, abs=5e-3)
    assert normalised(x, counts, True).flatten().tolist() == pytest.approx([-1, -1, 1, 1])


CORNERS = torch.tensor([1.3, 0.7, 1.3, 0.7]), torch.tensor([1.0, 1.0, -1.0, -1.0])


def test_the_four_corners_of_the_clipped_surrogate() -> None:
    ratio = CORNERS[0].clone().requires_grad_()
    terms = policy_terms(ratio, CORNERS[1], 0.2)
    assert terms.tolist() == pytest.approx([-1.2, -0.7, 1.3, 0.8])
    assert float(terms.detach().mean()) == pytest.approx(0.05)
    terms.sum().backward()
    assert ratio.grad is not None and (ratio.grad == 0).tolist() == [True, False, False, True]


def test_the_dead_are_left_out_of_a_mean() -> None:
    terms = policy_terms(*CORNERS, 0.2).view(1, 1, 1, 4)
    alive = torch.tensor([True, True, False, True]).view(1, 1, 1, 4)
    assert mean_of(terms, alive).tolist() == pytest.approx([-0.366667], abs=1e-6)
    assert mean_of(terms, alive & False).tolist() == [0.0]


def test_a_value_s_loss_is_the_greater_of_its_own_and_of_what_it_may_move_to() -> None:
    value = torch.tensor([0.5, -0.1, 0.5], requires_grad=True)
    old, target = torch.zeros(3), torch.tensor([1.0, 1.0, 0.4])
    terms = value_terms(value, old, target, 0.2)
    assert (2 * terms).tolist() == pytest.approx([0.64, 1.21, 0.04])
    assert float(terms.detach().mean()) == pytest.approx(0.315)
    terms.sum().backward()
    assert value.grad is not None and (value.grad == 0).tolist() == [True, False, True]
    assert (2 * value_terms(value, old, target, 0)).tolist() == pytest.approx([0.25, 1.21, 0.01])


def test_huber_s_loss_grows_in_a_line_from_an_error_of_ten_on() -> None:
    found = value_terms(torch.tensor([2.0, 30.0]), torch.zeros(2), torch.zeros(2), 0, huber=True)
    assert found.tolist() == [2.0, 250.0]


def test_value_statistics_forget_slowly_and_start_without_a_bias() -> None:
    norm = ValueNorm(1, 0.99999, True, CPU)
    everyone = torch.ones(1, 1, 2, 1, dtype=torch.bool)
    norm.update(steps(1, 3), everyone)
    assert norm.normalise(steps(5, 2)).flatten().tolist() == pytest.approx([3.0, 0.0], abs=1e-5)
    norm.update(steps(5, 7), everyone)
    assert norm.normalise(steps(5)).item() == pytest.approx(0.447209, abs=1e-5)
    assert norm.denormalise(steps(0)).item() == pytest.approx(4.00001, abs=1e-6)
    before = norm.moments.clone()
    norm.update(steps(100, 100), ~everyone)  # a run that has ended
    assert torch.equal(norm.moments, before)


def test_rewards_are_standardised_by_all_seen_so_far_less_padding() -> None:
    norm = RewardNorm((1, 1, 1), "standardised", 0.99, CPU)
    rewards, never = steps(0, 0, 1, 1, 50), torch.zeros(1, 1, 5, dtype=torch.bool)
    filled = torch.arange(5).view(1, 1, 5) < 4
    found = norm(rewards, never, filled)
    count, mean, variance = norm.moments[0].tolist()
    assert (count, mean, variance) == pytest.approx((4.0001, 0.4999875, 0.3333562), abs=1e-6)
    assert found.flatten()[0].item() == pytest.approx(-0.865974, abs=1e-5)


def test_rewards_are_scaled_by_the_deviation_of_discounted_sums_that_start_anew_with_episodes() -> (
    None
):
    norm = RewardNorm((1, 1, 1), "scaled", 0.5, CPU)
    ended = torch.tensor([False, True, False]).view(1, 1, 3)
    found = norm(steps(1, 1, 3), ended, torch.ones(1, 1, 3, dtype=torch.bool))
    sums = torch.tensor([1.0, 1.5, 3.0])
    assert norm.moments[0, 1].item() == pytest.approx(float(sums.mean()), abs=1e-3)
    ratio = 3 / found.flatten()[2].item()
    assert ratio == pytest.approx(float(sums.std()), abs=1e-3)
    assert norm.so_far.item() == 3.0  # the episode under way goes on in the next segment


def test_the_learning_rate_falls_by_the_update_and_never_to_nothing() -> None:
    assert [annealed(2.5e-4, u, 610) for u in (0, 1, 609, 5000)] == pytest.approx(
        [2.5e-4, 2.4959e-4, 4.098e-7, 4.098e-7], rel=1e-4
    )
    assert annealed(2.5e-4, 5000, 0) == 2.5e-4


def test_the_entropy_of_a_half_and_two_quarters() -> None:
    chances = torch.tensor([0.5, 0.25, 0.25])
    assert float(entropy_of(chances.log())) == pytest.approx(1.039721)
    impossible = torch.tensor([0.0, -1e9])
    assert float(entropy_of(impossible)) == 0.0 and math.isfinite(float(entropy_of(impossible)))
