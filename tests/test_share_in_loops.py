"""Dynamic sharing over two lists of modules: when it moves, and what a move copies."""

import copy
import re

import pytest
import torch
from torch import Tensor, nn

import partage
from partage.errors import UserError
from partage.wrappers.dynamic_sharing import copy_module

AGENTS, SIZE, ACTIONS = 4, 3, 2


def networks() -> tuple[nn.ModuleList, nn.ModuleList, torch.optim.Optimizer]:
    torch.manual_seed(0)
    fronts = nn.ModuleList(
        nn.Sequential(nn.Linear(SIZE, 8), nn.BatchNorm1d(8)) for _ in range(AGENTS)
    )
    backs = nn.ModuleList(nn.Linear(8, ACTIONS) for _ in range(AGENTS))
    return fronts, backs, torch.optim.Adam([*fronts.parameters(), *backs.parameters()], lr=0.01)


def made(**more) -> partage.DynamicSharing:
    return partage.DynamicSharing(*networks(), **({"fuse": 0.1, "period": 4, "data": 2} | more))


def two_kinds(n: int, obs: Tensor) -> Tensor:
    """Agents 0 and 1 act alike, 2 and 3 otherwise."""
    logits = torch.stack((4 * obs[:, 0], -4 * obs[:, 0]), 1)
    return (logits if n < 2 else -logits).softmax(-1)


def met(count: int = 20, seed: int = 0) -> Tensor:
    return torch.randn(count, AGENTS, SIZE, generator=torch.Generator().manual_seed(seed))


def test_it_moves_every_period_on_what_was_met_in_the_last_updates() -> None:
    sharing, asked, ended = made(), [], {}

    def probs(n: int, obs: Tensor) -> Tensor:
        asked.append(obs)
        return two_kinds(n if update <= 4 else 0, obs)  # in the end all act alike

    for update in range(1, 9):
        sharing.observe(met(seed=update))
        sharing.observe(met(seed=100 + update)[0])
        moves = sharing.update(probs)
        assert bool(moves) == (update in (4, 8))
        ended[update] = (sharing.front_of, sharing.back_of)
    assert len(asked) == 2 * AGENTS  # only when it is due
    fourth = [met(seed=3), met(seed=103)[0], met(seed=4), met(seed=104)[0]]
    assert torch.equal(asked[0], torch.cat([x.reshape(-1, SIZE) for x in fourth]))
    front, back = ended[7]
    assert front[0] == front[1] != front[2] == front[3]
    assert back == [0, 0, 2, 2]
    assert len(set(sharing.front_of)) == 1
    assert sharing.distances is not None and sharing.distances.shape == (AGENTS, AGENTS)


def test_arrays_of_probabilities_do_what_a_function_does() -> None:
    one, other = made(), made()
    for update in range(1, 5):
        obs = met(seed=update)
        flat = obs.flatten(0, 1)
        for sharing in (one, other):
            sharing.observe(obs)
        first = one.update(two_kinds)
        second = other.update(torch.stack([two_kinds(n, flat) for n in range(AGENTS)]).numpy())
        assert first == second
    assert one.front_of == other.front_of and torch.equal(one.distances, other.distances)


def test_only_a_division_copies_and_nobody_s_policy_changes_by_it() -> None:
    sharing = made()
    modules = [*sharing._fronts, *sharing._backs]
    before = copy.deepcopy([module.state_dict() for module in modules])
    obs = met(40)
    acted = [sharing.back(n)(sharing.front(n)(obs[:, n])) for n in range(AGENTS)]
    before = copy.deepcopy([module.state_dict() for module in modules])  # BatchNorm has counted
    for _ in range(4):
        sharing.observe(obs)
        moves = sharing.update(two_kinds)
    targets = {move.target for move in moves if move.source != move.target}
    assert targets and all(move.block == "front" for move in moves if move.source != move.target)
    for place, module in enumerate(modules):
        same = all(torch.equal(x, before[place][k]) for k, x in module.state_dict().items())
        assert same == (place not in targets), place
    for n in range(AGENTS):  # a front that was copied acts as the one it was copied from
        sharing.front(n).eval()
        expected = copy.deepcopy(modules[0])
        expected.load_state_dict(before[0])
        expected.eval()
        assert torch.equal(sharing.front(n)(obs[:, n]), expected(obs[:, n]))
    assert len(acted) == AGENTS


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "SGD", "Adagrad", "NAdam"])
def test_a_copy_learns_on_as_the_original_would_have(name: str) -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    more = {"momentum": 0.9} if name == "SGD" else {}
    optimiser = getattr(torch.optim, name)(
        [*source.parameters(), *target.parameters()], 0.1, **more
    )
    for steps in range(3):
        optimiser.zero_grad()
        (source(torch.ones(3)).sum() * 2**steps + target(torch.ones(3)).square().sum()).backward()
        optimiser.step()
    copy_module(source, target, optimiser)
    for _ in range(2):
        optimiser.zero_grad()
        (source(torch.ones(3)).square().sum() + target(torch.ones(3)).square().sum()).backward()
        optimiser.step()
    assert torch.equal(source.weight, target.weight) and torch.equal(source.bias, target.bias)
    state = [optimiser.state[module.weight] for module in (source, target)]
    for key, x in state[0].items():
        if isinstance(x, Tensor):
            assert x is not state[1][key] and torch.equal(x, state[1][key])


