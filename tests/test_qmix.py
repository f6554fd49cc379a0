"""QMIX's own promises: its target, when the target networks are copied, and that padding trains
nothing.
"""

import pytest
import torch
from learning import Player, as_in_training, same  # noqa: F401 (a fixture)
from torch import Tensor

from partage.learners.qmix import QMIX
from partage.rl.rollout import collect_episodes
from partage.sims.buffers import INSTANT_FIELDS

TASK = "lbf/5x5-4p-1f-v3"
every_sharing = pytest.mark.parametrize("variant", ["qmix", "qmix-ns"])


def player(variant: str = "qmix", task: str = TASK, **more) -> tuple[Player, QMIX]:
    made = Player(
        variant,
        task,
        [0, 1],
        **{"batch": 6, "copies": 3, "target_every": 1000, "hidden": 16, **more},
    )
    assert isinstance(made.learner, QMIX)
    return made, made.learner


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def batch_of(variant: str, **more) -> tuple[QMIX, QMIX, dict[str, Tensor]]:
    """Twin learners and a batch of episodes of different lengths."""
    (one, left), (_, right) = player(variant, **more), player(variant, **more)
    rollouts = [one.collect() for _ in range(2)]
    for rollout in rollouts:
        left.replay.add(rollout, {"team_reward": rollout.reward[..., 0]})
    batch = left.replay.sample(6, left.sampling)
    assert len(set(batch["filled"].sum(2).flatten().tolist())) > 1
    return left, right, batch


ACTIVE = torch.ones(2, dtype=torch.bool)


@every_sharing
def test_whatever_lies_behind_an_episode_s_end_trains_nothing(variant: str) -> None:
    left, right, batch = batch_of(variant)
    g = torch.Generator().manual_seed(0)
    padding = ~batch["filled"]
    behind = torch.cat(
        (torch.zeros_like(padding[:, :, :1]), padding), 2
    )  # the last instant of an episode is real
    spoilt = {}
    for name, x in batch.items():
        where = (behind if name in INSTANT_FIELDS else padding).view(
            *x.shape[:2], -1, *[1] * (x.dim() - 3)
        )
        junk = torch.randint(0, 2, x.shape, generator=g) * (9 if x.is_floating_point() else 1)
        spoilt[name] = (
            x.clone()
        )  # in the memory order of a sample, on which the order of sums depends
        if name != "filled":
            spoilt[name][where.expand_as(x)] = junk.to(x.dtype)[where.expand_as(x)]
        assert name == "filled" or not torch.equal(spoilt[name], x), name
    start = weights(left.nets)
    measures = left.update(batch, ACTIVE), right.update(spoilt, ACTIVE)
    assert all(torch.equal(x, measures[1][name]) for name, x in measures[0].items())
    assert same(weights(left.nets), weights(right.nets)) and not same(weights(left.nets), start)


@every_sharing
def test_longer_padding_does_not_move_an_update_by_a_bit(variant: str) -> None:
    left, right, batch = batch_of(variant)
    longer = {
        name: torch.cat((x, torch.zeros_like(x[:, :, :1]).repeat_interleave(7, 2)), 2)
        for name, x in batch.items()
    }
    start = weights(left.nets)
    measures = left.update(batch, ACTIVE), right.update(longer, ACTIVE)
    for name, x in measures[0].items():
        assert torch.equal(measures[1][name], x), name
    for name, x in weights(left.nets).items():
        assert torch.equal(weights(right.nets)[name], x), name
        assert (x - start[name]).abs().max() > 1e-4, name


