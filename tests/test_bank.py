"""Banks: whatever the assignment, an agent's features go through its own set as through a
`torch.nn.Linear`.
"""

from functools import partial

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import as_in_training  # noqa: F401 (fixture)
from torch import Tensor
from torch.nn import functional

from partage.nn.bank import Bank, from_rows, linear_init, orthogonal_init, to_rows
from partage.nn.optimiser import Optimiser
from partage.rl.noise import generators
from partage.sharing import assignment

R, B, T, N, I, O, A = 2, 3, 4, 4, 5, 6, 3  # noqa: E741
ASSIGNMENTS = {
    "one set": (1, [[0, 0, 0, 0], [0, 0, 0, 0]]),
    "a set for every agent": (4, [[0, 1, 2, 3], [0, 1, 2, 3]]),
    "runs that share differently": (3, [[0, 1, 1, 2], [2, 2, 0, 1]]),
    "sets in another order": (4, [[3, 2, 1, 0], [0, 1, 2, 3]]),
    "sets that nobody uses": (6, [[5, 5, 5, 5], [1, 4, 1, 4]]),
}
every_assignment = pytest.mark.parametrize("case", ASSIGNMENTS.values(), ids=ASSIGNMENTS)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_hand(x: Tensor, weight: Tensor, bias: Tensor, index: Tensor, relu: bool) -> Tensor:
    """``torch.nn.functional.linear`` for each run and agent."""
    runs = []
    for r in range(len(x)):
        sets = index[r].tolist()
        runs.append(
            torch.stack(
                [
                    functional.linear(x[r, :, :, n], weight[r, s].T, bias[r, s])
                    for n, s in enumerate(sets)
                ],
                2,
            )
        )
    y = torch.stack(runs)
    return y.relu() if relu else y


def gradients(y: Tensor, *leaves: Tensor) -> list[Tensor]:
    return list(
        torch.autograd.grad(
            (y * noise(9, *y.shape)).sum(), leaves, allow_unused=True, materialize_grads=True
        )
    )


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


@every_assignment
@pytest.mark.parametrize("relu", [False, True])
def test_a_bank_is_one_linear_layer_per_set(case: tuple[int, list[list[int]]], relu: bool) -> None:
    sets, index = case[0], torch.tensor(case[1])
    bank = Bank(generators([1, 2]), sets, I, O)
    x = noise(0, R, B, T, N, I).requires_grad_()
    y = from_rows(bank(to_rows(x, sets), index, relu=relu), N)
    expected = by_hand(x, bank.weight, bank.bias, index, relu)
    assert_close([y], [expected])
    leaves = (x, bank.weight, bank.bias)
    assert_close(gradients(y, *leaves), gradients(expected, *leaves))
    assert bool((y == 0).any()) == relu


@every_assignment
def test_a_one_hot_input_is_looked_up_as_if_it_were_multiplied(
    case: tuple[int, list[list[int]]],
) -> None:
    sets, index = case[0], torch.tensor(case[1])
    bank = Bank(generators([1, 2]), sets, I, O, one_hot=A)
    x = noise(0, R, B, T, N, I).requires_grad_()
    hot = torch.randint(-1, A, (R, B, T, N), generator=torch.Generator().manual_seed(3))
    assert (hot == -1).any()
    y = from_rows(
        bank(to_rows(x, sets), index, to_rows(hot[..., None], sets).squeeze(-1), relu=True), N
    )
    ones = functional.one_hot(hot + 1, A + 1)[..., 1:].float()  # -1: all zeros
    expected = by_hand(torch.cat((x, ones), -1), bank.weight, bank.bias, index, True)
    leaves = (x, bank.weight, bank.bias)
    assert_close([y, *gradients(y, *leaves)], [expected, *gradients(expected, *leaves)])


@every_assignment
def test_no_action_yet_is_the_same_as_no_one_hot_input(case: tuple[int, list[list[int]]]) -> None:
    sets, index = case[0], torch.tensor(case[1])
    bank, plain = (
        Bank(generators([1, 2]), sets, I, O, one_hot=A),
        Bank(generators([1, 2]), sets, I, O),
    )
    plain.weight.data, plain.bias.data = bank.weight.data[:, :, :I].clone(), bank.bias.data
    rows = to_rows(noise(0, R, B, T, N, I), sets)
    nothing = torch.full(rows.shape[:4], -1)
    assert torch.equal(bank(rows, index, nothing), plain(rows, index))


