"""What CDS, EOI and RODE claim, each on its own; that they learn is the contract's
(`test_learners`).
"""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training  # noqa: F401 (a fixture)

from partage import envs, learners
from partage.errors import UserError
from partage.learners._rode_networks import role_actions
from partage.learners.cds import CDS
from partage.learners.eoi import EOI
from partage.learners.rode import RODE
from partage.rl.replay import sample_transitions

TASK = "lbf/5x5-4p-1f-v3"
FEW: dict[str, Any] = {"batch": 6, "copies": 3, "hidden": 16}


def batch_of(player: Player) -> dict[str, torch.Tensor]:
    while len(player.learner.replay) < 6:  # type: ignore[attr-defined]
        player.learn(1)
    return player.learner.replay.sample(6, player.learner.sampling)  # type: ignore[attr-defined]


def test_transitions_are_drawn_from_the_real_ones_only_whatever_the_padding() -> None:
    filled = torch.zeros(2, 3, 7, dtype=torch.bool)
    filled[0, :, :3] = filled[1, 1, :5] = True
    noise = torch.rand(2, 400, generator=torch.Generator().manual_seed(0))
    r, b, t = sample_transitions(filled, noise)
    assert filled[r, b, t].all() and len(set(zip(b[1].tolist(), t[1].tolist(), strict=True))) == 5
    longer = torch.cat((filled, torch.zeros(2, 3, 4, dtype=torch.bool)), 2)
    assert all(
        torch.equal(x, y)
        for x, y in zip(sample_transitions(longer, noise)[1:], (b, t), strict=True)
    )


def test_eoi_s_target_converges_to_a_frozen_value_network() -> None:
    player = Player("eoi", TASK, [0, 1], **FEW, soft=0.2, individual_lr=0.0)
    eoi = player.learner
    assert isinstance(eoi, EOI)
    for p in eoi.individual_target.parameters():
        p += 1.0
    batch, gap = batch_of(player), []
    for _ in range(40):
        eoi.update(batch, torch.ones(2, dtype=torch.bool))
        with torch.no_grad():
            pairs = zip(
                eoi.individual_target.parameters(), eoi.individual.value.parameters(), strict=True
            )
            gap.append(max(float((slow - fast).abs().max()) for slow, fast in pairs))
    assert gap[-1] < 1e-6 < gap[0]


def test_eoi_learns_to_tell_agents_and_acts_for_it_in_exploring_episodes_only() -> None:
    player = Player(
        "eoi",
        TASK,
        [0, 1],
        **FEW,
        episode_share=1.0,
        step_share=1.0,
        epsilon_start=0.0,
        epsilon_end=0.0,
        individual_lr=1e-3,
    )
    eoi = player.learner
    assert isinstance(eoi, EOI)
    step = player.env.reset()
    for explore in (True, False):
        memory = eoi.policy.initial(3, explore)
        greedy = eoi.policy.base(step, memory.base, False)[0].actions
        actions = eoi.policy(step, memory, explore)[0].actions
        wanted = (
            eoi.individual.values(step.obs).masked_fill(~step.avail_actions, -torch.inf).argmax(-1)
        )
        if memory.who is None:
            assert torch.equal(actions, greedy)
        else:
            one = memory.who[:, 0, :, None] == torch.arange(4)
            assert one.sum() == 6 and torch.equal(actions, torch.where(one, wanted, greedy))
    batch = batch_of(player)
    losses = [
        float(eoi.update(batch, torch.ones(2, dtype=torch.bool))["classifier_loss"].mean())
        for _ in range(150)
    ]
    assert losses[-1] < 0.8 * losses[0]


def test_cds_pays_for_what_tells_agents_apart() -> None:
    player = Player("cds", TASK, [0, 1], **FEW, beta1=0.5, beta2=2.0)
    cds = player.learner
    assert isinstance(cds, CDS)
    batch = batch_of(player)
    with torch.no_grad():
        shared, own, states = cds.nets.parts(batch["obs"], batch["actions"])
        q = shared + own
        found = cds.intrinsic(batch, q, shared, states)
        r, b, t = 1, 2, 1
        mean = q[r, b, t].softmax(-1).mean(0)
        paid = []
        for n in range(4):
            pi = (0.5 * q[r, b, t, n]).softmax(-1)
            divergence = (pi * (pi / mean).log()).sum()
            errors = []
            for predictor, named in (
                (cds.predictors_target.without_id, False),
                (cds.predictors_target.with_id, True),
            ):
                hot = torch.nn.functional.one_hot(batch["actions"][r, b, t, n], 6).float()
                who = torch.nn.functional.one_hot(torch.tensor(n), 4).float()
                x = torch.cat(
                    (
                        states[r, b, t - 1, n],
                        batch["obs"][r, b, t, n],
                        hot,
                        *([who] if named else []),
                    )
                )
                x = (x @ predictor.first.weight[r, 0] + predictor.first.bias[r, 0]).relu()
                x = torch.cat((x, who)) if named else x
                x = (x @ predictor.second.weight[r, 0] + predictor.second.bias[r, 0]).relu()
                told = x @ predictor.last.weight[r, 0] + predictor.last.bias[r, 0]
                errors.append((told - batch["obs"][r, b, t + 1, n]).square().sum())
            paid.append(errors[0] - 0.5 * errors[1] + 2.0 * divergence)
    torch.testing.assert_close(found[r, b, t], torch.stack(paid).mean(), rtol=1e-4, atol=1e-5)


