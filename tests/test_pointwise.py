"""Drawing an action: the inverse of the softmax's distribution function over what is available; and
its logarithm.
"""

import jaxtyping
import pytest
import torch
from torch import Generator
from torch.nn import functional

from partage.nn.pointwise import (
    add_up,
    categorical,
    categorical_torch,
    elementwise,
    greedy,
    log_softmax,
)


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


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("way", [categorical, categorical_torch])
def test_where_logits_are_no_numbers_what_is_drawn_is_still_available(way, broken: float) -> None:
    g = Generator().manual_seed(3)
    logits, level = torch.randn(500, 6, generator=g), torch.rand(500, generator=g)
    avail = torch.rand(500, 6, generator=g) < 0.4
    avail[:, 5] |= ~avail.any(1)
    expected = way(logits, avail, level)
    logits[::2] = broken
    drawn = way(logits, avail, level)
    assert avail.gather(-1, drawn[:, None]).all() and torch.equal(drawn[1::2], expected[1::2])
    assert avail.gather(-1, greedy(logits, avail)[:, None]).all()


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As outside of tests, where nobody checks the shapes of annotations."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit_are_refused() -> None:
    logits, avail = torch.zeros(4, 3), torch.ones(4, 3, dtype=torch.bool)
    for wrong in ((logits, avail[:2], torch.zeros(4)), (logits, avail, torch.zeros(3))):
        with pytest.raises(ValueError, match="their shapes are"):
            categorical(*wrong)


@pytest.mark.parametrize("f", [torch.sigmoid, functional.elu, functional.softplus])
def test_an_elementwise_function_gives_a_run_its_bits_whatever_the_pack(f) -> None:
    g = Generator().manual_seed(4)
    for width in range(1, 80):
        x = 3 * torch.randn(3, width, generator=g)
        packed = elementwise(f, x)
        torch.testing.assert_close(packed, f(x))
        for r in range(3):
            assert torch.equal(elementwise(f, x[r : r + 1])[0], packed[r]), width


def test_a_sum_of_terms_is_the_same_alone_and_in_any_pack() -> None:
    terms = torch.randn(8, 20, generator=Generator().manual_seed(0))
    for runs in (2, 5, 20):
        packed = add_up(terms[:, :runs])
        alone = [add_up(terms[:, run : run + 1])[0] for run in range(runs)]
        assert torch.equal(packed, torch.stack(alone))
