"""A2C's own promises: where returns end and where they go on, and whose experience counts."""

import pytest
import torch
from learning import as_in_training, same, snapshot  # noqa: F401 (a fixture)
from torch import Tensor

from partage import envs, learners
from partage.learners.a2c import A2C
from partage.nn.bank import from_rows, to_rows
from partage.rl.rollout import Choice, Rollout, collect_segment
from partage.sims import contract

N, HORIZON = 3, 5
SPEC = envs.make(f"roll_call/{N}x3-{HORIZON}", [0], 1).spec
GAMMA = 0.9
every_sharing = pytest.mark.parametrize("sharing", ["full", "id", "none"])


def make(sharing: str = "id") -> A2C:
    made = learners.make("a2c", SPEC, {"sharing": sharing, "gamma": GAMMA}, [0, 1])
    assert isinstance(made, A2C)
    return made


def rollout(time: int = 1, **flags: Tensor) -> Rollout:
    """Made-up transitions of 2 runs with 2 copies each."""
    g = torch.Generator().manual_seed(0)
    never = torch.zeros(2, 2, time, dtype=torch.bool)
    made = Rollout(
        obs=torch.randn(2, 2, time + 1, N, SPEC.obs_dim, generator=g),
        state=torch.zeros(2, 2, time + 1, SPEC.state_dim),
        avail_actions=torch.ones(2, 2, time + 1, N, 3, dtype=torch.bool),
        alive=torch.ones(2, 2, time + 1, N, dtype=torch.bool),
        actions=torch.randint(3, (2, 2, time, N), generator=g),
        reward=torch.randn(2, 2, time, N, generator=g),
        terminated=never,
        truncated=never,
        filled=~never,
        score=torch.zeros(2, 2, time),
        feature=torch.zeros(2, 2, time),
        notes={},
    )
    return made._replace(**flags)


def value(one: A2C, obs: Tensor) -> Tensor:
    with torch.no_grad():
        return from_rows(one.net.values(to_rows(obs, one.net.sets)), N).squeeze(-1)


@every_sharing
def test_the_clock_s_end_bootstraps_from_the_last_observation_and_a_real_end_from_nothing(
    sharing: str,
) -> None:
    now = torch.ones(2, 2, 1, dtype=torch.bool)
    final = torch.randn(2, 2, 1, N, SPEC.obs_dim, generator=torch.Generator().manual_seed(5))
    for flags, future in (
        ({"truncated": now, "final_obs": final}, lambda one, made: value(one, final)),
        ({"terminated": now}, lambda one, made: 0.0),
        ({}, lambda one, made: value(one, made.obs[:, :, 1:])),
    ):
        one, made = make(sharing), rollout(**flags)
        advantage = made.reward + GAMMA * future(one, made) - value(one, made.obs[:, :, :1])
        expected = (
            advantage.square().sum(3).mean((1, 2))
        )  # sum over agents, mean over copies and time
        torch.testing.assert_close(one.learn(made)["value_loss"], expected)


@pytest.mark.parametrize("flag", ["terminated", "truncated"])
def test_the_next_episode_s_first_observation_does_not_count_for_the_last_one(flag: str) -> None:
    ended = torch.ones(2, 2, 1, dtype=torch.bool)
    final = torch.ones(2, 2, 1, N, SPEC.obs_dim) if flag == "truncated" else None
    left, right, ours, theirs = (
        make(),
        make(),
        *(rollout(**{flag: ended}, final_obs=final) for _ in range(2)),
    )
    theirs.obs[:, :, 1] += 7
    left.learn(ours), right.learn(theirs)
    assert same(snapshot(left), snapshot(right))


class Still:
    """Always the first action."""

    def initial(self, copies: int, explore: bool) -> None:
        return None

    def __call__(self, step: contract.TimeStep, memory: None, explore: bool) -> tuple[Choice, None]:
        return Choice(torch.zeros(step.alive.shape, dtype=torch.int64)), None


@pytest.mark.parametrize("time_limit", ["terminal", "truncation"])
def test_a_segment_keeps_what_a_truncated_episode_ended_on_before_the_next_begins(
    time_limit: str,
) -> None:
    task, horizon = "mpe/15a_3c", 50
    twin, here = (envs.make(task, [3], 2, time_limit=time_limit) for _ in range(2))
    last = twin.reset()
    for _ in range(horizon):
        last = twin.step(torch.zeros(1, 2, 15, dtype=torch.int64))
    ended_on, first = last.obs.clone(), twin.reset().obs.clone()
    made, step, _ = collect_segment(here, Still(), here.reset(), None, horizon + 2)
    where = torch.arange(horizon + 2) == horizon - 1
    truncated = time_limit == "truncation"
    assert torch.equal(made.truncated, (where & truncated).expand(1, 2, -1))
    assert torch.equal(made.terminated, (where & (not truncated)).expand(1, 2, -1))
    assert torch.equal(made.obs[:, :, horizon], first)
    if truncated:
        assert made.final_obs is not None and torch.equal(
            made.final_obs[:, :, horizon - 1], ended_on
        )
        assert not torch.equal(ended_on, first)
    else:
        assert made.final_obs is None
    assert torch.equal(made.obs[:, :, -1], step.obs)


