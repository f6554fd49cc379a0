"""Derived banks: sets computed from a base that all share and a code of each."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from learning import as_in_training  # noqa: F401 (fixture)
from torch import Tensor, nn
from torch.nn import functional

from partage.errors import UserError
from partage.nn.adapters import Columns, LowRank, Scale, Shared, own_biases, own_sets
from partage.nn.bank import Bank, Sets, from_rows, orthogonal_init, to_rows
from partage.nn.dense import apply_layers_torch
from partage.nn.derived import multiply, spread
from partage.nn.generated import Hypernetwork, Mixture, Spectrum
from partage.nn.gru import GRU, run_gru
from partage.nn.masks import FixedMask, LearnedMask, drawn_mask, shrink, shrink_torch, whole_neurons
from partage.nn.networks import RecurrentQ, fixed_sharing
from partage.nn.optimiser import Optimiser
from partage.nn.state import copy_runs
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sims.contract import stream

N, I, O, A = 5, 7, 3, 4  # noqa: E741 (sizes that are no multiple of a register)
K = 3  # sets of a base that has several


def logit(x: list[list[list[float]]]) -> Tensor:
    return torch.tensor(x)[None].logit()


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def code_of(seeds: list[int], *shape: int) -> Tensor:
    """Numbers of each run that do not depend on its pack."""
    return torch.stack([noise(seed, *shape) for seed in seeds])


def fixed(bank: Bank, seeds: list[int]) -> FixedMask:
    draws = generators([stream(seed, "masks") for seed in seeds])
    inputs, outputs = bank.weight.shape[2:]
    return FixedMask(drawn_mask(draws, 0.5, N, inputs, outputs), drawn_mask(draws, 0.5, N, outputs))


def biases(bank: Bank) -> nn.Module:
    own_biases(bank, N)
    assert bank.derivation is not None
    return bank.derivation


def hypernetwork(bank: Bank, seeds: list[int], hidden: int = 0) -> Hypernetwork:
    return Hypernetwork(bank, noise(3, N, 2), generators(seeds), hidden)


def columns(bank: Bank, seeds: list[int]) -> Columns:
    outputs = bank.weight.shape[3]
    drawn = [
        torch.randint(K, (N, outputs), generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    ]
    return Columns(torch.stack(drawn))


# how a bank of so many base sets becomes one of N
DERIVATIONS: dict[str, tuple[int, Callable[[Bank, list[int]], nn.Module]]] = {
    "learned mask": (1, lambda bank, seeds: LearnedMask(bank, N, generators(seeds))),
    "fixed mask": (1, fixed),
    "scale": (1, lambda bank, seeds: Scale(bank, N)),
    "low rank": (1, lambda bank, seeds: LowRank(bank, N, generators(seeds), rank=2)),
    "shared": (1, lambda bank, seeds: Shared(N)),
    "own biases": (1, lambda bank, seeds: biases(bank)),
    "spectrum": (1, lambda bank, seeds: Spectrum(bank, N, generators(seeds))),
    "linear hypernetwork": (1, hypernetwork),
    "hypernetwork": (1, partial(hypernetwork, hidden=6)),
    "mixture": (K, lambda bank, seeds: Mixture(code_of(seeds, N, K))),
    "columns": (K, columns),
}
every_derivation = pytest.mark.parametrize("kind", DERIVATIONS)


def stir(module: nn.Module, seeds: list[int]) -> None:
    """Move every parameter off its start, by its run's own seed; thresholds to where they cut."""
    for place, parameter in enumerate(module.parameters()):
        change = torch.stack([noise(100 * seed + place, *parameter.shape[1:]) for seed in seeds])
        parameter.data += 0.3 * change
    for name, parameter in module.named_parameters():
        if name.endswith("thresholds"):
            parameter.data += 6


def derived(kind: str, seeds: list[int], **more: int) -> Bank:
    base, make = DERIVATIONS[kind]
    bank = Bank(generators(seeds), base, I, O, **more)
    bank.derivation = make(bank, seeds)
    stir(bank, seeds)
    return bank


