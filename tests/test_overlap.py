"""One scale of sharing: closed forms, what autograd says, and what an assignment means on it."""

import pytest
import torch
from learning import as_in_training  # noqa: F401 (fixture)
from test_derived import A, I, N, O, derived, every_derivation
from torch import Tensor, nn

from partage.nn.adapters import Columns, LowRank, own_biases
from partage.nn.bank import Bank
from partage.nn.generated import Hypernetwork, Mixture
from partage.nn.masks import FixedMask, LearnedMask, drawn_mask, whole_neurons
from partage.nn.networks import MLP, RecurrentQ, fixed_sharing
from partage.nn.tangents import overlap, products
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.overlap import Shares, cosine, degree, effective_sets, of_assignment

# what a set's code learns is its own in `scale` and `low rank`; of others the scale leaves it out
LEFT_OUT = ("thresholds", "shares", "code", "hidden", "spectrum")


def by_autograd(bank: Bank) -> Tensor:
    """The inner products of the sets' Jacobians, by their definition."""
    trained = [p for name, p in bank.named_parameters() if not any(x in name for x in LEFT_OUT)]
    weight, bias = bank.sets()
    met = torch.zeros(N, weight.shape[2])
    met[:, : bank.inputs + bank.one_hot] = 1
    if bank.agent_id:
        met[:, -N:] = torch.eye(N)
    jacobians = []
    for n in range(N):
        own = torch.cat(((weight[0, n] * met[n, :, None]).flatten(), bias[0, n]))
        rows = [derivatives(number, trained) for number in own]
        jacobians.append(torch.stack(rows).flatten())
    together = torch.stack(jacobians)
    return together @ together.T


def derivatives(number: Tensor, trained: list[nn.Parameter]) -> Tensor:
    parts = torch.autograd.grad(
        number, trained, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([part.flatten() for part in parts])


@every_derivation
@pytest.mark.parametrize("more", [{}, {"one_hot": A, "agent_id": N}])
def test_closed_forms_are_what_autograd_says(kind: str, more: dict[str, int]) -> None:
    bank = derived(kind, [4], **more)
    found = products(bank, N)[0]
    torch.testing.assert_close(found, by_autograd(bank), rtol=1e-4, atol=1e-4)
    assert kind == "shared" or len(set(found.flatten().tolist())) > 1


def test_the_closed_form_of_an_id_is_what_autograd_says() -> None:
    bank = Bank(generators([1]), 1, I, O, agent_id=N)
    found = products(bank, N)[0]
    bank.derivation = Columns(torch.zeros(1, N, O, dtype=torch.int64))  # everyone the one set
    torch.testing.assert_close(found, by_autograd(bank))


def everyone(networks: nn.Module, sets: int = N) -> Tensor:
    return overlap(networks, sets)[0]


def test_full_sharing_is_one_and_none_is_zero() -> None:
    shared, apart = (MLP(generators([0, 1]), sets, [I, 8, O]) for sets in (1, N))
    assert torch.equal(overlap(shared, N), torch.ones(2, N, N))
    assert torch.equal(overlap(apart, N), torch.eye(N).expand(2, N, N))


def test_an_id_shares_all_but_the_first_layer_s_private_bias() -> None:
    network = RecurrentQ(generators([0]), fixed_sharing("id", 1, N), I, A, 8)
    met = I * 8 + A * 8 + 8 + 2 * (8 * 24 + 24) + 8 * A + A  # P; 8 = H
    expected = torch.full((N, N), met / (met + 8)).fill_diagonal_(1)
    torch.testing.assert_close(everyone(network), expected)


def test_masks_share_by_their_cosine_and_shared_parts_count_one_each() -> None:
    bank = Bank(generators([0]), 1, 4, 1)
    masks = torch.tensor([[[1, 1, 0, 0], [1, 0, 1, 0]]]).bool()[..., None]
    nothing = torch.zeros(1, 2, 1, dtype=torch.bool)
    bank.derivation = FixedMask(masks, nothing)
    torch.testing.assert_close(everyone(bank, 2), torch.tensor([[1, 0.5], [0.5, 1]]))
    both = nn.ModuleList([bank, Bank(generators([0]), 1, 5, 1)])  # 6 numbers that all share
    torch.testing.assert_close(everyone(both, 2)[0, 1], torch.tensor((6 + 1) / (6 + 2)))


@pytest.mark.parametrize(("inputs", "least"), [(64, 0.991), (256, 0.985)])
def test_learned_masks_begin_with_nearly_all_in_common(inputs: int, least: float) -> None:
    bank = Bank(generators([0]), 1, inputs, 64)
    bank.derivation = LearnedMask(bank, 5, generators([1]))
    off = everyone(bank, 5)[~torch.eye(5, dtype=torch.bool)]
    assert (off >= least).all() and (off < 1).all()


def test_random_masks_share_what_they_keep_and_of_neurons_its_square() -> None:
    keep, draws = 0.5, generators([3])
    bank = Bank(generators([0]), 1, 200, 200)
    bank.derivation = FixedMask(
        drawn_mask(draws, keep, 2, 200, 200), drawn_mask(draws, keep, 2, 200)
    )
    assert abs(everyone(bank, 2)[0, 1] - keep) < 0.01
    neurons = [drawn_mask(draws, keep, 8, 200) for _ in range(2)]
    bank.derivation = FixedMask(*whole_neurons(*neurons))
    off = everyone(bank, 8)[~torch.eye(8, dtype=torch.bool)]
    assert abs(off.mean() - keep**2) < 0.03


def test_low_rank_shares_by_the_base_and_less_the_longer_its_factors_are() -> None:
    bank = Bank(generators([0]), 1, I, O)
    bank.derivation = offset = LowRank(bank, 2, generators([0]))
    weights = I * O + O
    right = offset.right.detach().square().sum((2, 3))[0]
    expected = weights / ((weights + I * right[0]) * (weights + I * right[1])).sqrt()
    torch.testing.assert_close(everyone(bank, 2)[0, 1], expected)
    offset.right.data *= 100
    assert everyone(bank, 2)[0, 1] < 0.01


def test_own_biases_share_every_weight() -> None:
    bank = Bank(generators([0]), 1, I, O)
    own_biases(bank, 3)
    torch.testing.assert_close(everyone(bank, 3)[0, 1], torch.tensor(I / (I + 1)))


def test_a_hypernetwork_of_one_hot_codes_shares_half_and_a_mixture_the_cosine_of_its_shares() -> (
    None
):
    bank = Bank(generators([0]), 1, I, O)
    bank.derivation = Hypernetwork(bank, torch.eye(3), generators([0]))
    torch.testing.assert_close(
        everyone(bank, 3), torch.tensor([[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]])
    )
    bank = Bank(generators([0]), 2, I, O)
    bank.derivation = Mixture(torch.tensor([[[3.0, 0], [3, 4]]]))
    torch.testing.assert_close(everyone(bank, 2)[0, 1], torch.tensor(0.6))


def test_neurons_share_where_they_choose_alike() -> None:
    bank = Bank(generators([0]), 2, I, O)
    bank.derivation = Columns(torch.tensor([[[0, 1, 0], [0, 1, 1], [1, 0, 1]]]))
    torch.testing.assert_close(
        everyone(bank, 3), torch.tensor([[3, 2, 0], [2, 3, 1], [0, 1, 3]]) / 3
    )


def test_layers_add_up_before_they_are_divided() -> None:
    shared, apart = Bank(generators([0]), 1, 7, 3), Bank(generators([0]), 2, 1, 3)
    torch.testing.assert_close(
        everyone(nn.ModuleList([shared, apart]), 2)[0, 1], torch.tensor(24 / (24 + 6))
    )


def test_banks_of_other_many_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="a bank has 3 sets, but 2 are compared"):
        overlap(Bank(generators([0]), 3, I, O), 2)