@every_sharing
def test_what_a_dead_agent_does_moves_nothing(sharing: str) -> None:
    left, right, ours, theirs = make(sharing), make(sharing), *(rollout(time=4) for _ in range(2))
    for made in (ours, theirs):
        made.alive[..., 1] = False
    theirs.actions[..., 1] = (theirs.actions[..., 1] + 1) % 3
    start = snapshot(left)
    measures = left.learn(ours), right.learn(theirs)
    assert all(torch.equal(x, measures[1][name]) for name, x in measures[0].items())
    assert same(snapshot(left), snapshot(right)) and not same(snapshot(left), start)


def test_the_value_of_the_dead_is_learned_since_returns_run_on_into_it() -> None:
    one, made = make("none"), rollout(time=4)
    made.alive[:, :, 2:, 1] = False
    before = {name: x[:, 1].clone() for name, x in one.net.state_dict().items()}
    late = made._replace(reward=torch.zeros_like(made.reward), filled=torch.zeros_like(made.filled))
    late.filled[:, :, 2:] = True  # only what came after its death
    one.learn(late)
    moved = {
        name for name, x in one.net.state_dict().items() if not torch.equal(x[:, 1], before[name])
    }
    assert moved and all(name.startswith("critic") for name in moved)


def test_a_gradient_that_is_not_finite_moves_nothing_and_no_other_run() -> None:
    ill, well, bad, good = make(), make(), *(rollout(time=4) for _ in range(2))
    bad.reward[0, 0, 1] = torch.inf
    start = snapshot(ill)
    norms = ill.learn(bad)["gradient_norm"], well.learn(good)["gradient_norm"]
    assert not norms[0][0].isfinite() and norms[0][1] == norms[1][1]
    for name, x in snapshot(ill).items():
        assert torch.equal(x[0], start[name][0]) and torch.equal(x[1], snapshot(well)[name][1])


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("explore", [True, False])
def test_policies_that_are_not_numbers_act_legally_and_disturb_no_other_run(
    broken: float, explore: bool
) -> None:
    ill, well = make(), make()
    step = envs.make(f"roll_call/{N}x3-{HORIZON}", [0, 1], 2).reset()
    step.avail_actions[1, ..., 0] = False
    for parameter in ill.net.back.parameters():
        parameter.data[1] = broken
    actions = ill.policy(step, None, explore)[0].actions
    assert step.avail_actions.gather(-1, actions[..., None]).all()
    assert torch.equal(actions[0], well.policy(step, None, explore)[0].actions[0])


def test_a_living_agent_s_experience_does_count() -> None:
    for change in ("obs", "reward", "actions"):
        left, right, ours, theirs = make(), make(), *(rollout(time=4) for _ in range(2))
        getattr(theirs, change)[..., 1:2] = 0
        assert not torch.equal(getattr(ours, change), getattr(theirs, change))
        left.learn(ours), right.learn(theirs)
        assert not same(snapshot(left), snapshot(right)), change


def test_a_run_s_gradient_norm_is_its_own_and_its_step_is_clipped() -> None:
    one, made = make(), rollout(time=4)
    made.reward[0] *= 1000
    norm = one.learn(made)["gradient_norm"]
    assert norm[0] > 100 * norm[1] > 0
    flat = torch.cat([g for g in one.optimiser.gradients], 1)
    assert flat[0].norm() == pytest.approx(0.5, rel=1e-4)  # clipped
    assert flat[1].norm() == pytest.approx(min(float(norm[1]), 0.5), rel=1e-4)


def test_greedy_is_the_most_probable_action_and_exploring_follows_the_probabilities() -> None:
    one = make("id")
    task = envs.make(f"roll_call/{N}x3-{HORIZON}", [0, 1], 4000)
    step = task.reset()
    with torch.no_grad():
        logits = from_rows(one.net.logits(to_rows(step.obs[:, :1, None], 1)), N)[:, 0, 0]
    share = torch.nn.functional.one_hot(one.policy(step, None, True)[0].actions, 3).float().mean(1)
    torch.testing.assert_close(share, logits.softmax(-1), rtol=0, atol=0.04)
    assert torch.equal(one.policy(step, None, False)[0].actions[:, 0], logits.argmax(-1))
