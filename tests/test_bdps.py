"""BDPS's own promises: what roles and groups can do, and each of its equations written plainly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from learning import Player, as_in_training  # noqa: F401 (a fixture)
from torch import Tensor

from partage import envs, learners
from partage.errors import UserError
from partage.learners._bdps_groups import GroupSelector, Histories
from partage.learners._bdps_networks import advantage, from_agent_rows, to_agent_rows
from partage.learners._bdps_roles import RoleSelector
from partage.learners._off_policy import most_frequent
from partage.learners._periods import PeriodValues, choices_in_force, gather_time, period_loss
from partage.learners.bdps import BDPS, Settings, entropy_difference
from partage.rl.noise import generators
from partage.rl.rollout import collect_episodes


def player(task: str = "roll_call/4x2-6", **more: Any) -> tuple[Player, BDPS]:
    made = Player("bdps", task, [0, 1], **more)
    assert isinstance(made.learner, BDPS)
    return made, made.learner


def scripted(
    one: BDPS, roles: Callable[[int], list[int]], groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles by the number of the period, and the groups that greedy agents choose."""
    think, now = one.policy.think, {"t": 0}

    def watched(obs: Tensor, alive: Tensor, memory: Any) -> Any:
        now["t"] = memory.t
        return think(obs, alive, memory)

    def choose(h: Tensor, noise: Tensor | None) -> Tensor:
        copies = h.shape[1] // 4
        return torch.tensor(roles(now["t"] // one.settings.period) * copies).expand(len(h), -1)

    monkeypatch.setattr(one.policy, "in_place", lambda *_: None)  # compiled code reads no script
    monkeypatch.setattr(one.policy, "think", watched)
    monkeypatch.setattr(one.policy, "in_place", lambda *_: None)  # which would not ask the script
    monkeypatch.setattr(one.selector, "roles", choose)
    if one.settings.levels == "both":
        values = torch.nn.functional.one_hot(torch.tensor(groups), 2).float()
        monkeypatch.setattr(one.nets.selector, "values", lambda s: values.expand(*s.shape[:4], 2))


# Agents see the same clock and no id, agent n is right when it names n mod 2: what differs is who
# goes through what.
GAMES = {
    "one role for all is right for half": ("individual", lambda p: [0, 0, 0, 0], [0, 0, 0, 0], 3.0),
    "two roles are right for all": ("individual", lambda p: [0, 1, 0, 1], [0, 0, 0, 0], 6.0),
    "roles that agents swap are right for all": (
        "individual",
        lambda p: [p % 2, 1 - p % 2] * 2,
        [0, 0, 0, 0],
        6.0,
    ),
    "one role and one group are right for half": (
        "both",
        lambda p: [0, 0, 0, 0],
        [0, 0, 0, 0],
        3.0,
    ),
    "one role and two groups are right for all": (
        "both",
        lambda p: [0, 0, 0, 0],
        [0, 1, 0, 1],
        6.0,
    ),
}


@pytest.mark.parametrize("game", GAMES)
def test_roles_and_groups_reach_their_ceiling_and_never_pass_it(
    game: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels, roles, groups, best = GAMES[game]
    one, bdps = player(sharing="full", levels=levels)
    scripted(bdps, roles, groups, monkeypatch)
    for _ in range(30):
        returns = one.learn(10).evaluate()
        assert (returns <= best + 1e-5).all()
        if (returns >= best - 1e-5).all():
            return
    pytest.fail(f"{returns.tolist()} of {best}")


@pytest.mark.parametrize("features", ["own", "attention"])
def test_counting_players_of_each_role_is_attention_over_all_living_agents(features: Any) -> None:
    n, k, h = 5, 3, 8
    selector = GroupSelector(generators([0]), n, k, 2, h, features)
    g = torch.Generator().manual_seed(0)
    roles, alive = (
        torch.randint(k, (n,), generator=g),
        torch.tensor([True, True, False, True, True]),
    )
    with torch.no_grad():
        x = selector.features(torch.eye(k)[roles].view(1, 1, 1, n, k), selector.everyone)
        wx = selector.heads(x, selector.everyone).view(n, k, h)
        score = selector.score(x, selector.everyone).view(n, 2, k)
        heads = []
        for head in range(k):
            e = torch.nn.functional.leaky_relu(
                score[:, None, 0, head] + score[None, :, 1, head], 0.2
            )
            alpha = e.masked_fill(~alive, -torch.inf).softmax(
                1
            )  # eq. 4: over living agents, oneself included
            own = wx[:, head] if features == "own" else 0.0
            heads.append(torch.nn.functional.elu(alpha @ wx[:, head] + own))  # eq. 5
        mixed = torch.cat(heads, -1).view(1, 1, 1, n, k * h)
        fed = selector.out(mixed, selector.everyone).relu()
        expected = selector.memory(fed, torch.zeros(1, 1, n, h), selector.everyone)[:, 0, -1]
        found = selector.states(
            selector.attention(),
            selector.entries(roles.view(1, 1, 1, n), alive.view(1, 1, 1, n)).flatten(2),
            torch.zeros(1, n, h),
        )
    torch.testing.assert_close(found[:, 0][:, alive], expected[:, alive], rtol=1e-4, atol=1e-6)


def test_agents_that_have_read_the_same_share_a_row_and_its_states() -> None:
    runs, time, copies, n, k, h = 2, 7, 3, 4, 2, 16
    selector, g = GroupSelector(generators([0, 1]), n, k, 2, h), torch.Generator().manual_seed(0)
    roles = torch.randint(k, (runs, 3, copies, n), generator=g).repeat_interleave(3, 1)[:, :time]
    alive = torch.rand(runs, time, copies, n, generator=g) < 0.9
    length = torch.tensor([[6, 3, 0], [5, 6, 1]])
    entry = selector.entries(roles, alive)
    histories = Histories.of(entry, length)
    weights = torch.randn(runs, time, copies, n, h, generator=g)
    weights = weights.masked_fill((torch.arange(time) > length[..., None]).mT[..., None, None], 0.0)
    found = []
    for shared in (True, False):
        table = selector.attention()
        if shared:
            states = selector.states_of_histories(table, histories)
            states = states[histories.row_of.transpose(1, 2)]
        else:
            zero = torch.zeros(runs, copies * n, h)
            states = selector.states(table, entry.flatten(2), zero).unflatten(2, (copies, n))
        loss = (states * weights).sum()
        parameters = [p for name, p in selector.named_parameters() if "value" not in name]
        found.append([states * weights.ne(0), *torch.autograd.grad(loss, parameters)])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    rows = histories.row_of[:, :, 0]  # at first those of one role share
    assert all(len(set(row.tolist())) <= k for row in rows.flatten(0, 1))
    assert len(histories.fed) < int((length + 1).sum()) * n


def test_the_role_selector_learns_to_tell_sequences_apart() -> None:
    selector = RoleSelector(generators([0]), 2, 4, 16)
    kinds = torch.zeros(1, 5, 64, 4)
    kinds[:, :, ::2, 0], kinds[:, :, 1::2, 3] = 1.0, 1.0
    adam, g = torch.optim.Adam(selector.parameters(), 5e-3), torch.Generator().manual_seed(0)
    errors = []
    for _ in range(300):
        code = selector.encode(selector.read(kinds))
        error, divergence, _ = selector.losses(kinds, code, torch.randn(1, 64, 2, generator=g))
        adam.zero_grad()
        (error + 0.01 * divergence).mean().backward()
        adam.step()
        errors.append(float(error.detach().mean()))
    with torch.no_grad():
        mean, _ = selector.encode(selector.read(kinds))
    assert errors[-1] < 0.2 * errors[0] and not torch.allclose(mean[0, 0], mean[0, 1], atol=0.5)


def test_the_advantage_is_how_much_better_the_best_available_action_is() -> None:
    q_u, q_v = torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    avail, did = torch.tensor([[True, True, False]]), torch.tensor([0])
    assert advantage(Settings(), q_u, q_v, avail, did).tolist() == [[1.0, 0.0, 0.0]]
    assert advantage(Settings(advantage_of="role"), q_u, q_v, avail, did).tolist() == [
        [2.0, 0.0, 0.0]
    ]
    assert advantage(Settings(advantage="chosen"), q_u, q_v, avail, did).tolist() == [[1.0]]


def test_a_choice_holds_for_its_period_and_the_last_one_to_the_episode_s_end() -> None:
    index = torch.tensor([1, 9, 2, 9, 3]).view(1, 1, 5, 1)
    assert choices_in_force(index, torch.tensor([[5]]), 2).flatten().tolist() == [1, 1, 2, 2, 3, 3]
    assert choices_in_force(index, torch.tensor([[4]]), 2).flatten().tolist() == [1, 1, 2, 2, 2, 2]
    filled = torch.tensor([True, True, True, False, False]).view(1, 1, 5)
    assert most_frequent(torch.tensor([0, 1, 1, 0, 0]).view(1, 1, 5, 1), filled).tolist() == [[1]]


def test_the_loss_of_a_period_is_written_plainly() -> None:
    one, bdps = player("lbf/5x5-4p-1f-v3", batch=6, copies=3, hidden=16, period=4, double_q=False)
    for _ in range(2):
        rollout = one.collect()
        bdps.replay.add(rollout, {"team_reward": rollout.reward.sum(-1)})
    batch = bdps.replay.sample(6, bdps.sampling)
    g = torch.Generator().manual_seed(0)
    runs, copies, time, n = batch["actions"].shape
    v, later = (torch.randn(runs, copies, time + 1, n, 2, generator=g) for _ in range(2))
    mixers = bdps.nets.group_mixer, bdps.target.group_mixer
    online = PeriodValues(partial(gather_time, v), mixers[0])
    target = PeriodValues(partial(gather_time, later), mixers[1])
    with torch.no_grad():
        found = period_loss(online, target, batch["groups"], 4, batch, bdps.settings)
        for r in range(runs):
            errors = []
            for b in range(copies):
                length = int(batch["filled"][r, b].sum())
                for t in range(0, length, 4):
                    end = min(t + 4, length)
                    mine = v[r, b, t].gather(-1, batch["groups"][r, b, t][:, None]).squeeze(-1)
                    now = mixed(mixers[0], mine, batch["state"], r, b, t)
                    target = batch["team_reward"][r, b, t:end].sum()
                    if not batch["terminated"][r, b, t:end].any():
                        target = target + 0.99 * mixed(
                            mixers[1], later[r, b, end].amax(-1), batch["state"], r, b, end
                        )
                    errors.append((now - target).square())
            torch.testing.assert_close(found[r], torch.stack(errors).mean(), rtol=1e-4, atol=1e-6)


def mixed(mixer: Any, q: Tensor, state: Tensor, r: int, b: int, t: int) -> Tensor:
    """The mixer of run r on one instant."""
    both = torch.zeros(2, 1, 1, len(q))
    both[r, 0, 0] = q
    return mixer(both, state[:, b : b + 1, t : t + 1])[r, 0, 0]


def test_the_entropy_difference_is_negative_where_the_team_level_is_surer() -> None:
    sure, unsure = torch.tensor([[[[5.0, 0.0]]]]).expand(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    batch = {
        "filled": torch.ones(1, 1, 2, dtype=torch.bool),
        "alive": torch.ones(1, 1, 3, 2, dtype=torch.bool),
    }
    p = sure[0, 0, 0].softmax(-1)
    entropy = float(-(p * p.log()).sum())
    assert float(entropy_difference(unsure, sure, batch)) == pytest.approx(
        entropy - torch.tensor(2.0).log().item()
    )


def test_rows_of_agents_are_undone() -> None:
    x = torch.arange(2 * 3 * 4 * 5 * 6.0).view(2, 3, 4, 5, 6)
    assert torch.equal(from_agent_rows(to_agent_rows(x), 3), x)


def test_roles_are_drawn_in_tests_as_well_and_the_means_are_another_way_of_testing() -> None:
    one, bdps = player("lbf/5x5-4p-1f-v3")
    roles = [one.collect().notes["roles"] for _ in range(3)]
    assert all(0 < float((x == 1).float().mean()) < 1 for x in roles)
    with torch.no_grad():
        exploring = [bdps.policy.initial(2, True).role_noise for _ in range(2)]
        testing = [bdps.policy.initial(2, False).role_noise for _ in range(2)]
        ways = bdps.test_policies()
        mean = ways["roles_mean"].initial(2, False).role_noise
    assert not torch.equal(exploring[0], exploring[1]) and torch.equal(testing[0], testing[1])
    assert list(ways) == ["roles_mean"] and mean is None


def test_tests_may_be_played_with_groups_that_are_given() -> None:
    _, bdps = player("lbf/5x5-4p-1f-v3", test_groups=True)
    env = envs.make("lbf/5x5-4p-1f-v3", [3, 4], 5)
    played = {}
    for name, policy in bdps.test_policies().items():
        rollout = collect_episodes(env, policy, torch.ones(2, dtype=torch.bool), False)
        played[name] = rollout.notes["groups"][rollout.filled]
    assert list(played) == ["roles_mean", "group_0", "group_1", "groups_random"]
    assert played["group_0"].eq(0).all() and played["group_1"].eq(1).all()
    assert 0.2 < float(played["groups_random"].float().mean()) < 0.8
    scores = {"": 3.0, "roles_mean": 9.0, "group_0": 1.0, "group_1": 2.0, "groups_random": 2.5}
    found = bdps.test_measures({way: torch.tensor([x, -x]) for way, x in scores.items()})
    assert found["group_gain"].tolist() == [0.5, -2.0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"roles": 5}, "4 agents 2 to 4 roles"),
        ({"roles": 1}, "not 1"),
        ({"groups": 3}, "2 roles in 2 to 2 groups"),
        ({"period": 6}, "period \\* every < 6"),
        ({"period": 3, "every": 2}, "period \\* every < 6"),
        ({"sharing": "none"}, "id or full, not none"),
        ({"levels": "individual", "test_groups": True}, "test_groups needs groups"),
        ({"code": "random", "test_roles": "mean"}, "have no mean"),
        ({"kl": -0.1}, "from 0 on, but is -0.1"),
        ({"code": "bernoulli"}, "bernoulli"),
    ],
)
def test_settings_that_do_not_fit_are_refused(more: dict[str, Any], words: str) -> None:
    spec = envs.make("roll_call/4x2-6", [0], 1).spec
    with pytest.raises(UserError, match=words):
        learners.make("bdps", spec, more, [0])
