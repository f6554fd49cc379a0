"""The cells of a pack: each has its own recipe, curve, best policies, checkpoint and record.

Cells differ in settings that may be each run's own (`partage.nn.per_run`), and in what they are
called. What a cell saves is what it would save if it were trained alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from torch import Tensor

from partage import learners
from partage.config import packs
from partage.config.earlier import all_settings
from partage.config.recipe import Recipe
from partage.config.types import Scalar
from partage.learners import Learner
from partage.nn.per_run import Each, together
from partage.rl.experience import Rollout, change_tensors
from partage.rl.packing import Ring
from partage.runs import environments, splitting
from partage.runs.best import Best
from partage.runs.chunks import Stored
from partage.runs.metrics import Metrics
from partage.runs.process import Clocks
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec


def common(recipes: Sequence[Recipe]) -> tuple[Recipe, dict[str, Each[Any]]]:
    """Return what a pack of cells is made by: a recipe with all their seeds, and the settings.

    Raises `UserError` where they cannot be trained side by side.
    """
    packs.refuse(recipes)
    tables = [all_settings(recipe) for recipe in recipes]
    settings: dict[str, Each[Any]] = {}
    for name in tables[0]:
        of_runs: list[Scalar] = []
        for recipe, table in zip(recipes, tables, strict=True):
            of_runs += [table[name]] * len(recipe.seeds)
        settings[name] = together(of_runs)
    seeds = [seed for recipe in recipes for seed in recipe.seeds]
    return dataclasses.replace(recipes[0], seeds=seeds), settings


class Cell:
    """The runs of one recipe within a pack: `rows` of its R."""

    def __init__(self, recipe: Recipe, rows: slice, runs: int, spec: Spec, pack: Learner) -> None:
        self.recipe, self.rows, self.runs, self.pack = recipe, rows, runs, pack
        self.metrics = Metrics(recipe, spec, pack.copies)
        self.best = Best(len(recipe.seeds))
        self.stored: list[Stored] = []  # where the experience of these runs lies on the disk
        self.resumed, self.started = 0, datetime.now(UTC)
        self.spent_before = Clocks(0.0, 0.0)  # by the parts of the run before a resume
        self.earlier_code: list[str] = []  # of the parts before a resume, where it was other

    @property
    def alone(self) -> bool:
        """Return whether there is no other cell in the pack."""
        return len(self.recipe.seeds) == self.runs

    @cached_property
    def like(self) -> Mapping[str, Any]:
        """What the cell's learner would save if it were alone, before anything is learned."""
        spec = environments.spec(self.recipe)
        settings, seeds = all_settings(self.recipe), self.recipe.seeds
        return learners.make(self.recipe.learner, spec, settings, seeds).state_dict(False)

    def of(self, x: Tensor) -> Tensor:
        """Return the cell's rows of ``[R, ...]``."""
        return x[self.rows]

    def of_each(self, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the cell's rows of each."""
        return {name: x[self.rows] for name, x in named.items()}

    def of_rollout(self, rollout: Rollout) -> Rollout:
        """Return what the cell's runs have met."""
        return rollout if self.alone else change_tensors(rollout, lambda _, x: x[self.rows])

    def of_sharing(self, sharing: Mapping[str, Assignment | Shares]) -> Mapping[str, Any]:
        """Return who shares in the cell's runs."""
        if self.alone:
            return sharing
        found: dict[str, Any] = {}
        for block, x in sharing.items():
            if isinstance(x, Shares):
                measure = x.measure
                found[block] = Shares(x.index[self.rows], lambda f=measure: f()[self.rows])
            else:
                found[block] = x[self.rows]
        return found

    def of_rings(self, rings: Sequence[Ring]) -> list[Ring]:
        """Return the episodes of the cell's runs."""
        return list(rings[self.rows])

    def of_state(self, state: Any, like: Any) -> Any:
        """Return the cell's part of a state of the whole pack."""
        if self.alone:
            return state
        return splitting.of_cell(state, like, self.rows, self.runs)

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return what the learner saves of the cell's runs."""
        return self.of_state(self.pack.state_dict(replay), self.like)

    def spent(self, seconds: Clocks) -> Clocks:
        """Return the cell's seconds: before a resume, and its share of the pack's since."""
        share, before = len(self.recipe.seeds) / self.runs, self.spent_before
        return Clocks(before.wall + seconds.wall * share, before.cpu + seconds.cpu * share)


def of(recipes: Sequence[Recipe], spec: Spec, pack: Learner) -> list[Cell]:
    """Return the cells of a pack, in order."""
    runs, first, found = sum(len(recipe.seeds) for recipe in recipes), 0, []
    for recipe in recipes:
        rows = slice(first, first + len(recipe.seeds))
        found.append(Cell(recipe, rows, runs, spec, pack))
        first = rows.stop
    return found
