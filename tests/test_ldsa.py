"""LDSA by hand: what is drawn and how its gradient goes, codes that part, choices that stay."""

import math
from typing import Any

import pytest
import torch
from learning import Player, as_in_training  # noqa: F401 (a fixture)
from padded import SPEC, batch, noise, padding_moves_nothing
from torch import Tensor

from partage import learners
from partage.errors import UserError
from partage.learners import _ldsa
from partage.learners.ldsa import LDSA
from partage.nn.tangents import overlap
from partage.rl.noise import generators

LOGITS = torch.tensor([1.0, -1])  # softmax: 0.8808, 0.1192


def learner(seeds: list[int], **settings: Any) -> LDSA:
    made = learners.make("ldsa", SPEC, {"hidden": 8, "embedding": 6, **settings}, seeds)
    assert isinstance(made, LDSA)
    return made


def test_two_codes_are_driven_apart_and_each_from_where_the_other_is() -> None:
    codes = torch.tensor([[[1.0], [-1]]], requires_grad=True)
    apart = _ldsa.distance(codes)
    assert apart.tolist() == [4]
    apart.sum().backward()
    assert codes.grad is not None and codes.grad.flatten().tolist() == [2, -2]


def test_the_same_choice_twice_costs_its_entropy_and_another_one_more() -> None:
    filled = torch.tensor([True, True, False]).expand(1, 1, -1)
    twice = LOGITS.expand(1, 1, 4, 3, -1).clone()  # three agents at four instants
    assert _ldsa.change(twice, filled).item() == pytest.approx(0.3653, abs=1e-4)
    twice[:, :, 2:] = 7 * noise(0, 1, 1, 2, 3, 2)  # nobody acts there
    assert _ldsa.change(twice, filled).item() == pytest.approx(0.3653, abs=1e-4)
    turned = torch.stack((LOGITS, -LOGITS)).view(1, 1, 2, 1, 2).repeat(1, 1, 2, 1, 1)
    turned.requires_grad_()
    changed = _ldsa.change(turned, filled)
    p, q = 0.880797, 0.119203
    assert changed.item() == pytest.approx(-p * math.log(q) - q * math.log(p), abs=1e-4)
    changed.sum().backward()
    assert turned.grad is not None and not turned.grad[:, :, [0, 2, 3]].any()
    assert turned.grad[0, 0, 1, 0].tolist() == pytest.approx([q - p, p - q], abs=1e-5)


def test_an_episode_of_one_step_has_no_change_to_pay_for() -> None:
    one_step = LOGITS.expand(1, 1, 2, 3, -1)
    assert _ldsa.change(one_step, torch.ones(1, 1, 1, dtype=torch.bool)).tolist() == [0]


def test_a_draw_is_whole_and_its_gradient_that_of_the_softmax_it_was_drawn_by() -> None:
    logits = LOGITS.clone().requires_grad_()
    choice = _ldsa.choose_subtask(logits, torch.full((2,), 0.3))
    q = _ldsa.of_chosen(torch.tensor([10.0, 0]), choice)
    assert choice.tolist() == [1, 0] and q.tolist() == [10]
    q.sum().backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx([1.0499, -1.0499], abs=1e-4)
    other = _ldsa.choose_subtask(logits, torch.tensor([0.0, 2.5]))
    assert other.tolist() == [0, 1], "what is largest with the noise"
    assert _ldsa.choose_subtask(logits, None).tolist() == [1, 0], "in tests the likeliest"


def test_subtasks_are_drawn_as_often_as_the_softmax_says() -> None:
    drawn = _ldsa.gumbel(generators([0, 1]), 20_000, 2)
    assert drawn.isfinite().all() and not torch.equal(drawn[0], drawn[1])
    share = _ldsa.choose_subtask(LOGITS.expand_as(drawn), drawn)[..., 0].mean(1)
    assert share.tolist() == pytest.approx([0.8808, 0.8808], abs=0.01)


def test_a_subtask_s_values_are_those_of_the_head_that_its_code_generates() -> None:
    nets = learner([3, 4]).nets
    obs, actions = noise(0, 2, 2, 7, 4, 5), torch.zeros(2, 2, 6, 4, dtype=torch.int64)
    found, codes = nets.along(obs, actions), nets.subtasks.codes()
    last = torch.cat((torch.full_like(actions[:, :, :1], -1), actions), 2)
    h, index = nets.body.initial_for(obs), nets.assignment
    for body, of_body in ((nets.body, found.values), (nets.choosing_body, found.preferences)):
        states = body.select(index)(obs, last, h)[:, 0].unflatten(2, (2, 4)).transpose(1, 2)
        if body is nets.body:
            weight = torch.einsum("rke,reho->rkho", codes, nets.subtasks.weight_blocks)
            bias = torch.einsum("rke,reo->rko", codes, nets.subtasks.bias_blocks)
            weight, bias = weight + nets.head.weight, bias + nets.head.bias
            by_hand = torch.einsum("rbtnh,rkho->rbtnko", states, weight)
            by_hand = (by_hand + bias[:, None, None, None]).flatten(4)
        else:
            own = torch.einsum("rbtnh,rhe->rbtne", states, nets.embedding.weight[:, 0])
            own = own + nets.embedding.bias[:, 0, None, None, None]
            by_hand = torch.einsum("rbtne,rke->rbtnk", own, codes)
        torch.testing.assert_close(of_body, by_hand, rtol=1e-4, atol=1e-5)


