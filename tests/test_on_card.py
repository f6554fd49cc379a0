"""The parts of training that a card captures, without a card.

On the CPU they collect, draw and descend as the CPU's own. On torch's device ``meta`` tensors have
no values, so whatever would wait for a card raises an error; and a watch finds what would be copied
from the host unasked.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from benchmarks.stand_in import roll_call
from partage import envs, learners
from partage.errors import UserError
from partage.learners import a2c, bdps
from partage.nn.optimiser import Optimiser
from partage.nn.state import COPIES, Copy, load, share, used
from partage.rl import graphs, noise, on_card
from partage.rl.card_replay import CardReplay
from partage.rl.experience import COUNTED, change_tensors
from partage.rl.replay import Replay
from partage.rl.rollout import Rollout, collect_episodes, collect_segment, team_reward
from partage.rl.to_host import ToHost
from partage.sharing import assignment

SETTINGS = {
    "qmix": {"copies": 16},
    "bdps": {"copies": 16, "period": 2},
    "a2c": {},
}
MOVING = {"mdps": {}, "seps": {"clusters": 2, "pretraining": 2, "data": 2}}
FEW = torch.tensor([True, False, True])


class Watch(TorchDispatchMode):
    """Raises an error where tensors of the host and of a card meet within a part."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given, _ = tree_flatten((args, kwargs or {}))
        tensors = [x for x in given if isinstance(x, torch.Tensor)]
        if tensors and graphs._here and not self.asleep:
            returned, _ = tree_flatten(out)
            # a number without axes goes with the launch
            met = {x.device.type for x in tensors if x.dim() or x.device.type != "cpu"}
            met |= {x.device.type for x in returned if isinstance(x, torch.Tensor)}
            assert len(met) <= 1, f"{func} takes tensors of the host to the card"
        return out


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """Watches, but for what is fed; fused and capturable optimisers know no device meta."""
    found = Watch()

    def unwatched(function: Any) -> Any:
        def called(*args: Any) -> Any:
            found.asleep = True
            try:
                return function(*args)
            finally:
                found.asleep = False

        return called

    def plain(optimiser: Any, *args: Any, fused: bool = False, **settings: Any) -> Any:
        return partial(optimiser, *args, **settings)

    monkeypatch.setattr(graphs.Place, "feed", unwatched(graphs.Place.feed))
    monkeypatch.setattr(Copy, "renew", unwatched(Copy.renew))  # in the calls before a capture
    for module in (a2c, bdps):
        monkeypatch.setattr(module, "partial", plain)
    with found:
        yield found


@pytest.mark.parametrize("sharing", ["id", "full", "none"])
@pytest.mark.parametrize("name", SETTINGS)
def test_neither_acting_nor_an_update_asks_a_card_for_anything(
    name: str, sharing: str, watch: Watch
):
    if (name, sharing) == ("bdps", "none"):
        pytest.skip("bdps shares in roles and groups: it has no such setting")
    settings = {**SETTINGS[name], "sharing": sharing}
    probe = roll_call([0, 1], 1, "meta")
    learner = learners.make(name, probe.spec, settings, [0, 1], "meta")
    env = roll_call([0, 1], learner.copies, "meta")
    everyone, step, measures = torch.ones(2, dtype=torch.bool), env.reset(), {}
    for _ in range(3):
        if learner.segment is None:
            rollout = collect_episodes(env, learner.policy, everyone, True)
        else:
            rollout, step, _ = collect_segment(env, learner.policy, step, None, learner.segment)
        assert rollout.obs.device.type == "meta"
        measures = learner.learn(rollout)
    assert "gradient_norm" in measures


@pytest.mark.parametrize("name", MOVING)
def test_sharing_that_has_moved_is_not_brought_to_a_card_within_acting_or_an_update(
    name: str, watch: Watch
):
    probe = roll_call([0, 1], 1, "meta")
    learner: Any = learners.make(name, probe.spec, MOVING[name], [0, 1], "meta")
    env = roll_call([0, 1], learner.copies, "meta")
    collector = on_card.Segments(env, learner.policy, learner.segment)
    together, measures = torch.zeros(2, 4, dtype=torch.int64), {}
    for others_set in (0, 1):
        index = together.clone()
        index[:, 2:] = others_set
        share(learner.base.net, front_of=index, back_of=index)
        for _ in range(3):
            measures = learner.base.learn(collector.collect(torch.ones(2, dtype=torch.bool)))
        assert torch.equal(learner.sharing()["front"], index)
    assert "gradient_norm" in measures


