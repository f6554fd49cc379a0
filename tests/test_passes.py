"""Minibatches of agents' rows and Adam by runs, counted and computed by hand."""

from copy import deepcopy
from dataclasses import fields
from typing import Any

import pytest
import torch
from learning import Player, as_in_training, parameters  # noqa: F401 (a fixture)

from partage.learners import cds as cds_module
from partage.learners._cds_predictors import Known, Predictor, xavier_init
from partage.learners._eoi import Individual
from partage.learners._passes import Minibatch, descend, in_turn, shuffled
from partage.learners.cds import CDS
from partage.learners.eoi import EOI
from partage.learners.eoi import Settings as EOISettings
from partage.nn.adam import AdamOfRuns, adam_of_runs, run_of_elements
from partage.nn.bank import Bank
from partage.nn.optimiser import Optimiser
from partage.rl.noise import generators
from partage.rl.rollout import Rollout
from partage.sims.contract import Spec

TASK = "lbf/5x5-4p-1f-v3"
SPEC = Spec(n_agents=3, n_actions=4, obs_dim=5, state_dim=2, horizon=9, common_reward=True)
FEW: dict[str, Any] = {"batch": 6, "copies": 3, "hidden": 16}


def episodes(*lengths: list[int], time: int) -> torch.Tensor:
    """The mask of runs whose episodes are as long as these."""
    return torch.arange(time) < torch.tensor(lengths)[..., None]


def rows_of(minibatches: list[Minibatch], run: int) -> list[tuple[int, int, int]]:
    """Copy, time and agent of a run's real rows, in order."""
    found = []
    for m in minibatches:
        triples = torch.stack((m.copy[run], m.time[run], m.agent[run]), 1)
        found += [tuple(row) for row in triples[m.real[run]].tolist()]
    return found


@pytest.mark.parametrize(
    ("lengths", "steps"),
    [
        ([1, 0], 0),  # 4 rows: (4 - 1) // 256
        ([64, 0], 0),  # 256 rows: 255 // 256
        ([64, 1], 1),  # 260 rows
        ([64, 64], 1),  # 512 rows: 511 // 256
        ([65, 64], 2),  # 516 rows
    ],
)
def test_of_n_rows_eoi_takes_n_less_one_over_256_steps(lengths: list[int], steps: int) -> None:
    assert len(in_turn(episodes(lengths, time=70), 4, 256)) == steps


def test_a_batch_of_32_battles_of_27_steps_gives_eoi_16_and_cds_17_steps() -> None:
    filled = episodes([27] * 32, time=27)  # 5m_vs_6m: 32 x 27 x 5 = 4,320 rows = 16.9 x 256
    assert len(in_turn(filled, 5, 256)) == 16
    assert len(shuffled(filled, 5, 256, generators([0]))) == 17


def test_eoi_s_rows_come_by_episode_step_and_agent_and_the_last_few_are_left_out() -> None:
    minibatches = in_turn(episodes([2, 0, 1], time=4), 3, 4)  # 9 rows: two minibatches of 4
    assert rows_of(minibatches, 0) == [
        *((0, 0, n) for n in range(3)),
        *((0, 1, n) for n in range(3)),
        *((2, 0, n) for n in range(2)),
    ]


def test_cds_goes_once_through_all_rows_padding_included_but_not_counted() -> None:
    filled = episodes([5, 2, 0], time=8)  # as long as the longest: 3 x 5 x 2 = 30 rows, 14 real
    minibatches = shuffled(filled, 2, 8, generators([7]))
    assert len(minibatches) == 4  # 8, 8, 8 and 6
    wanted = [(0, t, n) for t in range(5) for n in range(2)]
    wanted += [(1, t, n) for t in range(2) for n in range(2)]
    found = rows_of(minibatches, 0)
    assert sorted(found) == wanted and found != wanted
    again = shuffled(filled, 2, 8, generators([8]))
    assert rows_of(again, 0) != found


def test_runs_of_a_pack_have_their_own_rows_whatever_the_others_and_the_padding() -> None:
    together = episodes([5, 2, 0], [8, 8, 8], time=8)
    alone = episodes([5, 2, 0], time=5)
    for packed, single in (
        (in_turn(together, 2, 4), in_turn(alone, 2, 4)),
        (
            shuffled(together, 2, 4, generators([7, 3])),
            shuffled(alone, 2, 4, generators([7])),
        ),
    ):
        assert len(packed) > len(single)
        assert rows_of(packed, 0) == rows_of(single, 0)
        assert [bool(m.stepping[0]) for m in packed] == [
            k < len(single) and bool(single[k].stepping[0]) for k in range(len(packed))
        ]


