"""Playing in one compiled call collects what playing step by step does, to the last bit."""

from typing import Any

import pytest
import torch
from learning import Player, as_in_training, parameters, same, snapshot  # noqa: F401 (a fixture)
from torch import Tensor

from partage import envs
from partage.rl import playing
from partage.rl.rollout import Rollout, collect_episodes

# a batched simulator of each family; the second has agents that die, and actions that are illegal
TASKS = ["lbf/5x5-4p-1f-v3", "smac/3m", "mpe/15a_3c", "roll_call/3x5-12"]
EPISODES = ["qmix", "qmix-ns", "cds", "eoi", "bdps", "kaleidoscope"]
SEGMENTS = ["fps-id", "nps", "mdps", "ippo-id", "fps-bias"]
FEW = {True: {"batch": 4, "copies": 3}, False: {"copies": 3, "segment": 30}}


def by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything played step by step from here on."""
    monkeypatch.setattr(playing, "in_place", lambda *_: None)


def assert_equal(one: Rollout, other: Rollout) -> None:
    fields, others = (x._asdict() | x.notes for x in (one, other))
    assert fields.keys() == others.keys()
    for name, x in fields.items():
        y = others[name]
        if isinstance(x, Tensor):
            assert torch.equal(x, y) and x.dtype == y.dtype, name
        else:
            assert name == "notes" or x is y is None, name


def played(player: Player, rollouts: int) -> list[Rollout]:
    """Collect and learn so many times; and play greedily at the end, in copies of its own."""
    collected = []
    for _ in range(rollouts):
        collected.append(player.collect())
        player.learner.learn(collected[-1])
    test_env = envs.make(player.task, [5, 6], 3)
    everyone = torch.tensor([True, True])
    collected.append(collect_episodes(test_env, player.learner.policy, everyone, False))
    return collected


# Learners with the same networks meet other simulators: each pair is compiled, for seconds.
PAIRS = [(variant, task) for variant in ("qmix", "bdps", "nps") for task in TASKS]
PAIRS += [("qmix-ns", "smac/3m"), ("cds", "roll_call/3x5-12"), ("eoi", "lbf/5x5-4p-1f-v3")]
PAIRS += [("fps-id", "mpe/15a_3c"), ("mdps", "smac/3m"), ("fps-bias", "lbf/5x5-4p-1f-v3")]
PAIRS += [("ippo-id", "lbf/5x5-4p-1f-v3"), ("ippo-id", "mpe/15a_3c")]
PAIRS += [("kaleidoscope", "lbf/5x5-4p-1f-v3")]


def test_every_kind_of_acting_meets_a_simulator() -> None:
    assert {variant for variant, _ in PAIRS} == {*EPISODES, *SEGMENTS}


@pytest.mark.parametrize(("variant", "task"), PAIRS)
def test_compiled_playing_is_playing_step_by_step_to_the_last_bit(
    variant: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = dict(FEW[variant in EPISODES])
    if variant == "eoi":
        few |= {"episode_share": 1.0, "step_share": 0.5}
    at_once, stepwise = (Player(variant, task, [0, 1], **few, hidden=20) for _ in range(2))
    assert playing.in_place(at_once.env, at_once.learner.policy, 0, False)
    compiled = played(at_once, 4)
    by_steps(monkeypatch)
    for one, other in zip(compiled, played(stepwise, 4), strict=True):
        assert_equal(one, other)
    assert same(snapshot(at_once.learner), snapshot(stepwise.learner))
    if at_once.step is not None and stepwise.step is not None:
        assert torch.equal(at_once.step.obs, stepwise.step.obs)


@pytest.mark.parametrize("variant", ["qmix", "nps"])
def test_compiled_playing_is_legal_where_the_networks_have_lost_their_numbers(variant: str) -> None:
    player = Player(variant, "smac/3m", [0, 1], copies=3)
    for parameter in parameters(player.learner).values():
        parameter.data[0] = torch.nan
    rollout = player.collect()
    time = rollout.filled.shape[2]
    legal = rollout.avail_actions[:, :, :time].gather(-1, rollout.actions[..., None]).squeeze(-1)
    assert legal[rollout.filled].all() and rollout.filled[0].any()


class Louder:
    """An environment around another, whose rewards are doubled; all else is the inner one's."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def step(self, actions: torch.Tensor) -> Any:
        step = self.inner.step(actions)
        return step._replace(reward=2 * step.reward)


def test_python_around_a_simulator_or_in_a_policy_s_place_is_heeded() -> None:
    player = Player("qmix", TASKS[0], [0], copies=2)
    env, policy = player.env, player.learner.policy
    assert playing.in_place(env, policy, 4, True)
    assert playing.in_place(Louder(env), policy, 4, True) is None  # type: ignore[arg-type]

    class Own(type(policy)):
        def __call__(self, *given: Any) -> Any:
            return super().__call__(*given)

    policy.__class__ = Own
    assert playing.in_place(env, policy, 4, True) is None