def test_today_s_sharing_lies_where_yesterday_s_lay_on_a_card():
    spec = roll_call([0, 1], 1).spec
    learner: Any = learners.make("mdps", spec, {}, [0, 1])
    net = learner.base.net
    there = on_a_readable_card(net, moving=True)["back_of"].there
    together = torch.zeros(2, 4, dtype=torch.int64)
    share(net, back_of=together)
    assert torch.equal(there, together) and used(net, "back_of") is there
    load(net, net.state_dict() | {"back_of": together + 1})
    assert there.eq(1).all() and used(net, "back_of") is there
    net.back_of = together + 2
    assert used(net, "back_of") is there and there.eq(2).all()
    net.back_of[1, 3] = 0
    assert used(net, "back_of") is there and there[1, 3] == 0


def test_a_sharing_that_lies_on_the_card_itself_is_refused_in_a_sentence():
    spec = roll_call([0, 1], 1).spec
    learner: Any = learners.make("qmix", spec, {"sharing": "none"}, [0, 1], "meta")
    for index in (torch.zeros(2, 4, dtype=torch.int64, device="meta"), assignment.full(2, 3)):
        learner.nets.assignment = index
        with pytest.raises(UserError, match=r"on the CPU, by an index of shape \[2, 4\]"):
            used(learner.nets, "assignment")
    learner.nets.assignment = assignment.by([0, 0, 1, 1], 2)
    assert used(learner.nets, "assignment").device.type == "meta"
    assert used(learner.target, "assignment") is learner.target.assignment  # nobody shares there
    learner.update_targets(torch.ones(2, dtype=torch.bool))
    assert used(learner.target, "assignment").device.type == "meta"


def on_a_readable_card(net: Any, moving: bool = False) -> dict[str, Copy]:
    """Give networks the copies that they have on a card, where they can be read."""
    held = {name: getattr(net, name) for name in ("front_of", "back_of")}
    copies = {name: Copy(index, torch.device("cpu"), moving) for name, index in held.items()}
    setattr(net, COPIES, copies)
    return copies


def test_sharing_that_a_learner_sets_itself_is_what_was_captured_goes_through(captures: None):
    learner: Any = learners.make("a2c", roll_call([0, 1], 1).spec, {"sharing": "none"}, [0, 1])
    net, seen = learner.net, []
    there = on_a_readable_card(net)["back_of"].there
    ours, theirs = (noise.generators([3, 4]) for _ in range(2))
    sent: list[torch.Tensor] = []

    class Noted(graphs.Feed):
        def send(self, made: torch.Tensor) -> None:
            sent.append(made)

    def play() -> None:
        noise.uniform(ours, 5)
        seen.append(used(net, "back_of"))

    part = graphs.Part(play, torch.device("meta"))
    part.captured = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "Feed", Noted)
        for number in range(12):
            if number == 5:  # as CONTRIBUTING's learners do
                net.back_of = assignment.by([0, 0, 1, 1], 2)
            if number == 10:
                net.back_of[1] = 3
            part()
            part.draw_ahead()
    # twice called and captured, then, of other networks, once more
    assert len(seen) == 6 and not any(x is there for x in seen[:3])
    assert all(x is there for x in seen[3:])
    assert there.tolist() == [[0, 0, 1, 1], [3, 3, 3, 3]]
    part.take_back()
    expected = [noise.uniform(theirs, 5) for _ in range(12)]
    assert [g.get_state().tolist() for g in ours] == [g.get_state().tolist() for g in theirs]
    kept = [x for n, x in enumerate(sent) if n != 5]  # drawn ahead, and taken back
    assert torch.equal(torch.stack(kept[:12]), torch.stack(expected))


