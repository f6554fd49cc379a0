"""Kaleidoscope: the diversity loss and resets by hand, its coefficient, and what is refused."""

from itertools import product
from typing import Any

import pytest
import torch
from learning import Player, as_in_training, snapshot  # noqa: F401 (a fixture)
from torch import Tensor

from partage import learners
from partage.config import plan
from partage.config.recipe import SCALES
from partage.config.tasks import run_values
from partage.errors import UserError
from partage.learners._kaleidoscope import Settings, Upkeep
from partage.learners._masked import layers_of
from partage.learners.kaleidoscope import Kaleidoscope, fixed
from partage.nn.bank import Bank, Sets
from partage.nn.masks import LearnedMask, diversity, fix, redraw
from partage.rl.noise import generators
from partage.sims.contract import Spec

SPEC = Spec(
    3,
    n_actions=3,
    obs_dim=4,
    state_dim=12,
    horizon=5,
    common_reward=True,
    types=("a", "b", "a"),
)


def masked(weight: list[list[float]], thresholds: list[list[list[float]]]) -> Bank:
    """A layer of these weights, and masks with these thresholds, behind their sigmoid."""
    bank = Bank(generators([0]), 1, len(weight), len(weight[0]))
    bank.derivation = mask = LearnedMask(bank, len(thresholds), generators([0]))
    bank.weight.data[:] = torch.tensor(weight)
    mask.thresholds.data = torch.tensor(thresholds)[None].logit()
    return bank


def gradients(loss: Tensor, bank: Bank) -> tuple[Tensor | None, Tensor]:
    assert isinstance(bank.derivation, LearnedMask)
    leaves = [bank.weight, bank.derivation.thresholds]
    return torch.autograd.grad(loss.sum(), leaves, allow_unused=True)  # type: ignore[return-value]


def test_the_diversity_loss_lowers_the_thresholds_of_those_who_keep_and_raises_the_others() -> None:
    two = [[[0.1, 0.1], [0.1, 0.4]], [[0.1, 0.3], [0.1, 0.1]]]
    bank = masked([[0.5, -0.2], [0.05, -0.3]], two)
    loss = diversity([bank])
    assert loss.tolist() == pytest.approx([-0.125])
    of_weight, of_thresholds = gradients(loss, bank)
    assert of_weight is None, "it moves thresholds alone"
    by_hand = [[[0, 0.0044963], [0, -0.0179663]], [[0, -0.0104913], [0, 0.0067374]]]
    torch.testing.assert_close(of_thresholds[0], torch.tensor(by_hand), rtol=1e-4, atol=1e-8)


def test_the_odd_one_out_of_three_is_pushed_twice_as_hard() -> None:
    bank = masked([[0.3]], [[[0.1]], [[0.1]], [[0.4]]])
    assert diversity([bank]).tolist() == pytest.approx([-0.2])
    _, found = gradients(diversity([bank]), bank)
    assert found.flatten().tolist() == pytest.approx([0.0089701, 0.0089701, -0.0473701], rel=1e-4)


def test_a_later_layer_weighs_twice_as_much_and_a_weight_counts_among_all() -> None:
    one, apart = masked([[0.3]], [[[0.1]], [[0.1]]]), masked([[0.3]], [[[0.1]], [[0.4]]])
    assert diversity([apart, one]).tolist() == pytest.approx([-0.15])
    assert diversity([one, apart]).tolist() == pytest.approx([-0.3])


def test_masks_that_agree_have_no_diversity_and_no_gradient_from_it() -> None:
    bank = masked([[0.3, -0.5]], [[[0.1, 0.6]], [[0.2, 0.7]]])
    assert diversity([bank]).tolist() == [0]
    assert not gradients(diversity([bank]), bank)[1].any()


def test_the_weight_of_the_diversity_loss_follows_both_losses_means() -> None:
    upkeep, both = Upkeep(Settings(diversity=0.5), [0, 1]), torch.tensor([True, True])
    upkeep.coefficient(torch.tensor([4.0, 4]), torch.tensor([-0.01, 0]), both)
    running = torch.tensor([True, False])
    found = upkeep.coefficient(torch.tensor([2.0, 9]), torch.tensor([-0.03, -9]), running)
    assert found.tolist() == pytest.approx([75, 0.5]), "where nothing differed it is c"
    assert upkeep.count.tolist() == [2, 1], "what has ended takes nothing in"
    for _ in range(100):
        found = upkeep.coefficient(torch.ones(2), -torch.ones(2), both)
    assert found.tolist() == pytest.approx([0.5, 0.5]), "the last hundred alone count"