def loss_of(bank: Bank, seeds: list[int], **more: Tensor) -> tuple[Tensor, Tensor]:
    x = torch.stack([noise(seed, 2, 4, N, I) for seed in seeds])
    y = from_rows(bank(to_rows(x, N), assignment.none(len(seeds), N), **more), N)
    weights = torch.stack([noise(seed + 1, 2, 4, N, O) for seed in seeds])
    return y, (y * weights).flatten(1).sum(1)


def test_a_learned_mask_shrinks_what_it_keeps_and_gradients_go_where_it_keeps() -> None:
    bank = Bank(generators([0]), 1, 2, 2)
    bank.derivation = mask = LearnedMask(bank, 2, generators([0]))
    bank.weight.data[:] = torch.tensor([[0.5, -0.2], [0.05, -0.3]])
    mask.thresholds.data = logit([[[0.1, 0.1], [0.1, 0.4]], [[0.1, 0.3], [0.1, 0.1]]])
    weight = bank.sets().weight
    expected = torch.tensor([[[0.4, -0.1], [0, 0]], [[0.4, 0], [0, -0.2]]])
    torch.testing.assert_close(weight[0], expected)
    assert mask.mask(Sets(bank.weight, bank.bias))[0].tolist() == (expected != 0).tolist()
    bank(torch.ones(1, 2, 1, 1, 2), assignment.none(1, 2)).sum().backward()  # x = (1, 1)
    assert bank.weight.grad is not None and mask.thresholds.grad is not None
    assert bank.weight.grad[0, 0].tolist() == [[2, 1], [0, 1]]
    of_thresholds = torch.tensor([[[-0.09, 0.09], [0, 0]], [[-0.09, 0], [0, 0.09]]])
    torch.testing.assert_close(mask.thresholds.grad[0], of_thresholds)


def test_a_learned_mask_is_that_of_torch_s_own_operations_and_so_are_its_gradients() -> None:
    weight, upstream = noise(0, 2, 1, I, O), noise(2, 2, N, I, O)
    weight[0, 0, 0, 0] = 0.0
    thresholds = noise(1, 2, N, I, O) - 1
    found = []
    for function in (shrink, shrink_torch):
        leaves = [weight.clone().requires_grad_(), thresholds.clone().requires_grad_()]
        made = function(*leaves)
        found.append([made, *torch.autograd.grad((made * upstream).sum(), leaves)])
    for left, right in zip(*found, strict=True):
        assert right.any() and not right.all()
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_thresholds_start_where_they_cut_little() -> None:
    """They begin at -(5 + 5u), so 0.1334 % of a weight's range is cut: 1.07 % of 64 inputs."""
    bank = Bank(generators([1]), 1, 64, 64)
    bank.derivation = mask = LearnedMask(bank, 20, generators([2]))
    assert -10 <= mask.thresholds.min() < -9.9 and -5.1 < mask.thresholds.max() <= -5
    cut = 1 - mask.mask(Sets(bank.weight, bank.bias)).float().mean()
    assert abs(cut - 0.0107) < 0.001


def test_a_fixed_mask_cuts_whole_neurons_and_their_gradients() -> None:
    bank = Bank(generators([0]), 1, 2, 2)
    inputs, outputs = torch.tensor([[[1, 0], [0, 1]]]), torch.tensor([[[1, 1], [1, 0]]])
    bank.derivation = FixedMask(*whole_neurons(inputs.bool(), outputs.bool()))
    bank.weight.data[:] = torch.tensor([[1.0, 2], [3, 4]])
    bank.bias.data[:] = torch.tensor([0.5, -1])
    h = torch.tensor([1.0, 2]).expand(1, 2, 1, 1, 2)
    y = bank(h, assignment.none(1, 2))
    assert y.flatten(1).tolist() == [[1.5, 1, 6.5, 0]]
    y[:, 0].sum().backward()
    assert bank.weight.grad is not None and bank.bias.grad is not None
    assert bank.weight.grad[0, 0].tolist() == [[1, 1], [0, 0]]
    assert bank.bias.grad[0, 0].tolist() == [1, 1]
    bank.zero_grad()
    bank(h, assignment.none(1, 2))[:, 1].sum().backward()
    assert bank.weight.grad[0, 0].tolist() == [[0, 0], [2, 0]] and bank.bias.grad[0, 0, 1] == 0


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.5, float("nan")])
def test_a_rate_that_keeps_nothing_or_more_than_all_is_refused(keep: float) -> None:
    with pytest.raises(UserError, match=f"above 0 and at most 1, not {keep}"):
        drawn_mask(generators([0]), keep, 2, 2)


