"""The contract of a learner, for the tests of a study: what breaks it is an `AssertionError`.

Numbers are compared to the last bit: a run must not depend on the pack it is trained in, nor on
being stopped and resumed, and whoever acts has to heed which actions are legal.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from partage import envs, learners
from partage.config import plan, study
from partage.config.schema import at_scale
from partage.config.types import Scalar
from partage.learners import Learner
from partage.rl.rollout import Rollout, collect_episodes, collect_segment
from partage.runs.process import prepare
from partage.runs.run import own_settings
from partage.sharing.overlap import Shares
from partage.sims.contract import Env, TimeStep

# a learner of whole episodes learns from the first few with these, where it has them
QUICK = {"batch": 8, "copies": 4, "target_every": 8}
# tasks whose episodes differ in length, or whose clock cuts the segments of a learner
OF_EPISODES, OF_SEGMENTS = "lbf/5x5-4p-1f-v3", "mpe/15a_3c"
RESTRICTED = "roll_call/3x5-12"  # where `Restricted` leaves some of the actions
UPDATES = 6


class Player:
    """A learner at a task: collects and learns, as the trainer does."""

    def __init__(self, learner: Learner, task: str, seeds: list[int]) -> None:
        self.learner, self.task = learner, task
        self.env: Env = envs.make(task, seeds, learner.copies)
        self.step: TimeStep | None = None
        self.memory: Any = None

    def collect(self, everyone: Tensor | None = None) -> Rollout:
        """Return what the runs marked (all when None) meet next, as in training."""
        if everyone is None:
            everyone = torch.ones(self.env.runs, dtype=torch.bool)
        if self.learner.segment is None:
            return collect_episodes(self.env, self.learner.policy, everyone, True)
        if self.step is None:
            self.step = self.env.reset()
            self.memory = self.learner.policy.initial(self.learner.copies, True)
        rollout, self.step, self.memory = collect_segment(
            self.env, self.learner.policy, self.step, self.memory, self.learner.segment, everyone
        )
        return rollout

    def learn(self, updates: int) -> "Player":
        """Collect and learn so many times; return the player itself."""
        for _ in range(updates):
            self.learner.learn(self.collect())
        return self

    def evaluate(self, seed: int = 99, copies: int = 1) -> Tensor:
        """Return the mean returns of greedy episodes, run by run, on copies of their own."""
        seeds = [seed + r for r in range(self.env.runs)]
        everyone = torch.ones(len(seeds), dtype=torch.bool)
        env = envs.make(self.task, seeds, copies)
        rollout = collect_episodes(env, self.learner.policy, everyone, False)
        return rollout.reward[..., 0].sum(2).mean(1)


class Restricted:
    """An environment in which only some actions are legal, others at every step.

    It notes what was chosen. Raises `AssertionError` for an action that is not legal.
    """

    def __init__(self, inner: Env) -> None:
        self.inner, self.spec, self.runs, self.copies = inner, inner.spec, inner.runs, inner.copies
        self.generator = torch.Generator().manual_seed(0)
        self.only = 0  # how often an agent had no choice
        self.seen = torch.zeros(inner.spec.n_actions, dtype=torch.int64)

    def _show(self, step: TimeStep) -> TimeStep:
        avail = torch.rand(step.avail_actions.shape, generator=self.generator) < 0.4
        always = torch.randint(self.spec.n_actions, avail.shape[:-1], generator=self.generator)
        self.avail = avail.scatter(-1, always[..., None], True)
        return step._replace(avail_actions=self.avail)

    def reset(self, where: Tensor | None = None) -> TimeStep:
        """Start episodes; see `Env.reset`."""
        return self._show(self.inner.reset(where))

    def step(self, actions: Tensor) -> TimeStep:
        """Move by one step; see `Env.step`."""
        expect(bool(self.avail.gather(-1, actions[..., None]).all()), "an illegal action is chosen")
        self.only += int((self.avail.sum(-1) == 1).sum())
        self.seen += actions.flatten().bincount(minlength=self.spec.n_actions)
        return self._show(self.inner.step(actions))

    def state_dict(self) -> dict[str, Any]:
        """Return the inner environment's state."""
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> TimeStep:
        """Go on from a saved state of the inner environment."""
        return self.inner.load_state_dict(state)

    def close(self) -> None:
        """End the inner environment."""
        self.inner.close()


Make = Callable[[list[int], str], Player]  # seeds and task ("": one that suits the learner)


def check_learner(algorithm: str, task: str = "", **settings: Scalar) -> None:
    """Raise `AssertionError`, which says what is broken, unless an algorithm keeps the contract.

    It is played on `task`, or on tasks that suit its learner; `settings` take the place of its own.
    It makes six updates: what comes later is not seen unless a setting brings it forward.
    Raises `UserError` for an algorithm, task or setting that does not exist.
    """
    variant = study.look_up(plan.load().variants, "algorithm", algorithm, "algorithms.toml")
    fields = plan.load().learners[variant.learner]
    own = {name: at_scale(value, "smoke", algorithm) for name, value in variant.settings.items()}
    quick = {name: value for name, value in QUICK.items() if name in fields}

    def make(seeds: list[int], where: str = task) -> Player:
        learner = _learner(variant.learner, where or OF_EPISODES, own | quick | settings, seeds)
        if not where and learner.segment:
            learner = _learner(variant.learner, OF_SEGMENTS, own | quick | settings, seeds)
            return Player(learner, OF_SEGMENTS, seeds)
        return Player(learner, where or OF_EPISODES, seeds)

    with own_settings():
        prepare("cpu")
        same_in_a_pack(make)
        same_after_a_resume(make)
        heeds_what_is_legal(make)


