"""What is measured while runs train: each run's own counts, its recent returns, and the rows of its
curve.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.config.recipe import Recipe
from partage.rl.rollout import Rollout, team_reward
from partage.sharing.assignment import Assignment, partition
from partage.sims.contract import Spec

# finished training episodes that a point of the training curve averages over   (MADPS: logging)
RECENT_EPISODES = 10


class Metrics:
    """Rows are (seed, env_steps, updates, metric, value); every run is measured at marks of its own
    step count.
    """

    def __init__(self, recipe: Recipe, spec: Spec, copies: int) -> None:
        runs = len(recipe.seeds)
        self.seeds, self.steps, self.spec = recipe.seeds, recipe.steps, spec
        self.env_steps = torch.zeros(runs, dtype=torch.int64)
        self.updates = 0
        self.rows: list[tuple[int, int, int, str, float]] = []
        self.running = torch.zeros(runs, copies)  # return of the episode under way in each copy
        self.recent: list[list[float]] = [[] for _ in recipe.seeds]
        self.marks: dict[str, list[int]] = {"log": [recipe.log_every] * runs, "test": [0] * runs}
        self.shared: dict[str, list[list[int]]] = {}

    def count(self, rollout: Rollout) -> None:
        """Take in what was collected: steps, and the undiscounted returns of the episodes that
        ended.
        """
        self.env_steps += rollout.steps
        self.updates += 1
        reward = team_reward(rollout.reward, self.spec)
        ended = rollout.terminated | rollout.truncated
        if not ended.any():
            self.running += reward.sum(2)
            return
        for t in range(reward.shape[2]):
            self.running += reward[:, :, t]
            if ended[:, :, t].any():
                for r, b in (ended & rollout.filled)[:, :, t].nonzero().tolist():
                    self.recent[r] = [*self.recent[r], float(self.running[r, b])][-RECENT_EPISODES:]
                self.running[ended[:, :, t]] = 0.0

    def due(self, what: str, every: int) -> Bool[Tensor, "R"]:
        """Runs whose step count has passed their next mark (and move it on); the last is the end of
        the budget.
        """
        marks, now = self.marks[what], self.env_steps.tolist()
        passed = [every > 0 and steps >= mark for steps, mark in zip(now, marks, strict=True)]
        for r, steps in enumerate(now):
            if passed[r]:
                following = (steps // every + 1) * every
                marks[r] = min(following, self.steps) if steps < self.steps else 2**62
        return torch.tensor(passed)

    def log(self, due: Bool[Tensor, "R"], measures: Mapping[str, Float32[Tensor, "R"]]) -> None:
        for r in due.nonzero().flatten().tolist():
            if self.recent[r]:
                self._row(r, "train_return", sum(self.recent[r]) / len(self.recent[r]))
            for name, value in measures.items():
                self._row(r, name, float(value[r]))

    def test(self, due: Bool[Tensor, "R"], rollout: Rollout) -> None:
        """Means over greedy episodes."""
        outcome = outcomes(rollout, self.spec)
        for r in due.nonzero().flatten().tolist():
            for name, x in outcome.items():
                self._row(r, name, float(x[r].mean()))

    def sharing(self, blocks: Mapping[str, Assignment]) -> None:
        """Note who shares with whom wherever the partition changed: metric
        ``sharing/<block>/<agent>``.

        And how it came: ``fuse/<block>/<agent>`` is whose set the agent took,
        ``divide/<block>/<agent>`` whom it left.
        """
        for block, index in blocks.items():
            before, now = self.shared.get(block), index.tolist()
            if now == before:  # nearly always: no partition is worked out then
                continue
            known = (
                [None] * len(now) if before is None else partition(torch.tensor(before)).tolist()
            )
            for r, row in enumerate(partition(index).tolist()):
                if row != known[r]:
                    for agent, group in enumerate(row):
                        self._row(r, f"sharing/{block}/{agent}", group)
                    for event, agent, partner in moves(before[r], now[r]) if before else ():
                        self._row(r, f"{event}/{block}/{agent}", partner)
            self.shared[block] = now

    def _row(self, r: int, metric: str, value: float) -> None:
        self.rows.append((self.seeds[r], int(self.env_steps[r]), self.updates, metric, value))

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in _STATE:
            setattr(self, name, state[name])


def outcomes(rollout: Rollout, spec: Spec) -> dict[str, Float32[Tensor, "R B"]]:
    """Of whole episodes: return, the task's own score at their end, length in steps."""
    length = rollout.filled.sum(2)
    score = rollout.score.gather(2, (length - 1).clamp(min=0)[..., None]).squeeze(2)
    returns = (team_reward(rollout.reward, spec) * rollout.filled).sum(2)
    return {"test_return": returns, "test_score": score, "test_length": length.float()}


def moves(before: Sequence[int], now: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """(fuse or divide, agent, partner) of each agent whose set changed.

    It fused with the first agent whose set before was the one it has now; where nobody had that, it
    left the first who had its old one.

    >>> list(moves([0, 0, 2], [0, 1, 0]))
    [('divide', 1, 0), ('fuse', 2, 0)]
    """
    for agent, (old, new) in enumerate(zip(before, now, strict=True)):
        if new != old:
            fused = new in before
            partner = before.index(new if fused else old)
            if partner != agent:  # else alone in its set, before and after
                yield ("fuse" if fused else "divide"), agent, partner


_STATE = ("env_steps", "updates", "rows", "running", "recent", "marks", "shared")
