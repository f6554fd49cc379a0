"""The compiled mixer against the same equations in torch, forward and all gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor

from partage.nn.mixer import Mixer, mix, mix_torch
from partage.rl.noise import generators

RUNS, AGENTS, STATE = 2, 5, 13


def made(embed: int = 32, hyper: int = 64) -> Mixer:
    return Mixer(generators(range(RUNS)), AGENTS, STATE, embed, hyper)


def rows(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(RUNS, count, AGENTS, generator=generator).requires_grad_()
    return q, torch.randn(RUNS, count, STATE, generator=generator)


@pytest.mark.parametrize("count", [1, 64, 150])
@pytest.mark.parametrize(("embed", "hyper"), [(32, 64), (5, 8)])
def test_the_compiled_mixer_is_its_twin_in_torch_forward_and_backward(
    count: int, embed: int, hyper: int
) -> None:
    mixer, (q, state) = made(embed, hyper), rows(count)
    nets, wanted = mixer.hypernetworks(), [q, *mixer.parameters()]
    compiled, twin = mix(q, state, nets), mix_torch(q, state, nets)
    torch.testing.assert_close(compiled, twin, rtol=1e-5, atol=1e-5)
    grad = torch.linspace(-1, 1, twin.numel()).view_as(twin)
    found = torch.autograd.grad(compiled, wanted, grad)
    expected = torch.autograd.grad(twin, wanted, grad)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_mixer_s_values_are_the_same_where_nobody_asks_for_gradients() -> None:
    mixer, (q, state) = made(), rows(150)
    with torch.no_grad():
        without = mix(q, state, mixer.hypernetworks())
    assert torch.equal(without, mix(q, state, mixer.hypernetworks()))


def test_a_row_s_mixing_does_not_depend_on_the_other_rows() -> None:
    nets, (q, state) = made().hypernetworks(), rows(150)
    assert torch.equal(mix(q[:, 70:71], state[:, 70:71], nets), mix(q, state, nets)[:, 70:71])


def test_leaving_out_what_is_not_real_changes_neither_values_nor_a_bit_of_the_gradients() -> None:
    mixer, (q, state) = made(), rows(60)
    q, state = (x.detach().unflatten(1, (6, 10)) for x in (q, state))  # [R, B, T, ...]
    lengths = torch.tensor([[10, 3, 1, 7, 0, 2], [4, 4, 5, 6, 1, 4]])
    real = torch.arange(10) < lengths[..., None]
    losses, gradients = [], []
    for told in (None, real):
        loss = (mixer(q, state, told) * real).square().transpose(1, 2).flatten(1).cumsum(1)[:, -1]
        losses.append(loss.detach())
        gradients.append(torch.autograd.grad(loss.sum(), list(mixer.parameters())))
    assert torch.equal(*losses)
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda q, state: (q, state[..., 1:]), "hypernetworks of states"),
        (lambda q, state: (q[..., 1:], state), "hypernetworks of states"),
        (lambda q, state: (q, state.clone().requires_grad_()), "no gradients"),
    ],
)
def test_what_does_not_fit_the_mixer_is_refused(change: Any, words: str) -> None:
    q, state = change(*rows(7))
    with pytest.raises(ValueError, match=words):
        mix(q, state, made().hypernetworks())