@pytest.mark.parametrize(
    ("labels", "expected_degree", "expected_sets"),
    [
        ([0, 0, 0], 1, 1),
        ([0, 1, 2], 0, 3),
        ([0, 0, 1], 1 / 3, 9 / 5),
        ([0] * 5 + [1] * 5 + [2] * 5, 4 / 14, 3),
        ([0] * 3 + [1] * 3 + [2] * 3 + [3] * 12 + [4] * 9, 0.255, 900 / 252),
        ([0], 1, 1),
    ],
)
def test_degree_and_effective_sets_of_assignments(
    labels: list[int], expected_degree: float, expected_sets: float
) -> None:
    matrix = of_assignment(assignment.by(labels, 2))
    assert degree(matrix).tolist() == pytest.approx([expected_degree] * 2, abs=5e-4)
    assert effective_sets(matrix).tolist() == pytest.approx([expected_sets] * 2)


def test_agents_have_the_overlap_of_their_sets_and_permuting_them_permutes_it() -> None:
    of_sets = torch.tensor([[[1, 0.2], [0.2, 1]], [[1, 0.7], [0.7, 1]]])
    index = torch.tensor([[0, 1, 1], [1, 0, 1]])
    matrix = Shares(index, lambda: of_sets).overlap()
    assert torch.equal(matrix[0], torch.tensor([[1, 0.2, 0.2], [0.2, 1, 1], [0.2, 1, 1]]))
    order = [2, 0, 1]
    permuted = Shares(index[:, order], lambda: of_sets).overlap()
    assert torch.equal(permuted, matrix[:, order][:, :, order])
    torch.testing.assert_close(degree(permuted), degree(matrix))


def test_a_set_that_learns_nothing_shares_with_itself_alone() -> None:
    matrix = cosine(torch.tensor([[[0.0, 0], [0, 4]]]))
    assert torch.equal(matrix[0], torch.eye(2))
