"""LoRASA by hand: what is learned before agents part, what after, and what stays."""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training, same, snapshot  # noqa: F401 (a fixture)

from partage import learners
from partage.errors import UserError
from partage.learners.lorasa import LoRASA, Offset
from partage.nn.bank import Bank, Sets
from partage.nn.tangents import banks
from partage.rl.noise import generators
from partage.sharing.overlap import Shares, degree
from partage.sims.contract import Spec

SPEC = Spec(4, n_actions=3, obs_dim=5, state_dim=12, horizon=6, common_reward=True)
TASK = "roll_call/4x4-3"


def of(player: Player) -> LoRASA:
    assert isinstance(player.learner, LoRASA)
    return player.learner


def test_by_hand_an_offset_learns_and_its_base_has_a_gradient_of_exactly_zero() -> None:
    """Input (1, 2), one output, its gradient 1, B = 0.5: A's is (0.5, 1), B's 0 as A is."""
    bank = Bank(generators([0]), 1, 2, 1)
    made = Offset(bank, 2, generators([1]), 1)
    made.offset.right.data[:] = 0.5
    x = torch.tensor([1.0, 2.0])
    for apart in (False, True):
        made.apart[:] = apart
        bank.zero_grad(), made.zero_grad()
        weight, bias = made(Sets(bank.weight, bank.bias))
        assert torch.equal(weight, bank.weight.expand(-1, 2, -1, -1)), "A is 0"
        (x @ weight[0, 0] + bias[0, 0]).sum().backward()
        of_base = bank.weight.grad, bank.bias.grad
        left, right = made.offset.left.grad, made.offset.right.grad
        assert left is not None and right is not None and not right.any()
        assert left[0, 0, :, 0].tolist() == ([0.5, 1.0] if apart else [0, 0])
        assert not left[0, 1].any(), "of another agent"
        assert all(g is None or bool(g.any()) != apart for g in of_base)


def parts(learner: LoRASA) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The actor's base, and its offsets."""
    actor = {n: p.detach().clone() for n, p in learner.net.actor.named_parameters()}
    own = {n: p for n, p in actor.items() if ".offset." in n}
    return {n: p for n, p in actor.items() if n not in own}, own


def test_the_base_learns_until_agents_part_and_their_offsets_and_the_critic_from_then_on() -> None:
    player = Player("lorasa", TASK, [0, 1], together=3)
    learner = of(player)
    base, own = parts(learner)
    assert len(base) == 6 and len(own) == 6
    player.learn(3)
    later, offsets = parts(learner)
    assert same(own, offsets) and not any(torch.equal(p, base[n]) for n, p in later.items())
    critic = {n: p.detach().clone() for n, p in learner.net.critic.named_parameters()}
    player.learn(3)
    frozen, moved = parts(learner)
    assert same(later, frozen) and not any(torch.equal(p, own[n]) for n, p in moved.items())
    assert not any(torch.equal(p, critic[n]) for n, p in learner.net.critic.named_parameters())


def test_all_act_alike_until_they_part_and_no_policy_changes_when_they_do() -> None:
    player = Player("lorasa", TASK, [0], together=3).learn(2)
    learner = of(player)
    obs = torch.randn(1, 2, 3, 1, player.env.spec.obs_dim).expand(-1, -1, -1, 4, -1)
    before = learner.probabilities(obs, obs)
    assert torch.equal(before, before[..., :1, :].expand_as(before))
    learner._part(torch.tensor([True]))
    assert torch.equal(learner.probabilities(obs, obs), before)
    player.learn(3)
    after = learner.probabilities(obs, obs)
    assert not torch.allclose(after, after[..., :1, :].expand_as(after))


def test_sharing_is_full_until_agents_part_and_none_from_then_on() -> None:
    player = Player("lorasa", TASK, [0, 1], together=2)
    for expected in (1.0, 0.0):
        for block in ("front", "back"):
            shares = player.learner.sharing()[block]
            assert isinstance(shares, Shares)
            assert degree(shares.overlap()).tolist() == pytest.approx([expected] * 2)
        player.learn(2)


def test_the_first_step_of_an_offset_is_as_long_as_a_first_step_is() -> None:
    """Adam's first step is the rate, for any gradient: so its count began anew."""
    player = Player("lorasa", TASK, [0], together=6, epochs=1, minibatches=1, lr=1e-3)
    player.learn(6)
    before = parts(of(player))[1]
    after = parts(player.learn(1) and of(player))[1]
    moved = [(after[n] - p).abs().max().item() for n, p in before.items() if n.endswith("left")]
    assert max(moved) == pytest.approx(1e-3, rel=0.05)


def test_a_run_that_has_ended_does_not_part() -> None:
    player = Player("lorasa", TASK, [0, 1], together=2).learn(1)
    player.learner.learn(player.collect(torch.tensor([True, False])))
    flags = [bank.derivation.apart.tolist() for bank in banks(of(player).net.actor)]  # type: ignore[union-attr]
    assert flags == [[True, False]] * 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sharing": "id"}, "sharing is full, not 'id'"),
        ({"norms": "one"}, "norms is each, not 'one'"),
        ({"budget": 200_704}, "part after 98 updates .* 200,704 env steps or more, .* has 200,704"),
        ({"rank": 0}, "'rank' takes a whole number from 1 on"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_sentence(
    wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        learners.make("lorasa", SPEC, wrong, [0])
    with pytest.raises(UserError, match="two of them at least"):
        learners.make("lorasa", SPEC._replace(n_agents=1), {}, [0])
