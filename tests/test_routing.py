"""Sets that change from instant to instant: sorted rows against selecting among all sets."""

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partage.nn import routing
from partage.nn.networks import RoutedQ
from partage.nn.routing import routes
from partage.rl.noise import generators


def case(
    runs: int, time: int, rows: int, sets: int, seed: int = 0
) -> tuple[RoutedQ, torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    net = RoutedQ(generators(range(runs)), sets, 7, 5, 8)
    x, h = torch.randn(runs, time, rows, 7, generator=g), torch.randn(runs, rows, 8, generator=g)
    return net, x, h, torch.randint(sets, (runs, time, rows), generator=g)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 99)
)
def test_routing_is_computing_all_sets_and_selecting(
    runs: int, time: int, rows: int, sets: int, seed: int
) -> None:
    net, x, h, index = case(runs, time, rows, sets, seed)
    x.requires_grad_()
    found = []
    for way in (net.forward, net.compute_all_and_select):
        q, states = way(x, h, index)
        parameters = [x, *net.parameters()]
        noise = torch.Generator().manual_seed(1)
        loss = (q * torch.randn(q.shape, generator=noise)).sum() + (
            states * torch.randn(states.shape, generator=noise)
        ).sum()
        found.append([q, states, *torch.autograd.grad(loss, parameters)])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


def test_a_run_s_gradient_is_the_same_in_a_pack_and_behind_longer_padding_to_the_last_bit() -> None:
    net, x, h, index = case(3, 9, 40, 2)
    alone = RoutedQ(generators([1]), 2, 7, 5, 8)
    longer = (
        torch.cat((x, torch.randn(3, 4, 40, 7)), 1),
        h,
        torch.cat((index, index[:, -1:].expand(-1, 4, -1)), 1),
    )
    gradients = []
    for one, inputs, run in (
        (net, (x, h, index), 1),
        (net, longer, 1),
        (alone, (x[1:2], h[1:2], index[1:2]), 0),
    ):
        q = one(*inputs)[0][:, :9]
        gradients.append(
            [g[run] for g in torch.autograd.grad(q.square().sum(), list(one.parameters()))]
        )
    for first, second, third in zip(*gradients, strict=True):
        assert torch.equal(first, second) and torch.equal(first, third)


def test_each_set_has_one_stretch_of_rows_in_the_order_of_time() -> None:
    index = torch.tensor([[[1, 0, 1], [0, 0, 1]]])
    way = routes(index, 2)
    assert way.to.tolist() == [1, 3, 4, 0, 2, 5] and way.bounds.tolist() == [0, 3, 6]
    assert way.order.before.tolist() == [-2, 3, 0, -1, -3, 4]  # of agents 1, 0, 1 and 0, 2, 2
    assert torch.equal(way.to[way.back], torch.arange(6))


def test_a_set_that_nobody_uses_gets_no_gradient() -> None:
    net, x, h, index = case(1, 4, 3, 3)
    net(x, h, index.clamp(max=1))[0].sum().backward()
    assert all(
        not p.grad[0, 2].any() and p.grad[0, :2].any()
        for p in net.parameters()
        if p.grad is not None
    )


@pytest.mark.parametrize("sets", [1, 3])
def test_one_instant_at_a_time_is_all_of_them_at_once(sets: int) -> None:
    net, x, h, index = case(2, 6, 4, sets)
    with torch.no_grad():
        q, states = net(x, h, index)
        for t in range(6):
            now, after = net(x[:, t : t + 1], h, index[:, t : t + 1])
            torch.testing.assert_close(now[:, 0], q[:, t], rtol=1e-5, atol=1e-6)
            h = after[:, 0]
        torch.testing.assert_close(h, states[:, -1], rtol=1e-5, atol=1e-6)


def test_the_worked_example_in_the_docstring_holds() -> None:
    found = doctest.testmod(routing)
    assert found.attempted and not found.failed