def test_cds_adds_an_own_part_and_holds_it_small() -> None:
    def size(own: float) -> float:
        player = Player("cds", TASK, [0, 1], **FEW, own=own).learn(40)
        batch = batch_of(player)
        cds = player.learner
        assert isinstance(cds, CDS)
        with torch.no_grad():
            shared, mine, _ = cds.nets.parts(batch["obs"], batch["actions"])
            assert torch.equal(cds.nets.q(batch["obs"], batch["actions"]), shared + mine)
        return float(mine.abs().mean())

    assert size(10.0) < 0.5 * size(0.0)


def test_cds_heads_on_an_agent_s_history_agree_with_the_agent_s_own() -> None:
    player = Player("cds", TASK, [0, 1], **FEW)
    cds, batch = player.learner, batch_of(player)
    assert isinstance(cds, CDS)
    with torch.no_grad():
        _, own, states = cds.nets.parts(batch["obs"], batch["actions"])
        every = cds.nets.agent.by_all_heads(states)
    torch.testing.assert_close(
        every.diagonal(dim1=3, dim2=4).movedim(-1, 3), own, rtol=1e-4, atol=1e-5
    )


def test_cds_intrinsic_reward_fades_where_asked() -> None:
    weights = []
    for steps in (0, 150, 10_000):
        player = Player("cds", TASK, [0, 1], **FEW, beta=1.0, fade_from=100, fade_steps=100)
        cds, batch = player.learner, batch_of(player)
        assert isinstance(cds, CDS)
        cds.exploration.steps.fill_(steps)
        weights.append(cds.intrinsic_weight().flatten().tolist())
    assert weights == [[1.0, 1.0], [0.5, 0.5], [0.0, 0.0]] and batch


def test_rode_clusters_once_fixes_roles_and_lets_epsilon_start_again() -> None:
    player = Player("rode", TASK, [0, 1], **FEW, encode_until=200, clusters=4, epsilon_anneal=100)
    rode = player.learner
    assert isinstance(rode, RODE)
    before = rode.nets.z.clone()
    while not rode.clustered.all():
        player.learn(1)
    assert (rode.exploration.since > 200).all() and not torch.equal(before, rode.nets.z)
    assert torch.equal(rode.target.allowed, rode.nets.allowed) and torch.equal(
        rode.target.z, rode.nets.z
    )
    assert rode.nets.allowed[..., 0].all() and not rode.nets.allowed.all()
    z, since = rode.nets.z.clone(), rode.exploration.since.clone()
    player.learn(3)
    assert torch.equal(z, rode.nets.z) and torch.equal(since, rode.exploration.since)
    rode.exploration.steps.copy_(since)
    assert rode.exploration.epsilon().tolist() == [1.0, 1.0]


def test_rode_s_greedy_actions_are_of_the_agent_s_role_where_one_is_available() -> None:
    player = Player(
        "rode", "roll_call/4x6-9", [0, 1], encode_until=50, clusters=6, batch=4, copies=4
    ).learn(6)
    rode = player.learner
    assert isinstance(rode, RODE) and rode.clustered.all()
    step, memory = player.env.reset(), rode.policy.initial(4, False)
    for _ in range(9):
        choice, memory = rode.policy(step, memory, False)
        run = torch.arange(2)[:, None, None]
        assert rode.nets.allowed[run, choice.notes["roles"], choice.actions].all()
        assert rode.nets.exists[run, choice.notes["roles"]].all()
        step = player.env.step(choice.actions)


def test_smac_s_rule_keeps_pairs_widens_triples_and_drops_what_is_less() -> None:
    labels = [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3]
    assert role_actions(labels, 6) == [
        [0, 1, 2, 3, 4, 5],
        [0, 6, 7],
        [0, 1, 2, 3, 4, 5, 8, 9, 10],
    ]
    assert role_actions([0, 1, 1], 0) == [[0, 1, 2]] * 3


