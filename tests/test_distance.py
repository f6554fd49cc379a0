"""Policy distance: closed forms against integrals, the properties of §3.1, and what is refused."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from partage.distances import codes, distance
from partage.distances.distance import CODED, VANILLA, Experience
from partage.errors import UserError
from partage.kernels import auto_encoder
from partage.nn.dense import Layer
from partage.rl.noise import generators

quick = settings(max_examples=50, deadline=None)
numbers = st.floats(-3, 3, width=32)


def gaussians(seed: int, agents: int = 5, latent: int = 4) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, agents, latent, generator=g), torch.rand(
        2, agents, latent, generator=g
    ) + 0.2


def actions(seed: int, agents: int = 5) -> Tensor:
    return (2 * torch.randn(2, agents, 4, generator=torch.Generator().manual_seed(seed))).softmax(
        -1
    )


@pytest.mark.parametrize(
    ("m", "s", "n", "t"), [(0.0, 1.0, 1.5, 0.5), (-1.0, 0.3, 0.2, 2.0), (0.0, 1.0, 0.0, 1.0)]
)
def test_the_closed_forms_are_the_integrals(m: float, s: float, n: float, t: float) -> None:
    mean, std = torch.tensor([[m], [n]]), torch.tensor([[s], [t]])
    w2 = quad(lambda u: (norm.ppf(u, m, s) - norm.ppf(u, n, t)) ** 2, 0, 1)[0] ** 0.5
    overlap = quad(lambda x: math.sqrt(norm.pdf(x, m, s) * norm.pdf(x, n, t)), -20, 20, limit=200)[
        0
    ]
    assert distance.wasserstein(mean, std)[0, 1] == pytest.approx(w2, abs=1e-4)
    assert distance.bhattacharyya(mean, std)[0, 1] == pytest.approx(-math.log(overlap), abs=1e-5)
    assert distance.hellinger(mean, std)[0, 1] == pytest.approx(
        math.sqrt(max(1 - overlap, 0)), abs=1e-3
    )


def test_over_independent_dimensions_overlaps_multiply_and_squares_add() -> None:
    mean, std = gaussians(0)
    each = [(mean[..., k : k + 1], std[..., k : k + 1]) for k in range(4)]
    torch.testing.assert_close(
        distance.wasserstein(mean, std) ** 2, sum(distance.wasserstein(*x) ** 2 for x in each)
    )
    torch.testing.assert_close(
        distance.bhattacharyya(mean, std), sum(distance.bhattacharyya(*x) for x in each)
    )


@quick
@given(st.integers(0, 10**6))
def test_every_distance_is_symmetric_not_negative_and_renames_with_its_agents(seed: int) -> None:
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    forms = [(f, gaussians(seed)) for f in CODED.values()] + [
        (f, (actions(seed),)) for f in VANILLA.values()
    ]
    for form, x in forms:
        d = form(*x)
        torch.testing.assert_close(d, d.transpose(1, 2), atol=1e-5, rtol=1e-5)
        assert d.min() >= 0
        assert torch.diagonal(d, dim1=1, dim2=2).abs().max() < 2e-3  # `measure` makes it nothing
        torch.testing.assert_close(
            form(*(y[:, order] for y in x)), d[:, order][:, :, order], atol=2e-3, rtol=1e-4
        )


@quick
@given(st.integers(0, 10**6))
def test_the_metrics_keep_the_triangle_inequality(seed: int) -> None:
    mean, std = gaussians(seed)
    for d in (
        distance.wasserstein(mean, std),
        distance.hellinger(mean, std),
        distance.vanilla_hellinger(actions(seed)),
    ):
        detour = (d[:, :, :, None] + d[:, None, :, :]).amin(2)
        assert (d <= detour + 1e-3).all()


def test_the_bhattacharyya_distance_is_no_metric() -> None:
    mean, std = torch.tensor([[0.0], [1.0], [2.0]]), torch.ones(3, 1)
    d = distance.bhattacharyya(mean, std)
    assert d[0, 2] > d[0, 1] + d[1, 2]


def test_vanilla_distances_of_policies_that_never_do_the_same_are_infinite_and_one() -> None:
    probs = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0]])
    bd, hd = distance.vanilla_bhattacharyya(probs), distance.vanilla_hellinger(probs)
    assert bd[0, 1] == math.inf and hd[0, 1] == pytest.approx(1.0)
    assert bd[0, 2] == pytest.approx(math.log(2) / 2) and hd[0, 2] == pytest.approx(
        math.sqrt(1 - 0.5**0.5), abs=1e-6
    )


def world(seeds: list[int], count: int = 640, dead: float = 0.0) -> tuple[Experience, Tensor]:
    """Four agents on random observations: 0 and 1 act alike, 2 and 3 otherwise; and everyone's
    probabilities.
    """
    obs = torch.stack(
        [torch.randn(count, 3, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )
    left = torch.stack((3 * obs[..., 0], -3 * obs[..., 0], obs[..., 1]), -1).softmax(-1)
    everyone = torch.stack((left, left, left.flip(-1), left[..., [1, 0, 2]]), 2)
    own = everyone[:, torch.arange(count), torch.arange(count) % 4]
    valid = torch.rand(len(seeds), count, generator=torch.Generator().manual_seed(0)) >= dead
    return Experience(obs, own, own, valid), everyone


def measured(seeds: list[int], kinds: list[str] | None = None, **more) -> dict[str, Tensor]:
    experience, everyone = world(seeds, **more)
    code = distance.learn(experience, generators(seeds))
    kinds = kinds or [*CODED, *VANILLA]
    return distance.measure(
        kinds, code, experience.obs, experience.valid, lambda part: everyone[:, part]
    )


def test_equal_policies_are_exactly_nothing_apart_and_others_are_apart() -> None:
    for kind, d in measured([1, 2]).items():
        assert torch.equal(d, d.transpose(1, 2)) and not torch.diagonal(d, dim1=1, dim2=2).any(), (
            kind
        )
        assert (
            (d[:, 0, 1] < 1e-3).all()
            and (d[:, 0, 2] > 100 * d[:, 0, 1]).all()
            and (d[:, 0, 2] > 3e-3).all()
        ), kind


def test_a_run_s_distances_do_not_depend_on_its_pack() -> None:
    packed, alone = measured([1, 2, 3]), measured([2])
    for kind in packed:
        torch.testing.assert_close(packed[kind][1], alone[kind][0], rtol=0, atol=0)


def test_what_the_dead_are_said_to_see_and_do_changes_nothing() -> None:
    experience, everyone = world([5], dead=0.4)
    results = []
    for garbage in (0.0, 1e3):
        spoilt = Experience(
            *(torch.where(experience.valid[..., None], x, garbage) for x in experience[:3]),
            experience.valid,
        )
        code = distance.learn(spoilt, generators([5]))
        results.append(
            distance.measure(
                ["wasserstein"], code, spoilt.obs, spoilt.valid, lambda part: everyone[:, part]
            )
        )
    assert torch.equal(results[0]["wasserstein"], results[1]["wasserstein"])


def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured([1])
    monkeypatch.setattr(distance, "CHUNK", 77)
    for kind, d in measured([1]).items():
        torch.testing.assert_close(d, whole[kind], rtol=1e-5, atol=1e-6)


def plain(layers: Sequence[Layer], x: Tensor) -> Tensor:
    for layer in layers:
        x = x @ layer.weight[:, 0] + layer.table[:, 0]
        x = x.relu() if layer.relu else x
    return x


def test_training_a_code_is_adam_on_the_evidence_bound() -> None:
    """The compiled loop against autograd, two epochs of three batches   (MPD eq. 8)."""
    experience, _ = world([1], 400)
    parts = (torch.cat((experience.probs, experience.obs), -1), experience.obs, experience.target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes, "EPOCHS", 2)
        code = codes.fit(*parts, experience.valid, generators([3]), 8, 0.5)
    (g,) = generators([3])
    flat = codes._draw_parameters(code.sizes, g).requires_grad_()
    adam = torch.optim.Adam([flat], lr=auto_encoder.LR)
    for _ in range(2):
        order, noise = codes._order(experience.valid[0], 384, g), torch.randn(384, 10, generator=g)
        for b in range(3):
            rows = order[b * 128 : (b + 1) * 128]
            given, seen, target = (x[:, rows] for x in parts)
            layers = codes._layers(flat[None], code.sizes)
            mean, log_var = plain(layers[:2], given).chunk(2, -1)
            z = mean + noise[None, b * 128 : (b + 1) * 128] * (0.5 * log_var).exp()
            error = (plain(layers[2:], torch.cat((z, seen), -1)) - target).square().sum()
            loss = error + 0.5 * 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
    torch.testing.assert_close(code.flat[0], flat.detach(), rtol=0, atol=1e-6)


def test_a_code_tells_actions_better_than_their_mean_does() -> None:
    experience, _ = world([1], 6400)
    code = distance.learn(experience, generators([1]))
    reconstruction = code.decode(code.encode(experience.probs, experience.obs)[0], experience.obs)
    error, spread = (
        (reconstruction - experience.target).square().mean(),
        experience.target.var((0, 1)).mean(),
    )
    assert error < 0.5 * spread


def test_sizes_that_differ_few_observations_and_nan_are_refused_in_one_sentence() -> None:
    a, b = torch.zeros(1, 200, 3), torch.zeros(1, 200, 4)
    ones = torch.ones(1, 200, dtype=torch.bool)
    with pytest.raises(UserError, match=r"one observation size, but these have \[3, 4\]"):
        distance.pool([a, b], [a, a], [a, a], [ones, ones])
    with pytest.raises(UserError, match="one action size"):
        distance.pool([a, a], [a, b], [a, a], [ones, ones])
    assert distance.pool([a, a], [b, b], [b, b], [ones, ones]).obs.shape == (1, 400, 3)
    experience, _ = world([1], 127)
    with pytest.raises(
        UserError, match=r"policy distance needs at least 128 valid observations .*has 127"
    ):
        distance.learn(experience, generators([1]))
    experience, _ = world([1])
    experience.probs[0, 3] = float("nan")
    with pytest.raises(UserError, match="1 of the probs are NaN"):
        distance.learn(experience, generators([1]))


def test_a_vanilla_wasserstein_distance_is_refused_with_the_paper_s_reason() -> None:
    with pytest.raises(UserError, match="cost of taking one action for another"):
        distance.known("vanilla_wasserstein")
    with pytest.raises(UserError, match="Unknown distance 'cosine'"):
        distance.known("cosine")
    assert np.all([distance.known(kind) == kind for kind in (*CODED, *VANILLA)])
