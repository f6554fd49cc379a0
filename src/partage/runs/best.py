"""The policies at each run's best test so far, for the absolute metric (Gorsane et al. 2022).

They are copied out of the learner when a test surpasses all before it; nothing is trained, drawn or
measured for that, so no curve depends on it. What they are worth is measured once, on episodes of
its own (`partage.runs.evaluate.absolute`).
"""

import copy
import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float32, Int64
from torch import Tensor

WORST, UNSURPASSED = -math.inf, math.inf


@runtime_checkable
class Saving(Protocol):
    """What policies are copied out of: a learner, or a cell's part of one."""

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return what it saves; experience only with `replay`."""
        ...


class Best:
    """Each run's best test: its mean score and return, the steps made, the learner's state.

    A pack has one state, so runs that surpass themselves in the same test have the same one. The
    first of equals stays.
    """

    def __init__(self, runs: int) -> None:
        self.marks: list[tuple[float, float]] = [(WORST, WORST)] * runs  # (score, return)
        self.steps: list[int] = [0] * runs
        self.states: list[dict[str, Any] | None] = [None] * runs

    def update(
        self,
        tested: Bool[Tensor, "R"],
        outcome: Mapping[str, Float32[Tensor, "R B"]],
        env_steps: Int64[Tensor, "R"],
        learner: Saving,
    ) -> None:
        """Copy the learner's state for the tested runs that have never done as well.

        The task's own score decides, then the return.
        """
        scores = outcome["test_score"].mean(1).tolist()
        returns = outcome["test_return"].mean(1).tolist()
        marks = list(zip(scores, returns, strict=True))
        surpassed = [r for r in tested.nonzero().flatten().tolist() if marks[r] > self.marks[r]]
        if not surpassed:
            return
        state = copy.deepcopy(learner.state_dict(replay=False))
        for r in surpassed:
            self.marks[r] = marks[r]
            self.steps[r] = int(env_steps[r])
            self.states[r] = state

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint and ``best.pt`` hold."""
        return {"marks": self.marks, "steps": self.steps, "states": self.states}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Go on from what a checkpoint holds.

        One of older code holds nothing: then no test surpasses, and there are no best policies.
        """
        if state is None:
            runs = len(self.marks)
            self.marks = [(UNSURPASSED, UNSURPASSED)] * runs
            self.states = [None] * runs
        else:
            self.marks, self.steps, self.states = state["marks"], state["steps"], state["states"]