def test_two_roles_that_are_left_stand_twice_and_one_three_times() -> None:
    labels = [0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2]  # no-op and stop alone are no role
    a, b = [0, 1, 2, 3, 4, 5, 6, 7, 8], [0, 9, 10]
    assert role_actions(labels, 6) == [a, b, a, b]
    assert role_actions(labels, 6, fill="three") == [a, b, a]
    assert role_actions(labels[:9], 6) == [a, a, a] == role_actions(labels[:9], 6, fill="three")
    assert len(role_actions([0, 0, 1, 1, 2, 2], 0)) == 3


def test_rode_has_heads_for_all_roles_that_there_can_be() -> None:
    for clusters, fill, heads in (
        (2, "pair", 4),
        (3, "pair", 4),
        (5, "pair", 5),
        (2, "three", 3),
        (3, "three", 3),
    ):
        rode = Player("rode", TASK, [0], **FEW, clusters=clusters, fill=fill).learner
        assert isinstance(rode, RODE)
        assert rode.nets.roles == heads and rode.nets.exists.sum() == 3


def test_rode_that_is_left_two_clusters_has_four_roles_that_agents_can_have() -> None:
    player = Player("rode", "roll_call/4x6-9", [0], **FEW, clusters=2, encode_until=1)
    rode = player.learner
    assert isinstance(rode, RODE)
    half = torch.arange(6)[:, None] < 3  # actions far apart from each other, three by three
    rode.effects.represent = lambda: torch.where(half, 0.0, 9.0).expand(1, 6, 20).clone()  # type: ignore[method-assign]
    rode._make_roles(torch.ones(1, dtype=torch.bool))
    assert rode.nets.exists.all()
    allowed, z = rode.nets.allowed[0], rode.nets.role_z[0]
    assert sorted(allowed[:2].sum(1).tolist()) == [3, 4] and allowed[:, 0].all()
    assert torch.equal(allowed[:2], allowed[2:]) and torch.equal(z[:2], z[2:])


def test_rode_decodes_the_observation_and_the_reward_apart() -> None:
    rode = Player("rode", TASK, [0], batch=6, copies=3).learner
    assert isinstance(rode, RODE) and rode.effects.reward is not None
    obs = rode.spec.obs_dim

    def shapes(network: Any) -> list[tuple[int, ...]]:
        return [tuple(bank.weight.shape[2:]) for bank in network.banks]

    assert shapes(rode.effects.after) == [(52, 32), (32, obs)]
    assert shapes(rode.effects.reward) == [(52, 32), (32, 1)]
    one = Player("rode", TASK, [0], batch=6, copies=3, decoders="one").learner
    assert isinstance(one, RODE) and one.effects.reward is None
    assert shapes(one.effects.after) == [(52, 64), (64, obs + 1)]


def test_rode_s_actions_are_all_ones_until_they_are_clustered() -> None:
    player = Player("rode", TASK, [0, 1], **FEW, encode_until=400, clusters=3)
    rode = player.learner
    assert isinstance(rode, RODE)
    learned = rode.effects.represent().clone()
    player.learn(2)
    assert not rode.clustered.any() and len(rode.replay) == 6
    assert (rode.nets.z == 1).all() and (rode.target.z == 1).all()
    assert not torch.equal(learned, rode.effects.represent())  # though they are learned
    while not rode.clustered.all():
        player.learn(1)
    for run in range(2):
        assert not (rode.nets.z[run] == 1).any()
    assert torch.equal(rode.nets.z, rode.target.z)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("rode", {"clusters": 9}, "2 to 2 clusters"),
        ("rode", {"clusters": 2, "interval": 6}, "1 <= interval < 6"),
        ("rode", {"clusters": 2, "basic": 6}, "first of 2"),
        ("rode", {"clusters": 2, "sharing": "none"}, "id or full"),
        ("eoi", {"chunks": 0}, "'chunks' takes a whole number from 1 on"),
        ("cds", {"fade_steps": 0}, "'fade_steps' takes a whole number from 1 on"),
        ("cds", {"passes": 0}, "'passes' takes a whole number from 1 on"),
        ("cds", {"predict_every": 0}, "'predict_every' takes a whole number from 1 on"),
        ("cds", {"predictor_batch": 33}, "episodes of an update.s 32"),
        ("cds", {"predictor_batch": -1}, "'predictor_batch' takes a whole number from 0 on"),
        ("cds", {"goal_pay": -1.0}, "'goal_pay' takes a number from 0 on"),
        ("eoi", {"chunk": 0}, "'chunk' takes a whole number from 1 on"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name: str, more: dict[str, Any], words: str) -> None:
    spec = envs.make("roll_call/4x2-6", [0], 1).spec
    with pytest.raises(UserError, match=words):
        learners.make(name, spec, more, [0])