@pytest.mark.parametrize("name", ["a2c", "qmix"])
def test_sharing_that_is_set_behind_make_asks_a_card_for_nothing(name: str, captures: None):
    probe, settings = roll_call([0, 1], 1, "meta"), SETTINGS[name] | {"sharing": "none"}
    learner: Any = learners.make(name, probe.spec, settings, [0, 1], "meta")
    pairs = assignment.by([0, 0, 1, 1], 2)
    env = roll_call([0, 1], learner.copies, "meta")
    learner.updating.captured = True
    if name == "a2c":
        learner.net.front_of = learner.net.back_of = pairs
        collector: Any = on_card.Segments(env, learner.policy, learner.segment)
    else:
        learner.nets.assignment = pairs
        learner.storing.captured = True
        collector = on_card.Episodes(env, learner.policy, True)
    collector.part.captured, Graph.replayed = True, 0
    for _ in range(5):
        learner.learn(collector.collect(torch.ones(2, dtype=torch.bool)))
    assert Graph.replayed >= 3
    assert all(torch.equal(x, pairs) for x in learner.sharing().values())


@pytest.mark.parametrize("sets", [2, 4])
def test_sets_that_are_picked_unasked_are_those_that_are_picked_and_so_are_their_gradients(
    sets: int,
):
    bank = torch.randn(2, sets, 3, 5, requires_grad=True)
    index = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1]])
    results = []
    for function in (assignment.pick, assignment._pick_unasked):
        picked = function(bank, index)
        (gradient,) = torch.autograd.grad(picked.square().sum(), bank)
        results.append((picked, gradient))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(*(x[1] for x in results))


def test_the_watch_sees_what_comes_from_the_host(watch: Watch):
    part = graphs.Part(lambda: torch.ones(2).to("meta"), torch.device("meta"))
    with pytest.raises(AssertionError, match="of the host"):
        part()


