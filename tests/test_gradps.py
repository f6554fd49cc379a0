"""GradPS by hand: what cancels out, what opens when, who is split off, and what that changes."""

from functools import partial
from typing import Any

import pytest
import torch
from learning import Player, as_in_training, snapshot  # noqa: F401 (a fixture)
from torch import Tensor

from partage import learners
from partage.errors import UserError
from partage.learners import _gradps
from partage.learners._clustering import spectral
from partage.learners._gradps import Neurons, Rules, Watched
from partage.learners.gradps import GradPS
from partage.nn.adapters import Columns, gather_by_ones
from partage.nn.bank import Bank
from partage.nn.optimiser import Optimiser
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sims.contract import Spec

SPEC = Spec(4, n_actions=3, obs_dim=5, state_dim=12, horizon=6, common_reward=True)
FOUR = torch.tensor([[1.0], [2], [-1], [-2]])  # what four agents ask of one neuron
ABSOLUTE = Rules(clones=2, window=1, futile=0.2, threshold="absolute", restore=0.0)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def learner(seeds: list[int], **settings: Any) -> GradPS:
    made = learners.make("gradps", SPEC, {"hidden": 8, **settings}, seeds)
    assert isinstance(made, GradPS)
    return made


def of_target(made: GradPS) -> Tensor:
    return made.target.state_dict()["agent.body.encoder.derivation.columns"]


def test_who_pulls_one_way_is_split_from_who_pulls_the_other() -> None:
    asked = FOUR.T  # [W, N]
    assert _gradps.efficiency(FOUR[None], torch.zeros(4, 1, dtype=torch.int64)).tolist() == [[0]]
    conflicts = _gradps.conflict(asked)
    pairs = [(0, 1, 0), (0, 2, 2), (0, 3, 2), (1, 2, 2), (1, 3, 4), (2, 3, 0)]
    assert [(i, j, conflicts[i, j].item()) for i, j, _ in pairs] == pairs
    near = _gradps.affinity(conflicts)
    assert near[0, 2].item() == pytest.approx(0.6065, abs=1e-4)
    assert near[1, 3].item() == pytest.approx(0.1353, abs=1e-4)
    assert (near.diagonal() == 1).all() and near[0, 1] == near[2, 3] == 1
    assert _gradps.split(asked, 2) == [0, 0, 1, 1]
    assert _gradps.split(asked, 4) == [0, 1, 2, 3], "with a clone for each all are alone"


def test_agents_without_a_conflict_are_not_split() -> None:
    assert _gradps.split(FOUR.abs().T, 2) is None
    assert _gradps.split(torch.zeros(3, 4), 2) is None


def test_agents_in_two_camps_that_have_nothing_in_common_are_clustered_without_a_warning() -> None:
    far = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2))
    assert assignment.by(spectral(far, 2)).tolist() == [[0, 0, 0, 1, 1]]


def test_conflicts_of_several_intervals_add_up_and_efficiencies_are_averaged() -> None:
    asked = torch.tensor([[[3.0], [-1]], [[1], [1]]])  # two intervals, two agents
    assert _gradps.conflict(asked[..., 0]).tolist() == [[0, 2], [2, 0]]
    together = torch.zeros(2, 1, dtype=torch.int64)
    assert _gradps.efficiency(asked, together).flatten().tolist() == [0.5, 1]
    nothing = torch.zeros(1, 2, 1)
    assert _gradps.efficiency(nothing, together).tolist() == [[1]], "0 / 0 is 1"


def watching(rules: Rules, efficiencies: list[float]) -> Neurons:
    """What is known of a run's neurons after an interval of these efficiencies, of two agents."""
    made = Neurons(rules, 1, 2, len(efficiencies))
    made.age[:] = rules.window + 1
    for neuron, e in enumerate(efficiencies):
        made.before[0, -1, :, neuron] = torch.tensor([1 + e, e - 1])
    made.intervals[:] = 1
    return made


