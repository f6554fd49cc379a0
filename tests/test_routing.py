"""Sets that change from instant to instant: sorted rows against selecting among all sets."""

import doctest
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from partage.nn import routing
from partage.nn.routed import RoutedQ
from partage.nn.routing import InOrder, routes
from partage.rl.noise import generators
from partage.sharing.assignment import none


class Case(NamedTuple):
    """A network, what its rows read, where they begin, and their sets."""

    net: RoutedQ
    x: Tensor
    h: Tensor
    used: Tensor  # the set of each row


def case(runs: int, time: int, rows: int, sets: int, seed: int = 0) -> Case:
    g = torch.Generator().manual_seed(seed)
    net = RoutedQ(generators(range(runs)), sets, 7, 5, 8)
    shape = (runs, time, rows)
    x, h = torch.randn(*shape, 7, generator=g), torch.randn(runs, rows, 8, generator=g)
    return Case(net, x, h, torch.randint(sets, shape, generator=g))


def sorted_values(one: Case) -> tuple[Tensor, Tensor]:
    """Return values and states in the rows' own order, by sorting them."""
    way, size = routes(one.used, one.net.sets), one.used.numel()
    sharing = none(len(one.x), one.net.sets)
    x = one.x.flatten(0, 2)[way.to]
    found = []
    for y in one.net(x, one.h, way, sharing):
        in_order: Any = InOrder.apply(y, way.to, size)
        found.append(in_order.unflatten(0, one.used.shape))
    return found[0], found[1]


def values_of_all(one: Case) -> tuple[Tensor, Tensor]:
    """Return the same by bringing all rows through all sets."""
    return one.net(one.x, one.h, None, one.used)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 99)
)
def test_routing_is_computing_all_sets_and_selecting(
    runs: int, time: int, rows: int, sets: int, seed: int
) -> None:
    one = case(runs, time, rows, sets, seed)
    one.x.requires_grad_()
    found = []
    for way in (sorted_values, values_of_all):
        q, states = way(one)
        parameters = [one.x, *one.net.parameters()]
        noise = torch.Generator().manual_seed(1)
        loss = (q * torch.randn(q.shape, generator=noise)).sum() + (
            states * torch.randn(states.shape, generator=noise)
        ).sum()
        found.append([q, states, *torch.autograd.grad(loss, parameters)])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


def test_rows_behind_an_end_are_left_out_and_move_nothing() -> None:
    one = case(2, 6, 10, 3)
    behind = torch.arange(6)[None, :, None] > torch.randint(6, (2, 1, 10))
    short = one._replace(used=one.used.masked_fill(behind, -1))
    x = one.x.masked_fill(behind[..., None], torch.nan)
    gradients = []
    for this, left_out in ((one, False), (short._replace(x=x), True)):
        q, states = sorted_values(this)
        assert not left_out or not (q[behind].any() or states[behind].any())
        kept = q.masked_fill(behind[..., None], 0.0)
        parameters = list(one.net.parameters())
        gradients.append([kept, *torch.autograd.grad(kept.square().sum(), parameters)])
    for all_rows, few in zip(*gradients, strict=True):
        torch.testing.assert_close(few, all_rows, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("levels", [(2, 3)])
def test_one_order_by_pairs_serves_the_sets_of_either(levels: tuple[int, int]) -> None:
    one, (first, second) = case(2, 4, 9, levels[0] * levels[1]), levels
    way = routes(one.used, first * second)
    pair = torch.arange(first * second).expand(2, -1)
    x = one.x.flatten(0, 2)[way.to]
    for sets, of in ((first, lambda pair: pair // second), (second, lambda pair: pair % second)):
        net = RoutedQ(generators([0, 1]), sets, 7, 5, 8)
        q, _ = net(x, one.h, way, of(pair))
        alone = one._replace(net=net, used=of(one.used))
        torch.testing.assert_close(q, values_of_all(alone)[0].flatten(0, 2)[way.to])


def test_a_run_s_gradient_is_the_same_in_a_pack_and_behind_longer_padding_to_the_last_bit() -> None:
    one = case(3, 9, 40, 2)
    longer = one._replace(
        x=torch.cat((one.x, torch.randn(3, 4, 40, 7)), 1),
        used=torch.cat((one.used, one.used[:, -1:].expand(-1, 4, -1)), 1),
    )
    left_out = longer._replace(used=torch.cat((one.used, torch.full((3, 4, 40), -1)), 1))
    x, h, used = (y[1:2] for y in (one.x, one.h, one.used))
    alone = Case(RoutedQ(generators([1]), 2, 7, 5, 8), x, h, used)
    gradients = []
    for this, run in ((one, 1), (longer, 1), (left_out, 1), (alone, 0)):
        q = sorted_values(this)[0][:, :9]
        parameters = list(this.net.parameters())
        gradients.append([g[run] for g in torch.autograd.grad(q.square().sum(), parameters)])
    for of_parameter in zip(*gradients, strict=True):
        assert all(torch.equal(of_parameter[0], other) for other in of_parameter[1:])


def test_each_set_has_one_stretch_of_rows_in_the_order_of_time() -> None:
    index = torch.tensor([[[1, 0, 1], [0, 0, 1]]])
    way = routes(index, 2)
    assert way.to.tolist() == [1, 3, 4, 0, 2, 5] and way.bounds.tolist() == [0, 3, 6]
    assert way.order.before.tolist() == [-2, 3, 0, -1, -3, 4]  # of agents 1, 0, 1 and 0, 2, 2


def test_a_set_that_nobody_uses_gets_no_gradient() -> None:
    one = case(1, 4, 3, 3)
    sorted_values(one._replace(used=one.used.clamp(max=1)))[0].sum().backward()
    assert all(
        not p.grad[0, 2].any() and p.grad[0, :2].any()
        for p in one.net.parameters()
        if p.grad is not None
    )


@pytest.mark.parametrize("sets", [1, 3])
def test_one_instant_at_a_time_is_all_of_them_at_once(sets: int) -> None:
    one = case(2, 6, 4, sets)
    with torch.no_grad():
        q, states = sorted_values(one)
        h = one.h
        for t in range(6):
            x, used = (y[:, t : t + 1] for y in (one.x, one.used))
            now, after = sorted_values(Case(one.net, x, h, used))
            torch.testing.assert_close(now[:, 0], q[:, t], rtol=1e-5, atol=1e-6)
            h = after[:, 0]
        torch.testing.assert_close(h, states[:, -1], rtol=1e-5, atol=1e-6)


def test_the_worked_example_in_the_docstring_holds() -> None:
    found = doctest.testmod(routing)
    assert found.attempted and not found.failed
