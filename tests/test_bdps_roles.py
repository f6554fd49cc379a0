"""BDPS's selectors against numbers worked out by hand: what a role says, and what groups can."""

import math
from typing import Any

import pytest
import torch
from learning import as_in_training  # noqa: F401 (a fixture)
from torch import Tensor

from partage.learners._bdps_groups import GroupSelector, effects
from partage.learners._bdps_roles import RoleSelector, divergence, draw, entropy, explained
from partage.rl.noise import generators


def selector(code: Any = "softmax", roles: int = 2, width: int = 3, scaled: bool = True) -> Any:
    return RoleSelector(generators([0, 1]), roles, width, 16, code, scaled)


def test_a_gaussian_code_draws_the_other_role_as_often_as_its_quantile_says() -> None:
    mean, log_variance = torch.tensor([1.0, 0.0]), torch.zeros(2)
    assert float(divergence(mean, log_variance)) == pytest.approx(0.5)
    z = draw(mean, log_variance, torch.tensor([0.0, 1.5]))
    assert z.tolist() == [1.0, 1.5]
    assert z.softmax(-1).tolist() == pytest.approx([0.3775, 0.6225], abs=1e-4)
    noise = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    first = (draw(mean, log_variance, noise).argmax(-1) == 0).float().mean()
    assert float(first) == pytest.approx(0.7602, abs=0.004)  # the quantile at 1 / sqrt(2)


def test_a_categorical_code_draws_each_role_with_its_probability() -> None:
    logits = torch.tensor([1.0, 0.0])
    assert float(divergence(logits, None)) == pytest.approx(math.log(2) - 0.5823, abs=1e-4)
    noise = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    first = (draw(logits, None, noise).argmax(-1) == 0).float().mean()
    assert float(first) == pytest.approx(0.7311, abs=0.004)
    assert draw(logits, None, torch.tensor([40.0, -40.0])).isfinite().all()


def test_roles_do_not_depend_on_the_unit_of_the_advantages() -> None:
    g = torch.Generator().manual_seed(0)
    advantages = torch.rand(2, 5, 64, 3, generator=g)
    noise = torch.randn(2, 64, 2, generator=g)
    found = []
    for unit in (1.0, 100.0):
        one = selector()
        one.observe(unit * advantages, torch.ones_like(advantages).bool(), torch.tensor([True] * 2))
        read = one.in_units(unit * advantages)
        error, kl, _ = one.losses(read, one.encode(one.read(read)), noise)
        found.append((one.roles(one.read(read), noise), error, kl))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found[0][2], found[1][2], rtol=1e-4, atol=1e-6)


def test_the_unit_is_the_deviation_of_what_counts_from_the_first_batch_on() -> None:
    one = selector()
    advantages, counts = torch.full((2, 1, 4, 3), 99.0), torch.zeros(2, 1, 4, 3).bool()
    advantages[:, 0, :2, 0] = torch.tensor([1.0, 5.0])
    counts[:, 0, :2, 0] = True
    assert one.scale.tolist() == [1.0, 1.0]
    one.observe(advantages, counts, torch.tensor([True, False]))
    assert one.scale.tolist() == pytest.approx([2.0, 1.0])  # a run that is over stays as it is
    advantages[:, 0, :2, 0] = torch.tensor([1.0, 9.0])
    one.observe(advantages, counts, torch.tensor([True, True]))
    running = (0.99 * 0.01 * 4 + 0.01 * 16) / (0.99 * 0.01 + 0.01)
    assert one.scale.tolist() == pytest.approx([running**0.5, 4.0])


def test_advantages_that_never_differ_have_no_unit() -> None:
    one = selector()
    same = torch.zeros(2, 1, 4, 3)
    one.observe(same, torch.ones_like(same).bool(), torch.tensor([True, True]))
    assert one.scale.tolist() == [1.0, 1.0] and one.in_units(same).isfinite().all()


def trained(code: Any, sequences: Tensor, kl: float, steps: int = 400) -> tuple[Any, Any]:
    """Train a selector on these sequences; return it and its measures."""
    one, g = selector(code, 2, sequences.shape[-1], scaled=False), torch.Generator().manual_seed(0)
    adam = torch.optim.Adam(one.parameters(), 5e-3)
    runs, _, rows, _ = sequences.shape
    for _ in range(steps):
        noise = torch.randn(runs, rows, 2, generator=g)
        error, apart, reconstruction = one.losses(sequences, one.encode(one.read(sequences)), noise)
        adam.zero_grad()
        (error + kl * apart).mean().backward()
        adam.step()
    counts = torch.ones(runs, rows, dtype=torch.bool)
    draws = torch.randn(runs, 32, rows, 2, generator=g)
    found = one.measures(one.encode(one.read(sequences)), counts, draws)
    return one, found | {"r2": explained(sequences, reconstruction.detach(), counts)}


def two_kinds(rows: int = 64) -> Tensor:
    """Sequences of two kinds, each for half of the rows."""
    kinds = torch.zeros(2, 5, rows, 3)
    kinds[:, :, ::2, 0], kinds[:, :, 1::2, 2] = 2.0, 2.0
    return kinds