@pytest.mark.parametrize("episode", [800, 3_200])  # of a round
@pytest.mark.parametrize(
    ("every", "budget", "expected"), [(200_000, 3_050_000, 14), (1_000_000, 10_050_000, 9)]
)
def test_the_schedules_reset_fourteen_and_nine_times(
    every: int, budget: int, expected: int, episode: int
) -> None:
    upkeep = Upkeep(Settings(reset_every=every, budget=budget), [0])
    resets = 0
    for steps in range(0, budget, episode):
        before = upkeep.last.clone()
        upkeep.reset([], torch.tensor([steps]), torch.tensor([True]))
        resets += int(upkeep.last != before)
    assert resets == expected


def test_on_every_task_masks_are_reset_nine_to_fourteen_times_and_kept_from_half_way_on() -> None:
    config = plan.load()
    for scale, (task, about) in product(SCALES, config.tasks.items()):
        settings = config.settings("kaleidoscope-kept", task, scale)
        found: dict[str, Any] = {setting.name: setting.value for setting in settings}
        steps = run_values(about, scale)[0]["steps"]
        assert found["budget"] == steps, f"{task}: what it takes for its run's length"
        assert found["fix_at"] == steps // 2, task
        assert 9 <= steps / found["reset_every"] - 1 < 14.5, task


def test_a_reset_touches_what_all_masks_cut_and_nothing_else() -> None:
    def layer() -> Bank:
        bank = masked([[0.05, 0.3], [0.02, 0.2]], [[[0.1, 0.1], [0.1, 0.4]]] * 2)
        bank.derivation.thresholds.data[0, 1, 1, 1] = -9.0  # type: ignore[union-attr]
        return bank

    before, never, always = layer(), layer(), layer()
    redraw(never, 0.0, {0: torch.Generator()})
    redraw(always, 1.0, {0: torch.Generator()})
    cut = torch.tensor([[True, False], [True, False]])
    for name in ("weight", "derivation.thresholds"):
        was, same, new = (bank.get_parameter(name)[0] for bank in (before, never, always))
        assert torch.equal(was, same)
        assert ((was != new) == cut).all(), name
    found = always.derivation.thresholds[0][:, cut]  # type: ignore[union-attr,index]
    assert ((found >= -10) & (found <= -5)).all() and len(found.unique()) == 4


def learner(seeds: list[int], **settings: Any) -> Kaleidoscope:
    made = learners.make("kaleidoscope", SPEC, settings, seeds)
    assert isinstance(made, Kaleidoscope)
    return made


def values(made: Kaleidoscope) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    obs = torch.randn(1, 2, 6, 3, 4, generator=generator)
    obs[:] = obs[:, :, :, :1].clone()  # all see the same
    actions = torch.randint(3, (1, 2, 5, 1), generator=generator).expand(-1, -1, -1, 3)
    return made.nets.q(obs, actions)


def test_equal_masks_without_an_id_are_one_network_of_the_shrunk_weights() -> None:
    made, plain = (learner([3], sharing="full", masks=kind) for kind in ("agent", "none"))
    for bank, base in zip(layers_of(made.nets), layers_of(plain.nets), strict=True):
        assert isinstance(bank.derivation, LearnedMask)
        thresholds = bank.derivation.thresholds
        thresholds.data[:] = thresholds[:, :1].clone() + 4
        shrunk = bank.weight - thresholds[:, :1].sigmoid() * bank.weight.sign()
        base.weight.data[:] = torch.where(shrunk * bank.weight > 0, shrunk, 0)
        base.bias.data[:] = bank.bias
    together = values(made)
    assert torch.equal(together[..., :1, :].expand_as(together), together)
    torch.testing.assert_close(together, values(plain), rtol=1e-4, atol=1e-6)


