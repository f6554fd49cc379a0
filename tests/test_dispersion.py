"""VMAS's dispersion: its physics by hand, and held to vmas itself where it is installed."""

import pytest
import torch

from partage.envs import make
from partage.errors import UserError
from partage.sims.contract import Env

UP, RIGHT = 2, 6  # 3 x + y, where 2 is up


def pushed(env: Env, action: int) -> torch.Tensor:
    """Everyone's action in every copy."""
    return torch.full((env.runs, env.copies, env.spec.n_agents), action)


def feed(env: Env, places: list[list[float]]) -> None:
    """Put the foods of the first copy there."""
    env._sim.world.food[0] = places  # type: ignore[attr-defined]


def test_a_push_from_rest_moves_as_worked_out_by_hand() -> None:
    env = make("vmas/dispersion-2", [0], 1)
    start = env.reset()
    assert not start.obs[..., :4].any()
    feed(env, [[-1, -1], [-1, -1]])
    for expected in (0.01, 0.0275, 0.050625):
        step = env.step(pushed(env, RIGHT))
        torch.testing.assert_close(step.obs[0, 0, :, 0], torch.full((2,), expected))
        assert not step.obs[0, 0, :, 1].any()
    for _ in range(80):
        step = env.step(pushed(env, RIGHT))
    assert step.obs[0, 0, 0, 0] == 1 and step.obs[0, 0, 0, 2] == pytest.approx(0.4)


def test_food_pays_the_team_once_or_those_who_came_at_once_their_share() -> None:
    for kind, expected in (("team", [1, 1, 1]), ("own", [0.5, 0.5, 0])):
        env = make("vmas/dispersion-3", [0], 1, reward=kind)
        env.reset()
        feed(env, [[0.0, 0.09], [1, 1], [1, -1]])
        step = env.step(torch.tensor([[[UP, UP, 0]]]))  # to 0.01: nearer than 0.085
        assert step.reward[0, 0].tolist() == expected
        assert step.obs[0, 0, :, 6].all() and not step.terminated.any()
        assert not env.step(pushed(env, UP)).reward.any()


def test_an_episode_ends_when_all_is_eaten_and_waiting_may_cost() -> None:
    env = make("vmas/dispersion-2", [0], 1, waiting="costs")
    env.reset()
    feed(env, [[0, 0.09], [0, 0.11]])
    assert env.step(pushed(env, 0)).reward.flatten().tolist() == pytest.approx([-0.01, -0.01])
    assert env.step(pushed(env, UP)).reward[0, 0, 0] == 1
    last = env.step(pushed(env, UP))
    assert last.terminated.all() and last.score.item() == pytest.approx(1.99)


@pytest.mark.parametrize("task", ["dispersion", "dispersion-0", "navigation-4"])
def test_another_scenario_is_refused_with_what_there_is(task: str) -> None:
    with pytest.raises(UserError, match="dispersion-<agents>"):
        make(f"vmas/{task}", [0], 1)


@pytest.mark.parametrize("kind", ["team", "own"])
@pytest.mark.parametrize("waiting", ["free", "costs"])
def test_it_plays_as_vmas_does(kind: str, waiting: str) -> None:
    vmas = pytest.importorskip("vmas", reason="vmas is not installed: pip install vmas==1.5.2")
    n, copies = 4, 32
    theirs = vmas.make_env(
        scenario="dispersion",
        num_envs=copies,
        device="cpu",
        continuous_actions=False,
        seed=0,
        n_agents=n,
        share_reward=kind == "team",
        penalise_by_time=waiting == "costs",
    )
    ours = make(f"vmas/dispersion-{n}", [0], copies, reward=kind, waiting=waiting)
    ours.reset()
    seen = torch.stack(theirs.reset(), 1)
    food = torch.stack([landmark.state.pos for landmark in theirs.world.landmarks], 1)
    ours._sim.world.food[:] = food.numpy()  # type: ignore[attr-defined]
    generator, paid = torch.Generator().manual_seed(0), 0.0
    for _ in range(100):
        actions = torch.randint(9, (copies, n), generator=generator)
        actions[:, :2] = torch.tensor([8, 4])  # two go straight, to the walls
        obs, rewards, done, _ = theirs.step(list(actions.T[..., None]))
        step = ours.step(actions[None])
        seen, reward = torch.stack(obs, 1), torch.stack(rewards, 1)
        torch.testing.assert_close(step.obs[0], seen, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(step.reward[0], reward, atol=1e-6, rtol=1e-5)
        assert torch.equal(step.terminated[0], done)
        paid += step.reward.clamp(min=0).sum().item()
    assert paid > 5