@pytest.mark.parametrize(
    ("efficiencies", "threshold", "futile", "opened"),
    [
        ([0.25, 1, 1, 1], "relative", 0.5, [True, False, False, False]),  # below 0.406
        ([0.25, 1, 1, 1], "absolute", 0.2, [False, False, False, False]),
        ([0, 1, 2 / 3], "relative", 0.5, [True, False, False]),  # below 0.278
        ([0, 1, 2 / 3], "absolute", 0.2, [True, False, False]),
    ],
)
def test_neurons_below_the_threshold_are_opened(
    efficiencies: list[float], threshold: Any, futile: float, opened: list[bool]
) -> None:
    made = watching(ABSOLUTE._replace(threshold=threshold, futile=futile), efficiencies)
    shared = torch.zeros(2, len(efficiencies), dtype=torch.int64)
    assert made.to_open(0, shared).tolist() == opened
    assert made.open(0, shared).tolist() == opened and shared[1].bool().tolist() == opened
    assert not made.to_open(0, shared).any(), "what is open is not opened again"


def test_the_mean_that_the_threshold_follows_is_of_those_that_may_be_opened() -> None:
    made = watching(ABSOLUTE._replace(threshold="relative", futile=0.5), [0.25, 1, 0, 0])
    made.cloned[0, 2], made.age[0, 3] = 1, 1
    shared = torch.zeros(2, 4, dtype=torch.int64)
    assert made.to_open(0, shared).tolist() == [True, False, False, False]  # below 0.3125


def opened_bank() -> tuple[Bank, Optimiser]:
    """A neuron that four agents share, w = 1 and b = 0, trained by plain descent."""
    bank = Bank(generators([0]), 2, 1, 1)
    bank.weight.data[:], bank.bias.data[:] = torch.tensor([1.0, 9]).view(1, 2, 1, 1), 0
    bank.derivation = Columns(torch.zeros(1, 4, 1, dtype=torch.int64))
    bank.bias.requires_grad_(False)
    return bank, Optimiser(bank, partial(torch.optim.SGD, lr=0.1), 1e9)


def test_a_neuron_that_could_not_learn_learns_two_things_when_it_is_opened() -> None:
    bank, optimiser = opened_bank()

    def outputs() -> Tensor:
        return bank(torch.ones(1, 4, 1, 1, 1), assignment.none(1, 4)).flatten()

    optimiser.step((outputs() @ FOUR).sum()[None])
    assert bank.weight[0, 0].item() == 1, "what the agents ask of it cancels out"
    before = outputs().clone()
    bank.derivation.columns[:] = torch.tensor([0, 0, 1, 1]).view(1, 4, 1)  # type: ignore[union-attr,operator]
    optimiser.change(bank, partial(_gradps.copy_first, torch.tensor([[True]])))
    assert torch.equal(outputs(), before), "the instant after it has opened nothing has changed"
    optimiser.step((outputs() @ FOUR).sum()[None])
    assert bank.weight.flatten().tolist() == pytest.approx([0.7, 1.3])


def test_an_opened_clone_begins_with_its_neuron_s_moments_and_leaves_the_others_alone() -> None:
    made = learner([3, 4])
    obs, actions = noise(0, 2, 2, 7, 4, 5), torch.zeros(2, 2, 6, 4, dtype=torch.int64)
    made.optimiser.step(made.nets.q(obs, actions).square().flatten(1).sum(1))
    opened = torch.zeros(2, 8, dtype=torch.bool)
    opened[1, 5] = True
    was = [x.clone() for x in made.optimiser._values_and_moments()]
    made.optimiser.change(made.layer, partial(_gradps.copy_first, opened))
    places = [id(p) for p in made.optimiser.parameters].index(id(made.layer.weight))
    for now, before in zip(made.optimiser._values_and_moments(), was, strict=True):
        sets, old = (
            made.optimiser._parts(x)[places].view_as(made.layer.weight) for x in (now, before)
        )
        assert (sets[1, :, :, 5] == old[1, :1, :, 5]).all() and old[1, 0, :, 5].any()
        assert torch.equal(sets[:, :, :, :5], old[:, :, :, :5])
        assert torch.equal(sets[0], old[0])
    assert int((was[1] != made.optimiser._values_and_moments()[1]).sum()) > 0, "moments moved too"


