"""AdaPS: which neurons a cluster has, what they do to its agents, and what is refused."""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training, same  # noqa: F401 (a fixture)
from torch import Tensor

from partage import learners
from partage.errors import UserError
from partage.learners.adaps import MaskedA2C, centres, cut, hidden_layers, highest, mapped
from partage.learners.seps import SePS
from partage.nn.masks import FixedMask
from partage.nn.state import share
from partage.nn.tangents import banks
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

SPEC = Spec(4, n_actions=3, obs_dim=5, state_dim=12, horizon=6, common_reward=True)
TASK = "roll_call/4x4-3"


def learner(seeds: list[int], **settings: Any) -> SePS:
    made = learners.make("adaps", SPEC, {"clusters": 2, "hidden": 8} | settings, seeds)
    assert isinstance(made, SePS)
    return made


def clustered(labels: list[list[int]], means: Tensor, **settings: Any) -> SePS:
    """A learner whose agents are in these clusters, with these codes."""
    made = learner(list(range(len(labels))), **settings)
    index = torch.tensor(labels)
    share(made.base.net, front_of=index, back_of=index.clone())
    assert made.clustered is not None
    made.clustered(made.base, means, torch.ones(len(labels), dtype=torch.bool))
    return made


def codes(seed: int, runs: int = 1) -> Tensor:
    return torch.randn(runs, 4, 10, generator=torch.Generator().manual_seed(seed))


def neurons(made: SePS) -> Tensor:
    """Which neurons each set keeps ``[R, L, K, H]``, of actor and critic."""
    masks = [bank.derivation for bank, _ in hidden_layers(made.base.net)]
    return torch.stack([x.bias for x in masks if isinstance(x, FixedMask)], 1)


def policies(made: SePS, obs: Tensor) -> Tensor:
    return made.probabilities(obs, obs)


def test_by_hand_the_greatest_are_kept_and_their_number_is_rounded_up() -> None:
    scores = torch.tensor([[3.0, 1, 2, 5], [-1, -3, -2, -9]])
    assert highest(scores, 0.5).tolist() == [[1, 0, 0, 1], [1, 0, 1, 0]]
    assert highest(scores, 0.51).sum(1).tolist() == [3, 3]
    assert highest(scores, 1e-9).tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    assert highest(scores, 1.0).all()


def test_the_mapping_is_fixed_by_the_seed_and_equal_codes_get_equal_scores() -> None:
    points = codes(0)[0, :3].clone()
    points[2] = points[0]
    scores = mapped(points, 40, 7)
    assert torch.equal(scores[0], scores[2]) and not torch.equal(scores[0], scores[1])
    assert torch.equal(scores, mapped(points, 40, 7)) and scores.shape == (3, 40)
    assert not torch.equal(scores, mapped(points, 40, 8))


def test_by_hand_centres_are_apart_however_small_codes_are_and_whatever_they_share() -> None:
    """Of the agents -1, 1, 3 and 1, mean 1 and deviation sqrt(2), paired as 0 and 2."""
    means, labels = torch.tensor([[-1.0], [1.0], [3.0], [1.0]]), torch.tensor([0, 0, 1, 1])
    for size, common in ((1.0, 0.0), (1e-2, 1.0)):
        found = centres(size * means + common, labels)
        torch.testing.assert_close(found, torch.tensor([[-1.0], [1.0]]) / 2**0.5, rtol=0, atol=1e-4)
    assert centres(torch.ones(4, 3), labels).tolist() == [[0] * 3] * 2, "all agents are one"


def test_each_cluster_has_half_of_each_layers_neurons_and_the_last_layer_is_whole() -> None:
    made = clustered([[0, 1, 0, 1]], codes(1), clusters=3)
    kept = neurons(made)
    assert kept.shape == (1, 5, 3, 8), "three layers of the actor, two of the critic"
    assert (kept[:, :, :2].sum(-1) == 4).all() and kept[:, :, 2].all(), "one set is nobody's"
    assert not torch.equal(kept[:, :, 0], kept[:, :, 1])
    for bank, behind in hidden_layers(made.base.net):
        before, after = bank.derivation, behind.derivation
        assert isinstance(before, FixedMask) and isinstance(after, FixedMask)
        out, into = before.weight.any(2), after.weight.any(3)
        assert torch.equal(out, before.bias) and torch.equal(into, out)
    for network in (made.base.net.back, made.base.net.critic):
        last = list(banks(network))[-1].derivation
        assert isinstance(last, FixedMask) and last.bias.all()


def test_neurons_that_a_cluster_has_not_are_not_in_its_policies_nor_its_gradient() -> None:
    made = clustered([[0, 0, 1, 1]], codes(2))
    net, kept = made.base.net, neurons(made)[0, 0]
    only_second = kept[1] & ~kept[0]
    assert only_second.any()
    obs = torch.randn(1, 2, 3, 4, 5)
    before = policies(made, obs)
    first = next(banks(net.front))
    rows = obs.permute(0, 3, 2, 1, 4)
    net.logits(rows)[:, :2].square().sum().backward()
    of_weight, of_bias = first.weight.grad, first.bias.grad
    assert of_weight is not None and of_bias is not None
    gone = of_weight[0, 0][:, ~kept[0]], of_bias[0, 0][~kept[0]]
    assert not any(x.any() for x in gone) and of_weight[0, 0][:, kept[0]].any()
    first.weight.data[..., only_second] += 1
    after = policies(made, obs)
    assert torch.equal(before[..., :2, :], after[..., :2, :])
    assert not torch.equal(before[..., 2:, :], after[..., 2:, :])


