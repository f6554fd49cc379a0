"""A finished run's policies as an object that plays: ``actions = policy(step)``.

Every copy of the environment may be in an episode of its own. A policy's memory is of copies that
began together, so the copies whose episodes begin at the same call make a group with one memory,
until their next episodes begin.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import evaluate
from partage.sims.contract import Spec, TimeStep


class Group:
    """Copies whose episodes began at the same call, and what their policies remember of them."""

    def __init__(self, copies: Int64[Tensor, "G"], memory: Any) -> None:
        self.copies = copies
        self.memory = memory
        self.here = torch.ones(len(copies), dtype=torch.bool)  # False: in a later episode by now


class RunPolicy:
    """The policies of one seed of a finished run; remembers what they have seen of each episode.

    ``policy(step)`` gives the actions ``[R, B, N]`` of every copy of an environment of the run's
    task, made with any seeds and copies. Memory starts anew in a copy whose episode begins
    (``step.clock`` is 0). `spec` has the task's sizes.
    """

    def __init__(self, folder: Path, seed: int = 0, explore: bool = False) -> None:
        self.recipe = Recipe.load(folder / "recipe.json")
        if seed not in self.recipe.seeds:
            raise UserError(f"{folder} has no seed {seed!r}: its seeds are {self.recipe.seeds}.")
        self._run = self.recipe.seeds.index(seed)
        self._explore = explore
        self.spec: Spec
        self.spec, self._learner = evaluate.load_policies(folder, self.recipe)
        evaluate.check_numbers(self._learner, folder, self.recipe, [seed])
        self._groups: list[Group] = []
        self._copies = 0

    @torch.no_grad()
    def __call__(self, step: TimeStep) -> Int64[Tensor, "R B N"]:
        """Return the actions for this instant; those of copies whose episode has ended are 0.

        Raises `UserError` for the step of another task.
        """
        self._check(step)
        shape = step.clock.shape
        flat = TimeStep(*(x.flatten(0, 1)[None] for x in step))  # [1, R * B, ...]
        ended = flat.ended[0]
        self._begin((flat.clock[0] == 0) & ~ended)
        actions = torch.zeros(len(ended), self.spec.n_agents, dtype=torch.int64)
        for group in self._groups:
            playing = group.here & ~ended[group.copies]
            if playing.any():
                actions[group.copies[playing]] = self._act(group, flat)[playing]
        return actions.unflatten(0, shape)

    def _begin(self, fresh: Bool[Tensor, "C"]) -> None:
        """Make a group of the copies whose episodes begin here, and take them out of the others."""
        if self._copies != len(fresh):  # another environment, or the first
            self._groups, self._copies = [], len(fresh)
            fresh = torch.ones_like(fresh)
        if not fresh.any():
            return
        for group in self._groups:
            group.here &= ~fresh[group.copies]
        self._groups = [group for group in self._groups if group.here.any()]
        copies = fresh.nonzero().flatten()
        memory = self._learner.policy.initial(len(copies), self._explore)
        self._groups.append(Group(copies, memory))

    def _act(self, group: Group, flat: TimeStep) -> Int64[Tensor, "G N"]:
        """Return the actions of a group's copies, and remember what they saw."""
        runs = len(self.recipe.seeds)  # all seeds' policies see it; one's actions count
        seen = TimeStep(*(_for_runs(x[:, group.copies], runs) for x in flat))
        choice, group.memory = self._learner.policy(seen, group.memory, self._explore)
        return choice.actions[self._run]

    def _check(self, step: TimeStep) -> None:
        """Raise `UserError` unless the step has the sizes of the run's task."""
        came = (*step.obs.shape[2:], step.avail_actions.shape[-1])
        expected = (self.spec.n_agents, self.spec.obs_dim, self.spec.n_actions)
        if came != expected:
            raise UserError(
                f"The policies of {self.recipe.task} play {expected[0]} agents with "
                f"{expected[1]} numbers to see and {expected[2]} actions, but the step has "
                f"{came[0]}, {came[1]} and {came[2]}: make the environment of that task."
            )


def _for_runs(x: Tensor, runs: int) -> Tensor:
    """Return ``[1, G, ...]`` as ``[R, G, ...]``, the same for every run."""
    return x.expand(runs, *x.shape[1:]).contiguous()
