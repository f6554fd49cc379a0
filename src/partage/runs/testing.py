"""The greedy episodes that runs are tested by while they train, and the policies of the best."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxtyping import Bool, Float32
from torch import Tensor

from partage.learners import Learner
from partage.rl.rollout import Policy, collect_episodes
from partage.runs import saved_state
from partage.runs.cells import Cell
from partage.runs.metrics import outcomes
from partage.sims.contract import Env

Compare = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


class Testing:
    """The tests of R runs: their environment, and what came out best so far of each cell.

    A learner may name further ways in which each test is played (`test_policies`); they play the
    very episodes of the test, and their outcomes are ``test_return/<way>`` and so on. What their
    scores say beside each other it may measure as well (`test_measures`).
    """

    def __init__(self, env: Env, learner: Learner, cells: Sequence[Cell]) -> None:
        self.env, self.learner, self.cells = env, learner, cells
        ways: Callable[[], dict[str, Policy]] | None = getattr(learner, "test_policies", None)
        self.other_ways = ways() if ways else {}
        # what their scores say beside each other
        self.compare: Compare | None = getattr(learner, "test_measures", None)

    def play(self, due: Bool[Tensor, "R"]) -> None:
        """Test the runs that are due; the copies of the others stay idle."""
        if not due.any():
            return
        start = self.env.state_dict() if self.other_ways else None
        played = collect_episodes(self.env, self.learner.policy, due, False)
        outcome = outcomes(played.counted(), self.env.spec)
        for cell in self.cells:
            metrics, own = cell.metrics, cell.of_each(outcome)
            sound = metrics.end_what_failed_test(cell.of(due), own)
            metrics.log_test(sound, own)
            cell.best.update(sound, own, metrics.env_steps, cell)
            due[cell.rows] = sound
        if start is not None:
            scores = {"": outcome["test_score"].mean(1)}
            scores |= self._play_other_ways(due, start)
            measures = self.compare(scores) if self.compare else {}
            for cell in self.cells:
                cell.metrics.log_values(cell.of(due), cell.of_each(measures))

    def _play_other_ways(
        self, due: Bool[Tensor, "R"], start: Mapping[str, Any]
    ) -> dict[str, Float32[Tensor, "R"]]:
        """Play the test's episodes again, from the states that they began in; return scores."""
        end, scores = self.env.state_dict(), {}
        for name, policy in self.other_ways.items():
            self.env.load_state_dict(start)
            played = collect_episodes(self.env, policy, due, False)
            outcome = outcomes(played.counted(), self.env.spec)
            for cell in self.cells:
                cell.metrics.log_test(cell.of(due), cell.of_each(outcome), name)
            scores[name] = outcome["test_score"].mean(1)
        self.env.load_state_dict(end)
        return scores


def check_best(best: Mapping[str, Any] | None, cell: Cell) -> None:
    """Raise `ValueError` where what is saved of a cell's best tests is of another kind."""
    if best is None:  # of older code
        return
    learner = cell.state_dict(replay=False)
    saved_state.check_like(best, cell.best.state_dict(), "best")
    for of_best in best["states"]:
        saved_state.check_like(of_best, of_best and learner, "best")