def test_a_decision_does_not_see_the_interval_that_has_just_ended() -> None:
    made, active = learner([3, 4], clones=2, window=2), torch.tensor([True, False])
    for _ in range(2):
        made.neurons.asked[:, :, :] = FOUR
        made.update_targets(active)
        assert not made.columns.any() and made.neurons.measures()["cloned"].tolist() == [0, 0]
    made.neurons.asked[:] = 1  # all pull one way now, too late for the third renewal
    made.update_targets(active)
    assert made.columns[0, :, 0].tolist() == [0, 0, 1, 1]
    assert made.columns[0].unique(dim=1).shape[1] == 1 and not made.columns[1].any()
    assert torch.equal(of_target(made), made.columns)
    assert made.neurons.futile.tolist() == [0, 0], "by its clones a neuron is futile no more"
    assert not made.neurons.asked[0].any() and (made.neurons.asked[1] == 1).all()
    overlap = {name: x.overlap() for name, x in made.sharing().items()}
    assert overlap["layers"][0].tolist() == torch.block_diag(*[torch.ones(2, 2)] * 2).tolist()
    assert (overlap["layers"][1] == 1).all() and 0.5 < overlap["agent"][0, 0, 2] < 1
    assert made.sharing()["agent"].index.tolist() == [[0, 0, 2, 2], [0, 0, 0, 0]]


def test_what_an_agent_asks_is_its_gradient_along_the_neuron_s_own_weights() -> None:
    made = learner([3, 4], clones=4)
    made.columns[:] = torch.arange(4)[:, None]  # so the gradient of a clone is that of its agent
    obs, actions = noise(0, 2, 3, 7, 4, 5), torch.zeros(2, 3, 6, 4, dtype=torch.int64)
    filled = torch.arange(6) < torch.tensor([[6, 2, 3], [1, 5, 4]])[..., None]
    alive, asked = torch.ones(2, 3, 7, 4, dtype=torch.bool), []
    for real in (None, filled):
        watched = Watched(alive)
        q = made.nets.q(obs, actions, real, watched)
        made.nets.zero_grad()
        (q[:, :, :-1] * filled[..., None, None]).square().sum().backward()
        weight, bias = made.layer.weight, made.layer.bias
        assert weight.grad is not None and bias.grad is not None and watched.asked is not None
        along = (weight * weight.grad).sum(2) + bias * bias.grad
        torch.testing.assert_close(watched.asked, along, rtol=1e-4, atol=1e-5)
        asked.append(watched.asked)
    assert asked[0].abs().max() > 0.1
    torch.testing.assert_close(asked[0], asked[1], rtol=1e-5, atol=1e-6)


def test_the_dead_ask_for_nothing() -> None:
    y = noise(0, 1, 2, 3, 1, 8).requires_grad_()  # [R, N, T, B, O]
    alive = torch.tensor([[True, True], [True, False], [False, False]]).view(1, 1, 3, 2)
    watched = Watched(alive)
    rows = y * 1
    watched(rows, None)
    (rows**2).sum().backward()
    by_hand = 2 * torch.stack((y[0, 0, :2].square().sum((0, 1)), y[0, 1, :1].square().sum((0, 1))))
    assert watched.asked is not None
    torch.testing.assert_close(watched.asked[0], by_hand.detach())


def test_clones_come_together_step_by_step_and_are_one_again_when_they_are_alike() -> None:
    made, both = learner([3, 4], clones=2, window=1, restore_share=1.0), torch.ones(2).bool()
    made.neurons.cloned[:], made.neurons.age[:] = 1, 4
    made.columns[:, 2:] = 1
    weight, first = made.layer.weight, torch.zeros(2, 8, dtype=torch.bool)
    weight.data[:, 0], weight.data[:, 1] = 1.0, 1.1
    weight.data[:, 1, :, 6] = 1.004
    made.update_targets(both)
    first[:, 6] = True
    assert torch.equal(made.neurons.closing == 1, first), "the one whose clones differ least"
    assert (made.columns[:, 2:, 6] == 1).all()
    _gradps.draw_together(made.layer, first)
    torch.testing.assert_close(weight[0, :, 0, 6], torch.tensor([1.0005, 1.0035]))
    assert (weight[:, 1, :, :6] == 1.1).all()
    for _ in range(2):
        _gradps.draw_together(made.layer, first)
    chosen, (_, apart) = made.columns[0].clone(), _gradps.differences(made.layer)
    assert made.neurons.close(0, chosen, apart[0]).nonzero().flatten().tolist() == [6]
    assert not chosen[:, 6].any() and made.neurons.cloned[0, 6] == made.neurons.age[0, 6] == 0
    for _ in range(3):
        _gradps.draw_together(made.layer, first)
    torch.testing.assert_close(weight[0, :, 0, 6], torch.tensor([1.002, 1.002]))  # not beyond


