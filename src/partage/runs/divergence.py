"""Numbers that are none: which runs have lost theirs, for all learners and devices.

What was seen, what was earned and what learning measured is looked at after every update; the
policies when a run has come to its end, and when it is loaded to play. Acting itself never looks:
it chooses something legal whatever the values are, so that the other runs of a pack go on.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from partage.rl.rollout import Rollout

# what infinity is a value of, by the last part of its name: a norm whose square overflowed (that
# step is left out, and runs have come back from it), and the distance of policies that never do the
# same
MAY_BE_INFINITE = ("gradient_norm", "vanilla_bhattacharyya")
CURES = "lower the learning rate (lr), or mend what the environment returns"


class Failure(NamedTuple):
    """Why a run ended before its time."""

    seed: int
    env_steps: int
    update: int
    measure: str  # what is no number any more
    value: str  # "nan", "inf" or "-inf"

    def __str__(self) -> str:
        """Return it as a sentence's part."""
        return (
            f"seed {self.seed} ended at update {self.update} ({self.env_steps} env steps), where "
            f"its {self.measure} became {self.value}"
        )


def find(
    rollout: Rollout, measures: Mapping[str, Float32[Tensor, "R"]], runs: Bool[Tensor, "R"]
) -> dict[int, tuple[str, str]]:
    """Return what is no number in these runs, and what it is instead: the first that is found."""
    found: dict[int, tuple[str, str]] = {}
    # one number for all there is: nearly always it is finite, and nothing else is computed
    if not math.isfinite(float(rollout.obs.sum()) + float(rollout.reward.sum())):
        seen = {"observations": rollout.obs, "reward": rollout.reward}
        found |= dict(_first({name: x.flatten(1) for name, x in seen.items()}, runs))
    if not measures:
        return found
    values = torch.stack([x.detach() for x in measures.values()])  # [M, R]
    if not values.isfinite().all():
        by_name = {name: x[:, None] for name, x in zip(measures, values, strict=True)}
        found = dict(_first(by_name, runs)) | found
    return found


def in_outcome(
    outcome: Mapping[str, Float32[Tensor, "R B"]], runs: Bool[Tensor, "R"]
) -> dict[int, tuple[str, str]]:
    """Return what is no number in the outcome of these runs' test, and what it is instead."""
    return dict(_first(outcome, runs))


def _first(
    values: Mapping[str, Float32[Tensor, "R X"]], runs: Bool[Tensor, "R"]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield (run, (name, value)) of the first that is no number in each of these runs."""
    for r in runs.nonzero().flatten().tolist():
        for name, x in values.items():
            bad = x[r][_is_none(name, x[r])]
            if len(bad):
                yield r, (name, str(float(bad[0])))
                break


def sound(state: Any, runs: int, name: str = "") -> Bool[Tensor, "R"]:
    """Return the runs whose policies are numbers; `state` is what a learner saves under this name.

    Looked at is all that has a row for each run, what was measured last included.
    """
    numbers = torch.ones(runs, dtype=torch.bool)
    if isinstance(state, Mapping):
        for key, part in state.items():
            numbers &= sound(part, runs, str(key))
    elif isinstance(state, Tensor) and _has_rows(state, runs):
        numbers &= ~_is_none(name, state).flatten(1).any(1).cpu()
    return numbers


def _is_none(name: str, x: Float[Tensor, "*X"]) -> Bool[Tensor, "*X"]:
    """Return which values of what has this name are no number."""
    return x.isnan() if name.rpartition("/")[2] in MAY_BE_INFINITE else ~x.isfinite()


def _has_rows(x: Tensor, runs: int) -> bool:
    """Return whether these are numbers that can be none, with a row for each run."""
    return x.is_floating_point() and x.dim() > 1 and len(x) == runs