def test_the_update_is_the_double_q_target_written_plainly() -> None:
    one, _, batch = batch_of("qmix")
    with torch.no_grad():
        for p in one.target.parameters():  # another network than the online one
            p += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
        q, q_target = (
            one.nets.q(batch["obs"], batch["actions"]),
            one.target.q(batch["obs"], batch["actions"]),
        )
        legal = batch["avail_actions"]
        expected = []
        for r in range(2):
            errors = []
            for b in range(6):
                for t in range(int(batch["filled"][r, b].sum())):
                    chosen, following = [], []
                    for n in range(4):
                        chosen.append(q[r, b, t, n, batch["actions"][r, b, t, n]])
                        options = [a for a in range(q.shape[-1]) if legal[r, b, t + 1, n, a]]
                        best = max(options, key=lambda a: float(q[r, b, t + 1, n, a]))
                        following.append(q_target[r, b, t + 1, n, best])
                    errors.append((r, b, t, torch.stack(chosen), torch.stack(following)))
            total = mixed(one.nets, batch, r, [(b, t, c) for _, b, t, c, _ in errors])
            future = mixed(one.target, batch, r, [(b, t + 1, f) for _, b, t, _, f in errors])
            reward = torch.stack([batch["team_reward"][r, b, t] for _, b, t, _, _ in errors])
            ended = torch.stack([batch["terminated"][r, b, t] for _, b, t, _, _ in errors])
            expected.append((total - reward - 0.99 * future * ~ended).square().mean())
    found = one.update(batch, ACTIVE)["td_loss"]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-6)


def mixed(nets, batch: dict[str, Tensor], r: int, rows: list[tuple[int, int, Tensor]]) -> Tensor:
    """The mixer on single instants of run r."""
    q = torch.zeros(2, 1, len(rows), 4)
    state = torch.zeros(2, 1, len(rows), batch["state"].shape[-1])
    for i, (b, t, values) in enumerate(rows):
        q[r, 0, i], state[r, 0, i] = values, batch["state"][r, b, t]
    return nets.mixer(q, state)[r, 0]


@every_sharing
def test_the_target_networks_are_copied_exactly_when_their_number_of_episodes_has_passed(
    variant: str,
) -> None:
    one, qmix = player(variant, "roll_call/3x3-5", target_every=7, batch=3)
    assert same(weights(qmix.nets), weights(qmix.target))
    for update in range(1, 9):
        before = weights(qmix.target)
        one.learn(1)
        copied = (3 * update) // 7 > (3 * update - 3) // 7
        assert same(weights(qmix.nets), weights(qmix.target)) == copied
        assert same(weights(qmix.target), before) != copied
    assert not any(p.requires_grad for p in qmix.target.parameters())


def test_a_run_that_has_stopped_is_left_alone_and_holds_up_nobody() -> None:
    one, qmix = player(batch=4, copies=1)
    first = torch.tensor([True, True])
    alone = torch.tensor([False, True])
    qmix.learn(collect_episodes(one.env, qmix.policy, first, True))
    start, steps = weights(qmix.nets), int(qmix.exploration.steps[0])
    for _ in range(4):
        qmix.learn(collect_episodes(one.env, qmix.policy, alone, True))
    now = weights(qmix.nets)
    assert all(torch.equal(p[0], start[name][0]) for name, p in now.items())
    assert any(not torch.equal(p[1], start[name][1]) for name, p in now.items())
    assert [len(queue) for queue in qmix.replay.queues] == [1, 5] and int(
        qmix.exploration.steps[0]
    ) == steps


def test_epsilon_falls_with_each_run_s_own_steps_and_rules_how_much_is_random() -> None:
    one, qmix = player(epsilon_anneal=100)
    qmix.exploration.steps.copy_(torch.tensor([0, 50]))
    assert qmix.exploration.epsilon().tolist() == pytest.approx([1.0, 0.525])
    qmix.exploration.steps.copy_(torch.tensor([100, 10_000]))
    assert qmix.exploration.epsilon().tolist() == pytest.approx([0.05, 0.05])
    step, shares = one.env.reset(), []
    for steps in (0, 100_000):
        qmix.exploration.steps.fill_(steps)
        different = []
        for _ in range(60):
            greedy = qmix.policy(step, qmix.policy.initial(3, False), False)[0].actions
            different.append(
                (qmix.policy(step, qmix.policy.initial(3, True), True)[0].actions != greedy).float()
            )
        shares.append(float(torch.stack(different).mean()))
    legal = step.avail_actions.sum(-1).float()
    every = float(
        ((legal - 1) / legal).mean()
    )  # a random action differs from the greedy one so often
    assert shares == pytest.approx([every, 0.05 * every], abs=0.04)
