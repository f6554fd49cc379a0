"""The policies at each run's best test so far, kept for the absolute metric (Gorsane et al. 2022).

They are copied out of the learner when a test surpasses all before it; nothing is trained, drawn or
measured for that, so no curve depends on it. What they are worth is measured once, on episodes of
its own (`partage.runs.evaluate.absolute`).
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.learners import Learner


class Best:
    """Of each run: the mean score and return of its best test, the steps it had made, the learner's
    state at it.

    A pack has one state, so runs that surpass themselves in the same test keep the same one. The
    first of equals stays.
    """

    def __init__(self, runs: int) -> None:
        self.marks: list[tuple[float, float]] = [(-math.inf, -math.inf)] * runs
        self.steps: list[int] = [0] * runs
        self.states: list[dict[str, Any] | None] = [None] * runs

    def look(
        self,
        due: Bool[Tensor, "R"],
        outcome: Mapping[str, Float32[Tensor, "R B"]],
        env_steps: Int64[Tensor, "R"],
        learner: Learner,
    ) -> None:
        """Keep the state for the tested runs that have never done as well: by the task's own score,
        then by return.
        """
        score, returns = (outcome[name].mean(1).tolist() for name in ("test_score", "test_return"))
        better = [
            r for r in due.nonzero().flatten().tolist() if (score[r], returns[r]) > self.marks[r]
        ]
        state = copy.deepcopy(learner.state_dict(replay=False)) if better else None
        for r in better:
            self.marks[r], self.steps[r], self.states[r] = (
                (score[r], returns[r]),
                int(env_steps[r]),
                state,
            )

    def state_dict(self) -> dict[str, Any]:
        return {"marks": self.marks, "steps": self.steps, "states": self.states}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """What a checkpoint holds. One of older code holds nothing: then nothing is the best, and
        none is kept.
        """
        if state is None:
            self.marks, self.states = (
                [(math.inf, math.inf)] * len(self.marks),
                [None] * len(self.marks),
            )
        else:
            self.marks, self.steps, self.states = state["marks"], state["steps"], state["states"]