@pytest.mark.parametrize("one_hot", [0, A])
def test_an_agent_id_is_a_one_hot_input_of_the_same_linear_layer(one_hot: int) -> None:
    bank = Bank(generators([1, 2]), 1, I, O, one_hot=one_hot, agent_id=N)
    x = noise(0, R, B, T, N, I).requires_grad_()
    hot = torch.randint(-1, A, (R, B, T, N), generator=torch.Generator().manual_seed(3))
    index = torch.zeros(R, N, dtype=torch.int64)
    looked_up = to_rows(hot[..., None], 1).squeeze(-1) if one_hot else None
    y = from_rows(bank(to_rows(x, 1), index, looked_up), N)
    actions = functional.one_hot(hot + 1, A + 1)[..., 1 : 1 + one_hot].float()
    whole = torch.cat((x, actions, torch.eye(N).expand(R, B, T, N, N)), -1)
    expected = by_hand(whole, bank.weight, bank.bias, index, False)
    leaves = (x, bank.weight, bank.bias)
    assert_close([y, *gradients(y, *leaves)], [expected, *gradients(expected, *leaves)])


@every_assignment
@pytest.mark.parametrize("one_hot", [0, A])
def test_an_agent_id_in_several_sets_is_one_in_each_of_them(
    case: tuple[int, list[list[int]]], one_hot: int
) -> None:
    sets, index = case[0], torch.tensor(case[1])
    bank = Bank(generators([1, 2]), sets, I, O, one_hot=one_hot, agent_id=N)
    x = noise(0, R, B, T, N, I).requires_grad_()
    hot = torch.randint(-1, A, (R, B, T, N), generator=torch.Generator().manual_seed(3))
    looked_up = to_rows(hot[..., None], sets).squeeze(-1) if one_hot else None
    y = from_rows(bank(to_rows(x, sets), index, looked_up), N)
    actions = functional.one_hot(hot + 1, A + 1)[..., 1 : 1 + one_hot].float()
    whole = torch.cat((x, actions, torch.eye(N).expand(R, B, T, N, N)), -1)
    expected = by_hand(whole, bank.weight, bank.bias, index, False)
    leaves = (x, bank.weight, bank.bias)
    assert_close([y, *gradients(y, *leaves)], [expected, *gradients(expected, *leaves)])


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As outside of tests, where nobody checks the shapes of annotations."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.usefixtures("unchecked")
def test_what_would_be_read_beyond_its_end_is_refused() -> None:
    one, two = Bank(generators([1]), 1, I, O, one_hot=A), Bank(generators([1]), 2, I, O)
    index, rows = torch.tensor([[0, 1]]), noise(0, 1, 2, T, B, I)
    hot = torch.zeros(1, 2, T, B, dtype=torch.int64)
    wrong = {
        "a set that is not there": lambda: two(rows, index + 1),
        "a set below the first": lambda: two(rows, index - 1),
        "one group of rows for two sets": lambda: two(rows[:, :1], index),
        "more groups than the sharing": lambda: two(noise(0, 1, 3, T, B, I), index),
        "too few numbers": lambda: two(rows[..., 1:], index),
        "too many": lambda: two(noise(0, 1, 2, T, B, I + 1), index),
        "more runs": lambda: two(noise(0, 2, 2, T, B, I), index),
        "float64": lambda: two(rows.double(), index),
        "a place that is not there": lambda: one(rows, 0 * index, hot + A),
        "too few places": lambda: one(rows, 0 * index, hot[:, :1]),
    }
    for what, call in wrong.items():
        for grad in (True, False):
            with torch.set_grad_enabled(grad), pytest.raises(ValueError):
                call()
                raise AssertionError(what)
    spaced = noise(0, 1, 2, T, 2 * B, I)[:, :, :, ::2]  # not contiguous
    assert torch.equal(two(spaced, index), two(spaced.contiguous(), index))


@settings(max_examples=60, deadline=None)
@given(*(st.integers(1, 4) for _ in range(5)), st.booleans())
def test_rows_are_features_in_another_order(
    r: int, b: int, t: int, n: int, f: int, shared: bool
) -> None:
    x = torch.arange(r * b * t * n * f, dtype=torch.float32).view(r, b, t, n, f)
    rows = to_rows(x, 1 if shared else n)
    assert rows.shape == ((r, 1, t, b * n, f) if shared or n == 1 else (r, n, t, b, f))
    assert torch.equal(from_rows(rows, n), x)
    assert torch.equal(
        rows[:, :, 0].flatten().sort().values, x[:, :, 0].flatten()
    )  # time stays time


