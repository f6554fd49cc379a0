"""Layers: what the banks alone give, forward and backward, whoever shares; and the same bits in any
pack.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional

from partage.nn.bank import Bank
from partage.nn.dense import BLOCK, Layer, apply_layers, apply_layers_torch
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.assignment import Assignment

N, RUNS = 5, 2
SHARED = torch.tensor([[0, 0, 2, 2, 2], [3, 1, 0, 1, 3]])
OTHER = torch.tensor([[0, 1, 2, 3, 2], [3, 3, 3, 3, 3]])
CASES = {  # sets, agent ids, one-hot inputs, widths, assignment of each bank, rows of an agent
    "none": (N, 0, 0, [11, 64, 64, 5], [assignment.none(RUNS, N)] * 3, 8),
    "fronts and backs apart": (N, 0, 0, [11, 64, 64, 64, 5], [SHARED, SHARED, OTHER, OTHER], 30),
    "full, more rows than go together": (
        1,
        0,
        0,
        [11, 64, 64, 1],
        [assignment.full(RUNS, N)] * 3,
        BLOCK,
    ),
    "id": (1, N, 0, [12, 64, 5], [assignment.full(RUNS, N)] * 2, 7),
    "id and last action": (1, N, 4, [12, 64, 5], [assignment.full(RUNS, N)] * 2, 7),
    "last action": (N, 0, 6, [9, 16, 5], [OTHER] * 2, 20),
    "widths of no whole register": (N, 0, 0, [3, 70, 100, 20], [OTHER] * 3, 3),
    "one bank": (N, 0, 0, [16, 16], [SHARED], 1),
}


class Case(NamedTuple):
    banks: list[Bank]
    indices: list[Assignment]
    x: Tensor
    hot: Tensor | None

    @property
    def layers(self) -> list[Layer]:
        pairs = enumerate(zip(self.banks, self.indices, strict=True))
        return [bank.select(index)._replace(relu=n % 2 == 0) for n, (bank, index) in pairs]

    def through(self, way: Callable[..., Tensor] = apply_layers) -> Tensor:
        return way(self.x, self.layers, self.hot)

    def gradients(self, y: Tensor) -> list[Tensor]:
        """Of a weighted sum of y that weighs every entry differently, the same for each run."""
        weights = torch.linspace(-1, 1, y[0].numel()).view(y[0].shape)
        parameters = [p for bank in self.banks for p in bank.parameters()]
        return list(torch.autograd.grad((y * weights).sum(), [self.x, *parameters]))


def made(name: str, seeds: tuple[int, ...] = (1, 2)) -> Case:
    sets, ids, hot, widths, indices, rows = CASES[name]
    drawn, runs = generators(seeds), [s - 1 for s in seeds]
    banks = [
        Bank(drawn, sets, i, o, agent_id=ids if n == 0 else 0, one_hot=hot if n == 0 else 0)
        for n, (i, o) in enumerate(pairwise(widths))
    ]
    shape = (N, 3, rows) if sets > 1 else (1, 3, rows * N)
    sources = [Generator().manual_seed(seed) for seed in seeds]
    x = torch.stack([torch.randn(*shape, widths[0], generator=g) for g in sources]).requires_grad_()
    at = torch.stack([torch.randint(-1, hot, shape, generator=g) for g in sources]) if hot else None
    return Case(banks, [index[runs] for index in indices], x, at)


def by_inputs(x: Tensor, case: Case) -> Tensor:
    """Each agent's rows with their one-hots written out, times the whole weight of its set."""
    for n, (bank, index) in enumerate(zip(case.banks, case.indices, strict=True)):
        hot, ids = bank.one_hot, bank.agent_id
        agents = (
            (torch.arange(x.shape[2] * x.shape[3]) % max(ids, 1))
            .view(x.shape[2:4])
            .expand(x.shape[:4])
        )
        more = [functional.one_hot(agents, ids)] if ids else []
        if hot:
            at = torch.full(x.shape[:4], -1) if case.hot is None else case.hot
            more.insert(0, functional.one_hot(at + 1, hot + 1)[..., 1:])
        x = torch.cat((x, *more), -1)
        runs = []
        for r in range(len(x)):
            used = index[r, : x.shape[1]].tolist()  # of one set: one group
            groups = [x[r, g] @ bank.weight[r, s] + bank.bias[r, s] for g, s in enumerate(used)]
            runs.append(torch.stack(groups))
        x = torch.stack(runs)
        x = x.relu() if n % 2 == 0 else x
    return x


@pytest.mark.parametrize("name", CASES)
def test_layers_are_their_banks_one_after_the_other(name: str) -> None:
    case = made(name)
    theirs = by_inputs(case.x, case)
    gradients = case.gradients(theirs)
    for ours in (case.through(), case.through(apply_layers_torch)):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        for found, expected in zip(case.gradients(ours), gradients, strict=True):
            torch.testing.assert_close(
                found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
            )


@pytest.mark.parametrize("name", CASES)
def test_without_a_gradient_the_values_are_the_same_bits(name: str) -> None:
    case = made(name)
    with torch.no_grad():
        bare = case.through()
    assert torch.equal(bare, case.through().detach())


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_the_same_bits_alone_and_in_a_pack(name: str) -> None:
    both = made(name)
    packed = [both.through(), *both.gradients(both.through())]
    for r in range(RUNS):
        one = made(name, (r + 1,))
        alone = [one.through(), *one.gradients(one.through())]
        assert all(torch.equal(mine[0], all_[r]) for mine, all_ in zip(alone, packed, strict=True))


@pytest.mark.parametrize("name", ["full, more rows than go together", "id and last action"])
def test_rows_without_gradient_behind_the_last_change_no_bit(name: str) -> None:
    case = made(name)
    longer = (
        torch.cat((case.x, torch.randn(*case.x.shape[:2], 2, *case.x.shape[3:])), 2)
        .detach()
        .requires_grad_()
    )
    hot = None if case.hot is None else torch.cat((case.hot, case.hot[:, :, :2]), 2)
    y, padded = case.through(), case._replace(x=longer, hot=hot).through()
    assert torch.equal(y, padded[:, :, :3])
    weights = torch.linspace(-1, 1, y[0].numel()).view(y[0].shape)
    parameters = [p for bank in case.banks for p in bank.parameters()]
    short, long = (
        torch.autograd.grad((out[:, :, :3] * weights).sum(), parameters) for out in (y, padded)
    )
    assert all(map(torch.equal, short, long))


def test_a_set_gets_the_gradients_of_all_who_use_it_and_none_else() -> None:
    case = made("one bank")._replace(indices=[torch.full((RUNS, N), 3)])
    (gradient,) = torch.autograd.grad(
        case.banks[0](case.x, case.indices[0]).sum(), [case.banks[0].weight]
    )
    assert torch.equal(gradient[:, [0, 1, 2, 4]], torch.zeros_like(gradient[:, [0, 1, 2, 4]]))
    torch.testing.assert_close(gradient[:, 3, :, 0], case.x.sum((1, 2, 3)))