def test_codes_learn_from_who_chooses_them_and_not_from_the_policies_they_generate() -> None:
    nets = learner([3]).nets
    obs, actions = noise(0, 1, 2, 7, 4, 5), torch.zeros(1, 2, 6, 4, dtype=torch.int64)
    found, code = nets.along(obs, actions), list(nets.subtasks.code.parameters())
    of_values = torch.autograd.grad(
        found.values.square().sum(), code, retain_graph=True, allow_unused=True
    )
    assert of_values == (None,) * len(code)
    by_choosing = torch.autograd.grad(found.preferences.square().sum(), code)
    assert all(x.any() for x in by_choosing)


def by_hand(**settings: Any) -> LDSA:
    """Two codes, +1 and -1, and agents that are 1 each: logits 1 and -1 at every instant."""
    made = learner([3], subtasks=2, embedding=1, **settings)
    first, second = made.nets.subtasks.code.banks
    for bank, weight, bias in (
        (first, [[1.0], [0]], 0.0),
        (second, [[40.0]], -20.0),  # tanh(20) is 1 in float32
        (made.nets.embedding, [[0.0]], 1.0),
    ):
        bank.weight.data[:], bank.bias.data[:] = torch.tensor(weight), bias  # type: ignore[union-attr]
    return made


def test_the_loss_falls_where_codes_part_and_where_choices_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses: list[Tensor] = []
    for apart, steady in ((1e-3, 1e-3), (0.5, 0.0), (0.0, 2.0)):
        made = by_hand(apart=apart, steady=steady)

        def noted(loss: Tensor, active: Tensor) -> Tensor:
            losses.append(loss.detach())
            return loss

        monkeypatch.setattr(made.optimiser, "step", noted)
        one = {name: x[:1] for name, x in batch(4).items()}
        td = made.update(one, torch.ones(1, dtype=torch.bool))["td_loss"]
        by_them = (losses[-1] - td).item()
        expected = -4 * apart + 0.3653 * steady
        assert by_them == pytest.approx(expected, abs=1e-5 + 1e-4 * steady)


def test_steps_part_the_codes() -> None:
    made = learner([3], apart=1e4, steady=0.0)  # so that no other loss is seen
    one = {name: x[:1] for name, x in batch(4).items()}
    active = torch.ones(1, dtype=torch.bool)
    distances = [made.update(one, active)["code_distance"].item() for _ in range(3)]
    assert distances[0] < distances[1] < distances[2]


def test_longer_padding_moves_no_bit_and_no_generator() -> None:
    padding_moves_nothing(learner([3, 4]), learner([3, 4]))


def test_networks_and_target_networks_draw_apart_and_anew_at_each_update() -> None:
    made = learner([3, 4])
    obs = batch(4)["obs"]
    (online, target), (again, _) = made._noise(obs), made._noise(obs)
    assert online.shape == (2, 2, 5, 4, 4)
    assert not torch.equal(online, target) and not torch.equal(online, again)


def test_training_draws_subtasks_and_a_test_takes_the_likeliest() -> None:
    player = Player("ldsa", "roll_call/4x3-6", [0, 1])
    nets: Any = player.learner.nets  # type: ignore[attr-defined]
    nets.embedding.weight.data.zero_()
    nets.embedding.bias.data.zero_()
    tried = player.collect().notes["subtasks"]
    assert {0, 1, 2, 3} == set(tried.unique().tolist()), "all are as likely"
    memory, step = player.learner.policy.initial(8, False), player.env.reset()
    choice, _ = player.learner.policy(step, memory, False)
    assert not choice.notes["subtasks"].any()


def tangents(nets: _ldsa.Networks, subtask: int) -> Tensor:
    """How a head's weights and biases move with what is trained, in the first run."""
    trained = [nets.head.weight, nets.head.bias, *nets.subtasks.parameters(recurse=False)]
    weight, bias = nets.head.sets()
    numbers = torch.cat((weight[0, subtask].flatten(), bias[0, subtask]))
    rows = []
    for number in numbers:
        moved = torch.autograd.grad(number, trained, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([x[0].flatten() for x in moved]))
    return torch.stack(rows)


def test_heads_share_what_their_tangents_have_in_common() -> None:
    nets = learner([3, 4], subtasks=3, hidden=4).nets
    flat = torch.stack([tangents(nets, k).flatten() for k in range(3)])
    unit = flat / flat.norm(dim=1, keepdim=True)
    torch.testing.assert_close(overlap(nets.head, 3)[0], unit @ unit.T)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subtasks": 1}, "subtasks is 2 or more, not 1"),
        ({"sharing": "none"}, "id or full, not none"),
        ({"embedding": 0}, "'embedding'"),
        ({"steady": -1.0}, "'steady'"),
    ],
)
def test_subtasks_that_cannot_be_are_refused_in_a_sentence(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        learners.make("ldsa", SPEC, settings, [0])