@pytest.mark.parametrize("code", ["softmax", "gaussian", "categorical"])
def test_roles_say_which_of_two_kinds_a_sequence_is(code: str) -> None:
    _, found = trained(code, two_kinds(), 0.01)
    assert (found["information"] <= found["kl"] + 0.02).all()  # always: a role is made of its code
    frequencies = found["frequency/0"] + found["frequency/1"]
    assert torch.allclose(frequencies, torch.ones(2))
    if code != "gaussian":  # which way its code points is left to chance
        assert (found["information"] > 0.6).all() and (found["noise"] < 0.05).all()
        assert (found["r2"] > 0.8).all()


def test_a_large_weight_of_the_divergence_makes_every_role_a_coin_flip() -> None:
    _, found = trained("softmax", two_kinds(), 10.0)
    assert (found["kl"] < 0.01).all() and (found["information"].abs() < 0.02).all()
    assert ((found["noise"] - 0.5).abs() < 0.06).all()


@pytest.mark.parametrize(("weight", "nats"), [(0.5, 0.640), (1.9, 0.0)])
def test_a_dimension_lives_where_its_share_of_the_variance_is_above_half_the_weight(
    weight: float, nats: float
) -> None:
    g = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.8, 0.2]).sqrt()
    sequences = 1.0 + spread * torch.randn(2, 1, 512, 2, generator=g)
    _, found = trained("gaussian", sequences, weight, steps=1200)
    assert found["kl"].mean().item() == pytest.approx(nats, abs=0.09)


def test_random_roles_are_the_noise_alone() -> None:
    one = selector("random", roles=3)
    noise = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    h = torch.zeros(2, 50, 16)
    assert torch.equal(one.roles(h, noise), noise.argmax(-1))
    draws = torch.randn(2, 64, 50, 3, generator=torch.Generator().manual_seed(1))
    found = one.measures(one.encode(h), torch.ones(2, 50).bool(), draws)
    assert found["kl"].eq(0).all() and (found["information"].abs() < 0.02).all()
    assert ((found["noise"] - 2 / 3).abs() < 0.03).all()


def test_entropy_and_explained_variance_are_worked_out_by_hand() -> None:
    assert entropy(torch.tensor([1.0, 0.0])) == 0.0
    assert float(entropy(torch.tensor([0.5, 0.5]))) == pytest.approx(math.log(2))
    x = torch.tensor([1.0, 3.0, 50.0]).view(1, 1, 3, 1)
    counts = torch.tensor([[True, True, False]])
    assert float(explained(x, x, counts)) == 1.0
    assert float(explained(x, torch.full_like(x, 2.0), counts)) == pytest.approx(0.0)
    close = torch.tensor([1.5, 2.5, 0.0]).view(1, 1, 3, 1)
    assert float(explained(x, close, counts)) == pytest.approx(0.75)


def by_hand(features: Any, wx: tuple[float, float]) -> list[float]:
    """Return what one head gives agents of roles 0 and 1, one each, before its activation."""
    made = GroupSelector(generators([0]), 2, 2, 2, 1, features)
    x = torch.tensor(wx).view(1, 1, 1, 2, 1)
    with torch.no_grad():
        made.score.weight.fill_(1.0)
        made.score.bias.zero_()
        alpha = made._attention_weights(x)
    both = int((made.counts == torch.tensor([1, 1])).all(1).nonzero())
    mixed = (alpha[0, both, :, :, 0] * torch.tensor(wx)).sum(1)
    own = torch.tensor(wx) if made.adds_own else torch.zeros(2)
    return (mixed + own).tolist()


def test_attention_alone_gives_all_agents_the_same_and_their_own_features_tell_them_apart() -> None:
    assert by_hand("attention", (1.0, 2.0)) == pytest.approx([1.7311, 1.7311], abs=1e-4)
    assert by_hand("own", (1.0, 2.0)) == pytest.approx([2.7311, 3.7311], abs=1e-4)


def test_attention_tells_agents_apart_only_across_the_kink() -> None:
    first, second = by_hand("attention", (-2.0, 1.0))
    assert first == pytest.approx(-2 * 0.3543 + 0.6457, abs=1e-3)
    assert second == pytest.approx(-2 * 0.0998 + 0.9002, abs=1e-3)


def test_values_of_groups_are_split_into_what_is_equal_for_all_and_what_is_not() -> None:
    # two agents, two groups; the second decision does not count
    values = torch.tensor([[[1.0, 3.0], [5.0, 7.0]], [[9.0, 0.0], [0.0, 9.0]]]).view(1, 1, 2, 2, 2)
    found = effects(values, torch.tensor([[[True, False]]]))
    assert found.main.tolist() == [1.0] and found.interaction.tolist() == [0.0]
    assert found.one_group.tolist() == [1.0]
    found = effects(values, torch.tensor([[[False, True]]]))
    assert found.main.tolist() == [0.0] and found.interaction.tolist() == [4.5]
    assert found.one_group.tolist() == [0.0]