def test_a_copy_of_what_was_never_trained_has_no_moments() -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    optimiser = torch.optim.Adam([*source.parameters(), *target.parameters()])
    target(torch.ones(3)).sum().backward()
    optimiser.step()
    copy_module(source, target, optimiser)
    assert target.weight not in optimiser.state and target.weight.grad is None


def test_a_saved_state_goes_on_as_if_nothing_had_happened() -> None:
    whole, stopped = made(), made()
    for update in range(1, 9):
        if update == 4:  # in the middle of what is measured on
            saved = copy.deepcopy(stopped.state_dict())
            stopped = made()
            stopped.load_state_dict(saved)
        for sharing in (whole, stopped):
            sharing.observe(met(seed=update))
        assert whole.update(two_kinds) == stopped.update(two_kinds)
    assert torch.equal(whole.distances, stopped.distances)
    assert (whole.front_of, whole.back_of) == (stopped.front_of, stopped.back_of)


def test_a_saved_state_stays_what_it_was_while_the_sharing_goes_on() -> None:
    sharing = made()
    sharing.observe(met())
    sharing.update(two_kinds)
    sharing.observe(met())
    saved = sharing.state_dict()
    counts = {name: len(saved[name]) for name in ("met", "obs", "probs")}
    sharing.observe(met(seed=1))
    sharing.update(two_kinds)
    assert {name: len(saved[name]) for name in counts} == counts


def same_twice() -> tuple:
    fronts, backs, optimiser = networks()
    fronts[1] = fronts[0]
    return fronts, backs, optimiser


def other_shape() -> tuple:
    fronts, backs, _ = networks()
    backs[2] = nn.Linear(8, 5)
    return fronts, backs, torch.optim.Adam([*fronts.parameters(), *backs.parameters()])


def not_trained() -> tuple:
    fronts, backs, _ = networks()
    return fronts, backs, torch.optim.Adam(fronts.parameters())


def one_agent() -> tuple:
    fronts, backs, optimiser = networks()
    return fronts[:1], backs[:1], optimiser


def uneven() -> tuple:
    fronts, backs, optimiser = networks()
    return fronts, backs[:2], optimiser


@pytest.mark.parametrize(
    ("parts", "more", "says"),
    [
        (same_twice, {}, "some are the same: make them with copy.deepcopy"),
        (other_shape, {}, "All backs have one shape"),
        (not_trained, {}, "in none of its groups"),
        (one_agent, {}, "there are 1 fronts and 1 backs"),
        (uneven, {}, "there are 4 fronts and 2 backs"),
        (networks, {"fuse": 0}, "fuse > 0"),
        (networks, {"data": 0}, "data is at least 1"),
        (networks, {"period": 3, "data": 4}, "period, .*is at least 4, but is 3"),
        (networks, {"kind": "cosine"}, "Unknown distance 'cosine'"),
        (networks, {"sharing": "full"}, "Unknown sharing at the start 'full'"),
    ],
)
def test_what_cannot_be_shared_is_refused(parts, more: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        partage.DynamicSharing(*parts(), **more)


def test_a_loop_that_says_too_little_or_something_else_is_told_so() -> None:
    sharing = made(period=1, data=1)
    with pytest.raises(UserError, match="Nothing was observed"):
        sharing.update(two_kinds)
    sharing.observe(met(8))
    with pytest.raises(UserError, match="at least 128 valid observations, but there are 32"):
        sharing.update(two_kinds)
    with pytest.raises(UserError, match=re.escape("[.., N, O] or [S, O], but the shape is [3]")):
        sharing.observe(torch.zeros(3))
    with pytest.raises(UserError, match=re.escape("the 4 agents, in this order of the axes")):
        sharing.observe(met(40).transpose(0, 1))
    sharing.observe(met(40))
    with pytest.raises(UserError, match=r"4 agents on the 160 observations .* is \[2, 160, 2\]"):
        sharing.update(torch.zeros(2, 160, 2))
    with pytest.raises(UserError, match="logits, give their softmax"):
        sharing.update(lambda n, obs: obs[:, :2])
    assert sharing.front_of == [0] * AGENTS and sharing.back_of == list(range(AGENTS))
