"""PPO's own promises: what its first step is, whose experience counts, and what it refuses."""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training, parameters, same, snapshot  # noqa: F401 (a fixture)
from test_a2c import rollout
from torch import Tensor

from partage import envs, learners
from partage.errors import UserError
from partage.learners.mdps import MDPS
from partage.learners.ppo import PPO
from partage.nn.pointwise import log_softmax
from partage.nn.state import share
from partage.nn.tangents import banks
from partage.rl.rollout import Rollout
from partage.sims.contract import Spec

N, HORIZON, GAMMA = 3, 5, 0.9
SPEC = envs.make(f"roll_call/{N}x3-{HORIZON}", [0], 1).spec
SMALL = {"copies": 2, "segment": 4, "minibatches": 1, "epochs": 1, "gamma": GAMMA, "lr": 1e-2}
every_sharing = pytest.mark.parametrize("sharing", ["full", "id", "none", "type"])
every_critic = pytest.mark.parametrize(
    ("critic", "critic_sharing"),
    [("obs", "same"), ("obs", "none"), ("state", "full"), ("state", "id"), ("state", "none")],
)
SEVERAL = {"copies": 8, "segment": 16, "minibatches": 4, "epochs": 2}
EPISODES = {"experience": "episodes", "copies": 4, "minibatches": 2}


def make(spec: Spec = SPEC, **settings: Any) -> PPO:
    made = learners.make("ppo", spec, SMALL | settings, [0, 1])
    assert isinstance(made, PPO)
    return made


def with_state(made: Rollout) -> Rollout:
    """Made-up states, which are other ones at every instant."""
    return made._replace(state=torch.randn(made.state.shape, generator=torch.manual_seed(3)))


