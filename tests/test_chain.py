"""Chains: what the banks alone give, forward and backward, whoever shares; and the same bits in any pack."""

from itertools import pairwise

import pytest
import torch
from torch import Generator, Tensor

from partage import assignment
from partage.assignment import Assignment
from partage.bank import Bank
from partage.chain import BLOCK, Link, chain
from partage.rollout import generators

N, RUNS = 5, 2
SHARED = torch.tensor([[0, 0, 2, 2, 2], [3, 1, 0, 1, 3]])
OTHER = torch.tensor([[0, 1, 2, 3, 2], [3, 3, 3, 3, 3]])
CASES = {  # sets, agent ids, widths, assignment of each bank, rows of an agent
    "none": (N, 0, [11, 64, 64, 5], [assignment.none(RUNS, N)] * 3, 8),
    "fronts and backs apart": (N, 0, [11, 64, 64, 64, 5], [SHARED, SHARED, OTHER, OTHER], 30),
    "full, more rows than go together": (1, 0, [11, 64, 64, 1], [assignment.full(RUNS, N)] * 3, BLOCK),
    "id": (1, N, [12, 64, 5], [assignment.full(RUNS, N)] * 2, 7),
    "widths of no whole register": (N, 0, [3, 70, 100, 20], [OTHER] * 3, 3),
    "one bank": (N, 0, [16, 16], [SHARED], 1),
}


def made(name: str, seeds: tuple[int, ...] = (1, 2)) -> tuple[list[Link], Tensor]:
    sets, ids, widths, indices, rows = CASES[name]
    drawn = generators(seeds)
    banks = [Bank(drawn, sets, i, o, agent_id=ids if n == 0 else 0) for n, (i, o) in enumerate(pairwise(widths))]
    runs = [s - 1 for s in seeds]
    links = [Link(bank, index[runs], n % 2 == 0) for n, (bank, index) in enumerate(zip(banks, indices, strict=True))]
    shape = (N, 3, rows, widths[0]) if sets > 1 else (1, 3, rows * N, widths[0])
    x = torch.stack([torch.randn(shape, generator=Generator().manual_seed(seed)) for seed in seeds])
    return links, x


def one_by_one(x: Tensor, links: list[Link]) -> Tensor:
    for bank, index, relu in links:
        x = bank(x, index, relu=relu)
    return x


def gradients(y: Tensor, x: Tensor, links: list[Link]) -> list[Tensor]:
    """Of a weighted sum of y that weighs every entry differently, the same for each run."""
    weights = torch.linspace(-1, 1, y[0].numel()).view(y[0].shape)
    parameters = [p for link in links for p in link.bank.parameters()]
    return list(torch.autograd.grad((y * weights).sum(), [x, *parameters]))


@pytest.mark.parametrize("name", CASES)
def test_a_chain_is_its_banks_one_after_the_other(name: str) -> None:
    links, x = made(name)
    x.requires_grad_()
    ours, theirs = chain(x, links), one_by_one(x, links)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for found, expected in zip(gradients(ours, x, links), gradients(theirs, x, links), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_without_a_gradient_the_values_are_the_same_bits(name: str) -> None:
    links, x = made(name)
    with torch.no_grad():
        bare = chain(x, links)
    assert torch.equal(bare, chain(x, links).detach())


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_the_same_bits_alone_and_in_a_pack(name: str) -> None:
    links, x = made(name)
    x.requires_grad_()
    packed = [chain(x, links), *gradients(chain(x, links), x, links)]
    for r in range(RUNS):
        links, x_alone = made(name, (r + 1,))
        x_alone.requires_grad_()
        alone = [chain(x_alone, links), *gradients(chain(x_alone, links), x_alone, links)]
        assert all(torch.equal(one[0], all_[r]) for one, all_ in zip(alone, packed, strict=True))


def test_rows_without_gradient_behind_the_last_change_no_bit() -> None:
    links, x = made("full, more rows than go together")
    longer = torch.cat((x, torch.randn(*x.shape[:2], 2, *x.shape[3:])), 2).requires_grad_()
    x.requires_grad_()
    y, padded = chain(x, links), chain(longer, links)
    assert torch.equal(y, padded[:, :, :3])
    weights = torch.linspace(-1, 1, y[0].numel()).view(y[0].shape)
    parameters = [p for link in links for p in link.bank.parameters()]
    short, long = (torch.autograd.grad((out[:, :, :3] * weights).sum(), parameters) for out in (y, padded))
    assert all(map(torch.equal, short, long))


def test_a_set_gets_the_gradients_of_all_who_use_it_and_none_else() -> None:
    everyone: Assignment = torch.full((RUNS, N), 3)
    links, x = made("one bank")
    bank = links[0].bank
    y = chain(x, [Link(bank, everyone, False)])
    (gradient,) = torch.autograd.grad(y.sum(), [bank.weight])
    assert torch.equal(gradient[:, [0, 1, 2, 4]], torch.zeros_like(gradient[:, [0, 1, 2, 4]]))
    torch.testing.assert_close(gradient[:, 3, :, 0], x.sum((1, 2, 3)))