def test_masks_by_type_are_as_many_as_types_and_an_id_still_tells_agents_apart() -> None:
    by_type = learner([3], masks="type", sharing="full")
    q = values(by_type)
    assert torch.equal(q[..., 0, :], q[..., 2, :]) and not torch.equal(q[..., 0, :], q[..., 1, :])
    told = values(learner([3], masks="type"))
    assert not torch.equal(told[..., 0, :], told[..., 2, :])
    overlap = by_type.sharing()["layers"].overlap()[0]  # type: ignore[union-attr]
    assert overlap[0, 2] == 1 and 0.98 < overlap[0, 1] < 1


def test_fixed_masks_cut_and_do_not_shrink_and_moved_ones_overlap_as_before() -> None:
    made = learner([3, 4], fix_at=1)
    layers, n = layers_of(made.nets), SPEC.n_agents
    for bank in layers:
        bank.derivation.thresholds.data += 6  # type: ignore[union-attr,operator]
    before, overlap = [mask_of(bank) for bank in layers], agents_overlap(made)
    for bank in layers:
        fix(bank, {0: torch.Generator(), 1: None})
    assert torch.equal(agents_overlap(made), overlap) and (overlap[:, 0, 1] < 0.99).all()
    for bank, was in zip(layers, before, strict=True):
        now, weight = mask_of(bank), bank.sets().weight
        assert torch.equal(now[1], was[1]) and not torch.equal(now[0], was[0])
        assert torch.equal(now.sum((2, 3)), was.sum((2, 3)))
        assert torch.equal(weight, torch.where(now, bank.weight, 0))
    ids = layers[0].derivation.kept[0, :, -n:]  # type: ignore[union-attr,index]
    assert torch.equal(ids, before[0][0, :, -n:]), "ids stay in their places"


def mask_of(bank: Bank) -> Tensor:
    assert isinstance(bank.derivation, LearnedMask)
    return bank.derivation.mask(Sets(bank.weight, bank.bias))


def agents_overlap(made: Kaleidoscope) -> Tensor:
    return made.sharing()["layers"].overlap()  # type: ignore[union-attr]


def test_a_run_whose_masks_are_fixed_begins_anew_alike_alone_and_in_a_pack() -> None:
    more = {"fix_at": 30, "moved": True, "batch": 4, "copies": 4, "target_every": 100}
    alone, packed = (
        Player("kaleidoscope", "roll_call/3x3-5", seeds, **more) for seeds in ([7], [5, 7])
    )
    start = snapshot(alone.learner)
    for player in (alone, packed):
        player.learn(1)
    first = snapshot(alone.learner)
    for player in (alone, packed):
        player.learn(2)
    after, others = snapshot(alone.learner), snapshot(packed.learner)
    for name, x in after.items():
        assert torch.equal(x[0], others[name][1]), name
    moved = (
        after["nets.agent.head.banks.1.weight"] - first["nets.agent.head.banks.1.weight"]
    ).abs()
    trained = first["nets.agent.head.banks.1.weight"] - start["nets.agent.head.banks.1.weight"]
    assert moved.mean() > 10 * trained.abs().mean(), "it was drawn anew"
    assert fixed(layers_of(alone.learner.nets)).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "spec", "message"),
    [
        ({}, SPEC._replace(n_agents=1, types=()), "this task has one"),
        ({"masks": "type"}, SPEC._replace(types=()), "this task names 0"),
        ({"masks": "type"}, SPEC._replace(types=("a",) * 3), "this task names 1"),
        ({"reset_every": 50, "budget": 100}, SPEC, "do not fit a run of 100"),
        ({"sharing": "none"}, SPEC, "sharing is full, or id"),
        ({"fix_at": 900_000, "budget": 900_000}, SPEC, "fix_at is 900,000 env steps of 900,000"),
        ({"moved": True}, SPEC, "fix_at is 0, which is never"),
        ({"fix_at": 5, "masks": "none"}, SPEC, "no masks to fix"),
        ({"reset_share": 1.5}, SPEC, "'reset_share'"),
        ({"reset_every": 0}, SPEC, "'reset_every'"),
    ],
)
def test_masks_that_cannot_be_are_refused_in_a_sentence(
    settings: dict[str, Any], spec: Spec, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        learners.make("kaleidoscope", spec, settings, [0])


def test_start_overlaps_nearly_all() -> None:
    made = learner([0])
    degree = made.sharing()["layers"].overlap()  # type: ignore[union-attr]
    assert (degree > 0.97).all() and (degree < 1).any()