def test_a_mask_keeps_as_many_as_it_is_to() -> None:
    kept = drawn_mask(generators([0, 1]), 0.3, 50, 200).float().mean((1, 2))
    assert (kept - 0.3).abs().max() < 3 * (0.3 * 0.7 / 10_000) ** 0.5
    assert drawn_mask(generators([0]), 1.0, 9, 9).all()


def test_a_scale_begins_as_the_base_and_of_zeros_and_ones_is_a_mask_of_neurons() -> None:
    bank = Bank(generators([0]), 1, I, O)
    base = bank.sets()
    bank.derivation = scale = Scale(bank, N)
    for found, expected in zip(bank.sets(), base, strict=True):
        assert torch.equal(found, expected.expand_as(found))
    kept = drawn_mask(generators([1]), 0.5, N, O)
    scale.gain.data[:] = kept.float()
    everything = torch.ones(1, N, I, dtype=torch.bool)
    masked = FixedMask(*whole_neurons(everything, kept))(base)
    assert all(torch.equal(*pair) for pair in zip(bank.sets(), masked, strict=True))


def test_low_rank_begins_as_the_base_and_then_only_its_first_factor_has_a_gradient() -> None:
    bank = Bank(generators([0]), 1, 2, 1)
    bank.derivation = offset = LowRank(bank, 1, generators([0]), rank=1)
    assert torch.equal(bank.sets().weight, bank.weight)
    offset.right.data[:] = 0.5
    bank(torch.tensor([1.0, 2]).view(1, 1, 1, 1, 2), assignment.none(1, 1)).sum().backward()
    assert offset.left.grad is not None and offset.right.grad is not None
    assert offset.left.grad.flatten().tolist() == [0.5, 1] and not offset.right.grad.any()


def test_own_biases_of_one_agent_are_full_sharing_and_cost_a_bias_for_each() -> None:
    whole, one, many = (Bank(generators([0]), 1, I, O) for _ in range(3))
    own_biases(one, 1)
    own_biases(many, N)
    assert all(torch.equal(*pair) for pair in zip(one.sets(), whole.sets(), strict=True))
    count = [sum(p.numel() for p in bank.parameters()) for bank in (whole, one, many)]
    assert count == [I * O + O, I * O + O, I * O + N * O]


def test_sets_of_one_s_own_begin_as_one_and_move_apart() -> None:
    bank = Bank(generators([0, 1]), 1, I, O)
    before = bank.weight.detach().clone()
    own_sets(bank, N)
    assert torch.equal(bank.weight, before.expand(-1, N, -1, -1))
    optimiser = Optimiser(bank, partial(torch.optim.SGD, lr=0.1), 1e9)
    optimiser.step(loss_of(bank, [0, 1])[1])
    assert not torch.equal(bank.weight[:, 0], bank.weight[:, 1])


def test_a_spectrum_is_taken_apart_and_put_together() -> None:
    bank = Bank(generators([0, 1]), 1, I, O)
    before = bank.weight.detach().clone()
    bank.derivation = spectrum = Spectrum(bank, 2, generators([0, 1]))
    spectrum.thresholds.data[:] = -100.0
    torch.testing.assert_close(bank.sets().weight, before.expand(-1, 2, -1, -1))
    bank.weight.data = torch.eye(2).expand(1, 1, 2, 2).clone()
    bank.bias.data = torch.zeros(1, 1, 2)
    spectrum.right.data, spectrum.spectrum.data = bank.weight.data, torch.tensor([[[0.75, 0.25]]])
    spectrum.thresholds.data = torch.tensor([[[-100.0, 100], [100, -100]]])
    first, second = bank.sets().weight[0]
    assert torch.equal(first + second, torch.tensor([[0.75, 0], [0, 0.25]]))
    assert not (first @ second.T).any()


