"""The greedy episodes that runs are tested by while they train, and the policies of the best."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Bool, Float32
from torch import Tensor

from partage.learners import Learner
from partage.rl.rollout import Policy, collect_episodes
from partage.runs import saved_state
from partage.runs.best import Best
from partage.runs.metrics import Metrics, outcomes
from partage.sims.contract import Env

NOTHING: Mapping[str, None] = {"best": None, "test_env": None}  # what is saved without tests


Compare = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Testing:
    """The tests of R runs: their environment, and what came out best so far.

    A learner may name further ways in which each test is played (`test_policies`); they play the
    very episodes of the test, and their outcomes are ``test_return/<way>`` and so on. What their
    scores say beside each other it may measure as well (`test_measures`).
    """

    def __init__(self, env: Env, learner: Learner) -> None:
        self.env, self.learner = env, learner
        self.best = Best(env.runs)
        ways: Callable[[], dict[str, Policy]] | None = getattr(learner, "test_policies", None)
        self.other_ways = ways() if ways else {}
        # what their scores say beside each other
        self.compare: Compare | None = getattr(learner, "test_measures", None)

    def play(self, due: Bool[Tensor, "R"], metrics: Metrics) -> None:
        """Test the runs that are due; the copies of the others stay idle."""
        if not due.any():
            return
        start = self.env.state_dict() if self.other_ways else None
        played = collect_episodes(self.env, self.learner.policy, due, False)
        outcome = outcomes(played, self.env.spec)
        due = metrics.end_what_failed_test(due, outcome)
        metrics.log_test(due, outcome)
        self.best.update(due, outcome, metrics.env_steps, self.learner)
        if start is not None:
            scores = {"": outcome["test_score"].mean(1)}
            scores |= self._play_other_ways(due, metrics, start)
            metrics.log_values(due, self.compare(scores) if self.compare else {})

    def _play_other_ways(
        self, due: Bool[Tensor, "R"], metrics: Metrics, start: Mapping[str, Any]
    ) -> dict[str, Float32[Tensor, "R"]]:
        """Play the test's episodes again, from the states that they began in; return scores."""
        end, scores = self.env.state_dict(), {}
        for name, policy in self.other_ways.items():
            self.env.load_state_dict(start)
            played = collect_episodes(self.env, policy, due, False)
            outcome = outcomes(played, self.env.spec)
            metrics.log_test(due, outcome, name)
            scores[name] = outcome["test_score"].mean(1)
        self.env.load_state_dict(end)
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Return what changes while runs train."""
        return {"best": self.best.state_dict(), "test_env": self.env.state_dict()}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise `ValueError` where what is saved of the best tests is of another kind."""
        best, learner = state["best"], self.learner.state_dict(replay=False)
        if best is None:  # of older code
            return
        saved_state.check_like(best, self.best.state_dict(), "best")
        for of_best in best["states"]:
            saved_state.check_like(of_best, of_best and learner, "best")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.best.load_state_dict(state["best"])
        self.env.load_state_dict(state["test_env"])