def test_a_part_is_fed_what_is_drawn_number_for_number_and_anew_each_time():
    ours, theirs = (noise.generators([3, 4]) for _ in range(2))
    sent: list[torch.Tensor] = []

    class Noted(graphs.Feed):
        def send(self, made: torch.Tensor) -> None:
            sent.append(made)

    part = graphs.Part(lambda: noise.uniform(ours, 5), torch.device("meta"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "Feed", Noted)
        for _ in range(2):
            assert part().device.type == "meta"
    assert torch.equal(torch.stack(sent), torch.stack([noise.uniform(theirs, 5) for _ in range(2)]))
    assert not torch.equal(sent[0], sent[1])


def test_a_part_is_another_one_where_any_of_what_it_is_given_lies_elsewhere():
    a, b, c = (torch.ones(2, device="meta") for _ in range(3))
    of_all = graphs.PartOf(sum, torch.device("meta"), of=lambda tensors: tensors)
    parts = []
    for given in ((a, b), (a, b), (a, c)):
        of_all(given)
        parts.append(of_all.part)
    assert parts[0] is parts[1] and parts[1] is not parts[2]


class Graph:
    """A CUDA graph without a card: what it replays is nothing."""

    replayed = 0

    def replay(self) -> None:
        Graph.replayed += 1


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    """Captures on device meta as on a card."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: None)


def test_noise_that_is_drawn_ahead_is_what_would_be_drawn_and_can_be_taken_back(captures: None):
    ours, theirs = (noise.generators([3, 4]) for _ in range(2))
    sent: list[torch.Tensor] = []

    class Noted(graphs.Feed):
        def send(self, made: torch.Tensor) -> None:
            sent.append(made)

    part = graphs.Part(lambda: noise.uniform(ours, 5), torch.device("meta"))
    part.captured = True
    numbers = [noise.uniform(theirs, 5) for _ in range(8)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "Feed", Noted)
        for number in range(7):
            part()
            part.draw_ahead()
            part.draw_ahead()  # which changes nothing
            if number == 4:
                part.take_back()
                assert torch.equal(noise.uniform(ours, 5), numbers[5])
                for generator, state in zip(ours, states(numbers[:5]), strict=True):
                    generator.set_state(state)
    expected = [0, 1, 2, 3, 4, 5, 5, 6, 7]  # number 5 once more, as it was taken back
    assert torch.equal(torch.stack(sent), torch.stack([numbers[number] for number in expected]))


def states(drawn: list[torch.Tensor]) -> list[torch.Tensor]:
    """Where the generators of those numbers were behind them."""
    again = noise.generators([3, 4])
    for _ in drawn:
        noise.uniform(again, 5)
    return [generator.get_state() for generator in again]


def test_what_another_part_drew_ahead_it_has_not_drawn(captures: None):
    learner: Any = learners.make("a2c", roll_call([0, 1], 1, "meta").spec, {}, [0, 1], "meta")
    collectors = []
    for _ in range(2):
        env = roll_call([0, 1], learner.copies, "meta")
        collectors.append(on_card.Segments(env, learner.policy, learner.segment))
        collectors[-1].part.captured = True
    for _ in range(4):
        learner.learn(collectors[0].collect(None))
    before = [g.get_state() for g in learner.policy.generators]
    saved = learner.state_dict()["generators"]
    assert not any(map(torch.equal, before, saved))  # they were ahead
    learner.learn(collectors[0].collect(None))
    on_card.plays(learner.policy, collectors[1].part)
    now = [g.get_state() for g in learner.policy.generators]
    assert all(map(torch.equal, now, before))


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_captured_draws_and_stores_what_is_called_would(name: str, captures: None):
    results = []
    for captured in (False, True):
        probe, Graph.replayed = roll_call([0, 1], 1, "meta"), 0
        learner: Any = learners.make(name, probe.spec, SETTINGS[name], [0, 1], "meta")
        env = roll_call([0, 1], learner.copies, "meta")
        learner.updating.captured = captured
        if learner.segment is None:
            collector = on_card.Episodes(env, learner.policy, True)
            learner.storing.captured = captured
        else:
            collector = on_card.Segments(env, learner.policy, learner.segment)
        collector.part.captured = captured
        for number in range(9):
            where = torch.tensor([True, number != 7])
            learner.learn(collector.collect(where))
        on_card.take_back(learner.policy)
        drawn = [g.get_state() for g in learner.streams.generators]
        results.append((drawn, getattr(getattr(learner, "card_replay", None), "stored", 0)))
        assert bool(Graph.replayed) == captured
    assert results[0][1] == results[1][1]
    assert all(map(torch.equal, results[0][0], results[1][0]))


@pytest.mark.parametrize("name", ["qmix", "bdps"])
def test_episodes_for_a_card_are_those_of_the_cpu_behind_which_copies_idle(name: str):
    task, seeds = "smac/3m", [0, 1, 2]
    spec, settings = envs.make(task, [0], 1).spec, {"copies": 2}
    rollouts = []
    for collect in (collect_episodes, lambda *a: on_card.Episodes(a[0], a[1], True).collect(a[2])):
        learner = learners.make(name, spec, settings, seeds)
        rollouts.append(collect(envs.make(task, seeds, 2), learner.policy, FEW, True))
    here, there = rollouts
    time = here.filled.shape[2]
    assert not here.filled[FEW].all() and torch.equal(there.active, here.active)
    assert not there.filled[:, :, time:].any()
    for field in ("actions", "reward", "terminated", "truncated", "score"):
        ours, theirs = (getattr(x, field)[:, :, :time] for x in rollouts)
        assert torch.equal(ours[here.filled], theirs[here.filled]), field
    assert torch.equal(here.obs[:, :, :time][here.filled], there.obs[:, :, :time][here.filled])


def test_segments_for_a_card_are_those_of_the_cpu():
    task, seeds = "mpe/15a_3c", [0, 1, 2]
    spec = envs.make(task, [0], 1).spec
    rollouts = []
    for on in (False, True):
        learner, env = learners.make("a2c", spec, {}, seeds), envs.make(task, seeds, 8)
        step, found = env.reset(), []
        segments = on_card.Segments(env, learner.policy, 5)
        for _ in range(12):
            if on:
                found.append(segments.collect(FEW))
            else:
                rollout, step, _ = collect_segment(env, learner.policy, step, None, 5, FEW)
                found.append(rollout)
        rollouts.append(found)
    assert any(rollout.truncated.any() for rollout in rollouts[0])
    for ours, theirs in zip(*rollouts, strict=True):
        for field in ("obs", "actions", "reward", "terminated", "truncated", "filled"):
            assert torch.equal(getattr(ours, field), getattr(theirs, field)), field
        if ours.final_obs is not None:
            assert theirs.final_obs is not None
            assert torch.equal(ours.final_obs, theirs.final_obs)


def played(rounds: int) -> tuple[Any, list[Rollout]]:
    """Episodes of unequal lengths of three runs, of which one sits out now and then."""
    task = "smac/3m"
    env = envs.make(task, [0, 1, 2], 2)
    learner = learners.make("qmix", env.spec, {"copies": 2}, [0, 1, 2])
    everyone = torch.ones(3, dtype=torch.bool)
    collector, found = on_card.Episodes(env, learner.policy, True), []
    for number in range(rounds):
        where = FEW if number % 3 == 2 else everyone
        found.append(collector.collect(where))
    return env.spec, found


@pytest.mark.parametrize("plays_on_card", [False, True])
def test_what_is_counted_comes_to_the_host_in_one_copy_as_it_was(
    plays_on_card: bool,
):
    """Memory of the CPU's stands in for a card's."""
    env, copies = roll_call([0, 1, 2], 2), []
    learner = learners.make("qmix", env.spec, {"copies": 2}, [0, 1, 2])
    rollout = collect_episodes(env, learner.policy, FEW, True)
    td_loss = torch.tensor([1.5, -torch.inf, torch.nan])
    rollout.obs[1, 0, 2] = torch.nan

    class OnCard:
        type = "cuda"

    class There(torch.Tensor):
        device = OnCard()

        def cpu(self) -> torch.Tensor:
            copies.append(self)
            return self.as_subclass(torch.Tensor)

    def there(x: torch.Tensor) -> torch.Tensor:
        return x.as_subclass(There)

    given = change_tensors(rollout, lambda _, x: there(x)) if plays_on_card else rollout
    bring = ToHost(torch.device("cpu"))
    counted, brought = bring(given, {"td_loss": there(td_loss)})
    assert len(copies) == 1
    assert brought["td_loss"].tolist()[:2] == [1.5, -torch.inf] and brought["td_loss"][2].isnan()
    for name in COUNTED:
        ours, theirs = getattr(rollout, name), getattr(counted, name)
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs), name
    sound = [bool(x.isfinite().all()) for x in counted.obs]
    assert sound == [True, False, True]


def test_the_replay_of_a_card_draws_the_episodes_that_the_cpu_s_draws():
    spec, rollouts = played(9)
    here = Replay(3, 10, spec)
    there = CardReplay(3, 10, spec, torch.device("cpu"))
    generators = [noise.generators([5, 6, 7]) for _ in range(2)]
    for number, rollout in enumerate(rollouts):
        extra = {"team_reward": team_reward(rollout.reward, spec)}
        there.active = rollout.active
        for replay in (here, there):
            replay.add(rollout, extra)
        if number < 2:  # fewer than are drawn
            continue
        ours, theirs = here.sample(6, generators[0]), there.sample(6, generators[1])
        assert ours.keys() == theirs.keys()
        filled, time = ours["filled"], ours["filled"].shape[2]
        assert torch.equal(theirs["filled"][:, :, :time], filled)
        assert not theirs["filled"][:, :, time:].any()
        for name, x in ours.items():
            other = theirs[name][:, :, : x.shape[2]]
            assert x.dtype == other.dtype
            assert torch.equal(x[:, :, :time][filled], other[:, :, :time][filled]), name


def test_the_replay_of_a_card_goes_on_from_what_it_saved():
    spec, rollouts = played(4)
    made = [CardReplay(3, 5, spec, torch.device("cpu")) for _ in range(2)]
    for rollout in rollouts:
        made[0].active = rollout.active
        made[0].add(rollout, {"team_reward": team_reward(rollout.reward, spec)})
    made[1].load_state_dict(made[0].state_dict())
    drawn = [replay.sample(3, noise.generators([1, 2, 3])) for replay in made]
    for name, x in drawn[0].items():
        assert torch.equal(x, drawn[1][name])


@pytest.mark.parametrize("kind", [torch.optim.RMSprop, torch.optim.Adam])
def test_a_step_that_asks_nothing_is_the_step_that_asks(kind: Any, monkeypatch):
    """One run has ended, another's gradient is no number."""
    results = []
    for unasked in (False, True):
        module = torch.nn.Linear(3, 2, dtype=torch.float32)
        module.weight = torch.nn.Parameter(torch.arange(24.0).view(4, 2, 3))
        module.bias = torch.nn.Parameter(torch.arange(8.0).view(4, 2))
        optimiser = Optimiser(module, partial(kind, lr=0.1), 5.0)
        if unasked:
            optimiser.make_unasked()
        for number in range(3):
            active = torch.tensor([True, number == 0, True, True])
            weight = torch.tensor([1.0, 2.0, 1.0, 30.0])
            weight[2] = torch.inf if number == 1 else 1.0
            x = module.weight.flatten(1).square().sum(1) + module.bias.sum(1)
            optimiser.step(weight * x, active)
        results.append([x.clone() for x in optimiser._values_and_moments()])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)
