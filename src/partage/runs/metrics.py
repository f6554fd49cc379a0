"""What is measured while runs train: steps, returns, and the points of each run's curve."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.config.recipe import Recipe
from partage.rl.rollout import Rollout, team_reward
from partage.runs import divergence, record, sharing_points
from partage.runs.best import Saving
from partage.runs.divergence import Failure
from partage.sharing.assignment import Assignment, partition
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec

# finished training episodes that a point of the training curve averages over   (MADPS: logging)
RECENT_EPISODES = 10
NEVER = 2**62  # steps: no run comes to such a mark
# what a checkpoint holds of `Metrics`
STATE = (
    "env_steps",
    "updates",
    "points",
    "returns_so_far",
    "recent_returns",
    "next_mark",
    "assignments",
    "overlaps",
    "failures",
)


class Metrics:
    """The curves of R runs under way, and what the next points of them follow from.

    A point is (seed, env_steps, updates, metric, value). Every run is measured at marks of its own
    step count, so its curve does not depend on the pack it trains in.
    """

    def __init__(self, recipe: Recipe, spec: Spec, copies: int) -> None:
        runs = len(recipe.seeds)
        self.seeds, self.budget, self.spec = recipe.seeds, recipe.steps, spec
        self.env_steps = torch.zeros(runs, dtype=torch.int64)
        self.updates = 0
        self.points: list[tuple[int, int, int, str, float]] = []
        # undiscounted, of the episode under way in each copy
        self.returns_so_far = torch.zeros(runs, copies)
        self.recent_returns: list[list[float]] = [[] for _ in recipe.seeds]
        # the steps at which each run is measured next, by what is measured
        self.next_mark: dict[str, list[int]] = {
            "log": [recipe.log_every] * runs,
            "test": [0] * runs,
        }
        self.assignments: dict[str, list[list[int]]] = {}  # the last one of each block, [R, N]
        # what was last written of each block's pairs, run by run, where sets are derived
        self.overlaps: dict[str, list[Tensor | None]] = {}
        # of runs that ended before their time
        self.failures: list[tuple[Any, ...]] = []

    @property
    def active(self) -> Bool[Tensor, "R"]:
        """Return which runs have steps left, and have not failed."""
        failed = {failure[0] for failure in self.failures}
        sound = torch.tensor([seed not in failed for seed in self.seeds])
        return (self.env_steps < self.budget) & sound

    def end_what_failed(
        self,
        rollout: Rollout,
        measures: Mapping[str, Float32[Tensor, "R"]],
        active: Bool[Tensor, "R"],
        learner: Saving,
    ) -> None:
        """End the active runs that have lost their numbers; the others go on."""
        self.fail(divergence.find(rollout, measures, active))
        ended = active & (self.env_steps >= self.budget)
        if ended.any():
            sound = divergence.sound(learner.state_dict(replay=False), len(active))
            lost = (ended & ~sound).nonzero().flatten().tolist()
            self.fail(dict.fromkeys(lost, ("policy", "nan")))

    def end_what_failed_test(
        self, tested: Bool[Tensor, "R"], outcome: Mapping[str, Float32[Tensor, "R B"]]
    ) -> Bool[Tensor, "R"]:
        """End the tested runs whose outcome is no number; return the others."""
        lost = divergence.in_outcome(outcome, tested)
        self.fail(lost)
        return tested & torch.tensor([r not in lost for r in range(len(tested))])

    def fail(self, found: Mapping[int, tuple[str, str]]) -> None:
        """End these runs, whose measure is no number: it is not measured again."""
        failed = {failure[0] for failure in self.failures}
        for r, (measure, value) in sorted(found.items()):
            if self.seeds[r] in failed:
                continue
            failure = Failure(self.seeds[r], int(self.env_steps[r]), self.updates, measure, value)
            self.failures.append(tuple(failure))
            for marks in self.next_mark.values():
                marks[r] = NEVER

    def count(self, rollout: Rollout) -> None:
        """Count a rollout's steps, and note the returns of the episodes that ended in it."""
        self.env_steps += rollout.steps
        self.updates += 1
        reward = team_reward(rollout.reward, self.spec)
        ended = rollout.terminated | rollout.truncated
        if not ended.any():
            self.returns_so_far += reward.sum(2)
            return
        for t in range(reward.shape[2]):
            self.returns_so_far += reward[:, :, t]
            if ended[:, :, t].any():
                for r, b in (ended & rollout.filled)[:, :, t].nonzero().tolist():
                    self._note_return(r, float(self.returns_so_far[r, b]))
                self.returns_so_far[ended[:, :, t]] = 0.0

    def _note_return(self, r: int, value: float) -> None:
        self.recent_returns[r] = [*self.recent_returns[r], value][-RECENT_EPISODES:]

    def pass_marks(self, what: str, every: int) -> Bool[Tensor, "R"]:
        """Return which runs have come to their next mark, and set the one after it.

        Marks are multiples of `every` steps, and the end of the budget; 0: there are none.
        """
        marks = self.next_mark[what]
        passed = [False] * len(marks)
        for r, steps in enumerate(self.env_steps.tolist()):
            if every > 0 and steps >= marks[r]:
                passed[r] = True
                following = (steps // every + 1) * every
                marks[r] = min(following, self.budget) if steps < self.budget else NEVER
        return torch.tensor(passed)

    def log_training(
        self, where: Bool[Tensor, "R"], measures: Mapping[str, Float32[Tensor, "R"]]
    ) -> None:
        """Add a point of the recent returns and of each measure to the curves of these runs."""
        for r in where.nonzero().flatten().tolist():
            recent = self.recent_returns[r]
            if recent:
                self._add_point(r, "train_return", sum(recent) / len(recent))
            for name, value in measures.items():
                self._add_point(r, name, float(value[r]))

    def log_values(
        self, where: Bool[Tensor, "R"], values: Mapping[str, Float32[Tensor, "R"]]
    ) -> None:
        """Add a point of each value to the curves of these runs."""
        for r in where.nonzero().flatten().tolist():
            for name, value in values.items():
                self._add_point(r, name, float(value[r]))

    def log_test(
        self,
        where: Bool[Tensor, "R"],
        outcome: Mapping[str, Float32[Tensor, "R B"]],
        way: str = "",
    ) -> None:
        """Add the means over a test's episodes to the curves of these runs.

        `way` names the one it was played in, if not the usual: ``test_return/<way>``.
        """
        for r in where.nonzero().flatten().tolist():
            for name, values in outcome.items():
                metric = f"{name}/{way}" if way else name
                self._add_point(r, metric, float(values[r].mean()))

    def log_sharing(
        self, where: Bool[Tensor, "R"], sharing: Mapping[str, Assignment | Shares]
    ) -> None:
        """Note who shares with whom wherever the partition changed, and how that came about.

        Metric ``sharing/<block>/<agent>`` is the agent's group, ``fuse/<block>/<agent>`` whose set
        it took, ``divide/<block>/<agent>`` whom it left. How much agents share is noted of the runs
        `where` it is time, if sets are derived.
        """
        for block, of_block in sharing.items():
            assignment = of_block.index if isinstance(of_block, Shares) else of_block
            before, now = self.assignments.get(block), assignment.tolist()
            if now == before:  # nearly always: no partition is worked out then
                continue
            groups_now = partition(assignment).tolist()
            if before is None:
                for r, groups in enumerate(groups_now):
                    self._add_groups(r, block, groups)
            else:
                groups_before = partition(torch.tensor(before)).tolist()
                for r, groups in enumerate(groups_now):
                    if groups != groups_before[r]:
                        self._add_groups(r, block, groups)
                        self._add_moves(r, block, before[r], now[r])
            self.assignments[block] = now
        self._log_overlap(where, sharing)

    def _log_overlap(
        self, where: Bool[Tensor, "R"], sharing: Mapping[str, Assignment | Shares]
    ) -> None:
        """Note of these runs how much agents share, where sets are derived (`sharing_points`)."""
        for block, shares in sharing.items():
            if isinstance(shares, Shares) and where.any():
                written = self.overlaps.setdefault(block, [None] * len(self.seeds))
                matrices = shares.overlap()
                for r in where.nonzero().flatten().tolist():
                    for metric, value in sharing_points.points(block, matrices[r], written[r]):
                        self._add_point(r, metric, value)
                    written[r] = sharing_points.after(matrices[r], written[r])

    def _add_groups(self, r: int, block: str, groups: Sequence[int]) -> None:
        for agent, group in enumerate(groups):
            self._add_point(r, f"sharing/{block}/{agent}", group)

    def _add_moves(self, r: int, block: str, before: Sequence[int], now: Sequence[int]) -> None:
        for event, agent, partner in sharing_points.moves(before, now):
            self._add_point(r, f"{event}/{block}/{agent}", partner)

    def _add_point(self, r: int, metric: str, value: float) -> None:
        self.points.append((self.seeds[r], int(self.env_steps[r]), self.updates, metric, value))

    def curve(self) -> pd.DataFrame:
        """Return all points so far."""
        return pd.DataFrame(self.points, columns=list(record.COLUMNS))

    def state_dict(self) -> dict[str, Any]:
        """Return what changes while runs train."""
        return {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state. Raises `ValueError` for points that are none."""
        for point in state["points"]:
            seed, env_steps, updates, metric, value = point
            if not (isinstance(metric, str) and isinstance(value, int | float)):
                raise ValueError(f"a curve has the point {point}")
            if not all(isinstance(number, int) for number in (seed, env_steps, updates)):
                raise ValueError(f"a curve has the point {point}")
        for returns in state["recent_returns"]:
            sum(returns)  # of numbers
        for block in state["assignments"].values():
            partition(torch.tensor(block))
        for name in STATE:
            # a checkpoint of before there were any lacks `overlaps`
            setattr(self, name, state.get(name, {}) if name == "overlaps" else state[name])


def outcomes(rollout: Rollout, spec: Spec) -> dict[str, Float32[Tensor, "R B"]]:
    """Return the return, the task's own score and the length in steps of whole episodes."""
    length = rollout.filled.sum(2)
    score = rollout.score.gather(2, (length - 1).clamp(min=0)[..., None]).squeeze(2)
    returns = (team_reward(rollout.reward, spec) * rollout.filled).sum(2)
    return {"test_return": returns, "test_score": score, "test_length": length.float()}
