"""The bank of GRUs is `torch.nn.GRU`, set by set."""

import jaxtyping
import pytest
import torch
from torch import Tensor

from partage.kernels import pointwise
from partage.nn.bank import from_rows, to_rows
from partage.nn.gru import GRU, run_gru, run_gru_torch, unroll
from partage.nn.routing import routes
from partage.rl.noise import generators
from partage.sharing.assignment import full

N, INPUTS, HIDDEN = 3, 5, 4
ASSIGNMENTS = {
    "one set": (1, [[0, 0, 0], [0, 0, 0]]),
    "a set for every agent": (3, [[0, 1, 2], [0, 1, 2]]),
    "runs that share differently": (2, [[0, 1, 1], [1, 1, 0]]),
    "sets that nobody uses": (5, [[4, 4, 0], [2, 0, 1]]),
}


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_hand(bank: GRU, x: Tensor, h: Tensor, index: Tensor) -> Tensor:
    """Return torch.nn.GRU's states, in a graph that reaches the bank's own parameters."""
    runs = []
    for r in range(len(x)):
        agents = []
        for n in range(N):
            s = int(index[r, n])
            parameters = {
                "weight_ih_l0": bank.inputs.weight[r, s].T,
                "bias_ih_l0": bank.inputs.bias[r, s],
                "weight_hh_l0": bank.hidden.weight[r, s].T,
                "bias_hh_l0": bank.hidden.bias[r, s],
            }
            module = torch.nn.GRU(INPUTS, HIDDEN, batch_first=True)
            arguments = (x[r, :, :, n].contiguous(), h[r, :, n][None].contiguous())
            agents.append(torch.func.functional_call(module, parameters, arguments)[0])
        runs.append(torch.stack(agents, 2))
    return torch.stack(runs)


def parts(bank: GRU, x: Tensor, h: Tensor, states: Tensor) -> list[Tensor]:
    """The states and all gradients of a weighted sum of them."""
    weights, leaves = noise(2, *states.shape), (x, h, *bank.parameters())
    return [states, *torch.autograd.grad((states * weights).sum(), leaves)]