def test_a_hypernetwork_generates_its_sets_from_codes() -> None:
    bank = Bank(generators([0]), 1, 2, 2)
    bank.weight.data.zero_()
    bank.bias.data.zero_()
    bank.derivation = made = Hypernetwork(bank, torch.eye(2), generators([0]), hidden=2)
    assert made.hidden is not None
    made.hidden.weight.data[:] = torch.tensor([[1.0, 2], [-1, 0.5]])  # [E, H]: W1 transposed
    made.hidden.bias.data[:] = torch.tensor([0.0, 1])
    # the rows of M are what an output has of the features; blocks have them feature by feature
    made.weight_blocks.data[:] = torch.tensor([[[1.0, 0], [0, 1]], [[0, 1], [1, 0]]])
    made.bias_blocks.data.zero_()
    features, _ = made.features()
    assert features[0].tolist() == [[1, 3], [0, 1.5]]
    sets = bank.sets().weight[0]
    assert sets.tolist() == [[[1, 3], [3, 1]], [[0, 1.5], [1.5, 0]]]
    y = bank(torch.tensor([1.0, 2]).expand(1, 2, 1, 1, 2), assignment.none(1, 2))
    assert y.flatten(1).tolist() == [[7, 5, 3, 1.5]]
    made.hidden.weight.data[:, 1], made.bias_blocks.data[:] = 0, torch.eye(2)
    made.hidden.bias.data[:, 1] = torch.tensor([2.0, 3])
    assert bank.sets().bias[0].tolist() == [[2, 3], [2, 3]], "of a hidden layer of their own"
    assert torch.equal(bank.sets().weight[0], sets)


def test_a_linear_hypernetwork_sums_gradients_by_codes() -> None:
    bank = Bank(generators([0]), 1, 2, 1)
    made = Hypernetwork(bank, torch.tensor([[1.0, 2], [3, -1]]), generators([0]))
    bank.derivation = made
    made.weight_blocks.data[:] = torch.eye(2)[..., None]
    rows = torch.tensor([[1.0, 2], [0, 1]]).view(1, 2, 1, 1, 2)
    bank(rows, assignment.none(1, 2)).sum().backward()
    assert made.weight_blocks.grad is not None and made.code.grad is not None
    assert made.weight_blocks.grad.squeeze().tolist() == [[1, 5], [2, 3]]
    by_weight, by_bias = torch.tensor([[1.0, 2], [0, 1]]), made.bias_blocks.detach()[0, :, 0]
    torch.testing.assert_close(made.code.grad[0], by_weight + by_bias)


def test_an_agent_whose_code_is_zero_teaches_the_blocks_nothing_and_equal_codes_act_alike() -> None:
    bank = Bank(generators([0]), 1, I, O)
    code = torch.tensor([[1.0, 2], [0, 0], [1, 2]])
    bank.derivation = made = Hypernetwork(bank, code, generators([0]))
    sets = bank.sets()
    assert torch.equal(sets.weight[:, 0], sets.weight[:, 2])
    (sets.weight[:, 1].sum() + sets.bias[:, 1].sum()).backward()
    assert made.weight_blocks.grad is not None and not made.weight_blocks.grad.any()
    assert bank.weight.grad is not None and bank.weight.grad.all()