def test_clones_that_are_one_again_are_their_mean() -> None:
    sets = torch.tensor([[[1.0, 5], [3, 7]]])  # [R, K, O]
    _gradps.average(torch.tensor([[True, False]]), sets)
    assert sets.tolist() == [[[2, 5], [2, 7]]]


def test_with_one_clone_all_is_measured_and_nothing_opened() -> None:
    made, active = learner([3], clones=1, window=1), torch.tensor([True])
    for _ in range(4):
        made.neurons.asked[:] = FOUR
        made.neurons.asked[:, :, :2] = 1
        made.update_targets(active)
    assert not made.columns.any()
    assert {k: x.tolist() for k, x in made.neurons.measures().items()} == {
        "cloned": [0],
        "futile": [0.75],
    }


def test_columns_looked_up_by_ones_are_those_that_are_gathered_and_so_are_gradients() -> None:
    index = torch.randint(3, (2, 5, 4), generator=torch.Generator().manual_seed(0))
    place, upstream, found = index[:, :, None].expand(-1, -1, 6, -1), noise(1, 2, 5, 6, 4), []
    for look_up in (torch.gather, gather_by_ones):
        x = noise(0, 2, 3, 6, 4).requires_grad_()
        made = look_up(x, 1, place)
        found.append([made, *torch.autograd.grad((made * upstream).sum(), [x])])
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


OFTEN = {"batch": 4, "copies": 4, "target_every": 4, "window": 1, "futile": 0.5}


def states(player: Player, run: int) -> dict[str, Tensor]:
    """All that decides one run's sharing, and its parameters."""
    made: Any = player.learner
    kept = {f"neurons.{name}": x for name, x in made.neurons.named_buffers()}
    kept |= {"columns": made.columns, "of target": of_target(made)}
    return {name: x[run].clone() for name, x in (kept | snapshot(made)).items()}


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name, x in one.items() if not torch.equal(x, other[name])]


def test_neurons_are_opened_alike_alone_in_a_pack_and_after_a_resume() -> None:
    task, more = "lbf/5x5-4p-1f-v3", OFTEN | {"restore_share": 0.5}
    alone, packed, resumed = (Player("gradps", task, s, **more) for s in ([7], [5, 7], [1, 2]))
    for player in (alone, packed):
        player.learn(5)
    one = states(alone, 0)
    assert one["columns"].any() and one["neurons.cloned"].mean() < 1
    assert not differing(one, states(packed, 1))
    resumed.learner.load_state_dict(packed.learner.state_dict())
    rollouts = [packed.collect() for _ in range(3)]
    for player in (packed, resumed):
        for rollout in rollouts:
            player.learner.learn(rollout)
    assert not differing(states(packed, 1), states(resumed, 1))
    assert differing(one, states(packed, 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clones": 5}, "at most one clone an agent: clones is 1 to 4 on this task, but is 5"),
        ({"sharing": "none"}, "sharing is full, or id"),
        ({"budget": 4_000}, "first opened after 4,200 episodes .* run of 4,000"),
        ({"clones": 0}, "'clones'"),
        ({"window": 0}, "'window'"),
        ({"restore_share": 1.5}, "'restore_share'"),
    ],
)
def test_clones_that_cannot_be_are_refused_in_a_sentence(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        learners.make("gradps", SPEC, settings, [0])


def test_agents_that_see_alike_come_to_no_sharing_s_ceiling_once_neurons_are_open() -> None:
    """Full sharing earns 3 of 6 at the most: one action for everybody is right for half of them."""
    more = {"clones": 3, "window": 1, "futile": 0.5, "lr": 1e-3, "epsilon_anneal": 20_000}
    player, best = Player("gradps", "roll_call/4x3-6", [0, 1], **more), 0.0
    for _ in range(40):
        best = max(best, float(player.learn(10).evaluate().max()))
        if best == 6:
            break
    assert best == 6 and player.learner.columns.any()  # type: ignore[attr-defined]