@pytest.mark.parametrize("case", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
@pytest.mark.parametrize(
    ("copies", "time"), [(2, 1), (2, 7), (50, 3)]
)  # 150 rows: blocks of 64, 64 and 22
def test_a_bank_of_grus_is_torch_s_gru_for_each_set(
    case: tuple[int, list[list[int]]], copies: int, time: int
) -> None:
    sets, index = case[0], torch.tensor(case[1])
    bank = GRU(generators([1, 2]), sets, INPUTS, HIDDEN)
    x, h = (
        noise(0, 2, copies, time, N, INPUTS).requires_grad_(),
        noise(1, 2, copies, N, HIDDEN).requires_grad_(),
    )
    states = from_rows(bank(to_rows(x, sets), to_rows(h[:, :, None], sets)[:, :, 0], index), N)
    for left, right in zip(
        parts(bank, x, h, states), parts(bank, x, h, by_hand(bank, x, h, index)), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fed", [True, False], ids=["fed", "without weights for its inputs"])
@pytest.mark.parametrize("hidden", [4, 64])
def test_the_compiled_walk_is_the_library_s_gru(fed: bool, hidden: int) -> None:
    """Also where gates saturate and exp is far outside float32, and where the library has no such
    layer.
    """
    bank = GRU(generators([1, 2]), 1, INPUTS, hidden)
    width = INPUTS if fed else 3 * hidden
    x, h = (
        (60 * noise(0, 2, 7, 70, width)).requires_grad_(),
        noise(1, 2, 70, hidden).requires_grad_(),
    )
    found = []
    for way in (lambda *y: run_gru(y[0][:, None], y[1][:, None], y[2])[:, 0], run_gru_torch):
        cell = bank.select(full(2, 1))
        states = way(x, h, cell if fed else cell._replace(wx=None))
        found.append(
            [states, *torch.autograd.grad((states * noise(2, *states.shape)).sum(), (x, h))]
        )
    for ours, theirs in zip(*found, strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_unrolling_is_being_fed_the_same_at_every_instant() -> None:
    bank = GRU(generators([1, 2]), 1, INPUTS, 16)
    cell = bank.select(full(2, 1))._replace(wx=None)
    fed, h = noise(0, 2, 70, 48).requires_grad_(), noise(1, 2, 70, 16).requires_grad_()
    expanded = fed[:, None, None].expand(-1, 1, 5, -1, -1)
    found = []
    for states in (unroll(fed, h, cell, 5), run_gru(expanded, h[:, None], cell)[:, 0]):
        loss = (states * noise(2, *states.shape)).sum()
        found.append([states, *torch.autograd.grad(loss, (fed, h), retain_graph=True)])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


def test_rows_that_no_gradient_reaches_take_none_and_hand_none_on() -> None:
    bank = GRU(generators([1]), 1, INPUTS, HIDDEN)
    x = noise(0, 1, 1, 9, 70, INPUTS)
    x[:, :, 6:] = torch.nan  # behind what is asked for
    x.requires_grad_()
    states = bank(x, torch.zeros(1, 1, 70, HIDDEN), full(1, 1))
    asked = torch.where(torch.arange(9)[:, None, None] < 6, states, 0.0).square().sum()
    d_x, *of_weights = torch.autograd.grad(asked, (x, *bank.parameters()))
    assert d_x[:, :, :6].any() and not d_x[:, :, 6:].any()
    assert all(d.isfinite().all() and d.any() for d in of_weights)


def test_a_run_of_grus_is_the_same_to_the_last_bit_in_any_pack() -> None:
    index = torch.tensor([[0, 1, 2]])
    alone, packed = GRU(generators([7]), 3, 64, 64), GRU(generators([3, 7, 8]), 3, 64, 64)
    x, h = noise(0, 3, 8, 9, N, 64).requires_grad_(), torch.zeros(3, N, 8, 64)
    many = packed(to_rows(x, 3), h, index.expand(3, -1))
    one = alone(to_rows(x[1:2], 3), h[1:2], index)
    assert torch.equal(many[1], one[0])
    for left, right in zip(
        torch.autograd.grad(many.square().sum(), (x, *packed.parameters())),
        torch.autograd.grad(one.square().sum(), (x, *alone.parameters())),
        strict=True,
    ):
        assert torch.equal(left[1], right[1] if len(right) == 3 else right[0])


def test_one_set_serves_rows_of_many_groups() -> None:
    bank = GRU(generators([1, 2]), 1, INPUTS, HIDDEN)
    x = noise(0, 2, 3, 7, N, INPUTS).requires_grad_()
    h = noise(1, 2, 3, N, HIDDEN).requires_grad_()
    grouped = from_rows(bank(to_rows(x, N), to_rows(h[:, :, None], N)[:, :, 0], full(2, N)), N)
    one_group = from_rows(bank(to_rows(x, 1), to_rows(h[:, :, None], 1)[:, :, 0], full(2, N)), N)
    torch.testing.assert_close(parts(bank, x, h, grouped), parts(bank, x, h, one_group))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As outside of tests, where nobody checks the shapes of annotations."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.usefixtures("unchecked")
def test_what_would_be_read_beyond_its_end_is_refused() -> None:
    bank, index = GRU(generators([1, 2]), 3, INPUTS, HIDDEN), torch.tensor([[0, 1, 2]] * 2)
    rows, h = noise(0, 2, N, 7, 4, INPUTS), noise(1, 2, N, 4, HIDDEN)
    wrong = {
        "a set that is not there": lambda: bank(rows, h, index + 1),
        "fewer agents than groups": lambda: bank(rows, h, index[:, :2]),
        "one group for three agents": lambda: bank(rows[:, :1], h[:, :1], index),
        "too many inputs": lambda: bank(noise(0, 2, N, 7, 4, 99), h, index),
        "fewer first states": lambda: bank(rows, h[:, :, :3], index),
        "wider first states": lambda: bank(rows, noise(1, 2, N, 4, 99), index),
        "float64": lambda: bank(rows.double(), h, index),
        "a role that is not there": lambda: routes(torch.tensor([[[0, 2]]]), 2),
    }
    for what, call in wrong.items():
        with pytest.raises(ValueError):
            call()
            raise AssertionError(what)


def test_the_compiled_exponential_is_accurate_over_all_of_float32() -> None:
    x = torch.linspace(-87, 87, 20_001)
    y = pointwise.exp
    found = torch.tensor([float(y(v)) for v in x.numpy()])
    torch.testing.assert_close(found, x.double().exp().float(), rtol=5e-7, atol=0)
