"""Prism: masks of singular values by hand, what keeps them apart, and what is refused."""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training, snapshot  # noqa: F401 (a fixture)
from torch import Tensor

from partage import learners
from partage.errors import UserError
from partage.learners._masked import layers_of
from partage.learners.prism import Prism
from partage.nn.bank import Bank
from partage.nn.generated import Spectrum, orthogonality, spectra_differ
from partage.nn.tangents import overlap
from partage.rl.noise import generators
from partage.sharing.overlap import Shares, degree
from partage.sims.contract import Spec

SPEC = Spec(3, n_actions=3, obs_dim=4, state_dim=12, horizon=5, common_reward=True)
TASK = "roll_call/4x4-3"


def layer(spectrum: list[float], thresholds: list[list[float]]) -> Bank:
    """A square layer of U = V = 1, this spectrum and these thresholds, behind their sigmoid."""
    size = len(spectrum)
    bank = Bank(generators([0]), 1, size, size)
    bank.derivation = made = Spectrum(bank, len(thresholds), generators([0]))
    for side in (bank.weight, made.right):
        side.data[:] = torch.eye(size)
    made.spectrum.data[:] = torch.tensor(spectrum)
    made.thresholds.data = torch.tensor(thresholds)[None].logit()
    return bank


def test_by_hand_two_masks_that_share_no_singular_value_share_nothing() -> None:
    """U = V = 1, d = (3/4, 1/4), and each keeps one of them whole."""
    bank = layer([0.75, 0.25], [[0.0, 1.0], [1.0, 0.0]])
    first, second = bank.sets().weight[0]
    assert first.tolist() == [[0.75, 0], [0, 0]] and second.tolist() == [[0, 0], [0, 0.25]]
    assert torch.equal(first + second, torch.diag(torch.tensor([0.75, 0.25])))
    assert not (first @ second.T).any()
    shared = overlap(bank, 2)[0]
    # of a tangent's square, 4 x 9/16 and 4 x 1/16, and a bias of 2, they have the bias in common
    assert shared[0, 1].item() == pytest.approx(2 / (4.25 * 2.25) ** 0.5)


def test_by_hand_a_mask_shrinks_what_it_keeps_and_leaves_its_sign() -> None:
    bank = layer([0.5, -0.2, 0.05], [[0.1, 0.1, 0.1], [0.1, 0.3, 0.01]])
    kept = bank.derivation.masked()[0]  # type: ignore[union-attr,operator]
    torch.testing.assert_close(kept, torch.tensor([[0.4, -0.1, 0], [0.4, 0, 0.04]]))


def test_by_hand_the_diversity_of_spectra_is_kaleidoscopes_and_moves_thresholds_alone() -> None:
    """Of three masks 1, 1, 0 of one singular value 0.3: the odd one is pushed twice as hard."""
    bank = layer([0.3], [[0.1], [0.1], [0.4]])
    loss = spectra_differ([bank])
    assert loss.tolist() == pytest.approx([-0.2])
    loss.sum().backward()
    made = bank.derivation
    assert isinstance(made, Spectrum) and made.thresholds.grad is not None
    by_hand = [0.0089701, 0.0089701, -0.0473701]
    assert made.thresholds.grad.flatten().tolist() == pytest.approx(by_hand, rel=1e-4)
    assert made.spectrum.grad is None and bank.weight.grad is None
    later = spectra_differ([layer([0.3], [[0.1]] * 3), bank])
    assert later.tolist() == pytest.approx([-0.2]), "twice the weight, among twice as many"
    alike = layer([0.3, 0.5], [[0.1, 0.6], [0.2, 0.7]])
    assert spectra_differ([alike]).tolist() == [0]


def test_by_hand_the_regulariser_is_the_distance_from_orthogonal_columns() -> None:
    bank = layer([3.0, 1.0], [[0.1, 0.1]] * 2)
    assert orthogonality([bank]).tolist() == [0]
    bank.weight.data[0, 0] = torch.tensor([[1.0, 1.0], [0, 2.0]])  # U^T U = [[1, 1], [1, 5]]
    assert orthogonality([bank]).tolist() == [1 + 1 + 16]
    assert orthogonality([bank, bank]).tolist() == [36]