def test_agents_of_a_cluster_are_one_policy_to_the_bit_and_of_two_they_are_not() -> None:
    made = clustered([[0, 1, 0, 1]], codes(3))
    obs = torch.randn(1, 2, 3, 1, 5).expand(-1, -1, -1, 4, -1)
    found = policies(made, obs)
    assert torch.equal(found[..., 0, :], found[..., 2, :])
    assert torch.equal(found[..., 1, :], found[..., 3, :])
    assert not torch.allclose(found[..., 0, :], found[..., 1, :])


def test_one_cluster_is_full_sharing_with_one_fixed_mask() -> None:
    """By hand: full sharing's network, with the neurons that are cut set to zero."""
    made = clustered([[0] * 4], codes(4), clusters=1)
    full: Any = learners.make("a2c", SPEC, {"sharing": "full", "hidden": 8}, [0])
    obs = torch.randn(1, 2, 3, 4, 5)
    x, kept = obs, neurons(made)[0, :, 0]
    layers = [*banks(full.net.front), *banks(full.net.back)]
    for place, bank in enumerate(layers):
        x = x @ bank.weight[0, 0] + bank.bias[0, 0]
        x = x.relu() * kept[place] if bank is not layers[-1] else x
    torch.testing.assert_close(policies(made, obs), x.softmax(-1).detach(), rtol=1e-5, atol=1e-6)


def test_the_degree_is_one_before_the_clustering_and_the_masks_cosine_after() -> None:
    before = learner([0]).sharing()["front"]
    assert isinstance(before, Shares) and (before.overlap() == 1).all()
    made = clustered([[0, 1, 0, 1]], codes(1))
    front = made.sharing()["front"]
    assert isinstance(front, Shares)
    masks = [bank.derivation for bank in banks(made.base.net.front)]
    kept = [torch.cat([x.weight[0].flatten(1), x.bias[0]], 1) for x in masks]  # type: ignore[union-attr,index,operator]
    first, second = torch.cat(kept, 1).float()
    by_hand = (first @ second / (first.norm() * second.norm())).item()
    assert front.overlap()[0, 0, 1].item() == pytest.approx(by_hand)
    assert 0 < by_hand < 1


def test_nothing_learns_before_the_clustering_and_masks_stay_after_it() -> None:
    player = Player("adaps", TASK, [0, 1], pretraining=3, data=3, clusters=2, hidden=16)
    made = player.learner
    assert isinstance(made, SePS) and isinstance(made.base, MaskedA2C)
    start = {n: p.detach().clone() for n, p in made.base.net.named_parameters()}
    player.learn(2)
    assert neurons(made).all()
    ended = torch.tensor([True, False])
    made.learn(player.collect(ended))
    masks = neurons(made)
    assert same(start, dict(made.base.net.named_parameters()))
    assert (masks[0].sum(-1) == 8).all() and masks[1].all(), "what has ended is not cut"
    player.learn(3)
    assert torch.equal(neurons(made), masks)
    assert not torch.equal(made.base.net.front.banks[0].weight, start["front.banks.0.weight"])


@pytest.mark.parametrize(
    ("wrong", "agents", "words"),
    [
        ({"clusters": 5}, 4, "at most one cluster an agent: clusters is 0 .* to 4, but is 5"),
        ({"keep": 0.0}, 4, "above 0 and at most 1, not 0.0"),
        ({"keep": 1.5}, 4, "above 0 and at most 1, not 1.5"),
        ({"clusters": 1}, 1, "clusters several agents, but this task has one"),
        ({"sharing": "id"}, 4, "sharing is full, not 'id'"),
    ],
)
def test_what_cannot_be_clustered_or_cut_is_refused_in_a_sentence(
    wrong: dict[str, Any], agents: int, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        learners.make("adaps", SPEC._replace(n_agents=agents), wrong, [0])


def test_the_masks_of_a_run_are_the_same_in_a_pack() -> None:
    alone, means = learner([5]), codes(6, 2)
    pack = learner([4, 5])
    for made, found in ((alone, means[1:]), (pack, means)):
        index = torch.tensor([[0, 1, 0, 1]] * len(found))
        share(made.base.net, front_of=index, back_of=index.clone())
        assert isinstance(made.base, MaskedA2C)
        seeds = [5] if made is alone else [4, 5]
        cut(made.base, found, torch.ones(len(found), dtype=torch.bool), seeds)
    assert torch.equal(neurons(alone)[0], neurons(pack)[1])
    assert not torch.equal(neurons(pack)[0], neurons(pack)[1])