def _learner(name: str, task: str, settings: Mapping[str, Any], seeds: list[int]) -> Learner:
    env = envs.make(task, seeds, 1)
    env.close()
    return learners.make(name, env.spec, settings, seeds)


def expect(holds: bool, broken: str) -> None:
    """Raise `AssertionError` with what is broken unless it holds."""
    if not holds:
        raise AssertionError(broken)


def same_in_a_pack(make: Callable[[list[int]], Player]) -> None:
    """Check that a run plays, learns and measures the same alone and as one of five."""
    alone, packed = make([3]), make([1, 2, 3, 4, 5])
    first = alone.collect()
    before = _chances(alone.learner, first)
    alone, packed = make([3]), make([1, 2, 3, 4, 5])
    for update in range(1, UPDATES + 1):
        one, several = alone.collect(), packed.collect()
        when = f"in a pack of five, before update {update}"
        expect(_same_play(one, several, 2), f"a run plays otherwise {when}, than alone")
        _compare_measures(alone.learner.learn(one), packed.learner.learn(several), 2, when)
    moved = not torch.equal(before, _chances(alone.learner, first))
    expect(moved, f"{UPDATES} updates move no policy")
    greedy = alone.evaluate(101)[0], packed.evaluate(99)[2]
    expect(torch.equal(*greedy), "greedy episodes of a run differ in a pack of five")


def _chances(learner: Learner, rollout: Rollout) -> Tensor:
    """Return the act probabilities on what was collected."""
    steps = rollout.actions.shape[2]
    return learner.probabilities(rollout.obs[:, :, :steps], rollout.actions).clone()


def _same_play(one: Rollout, several: Rollout, run: int) -> bool:
    """Return whether the only run of one rollout did what a run of another did."""
    left, right = one.filled[0], several.filled[run]
    if not torch.equal(left.sum(-1), right.sum(-1)):
        return False
    return torch.equal(one.actions[0][left], several.actions[run][right]) and torch.equal(
        one.reward[0][left], several.reward[run][right]
    )


def _compare_measures(
    one: Mapping[str, Tensor], several: Mapping[str, Tensor], run: int, when: str
) -> None:
    expect(one.keys() == several.keys(), f"other things are measured {when}")
    for name, measure in one.items():
        same = torch.equal(measure[0].nan_to_num(), several[name][run].nan_to_num())
        expect(same, f"{name!r} is another number {when}")


def same_after_a_resume(make: Callable[[list[int]], Player]) -> None:
    """Check that a learner goes on from a saved state as if it had never stopped."""
    player, other = make([4, 5]).learn(3), make([8, 9]).learn(1)
    file = io.BytesIO()
    torch.save(player.learner.state_dict(), file)
    file.seek(0)
    other.learner.load_state_dict(torch.load(file, weights_only=True))
    other.step, other.memory = other.env.load_state_dict(player.env.state_dict()), player.memory
    for _ in range(3):
        one, two = player.collect(), other.collect()
        ended = player.learner.learn(one), other.learner.learn(two)
        for run in range(2):
            mine = _of_run(one, run)
            expect(_same_play(mine, two, run), "a resumed run plays otherwise")
            measured = {name: value[run : run + 1] for name, value in ended[0].items()}
            _compare_measures(measured, ended[1], run, "after a resume")
        expect(_shared(player.learner) == _shared(other.learner), "a resumed run shares otherwise")


def _shared(learner: Learner) -> dict[str, Any]:
    """Return who goes through which parameter set, block by block."""
    blocks = learner.sharing().items()
    found = {name: by.index if isinstance(by, Shares) else by for name, by in blocks}
    return {name: index.tolist() for name, index in found.items()}


def _of_run(rollout: Rollout, run: int) -> Rollout:
    return rollout._replace(
        filled=rollout.filled[run : run + 1],
        actions=rollout.actions[run : run + 1],
        reward=rollout.reward[run : run + 1],
    )


def heeds_what_is_legal(make: Make) -> None:
    """Check that only legal actions are chosen, and all of them, exploring or not."""
    for explore in (True, False):
        player = make([0, 1], RESTRICTED)
        policy, copies = player.learner.policy, player.learner.copies
        restricted = Restricted(envs.make(RESTRICTED, [0, 1], copies))
        if explore and player.learner.segment:
            collect_segment(
                restricted, policy, restricted.reset(), policy.initial(copies, True), 24
            )
        else:
            collect_episodes(restricted, policy, torch.ones(2, dtype=torch.bool), explore)
        expect(bool((restricted.seen > 0).all()), "an action is never chosen where it is legal")