def learner(seeds: list[int], **settings: Any) -> Prism:
    made = learners.make("prism", SPEC, settings, seeds)
    assert isinstance(made, Prism)
    return made


def of_layers(made: Prism) -> list[tuple[Bank, Spectrum]]:
    found = [(bank, bank.derivation) for bank in layers_of(made.nets)]
    return [(bank, x) for bank, x in found if isinstance(x, Spectrum)]


def test_it_begins_as_full_sharing_but_for_the_thresholds() -> None:
    """Masks of ones give torch's default weight again, within 1e-6; no smaller rank is taken."""
    made, plain = learner([3]), learners.make("snp_ps", SPEC, {"keep": 1.0, "sharing": "id"}, [3])
    assert len(of_layers(made)) == 4
    for (bank, spectrum), of_plain in zip(of_layers(made), layers_of(plain.nets), strict=True):  # type: ignore[attr-defined]
        assert spectrum.spectrum.shape[2] == min(of_plain.weight.shape[2:])
        spectrum.thresholds.data[:] = -100.0
        weight = bank.sets().weight
        expected = of_plain.weight.expand_as(weight)
        torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)
    before = learner([3], sharing="full")
    degrees = [degree(x.overlap()) for x in before.sharing().values() if isinstance(x, Shares)]
    assert len(degrees) == 2 and all(x.item() > 0.98 for x in degrees)
    assert orthogonality(layers_of(before.nets)).item() < 1e-6


def test_u_v_spectrum_and_each_ones_thresholds_learn_and_a_regulariser_keeps_u_and_v() -> None:
    """What it holds back is seen by the distance, with it and without."""
    distance = {}
    for weight in (0.0, 1.0):
        player = Player("prism", TASK, [0], batch=4, orthogonality=weight)
        made = player.learner
        assert isinstance(made, Prism)
        before = snapshot(made)
        player.learn(6)
        after = snapshot(made)
        moved = {name for name, p in after.items() if not torch.equal(p, before[name])}
        for part in ("weight", "derivation.spectrum", "derivation.right", "derivation.thresholds"):
            assert f"nets.agent.body.encoder.{part}" in moved
        distance[weight] = orthogonality(layers_of(made.nets)).item()
    assert 1e-6 < distance[1.0] < distance[0.0] / 2


def test_a_singular_value_above_one_is_never_cut_since_thresholds_are_below_it() -> None:
    bank = layer([3.0, 1.5], [[0.5, 0.5]] * 2)
    bank.derivation.thresholds.data[:] = 1e9  # type: ignore[union-attr]
    assert bank.derivation.masked()[0].tolist() == [[2, 0.5]] * 2  # type: ignore[union-attr,operator]


def test_a_singular_value_that_all_cut_has_no_gradient_and_others_move_who_keeps_them() -> None:
    bank = layer([0.5, 0.3], [[0.1, 0.4], [0.1, 0.9]])
    x: Tensor = torch.tensor([1.0, 1.0])
    (x @ bank.sets().weight[0, 0]).sum().backward()
    made = bank.derivation
    assert isinstance(made, Spectrum)
    of_spectrum, of_thresholds = made.spectrum.grad, made.thresholds.grad
    assert of_spectrum is not None and of_spectrum[0, 0].tolist() == [1, 0]
    assert of_thresholds is not None
    # minus the slope of the sigmoid at 0.1, of the set that was gone through
    expected = torch.tensor([[-0.09, 0], [0, 0]])
    torch.testing.assert_close(of_thresholds[0], expected)


@pytest.mark.parametrize(
    ("settings", "agents", "message"),
    [
        ({"sharing": "none"}, 3, "sharing is full, or id .* not 'none'"),
        ({}, 1, "tell several agents apart, but this task has one"),
        ({"diversity": -1.0}, 3, "'diversity' takes"),
        ({"orthogonality": -1.0}, 3, "'orthogonality' takes"),
    ],
)
def test_what_cannot_be_masked_is_refused_in_a_sentence(
    settings: dict[str, Any], agents: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        learners.make("prism", SPEC._replace(n_agents=agents), settings, [0])