def test_copying_a_set_changes_the_target_its_moments_and_nothing_else() -> None:
    bank, other = Bank(generators([1, 2]), 3, I, O), Bank(generators([1, 2]), 3, I, O)
    optimiser = Optimiser(
        torch.nn.ModuleList([other, bank]), partial(torch.optim.Adam, lr=0.1), 1.0
    )
    optimiser.step(
        (bank.weight * noise(0, *bank.weight.shape)).sum((1, 2, 3)) + other.weight.sum((1, 2, 3))
    )
    weight, bias = bank.weight.detach().clone(), bank.bias.detach().clone()
    untouched = other.weight.detach().clone()
    moment = optimiser.torch.state[optimiser.flat]["exp_avg"]
    part = slice(other.weight.numel() + other.bias.numel(), None)
    moments = moment[part][: weight.numel()].view_as(weight)
    assert not torch.equal(moments[1, 2], moments[1, 0])
    optimiser.copy_set(bank, 1, source=0, target=2)
    assert torch.equal(moments[1, 2], moments[1, 0]) and not torch.equal(
        moments[0, 2], moments[0, 0]
    )
    assert torch.equal(other.weight, untouched)
    assert torch.equal(bank.weight[1, 2], weight[1, 0]) and torch.equal(bank.bias[1, 2], bias[1, 0])
    weight[1, 2], bias[1, 2] = weight[1, 0], bias[1, 0]
    assert torch.equal(bank.weight, weight) and torch.equal(bank.bias, bias)
    with torch.no_grad():
        bank.weight[1, 0] += 1  # a copy, not a tie
    assert torch.equal(bank.weight[1, 2], weight[1, 2])


@pytest.mark.parametrize("init", [linear_init, orthogonal_init(0.5, 0.2), orthogonal_init(2**0.5)])
@pytest.mark.parametrize("more", [{"one_hot": A}, {"agent_id": N}])
def test_a_run_s_parameters_do_not_depend_on_its_pack(init, more: dict[str, int]) -> None:
    sets = 1 if "agent_id" in more else 3
    alone = Bank(generators([7]), sets, I, O, init, **more)
    packed = Bank(generators([3, 7, 8]), sets, I, O, init, **more)
    for one, all_runs in zip(alone.parameters(), packed.parameters(), strict=True):
        assert torch.equal(one[0], all_runs[1])
    assert not torch.equal(packed.weight[0], packed.weight[1])
    if sets > 1:
        assert not torch.equal(packed.weight[0, 0], packed.weight[0, 1])


def test_an_orthogonal_bank_is_orthogonal_with_its_gain_and_noise() -> None:
    exact, noisy = (
        Bank(generators([0]), 1, 40, 40, orthogonal_init(0.5, noise)) for noise in (0.0, 0.2)
    )
    weight = exact.weight[0, 0].detach()
    torch.testing.assert_close(weight @ weight.T, 0.25 * torch.eye(40), rtol=0, atol=1e-5)
    assert not exact.bias.any()
    assert 0.18 < (noisy.weight[0, 0] - weight).std() < 0.22 and 0.1 < noisy.bias.std() < 0.3


@pytest.mark.parametrize("outputs", [1, 5, 6, 7, 64])
@pytest.mark.parametrize("rows", [1, 7, 40, 160])
def test_outputs_and_gradients_are_the_same_to_the_last_bit_in_any_pack(
    rows: int, outputs: int
) -> None:
    index, x, weight = (
        assignment.full(5, 1),
        noise(0, 5, 1, 1, rows, 64),
        noise(1, 5, 1, 1, rows, outputs),
    )

    def through(runs: slice) -> list[Tensor]:
        bank = Bank(generators(list(range(5))[runs]), 1, 64, outputs)
        inputs = x[runs].clone().requires_grad_()
        out = bank(inputs, index[runs])
        return [
            out,
            *torch.autograd.grad((out * weight[runs]).sum(), [inputs, bank.weight, bank.bias]),
        ]

    packed = through(slice(0, 5))
    for r in range(5):
        for alone, together in zip(through(slice(r, r + 1)), packed, strict=True):
            assert torch.equal(alone[0], together[r])
