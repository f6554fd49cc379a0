"""The fused mixing against the same equation in torch, forward and all gradients."""

import torch
from torch import Tensor
from torch.nn import functional

from partage.nn.mixer import Mix, mix, mix_gradients_torch, mix_torch


def inputs(rows: int = 37, agents: int = 5, embed: int = 32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (rows, agents), (rows, agents, embed), (rows, embed), (rows, embed)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def test_the_fused_mixing_is_qmix_s_equation_forward_and_backward() -> None:
    q, w1, b1, w2 = inputs()
    plain = (functional.elu((q[..., None] * w1.abs()).sum(1) + b1) * w2.abs()).sum(-1)
    fused = Mix.apply(q, w1, b1, w2)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-4)
    grad = torch.linspace(-1, 1, len(plain))
    for found, expected in zip(
        torch.autograd.grad(fused, [q, w1, b1, w2], grad),
        torch.autograd.grad(plain, [q, w1, b1, w2], grad),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_row_s_mixing_does_not_depend_on_the_other_rows() -> None:
    few, many = inputs(), inputs()
    with torch.no_grad():
        alone = Mix.apply(*(x[3:4].clone() for x in few))
        assert torch.equal(alone, Mix.apply(*many)[3:4])


def test_the_compiled_mixing_is_its_twin_in_torch_forward_and_backward() -> None:
    q, w1, b1, w2 = inputs()
    total, hidden = mix(q, w1, b1, w2)
    for found, expected in zip((total, hidden), mix_torch(q, w1, b1, w2), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    grad = torch.linspace(-1, 1, len(total))
    compiled = torch.autograd.grad(Mix.apply(q, w1, b1, w2), [q, w1, b1, w2], grad)
    twin = mix_gradients_torch(grad, q, w1, w2, hidden)
    for found, expected in zip(compiled, twin, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
