"""Products on a card, on the CPU: what they are, and their gradients, against torch's own."""

import pytest
import torch
from torch import Tensor

from partage.nn.products import FEW, behind_own, multiplied

TIME, ROWS, INPUTS, OUTPUTS, SETS = 3, 4, 5, 6, 2


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator).requires_grad_()


def close_with_gradients(ours: Tensor, theirs: Tensor, given: list[Tensor]) -> None:
    back = normal(*ours.shape).detach()
    gradients = (torch.autograd.grad((y * back).sum(), given) for y in (ours, theirs))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("stretches", [2, FEW + 1])
def test_rows_are_multiplied_by_the_weights_of_their_stretch(stretches: int):
    x, weight = normal(stretches, TIME, ROWS, INPUTS), normal(stretches, INPUTS, OUTPUTS)
    plain = torch.einsum("ktmi,kio->ktmo", x, weight)
    close_with_gradients(multiplied(x, weight), plain, [x, weight])


@pytest.mark.parametrize("stretches", [2, FEW + 1])
def test_each_row_goes_through_the_set_that_is_its_own(stretches: int):
    x, bias = normal(stretches, TIME, ROWS, INPUTS), normal(stretches, SETS, OUTPUTS)
    weight, runs = normal(stretches, SETS, INPUTS, OUTPUTS), torch.arange(stretches)
    used = (torch.arange(stretches * TIME * ROWS) % SETS).view(stretches, TIME, ROWS)
    own = torch.nn.functional.one_hot(used, SETS).float()
    run = runs[:, None, None]
    plain = torch.einsum("ktmi,ktmio->ktmo", x, weight[run, used]) + bias[run, used]
    close_with_gradients(behind_own(x, own, weight, bias), plain, [x, weight, bias])


def test_a_row_that_has_no_set_becomes_zeros():
    x, weight, bias = normal(1, 1, 1, INPUTS), normal(1, 2, INPUTS, OUTPUTS), normal(1, 2, OUTPUTS)
    assert not behind_own(x, torch.zeros(1, 1, 1, 2), weight, bias).any()