@pytest.mark.parametrize("sharing", ["full", "none"])
@pytest.mark.parametrize("more", [{}, EPISODES, {**EPISODES, "memory": "both"}])
def test_the_first_step_s_ratios_are_exactly_one(
    sharing: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "lbf/5x5-4p-1f-v3" if more else "mpe/15a_3c"
    player = Player("ippo", task, [0, 1], **(SEVERAL | more), sharing=sharing)
    told: list[Tensor] = []

    def spy(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
        told.append(ratio.detach())
        return -(ratio * advantage)

    monkeypatch.setattr("partage.learners.ppo.policy_terms", spy)
    player.learn(2)
    steps = len(told) // 2
    for first in (told[0], told[steps]):
        assert (first == 1).all()
    assert (told[1] != 1).any()


@every_sharing
@every_critic
def test_one_epoch_of_one_part_without_a_clip_descends_as_an_actor_critic_does(
    sharing: str, critic: str, critic_sharing: str
) -> None:
    """A2C's gradient over N, since A2C sums over agents (and halves no squared error)."""
    open_ended = {"clip": 1e9, "value_clip": 0.0, "value_norm": False, "normalise": "none"}
    one = make(
        sharing=sharing,
        critic=critic,
        critic_sharing=critic_sharing,
        gae_lambda=1.0,
        clip_norm=1e9,
        value=1.0,
        **open_ended,
    )
    made = with_state(rollout(time=4))
    made.alive[..., 1] = False
    value = one.net.values(made.obs, made.state)
    returns, future = torch.zeros(2, 2, 4, N), value[:, :, -1].detach()
    for t in (3, 2, 1, 0):
        future = made.reward[:, :, t] + GAMMA * future
        returns[:, :, t] = future
    error = returns - value[:, :, :-1]
    log_pi = log_softmax(one.net.logits(made.obs[:, :, :-1]))
    chosen = log_pi.gather(-1, made.actions[..., None]).squeeze(-1)
    alive, living = made.alive[:, :, :-1], N - 1
    policy = (-error.detach() * chosen * alive).sum(3).mean((1, 2)) / living
    entropy = (-(log_pi.exp() * log_pi).sum(-1) * alive).sum(3).mean((1, 2)) / living
    loss = policy - 0.01 * entropy + error.square().sum(3).mean((1, 2)) / N / 2
    expected = torch.autograd.grad(loss.sum(), one.optimiser.parameters, allow_unused=True)
    one.learn(made)
    for name, want, got in zip(parameters(one), expected, one.optimiser.gradients, strict=True):
        want = torch.zeros_like(got) if want is None else want.flatten(1)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("layers", "more"), [(2, {}), (5, {}), (2, {"memory": "both"}), (5, {"memory": "both"})]
)
def test_the_last_layer_alone_starts_at_another_gain(layers: int, more: dict[str, Any]) -> None:
    sizes = {"actor_layers": layers, "critic_layers": layers, "hidden": 16}
    net = make(**sizes, **(EPISODES if more else {}), **more).net
    for network, last in ((net.actor, 0.01), (net.critic, 1.0)):
        found = [
            float(torch.linalg.matrix_norm(bank.weight.detach()[0, 0], 2))
            for part in (network.body["layers"], network.head)
            for bank in banks(part)
        ]
        assert found == pytest.approx([*[2**0.5] * (layers - 1), last], rel=1e-4)


def test_critics_on_the_state_see_it_and_actors_do_not() -> None:
    for critic in ("obs", "state"):
        one, made = make(critic=critic), with_state(rollout(time=4))
        other = made._replace(state=made.state + 1)
        values = [one.net.values(x.obs, x.state) for x in (made, other)]
        assert torch.equal(*values) == (critic == "obs")
        assert torch.equal(one.net.logits(made.obs), one.net.logits(other.obs))


def test_one_critic_of_the_state_says_one_value_for_all_and_with_an_id_one_for_each() -> None:
    made = with_state(rollout(time=4))
    for critic_sharing, alike in (("full", True), ("id", False), ("none", False)):
        one = make(critic="state", critic_sharing=critic_sharing, sharing="none")
        value = one.net.values(made.obs, made.state)
        assert value.shape == (2, 2, 5, N)
        assert torch.equal(value, value[..., :1].expand_as(value)) == alike


def test_the_clock_s_end_is_valued_by_the_state_that_the_episode_ended_on() -> None:
    one = make(critic="state", gae_lambda=0.0, value_norm=False, critic_sharing="none")
    made = with_state(rollout(time=4))
    truncated = made.truncated.clone()  # what the toy made is its `terminated` as well
    truncated[:, :, 1] = True
    ended_on = torch.randn(made.state[:, :, :-1].shape, generator=torch.manual_seed(5))
    ends = {"final_obs": made.obs[:, :, :-1], "final_state": ended_on}
    made = made._replace(truncated=truncated, **ends)
    with torch.no_grad():
        value = one.net.values(made.obs, made.state)
        last = one.net.values(made.obs[:, :, :-1], ended_on)
        _, target = one._advantage(made, value)
    expected = made.reward + GAMMA * value[:, :, 1:]
    expected[:, :, 1] = made.reward[:, :, 1] + GAMMA * last[:, :, 1]
    torch.testing.assert_close(target, expected)


@pytest.mark.parametrize("dead", ["out", "in"])
def test_what_the_dead_do_moves_nothing_unless_they_are_to_count(dead: str) -> None:
    left, right = (make(sharing="none", dead=dead) for _ in range(2))
    ours, theirs = rollout(time=4), rollout(time=4)
    for made in (ours, theirs):
        made.alive[..., 1] = False
    theirs.actions[..., 1] = (theirs.actions[..., 1] + 1) % 3
    start = snapshot(left)
    left.learn(ours), right.learn(theirs)
    assert same(snapshot(left), snapshot(right)) == (dead == "out")
    assert not same(snapshot(left), start)


def test_the_value_of_the_dead_is_learned_since_those_before_bootstrap_from_it() -> None:
    one, made = make(sharing="none"), rollout(time=4)
    made.alive[:, :, :, 1] = False
    before = snapshot(one)
    one.learn(made)
    moved = {
        name for name, x in snapshot(one).items() if not torch.equal(x[:, 1], before[name][:, 1])
    }
    assert moved and all(".critic." in name for name in moved)


def test_what_is_not_filled_moves_nothing() -> None:
    left, right = make(), make()
    ours, theirs = rollout(time=4), rollout(time=4)
    for made in (ours, theirs):
        made.filled[:, :, 3] = False
        made.terminated[:, :, 2] = True
    theirs.actions[:, :, 3] = (theirs.actions[:, :, 3] + 1) % 3
    theirs.reward[:, :, 3] += 5
    theirs.obs[:, :, 3:] += 1
    left.learn(ours), right.learn(theirs)
    assert same(snapshot(left), snapshot(right))


def test_a_run_that_has_ended_keeps_everything_and_draws_nothing() -> None:
    one = make(**SEVERAL, reward_scale="scaled")
    player = Player("ippo", "mpe/15a_3c", [0, 1], **SEVERAL, reward_scale="scaled")
    one = player.learn(2).learner
    assert isinstance(one, PPO)
    states = [g.get_state() for g in one.streams.generators]
    before, kept = snapshot(one), one.state_dict()
    kept = {
        name: kept[name].clone() for name in ("value_moments", "reward_moments", "rewards_so_far")
    }
    one.learn(player.collect(torch.tensor([True, False])))
    for name, x in snapshot(one).items():
        assert torch.equal(x[1], before[name][1]) and not torch.equal(x[0], before[name][0])
    for name, x in kept.items():
        assert torch.equal(one.state_dict()[name][1], x[1])
        assert not torch.equal(one.state_dict()[name][0], x[0])
    for g, state in zip(one.streams.generators[1::2], states[1::2], strict=True):
        assert torch.equal(g.get_state(), state)


@pytest.mark.parametrize("more", [{}, EPISODES])
def test_every_epoch_takes_each_sequence_once_with_all_its_agents(more: dict[str, Any]) -> None:
    task = "lbf/5x5-4p-1f-v3" if more else "mpe/15a_3c"
    player = Player("ippo", task, [0, 1], **(SEVERAL | more))
    one = player.learner
    assert isinstance(one, PPO)
    batch = one._batch(player.collect())
    sequences = batch.obs.shape[1]
    number = torch.arange(sequences).view(1, -1, 1, 1).expand_as(batch.actions)
    epochs = [list(one.minibatches(batch._replace(actions=number))) for _ in range(2)]
    orders = [torch.cat([part.actions for part in parts], 1)[:, :, 0, 0] for parts in epochs]
    for order in orders:
        assert torch.equal(order.sort(1).values, torch.arange(sequences).expand(2, -1))
        assert not torch.equal(order[0], order[1])  # each run in an order of its own
    assert not torch.equal(*orders)
    for part in epochs[0]:
        assert part.actions.shape[1] == sequences // one.settings.minibatches
        assert (part.actions == part.actions[..., :1, :1]).all()
        for r in range(2):
            assert torch.equal(part.obs[r], batch.obs[r, part.actions[r, :, 0, 0]])


def test_actor_and_critic_have_a_norm_of_their_own_where_it_is_asked() -> None:
    for norms in ("one", "each"):
        one, made = (
            make(norms=norms, sharing="none", normalise="none", value=100.0),
            rollout(time=4),
        )
        measures = one.learn(made)
        assert (measures["clipped_steps"] == 1).all()
        held = [one.optimiser, one.critic_optimiser] if norms == "each" else [one.optimiser]
        assert [float(torch.cat(o.gradients, 1)[0].norm()) for o in held] == pytest.approx(
            [0.5] * len(held), rel=1e-4
        )


def test_the_rate_falls_update_by_update_and_goes_on_falling_after_a_resume() -> None:
    def rate(one: PPO) -> float:
        return one.optimiser.torch.param_groups[0]["lr"]

    one, other, made = make(anneal=4), make(anneal=4), rollout(time=4)
    found = []
    for _ in range(3):
        one.learn(made)
        found.append(rate(one))
    assert found == pytest.approx([1e-2, 7.5e-3, 5e-3])
    other.load_state_dict(one.state_dict())
    other.learn(made)
    assert rate(other) == pytest.approx(2.5e-3)


def test_agents_of_one_type_share_and_so_do_no_others() -> None:
    spec = envs.make("mpe/15a_3c", [0], 1).spec
    one = make(spec, sharing="type")
    assert one.sharing()["front"].tolist() == [[0] * 5 + [1] * 5 + [2] * 5] * 2
    assert one.net.actor.head.banks[-1].weight.shape[1] == 3
    types = envs.make("smac/MMM2", [0], 1).spec.types
    assert {kind: types.count(kind) for kind in types} == {"marauder": 2, "marine": 7, "medivac": 1}


def test_a_critic_has_a_sharing_of_its_own() -> None:
    for own, expected in (("full", [0] * N), ("none", list(range(N)))):
        one = make(sharing="none" if own == "full" else "full", critic_sharing=own)
        assert one.sharing()["critic"][0].tolist() == expected
        assert one.sharing()["back"][0].tolist() != expected
    assert "critic" not in make(sharing="none").sharing()


@pytest.mark.parametrize("norms", ["one", "each"])
def test_mdps_moves_ppo_s_sharing_and_a_division_changes_no_policy(norms: str) -> None:
    player = Player("mdps-ppo", "roll_call/4x4-3", [0, 1], fuse=1e-3, norms=norms, data=4).learn(19)
    learner = player.learner
    assert isinstance(learner, MDPS) and isinstance(learner.base, PPO)
    obs = torch.randn(2, 3, 2, 4, player.env.spec.obs_dim)
    before = {name: index.clone() for name, index in learner.sharing().items()}
    share(learner.base.net, front_of=torch.zeros(2, 4, dtype=torch.int64))
    chances = learner.probabilities(obs, obs)
    learner._collect(player.collect())
    learner.distances = learner._measure(torch.tensor([True, True]))
    learner._move(torch.tensor([True, True]))
    assert before["front"].unique().numel() == 1
    assert learner.sharing()["front"].unique().numel() > 1
    torch.testing.assert_close(learner.probabilities(obs, obs), chances, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"copies": 3, "segment": 5, "minibatches": 4}, r"15 instants \(copies 3 x 5\) do not"),
        (
            {**EPISODES, "copies": 6, "minibatches": 4},
            r"6 episodes \(copies\) do not divide into 4",
        ),
        ({"memory": "both"}, "whole episodes: experience is episodes, not 'segments'"),
        ({"clip": 0.0}, "clip is greater than 0"),
        ({"clip_norm": 0.0}, "clip_norm is greater than 0"),
        ({"gae_lambda": 1.5}, "gae_lambda is 0 to 1, but is 1.5"),
        ({"value_norm_decay": 2.0}, "value_norm_decay is below 1"),
        ({"actor_layers": 1}, "actor_layers is 2 to 5, but is 1"),
        ({"critic_layers": 6}, "critic_layers is 2 to 5, but is 6"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_a_sentence(
    wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        make(**wrong)


@pytest.mark.parametrize("block", ["sharing", "critic_sharing"])
def test_sharing_by_type_is_refused_where_the_task_names_none(block: str) -> None:
    spec = envs.make("lbf/5x5-4p-1f-v3", [0], 1).spec
    with pytest.raises(UserError, match="names no types of its agents: share full, id or none"):
        make(spec, **{block: "type"})


@pytest.mark.parametrize("learner", ["mdps_ppo", "seps_ppo"])
def test_sharing_that_moves_is_refused_on_whole_episodes(learner: str) -> None:
    with pytest.raises(UserError, match="experience is segments"):
        learners.make(
            learner,
            SPEC,
            {"experience": "episodes", "clusters": 2}
            if "seps" in learner
            else {"experience": "episodes"},
            [0],
        )
