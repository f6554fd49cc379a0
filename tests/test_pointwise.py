"""Drawing an action: the inverse of the softmax's distribution function over what is available; and
its logarithm.
"""

import torch
from torch import Generator

from partage.nn.pointwise import categorical, categorical_torch, log_softmax


def test_actions_are_drawn_as_often_as_the_softmax_says_and_never_where_not_available() -> None:
    logits = torch.tensor(
        [[1.0, -2.0, 0.5, 80.0, -90.0], [3.0, 3.0, 3.0, 3.0, 3.0], [-1e4, -1e4, -1e4, -1e4, 1e4]]
    )
    avail = torch.tensor([[1, 1, 1, 0, 0], [0, 1, 0, 1, 1], [1, 1, 1, 1, 0]], dtype=torch.bool)
    level = torch.rand(3, 40_000, generator=Generator().manual_seed(0))
    drawn = categorical(
        logits[:, None].expand(3, 40_000, 5), avail[:, None].expand(3, 40_000, 5), level
    )
    found = torch.stack([(drawn == a).float().mean(1) for a in range(5)], 1)
    expected = logits.masked_fill(~avail, -torch.inf).softmax(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)
    assert not found[~avail].any()


def test_levels_pass_from_an_action_to_the_next_where_the_distribution_function_does() -> None:
    logits, avail = torch.log(torch.tensor([0.25, 0.5, 0.25])), torch.ones(3, dtype=torch.bool)
    level = torch.tensor([0.0, 0.249, 0.251, 0.749, 0.751, 1 - 2**-24])
    rows = (len(level), 3)
    assert categorical(logits.expand(rows), avail.expand(rows), level).tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]


def test_log_softmax_and_its_gradient_are_torchs() -> None:
    g = Generator().manual_seed(1)
    x = 5 * torch.randn(7, 3, 6, generator=g)
    x[0, :, 2] = -1e9  # an action that is not available
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, expected = log_softmax(ours), theirs.log_softmax(-1)
    torch.testing.assert_close(found, expected)
    weight = torch.randn(x.shape, generator=g)
    for out in (found, expected):
        (out * weight + out.exp().square()).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_compiled_drawing_is_its_twin_in_torch() -> None:
    g = Generator().manual_seed(2)
    logits, level = 3 * torch.randn(500, 6, generator=g), torch.rand(500, generator=g)
    avail = torch.rand(500, 6, generator=g) < 0.6
    avail[:, 2] = True
    assert torch.equal(categorical(logits, avail, level), categorical_torch(logits, avail, level))