def test_a_linear_hypernetwork_of_one_hot_codes_without_a_base_is_no_sharing() -> None:
    own = Bank(generators([4, 5]), N, I, O)
    bank = Bank(generators([4, 5]), 1, I, O)
    bank.weight.data.zero_()
    bank.bias.data.zero_()
    made = Hypernetwork(bank, torch.eye(N), generators([4, 5]), learned=False)
    bank.derivation = made
    assert torch.equal(made.weight_blocks, own.weight)
    adam = partial(torch.optim.Adam, lr=0.01)
    optimisers = [Optimiser(own, adam, 1.0)]
    for base in (bank.weight, bank.bias):
        base.requires_grad_(False)
    optimisers.append(Optimiser(bank, adam, 1.0))
    for _ in range(5):
        for each, optimiser in zip((own, bank), optimisers, strict=True):
            optimiser.step(loss_of(each, [4, 5])[1].square())
    assert torch.equal(bank.sets().weight, own.sets().weight)


def test_one_hot_codes_pick_the_blocks_that_multiplying_by_them_would() -> None:
    bank = Bank(generators([4, 5]), 1, I, O)
    picked, multiplied = (
        Hypernetwork(bank, torch.eye(N), generators([4, 5]), learned=learned)
        for learned in (False, True)
    )
    assert picked.one_hot and not multiplied.one_hot
    ways = noise(6, 2, N, I, O)
    found = []
    for made in (picked, multiplied):
        sets = made(bank.sets())
        wanted = bank.weight, made.weight_blocks
        found.append([sets.weight, sets.bias, *torch.autograd.grad(sets.weight, wanted, ways)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_mixture_is_a_sum_of_the_base_s_sets() -> None:
    bank = Bank(generators([0]), 2, I, O)
    shares = torch.tensor([[[1.0, 0], [0.25, 0.75]]])
    bank.derivation = Mixture(shares)
    first, second = bank.weight[0]
    torch.testing.assert_close(bank.sets().weight[0, 0], first)
    torch.testing.assert_close(bank.sets().weight[0, 1], 0.25 * first + 0.75 * second)
    torch.testing.assert_close(bank.sets().bias[0, 1], bank.bias[0].T @ shares[0, 1])


def test_an_assignment_of_each_neuron_is_that_of_agents_where_all_neurons_agree() -> None:
    index = torch.tensor([[2, 0, 2, 1, 1], [0, 0, 1, 1, 2]])
    bank = Bank(generators([0, 1]), K, I, O)
    x = to_rows(noise(0, 2, 2, 4, N, I), N)
    whole = bank(x, index)
    found = torch.autograd.grad((whole * noise(1, *whole.shape)).sum(), list(bank.parameters()))
    bank.derivation = Columns(index[..., None].expand(-1, -1, O).clone())
    by_columns = bank(x, assignment.none(2, N))
    again = torch.autograd.grad(
        (by_columns * noise(1, *whole.shape)).sum(), list(bank.parameters())
    )
    assert torch.equal(whole, by_columns)
    for left, right in zip(found, again, strict=True):
        torch.testing.assert_close(left, right)


def test_a_neuron_that_chooses_another_set_takes_its_column_and_bias() -> None:
    bank = Bank(generators([0]), 2, I, O)
    bank.derivation = Columns(torch.tensor([[[0, 1, 0], [1, 1, 0]]]))
    weight, bias = bank.sets()
    expected = torch.stack((bank.weight[0, 0, :, 0], bank.weight[0, 1, :, 1]), 1)
    assert torch.equal(weight[0, 0, :, :2], expected) and bias[0, 1, 2] == bank.bias[0, 0, 2]
    weight[0, 1].sum().backward()
    assert bank.weight.grad is not None
    assert bank.weight.grad[0, 1].sum(0).tolist() == [I, I, 0]
    assert bank.weight.grad[0, 0].sum(0).tolist() == [0, 0, I]


@every_derivation
@pytest.mark.parametrize(
    "more", [{}, {"one_hot": A}, {"agent_id": N}, {"one_hot": A, "agent_id": N}]
)
def test_rows_go_through_derived_sets_as_through_linear_layers_of_them(
    kind: str, more: dict[str, int]
) -> None:
    bank, x = derived(kind, [4, 5], **more), noise(0, 2, 2, 4, N, I)
    hot = torch.randint(-1, A, (2, 2, 4, N), generator=torch.Generator().manual_seed(3))
    place = to_rows(hot[..., None], N).squeeze(-1) if "one_hot" in more else None
    y = from_rows(bank(to_rows(x, N), assignment.none(2, N), place), N)
    parts = [x]
    if "one_hot" in more:
        parts.append(functional.one_hot(hot + 1, A + 1)[..., 1:].float())
    if "agent_id" in more:
        parts.append(torch.eye(N).expand(2, 2, 4, N, N))
    weight, bias = bank.sets()
    expected = torch.einsum("rbtni,rnio->rbtno", torch.cat(parts, -1), weight) + bias[:, None, None]
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
    upstream, names = noise(9, *y.shape), [name for name, _ in bank.named_parameters()]
    trained = list(bank.parameters())
    found, wanted = (
        torch.autograd.grad((out * upstream).sum(), trained, retain_graph=True)
        for out in (y, expected)
    )
    for name, left, right in zip(names, found, wanted, strict=True):
        assert right.any(), name
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


@every_derivation
@pytest.mark.parametrize("more", [{}, {"one_hot": A, "agent_id": N}])
def test_a_run_s_derived_sets_and_gradients_are_the_same_bits_in_any_pack(
    kind: str, more: dict[str, int]
) -> None:
    def train(seeds: list[int]) -> tuple[list[Tensor], list[Tensor]]:
        bank = derived(kind, seeds, **more)
        optimiser = Optimiser(bank, partial(torch.optim.Adam, lr=0.01), 1.0)
        for _ in range(3):
            y, loss = loss_of(bank, seeds)
            optimiser.step(loss)
        return list(bank.parameters()), [*bank.sets(), y]

    alone, packed = train([7]), train([3, 5, 7, 8, 9])
    for one, all_runs in zip(alone[0] + alone[1], packed[0] + packed[1], strict=True):
        assert torch.equal(one[0], all_runs[2])


def test_the_base_s_gradient_is_the_sum_over_sets_in_any_pack() -> None:
    for sets, inputs, outputs in ((5, 40, 5), (7, 3, 5), (30, 64, 64)):
        upstream = noise(1, 5, sets, inputs, outputs)
        base = noise(2, 5, 1, inputs, outputs).requires_grad_()
        (packed,) = torch.autograd.grad((spread(base, sets) * upstream).sum(), [base])
        alone = base.detach()[3:4].clone().requires_grad_()
        (single,) = torch.autograd.grad((spread(alone, sets) * upstream[3:4]).sum(), [alone])
        assert torch.equal(packed[3:4], single)
        torch.testing.assert_close(packed, upstream.sum(1, keepdim=True))


def test_products_are_matrix_products() -> None:
    left, right, add = noise(0, 2, 3, 70, 9), noise(1, 2, 3, 9, 33), noise(2, 2, 3, 33)
    torch.testing.assert_close(multiply(left, right, add), left @ right + add[:, :, None])


@every_derivation
def test_derived_sets_are_the_same_in_torch_s_own_operations(kind: str) -> None:
    bank, rows = derived(kind, [4, 5]), to_rows(noise(0, 2, 2, 4, N, I), N)
    layer = bank.select(assignment.none(2, N), relu=True)
    torch.testing.assert_close(layer(rows), apply_layers_torch(rows, [layer]))


def test_what_is_drawn_for_codes_comes_after_the_base() -> None:
    """So a network's start is that of full sharing, whatever is derived from it."""
    sharing = fixed_sharing("id", 2, N)
    plain = RecurrentQ(generators([1, 2]), sharing, I, A, 6)
    draws = generators([1, 2])
    masked = RecurrentQ(draws, sharing, I, A, 6)
    masked.head.derivation = LearnedMask(masked.head, N, draws)
    start = masked.state_dict()
    for name, x in plain.state_dict().items():
        assert torch.equal(x, start[name])
    assert start.keys() - plain.state_dict().keys() == {"head.derivation.thresholds"}


def test_one_memory_for_all_behind_rows_of_each_agent_is_that_behind_rows_of_all() -> None:
    memory, index = GRU(generators([0, 1]), 1, I, 6), assignment.full(2, N)
    x, h = noise(0, 2, 3, 4, N, I), noise(1, 2, 3, N, 6)
    together = memory(to_rows(x, 1), to_rows(h[:, :, None], 1)[:, :, 0], index)
    apart = memory(to_rows(x, N), to_rows(h[:, :, None], N)[:, :, 0], index)
    assert torch.equal(from_rows(together, N), from_rows(apart, N))
    upstream = noise(2, *from_rows(apart, N).shape)
    found = [
        torch.autograd.grad((from_rows(y, N) * upstream).sum(), list(memory.parameters()))
        for y in (together, apart)
    ]
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_a_memory_s_sets_may_be_derived_and_a_cut_neuron_of_it_stays_at_zero() -> None:
    memory = GRU(generators([0]), 1, I, 6)
    kept = torch.ones(1, 2, 18, dtype=torch.bool)
    kept[0, 1, 12:14] = False  # the new gate's columns of the second agent's first two units
    for bank in (memory.inputs, memory.hidden):
        everything = torch.ones(1, 2, bank.inputs, dtype=torch.bool)
        bank.derivation = FixedMask(*whole_neurons(everything, kept))
    states = memory(noise(0, 1, 2, 7, 3, I), torch.zeros(1, 2, 3, 6), assignment.none(1, 2))
    assert not states[:, 1, :, :, :2].any() and states[:, 0].all() and states[:, 1, :, :, 2:].all()


def test_a_memory_of_other_many_sets_than_groups_is_refused() -> None:
    memory = GRU(generators([0]), 3, I, 6)
    cell = memory.select(torch.tensor([[0, 1, 2]]))
    with pytest.raises(ValueError, match="there are 3"):
        run_gru(noise(0, 1, 2, 7, 3, I), torch.zeros(1, 2, 3, 6), cell)


def test_masks_that_are_not_trained_lie_in_every_saved_state_and_are_copied_run_by_run() -> None:
    saved, other = derived("fixed mask", [1, 2]), derived("fixed mask", [3, 4])
    assert {"derivation.weight", "derivation.bias"} < saved.state_dict().keys()
    before = other.sets().weight
    copy_runs(saved, other, torch.tensor([True, False]))
    assert torch.equal(other.sets().weight[0], saved.sets().weight[0])
    assert torch.equal(other.sets().weight[1], before[1])


@every_derivation
def test_a_derived_set_cannot_be_copied_and_the_refusal_says_why(kind: str) -> None:
    bank = derived(kind, [4, 5])
    network = nn.ModuleList([Bank(generators([4, 5]), N, I, O), bank])
    optimiser = Optimiser(network, partial(torch.optim.Adam, lr=0.01), 1.0)
    before = [p.detach().clone() for p in network.parameters()]
    with pytest.raises(UserError, match="cannot be fused, divided or copied"):
        optimiser.copy_set(network, 0, 0, 1)
    assert all(map(torch.equal, network.parameters(), before))
    optimiser.copy_set(network[0], 0, 0, 1)


def test_an_id_in_derived_sets_takes_an_assignment_of_as_many_agents() -> None:
    bank = derived("low rank", [4], agent_id=N)
    with pytest.raises(ValueError, match="ids of 5 agents"):
        bank.select(assignment.none(1, N - 1))


def test_orthogonal_blocks_make_orthogonal_sets_of_one_hot_codes() -> None:
    bank = Bank(generators([0]), 1, 8, 8, orthogonal_init(2**0.5))
    bank.weight.data.zero_()
    init = orthogonal_init(2**0.5)
    bank.derivation = Hypernetwork(bank, torch.eye(3), generators([0]), init=init)
    weight = bank.sets().weight[0]
    torch.testing.assert_close(weight.transpose(1, 2) @ weight, 2 * torch.eye(8).expand(3, -1, -1))
    assert not (bank.sets().bias - bank.bias).any()