def test_losses_are_means_over_a_run_s_own_steps() -> None:
    minibatches = in_turn(episodes([2], [5], time=5), 2, 2)  # (4 - 1) // 2 = 1 and 4 steps
    values = iter([1.0, 2.0, 3.0, 6.0])

    def step(rows: Minibatch, stepping: torch.Tensor) -> tuple[torch.Tensor, ...]:
        value = next(values)
        return torch.full((2,), value), torch.full((2,), 2 * value)

    first, second = descend(minibatches, torch.ones(2, dtype=torch.bool), step)
    assert first.tolist() == [1.0, 3.0] and second.tolist() == [2.0, 6.0]


def test_each_run_s_adam_is_torch_s_on_its_own_steps_and_others_do_not_move() -> None:
    bank = Bank(generators([0, 1]), 1, 5, 3)
    start = [p.detach().clone() for p in bank.parameters()]
    ours = Optimiser(bank, adam_of_runs(bank, 0.01), 1.0)
    moves = [(True, True), (False, True), (True, True), (False, True), (True, False)]
    target = torch.randn(2, 1, 5, 3, generator=torch.Generator().manual_seed(0))
    theirs = []
    for run in range(2):
        copy = [torch.nn.Parameter(p[run].clone()) for p in start]
        theirs.append((copy, torch.optim.Adam(copy, lr=0.01)))
    for moving in moves:
        before = bank.weight.detach().clone()
        error = (bank.weight - target).square().sum((1, 2, 3)) + bank.bias.square().sum((1, 2))
        stepping = torch.tensor(moving)
        ours.step(error * stepping, stepping)
        for run, (copy, adam) in enumerate(theirs):
            if moving[run]:
                adam.zero_grad()
                loss = (copy[0] - target[run]).square().sum() + copy[1].square().sum()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(copy, 1.0)
                adam.step()
            else:
                assert torch.equal(before[run], bank.weight[run])
    for run, (copy, _) in enumerate(theirs):
        torch.testing.assert_close(bank.weight[run], copy[0], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(bank.bias[run], copy[1], rtol=1e-4, atol=1e-6)
    assert isinstance(ours.torch, AdamOfRuns)
    assert ours.torch.state[ours.flat]["step"].tolist() == [3.0, 4.0]


def test_every_number_of_a_module_is_its_run_s() -> None:
    bank = Bank(generators([0, 1]), 1, 2, 1)  # weights 2 x 1, bias 1, of each run
    assert run_of_elements(bank.parameters()).tolist() == [0, 0, 1, 1, 0, 1]


def some_rows() -> tuple[Known, Minibatch]:
    """Six rows of three agents in no order, and what the episodes are."""
    g = torch.Generator().manual_seed(1)
    filled = episodes([4, 3], time=4)
    known = Known(
        torch.randn(1, 2, 4, 3, 6, generator=g),
        torch.randn(1, 2, 5, 3, 5, generator=g),
        torch.randint(4, (1, 2, 4, 3), generator=g),
        torch.ones(1, 2, 5, 3, dtype=torch.bool),
        filled,
    )
    return known, shuffled(filled, 3, 6, generators([5]))[0]


@pytest.mark.parametrize("agent_id", [0, 3])
def test_predictors_tell_rows_in_any_order_as_they_do_in_turn(agent_id: int) -> None:
    known, rows = some_rows()
    predictor = Predictor(generators([0]), SPEC, (6, 8), xavier_init, agent_id)
    found = predictor.errors_of_rows(known, rows)
    before = torch.cat((known.earlier, known.obs[:, :, :-1]), -1).flatten(1, 2)
    later = known.obs[:, :, 1:].flatten(1, 2)
    in_order = predictor.errors(before, known.actions.flatten(1, 2), later).unflatten(1, (2, 4))
    torch.testing.assert_close(found, rows.of_agents(in_order), rtol=1e-5, atol=1e-6)
    assert len(set(rows.agent.flatten().tolist())) == 3


def test_eoi_s_networks_tell_rows_in_any_order_as_they_do_in_turn() -> None:
    known, rows = some_rows()
    individual = Individual(SPEC, 8, [0])
    for network in (individual.classifier, individual.value):
        found = individual.apply_to_rows(network, rows.of_agents(known.obs), rows.agent)
        in_order = individual.apply_to(network, known.obs.flatten(1, 2)).unflatten(1, (2, 5))
        torch.testing.assert_close(found, rows.of_agents(in_order), rtol=1e-5, atol=1e-6)


def test_predictors_start_with_xavier_s_bounds_and_zero_biases() -> None:
    predictor = Predictor(generators([0]), SPEC, (64, 128), xavier_init, 3)
    for bank, (inputs, outputs) in (
        (predictor.first, (64 + 5 + 4 + 3, 128)),
        (predictor.second, (128 + 3, 128)),
        (predictor.last, (128, 5)),
    ):
        bound = (6 / (inputs + outputs)) ** 0.5
        assert bank.weight.shape[2:] == (inputs, outputs) and not bank.bias.any()
        assert 0.95 * bound < bank.weight.abs().max() <= bound


def test_a_predictor_s_loss_is_summed_over_the_observation_and_meant_over_real_rows() -> None:
    known, rows = some_rows()
    predictor = Predictor(generators([0]), SPEC, (6, 8), xavier_init, 0)
    errors = predictor.errors_of_rows(known, rows)
    real = rows.real[0]
    assert 0 < int(real.sum()) <= 6
    torch.testing.assert_close(rows.mean(errors)[0], errors[0][real].mean())


def trained(player: Player, updates: int) -> list[int]:
    """How many steps the predictors of the first run had taken after each update."""
    steps = []
    for _ in range(updates):
        player.learn(1)
        cds = player.learner
        assert isinstance(cds, CDS)
        both = (cds.without_id_optimiser, cds.with_id_optimiser)
        counts = [int(one.torch.state[one.flat]["step"][0]) for one in both]
        assert counts[0] == counts[1]
        steps.append(counts[0])
    return steps


def test_cds_predictors_take_two_passes_an_episode_or_as_many_as_asked_every_so_often() -> None:
    always = Player("cds", TASK, [0], batch=6, copies=1, hidden=16, chunk=64)
    counts = trained(always, 8)
    assert counts[:5] == [0] * 5 and 0 < counts[5] < counts[6] < counts[7]
    batch = always.learner.replay.sample(6, always.learner.sampling)  # type: ignore[attr-defined]
    assert isinstance(always.learner, CDS)
    always.learner.update(batch, torch.ones(1, dtype=torch.bool))
    rows = 6 * int(batch["filled"].sum(2).max()) * 4
    steps = int(always.learner.with_id_optimiser.torch.state_dict()["state"][0]["step"][0])
    assert steps - counts[7] == 2 * -(-rows // 64)
    seldom = Player(
        "cds", TASK, [0], batch=6, copies=1, hidden=16, passes=3, predict_every=4, predictor_batch=2
    )
    counts = trained(seldom, 12)  # due at 4 (too early), 8 and 12 episodes
    assert counts[:7] == [0] * 7 and counts[7] == counts[10] > 0
    assert counts[7] % 3 == 0 and counts[11] > counts[10]


def test_football_s_schedule_is_exact_in_a_pack_and_in_a_resumed_run() -> None:
    football: dict[str, Any] = {"passes": 2, "predict_every": 12, "predictor_batch": 3}
    football |= {"goal_pay": 100.0, "mean_policy": "heads", "beta": 0.05, "chunk": 64}
    some: dict[str, Any] = {"batch": 8, "copies": 4, "hidden": 16, **football}
    alone, packed = Player("cds", TASK, [3], **some), Player("cds", TASK, [1, 2, 3], **some)
    alone.learn(4)
    packed.learn(4)  # 16 episodes: the predictors were trained once, and are due at 24
    resumed = Player("cds", TASK, [7], **some)
    resumed.learner.load_state_dict(deepcopy(alone.learner.state_dict()))
    resumed.env.load_state_dict(alone.env.state_dict())
    for player in (alone, packed, resumed):
        player.learn(2)
    assert isinstance(alone.learner, CDS)
    optimiser = alone.learner.with_id_optimiser
    assert optimiser.torch.state[optimiser.flat]["step"][0] > 0
    once, in_pack, again = (parameters(one.learner) for one in (alone, packed, resumed))
    for name, p in once.items():
        assert torch.equal(p[0], in_pack[name][2]), name
        assert torch.equal(p, again[name]), name


def test_predictors_are_clipped_each_by_its_own_norm() -> None:
    cds = Player("cds", TASK, [0], **FEW).learner
    assert isinstance(cds, CDS)
    held = [cds.without_id_optimiser, cds.with_id_optimiser]
    assert [optimiser.clip for optimiser in held] == [1.0, 1.0]
    for optimiser, predictor in zip(
        held, (cds.predictors.without_id, cds.predictors.with_id), strict=True
    ):
        assert [id(p) for p in optimiser.parameters] == [id(p) for p in predictor.parameters()]


def match(score: list[float], ended: int) -> Rollout:
    """Four steps of one copy, of which the last is `ended`, with so many goals each."""
    fields = set(Rollout._fields) - {"notes", *Rollout._field_defaults}
    blank = {field: torch.zeros(1, 1, 4) for field in fields}
    steps = torch.arange(4)
    blank |= {
        "reward": torch.full((1, 1, 4, 3), 0.1),  # a checkpoint at every step
        "score": torch.tensor([[score]]),
        "terminated": torch.zeros(1, 1, 4, dtype=torch.bool),
        "truncated": (steps == ended)[None, None],
        "filled": (steps <= ended)[None, None],
    }
    return Rollout(**blank, notes={})


def test_cds_pays_100_a_goal_and_takes_1_for_an_end_without_where_goals_are_paid() -> None:
    paid = Player("cds", TASK, [0], **FEW, goal_pay=100.0).learner
    plain = Player("cds", TASK, [0], **FEW).learner
    assert isinstance(paid, CDS) and isinstance(plain, CDS)
    assert paid.team_reward(match([0, 0, 1, 0], ended=2)).tolist() == [[[0, 0, 100, 0]]]
    assert paid.team_reward(match([0, 0, 0, 0], ended=3)).tolist() == [[[0, 0, 0, -1]]]
    assert paid.team_reward(match([0, 0, -1, 0], ended=2)).tolist() == [[[0, 0, -1, 0]]]
    plain.spec = plain.spec._replace(common_reward=True)
    torch.testing.assert_close(
        plain.team_reward(match([0, 0, 1, 0], ended=2)), torch.full((1, 1, 4), 0.1)
    )


def test_mean_policies_are_of_agents_of_heads_on_a_history_or_of_a_head_on_histories() -> None:
    found = {}
    for kind in ("agents", "heads", "histories"):
        player = Player("cds", TASK, [0], **FEW, mean_policy=kind, beta1=0.5)
        cds = player.learner
        assert isinstance(cds, CDS)
        g = torch.Generator().manual_seed(0)
        shared = torch.randn(1, 1, 1, 4, 6, generator=g)
        states = torch.randn(1, 1, 1, 4, 16, generator=g)
        with torch.no_grad():
            weight, bias = cds.nets.agent.own.weight[0], cds.nets.agent.own.bias[0]
            q_of = [  # by head j on agent n's history
                [shared[0, 0, 0, n] + states[0, 0, 0, n] @ weight[j] + bias[j] for j in range(4)]
                for n in range(4)
            ]
            q = torch.stack([q_of[n][n] for n in range(4)])[None, None, None]
            found[kind] = cds._divergence(q, shared, states)[0, 0, 0]
        for n in range(4):
            others = {
                "agents": [q_of[j][j] for j in range(4)],
                "heads": [q_of[n][j] for j in range(4)],
                "histories": [q_of[j][n] for j in range(4)],
            }[kind]
            mean = torch.stack(others).softmax(-1).mean(0)
            pi = (0.5 * q_of[n][n]).softmax(-1)
            wanted = (pi * (pi / mean).log()).sum()
            torch.testing.assert_close(found[kind][n], wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found["heads"], found["histories"])


def test_eoi_takes_as_many_steps_as_its_rows_give() -> None:
    player = Player("eoi", TASK, [0, 1], **FEW, chunk=64)
    eoi = player.learner
    assert isinstance(eoi, EOI)
    while len(eoi.replay) < 6:
        player.learn(1)
    state = eoi.individual_optimiser.torch.state[eoi.individual_optimiser.flat]
    before, batch = state["step"].clone(), eoi.replay.sample(6, eoi.sampling)
    eoi.update(batch, torch.ones(2, dtype=torch.bool))
    rows = batch["filled"].sum((1, 2)) * 4
    assert (state["step"] - before).tolist() == ((rows - 1) // 64).tolist()
    assert rows[0] != rows[1]


def test_what_is_published_is_the_default() -> None:
    defaults = {field.name: field.default for field in fields(cds_module.Settings)}
    assert defaults["predictor_training"] == "passes" and defaults["passes"] == 2
    assert EOISettings().individual_training == "pass"
