"""Packs of several cells: recipes that one process trains side by side (standard library only).

They are equal but for their names, their seeds, and settings that may be each run's own
(`partage.config.settings.Field.per_run`). On a GPU the plan packs so; on the CPU a cell's seeds
alone are a pack.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from partage.config import costs, study
from partage.config.calibration import Calibration
from partage.config.earlier import all_settings
from partage.config.recipe import IMPORTED, Recipe
from partage.config.settings import Field, read
from partage.errors import UserError

OWN = ("algorithm", "settings", "seeds")  # of a recipe: in what cells of a pack may differ
LEARNERS = Path(__file__).resolve().parents[1] / "learners"

Learners = Mapping[str, Mapping[str, Field]]


class Card(NamedTuple):
    """What a pack on a GPU may take."""

    seeds: int  # of all its cells together
    memory: float = math.inf  # bytes; infinite where no card tells


def of(
    recipes: Iterable[Recipe], learners: Learners, card: Card, known: Calibration | None
) -> list[list[Recipe]]:
    """Return the recipes in packs, in order: as many in each as the card takes by the bill.

    A cell whose memory the bill does not know has a pack of its own.
    """
    packs: list[list[Recipe]] = []
    newest: dict[str, tuple[list[Recipe], float, float]] = {}  # and what it leaves of the card
    for recipe in recipes:
        if recipe.learner == IMPORTED or known is None or recipe.task not in known.tasks:
            packs.append([recipe])
            continue
        own = costs.of(recipe, known).memory - known.base_bytes
        kind = _in_common(recipe, learners[recipe.learner])
        pack, seeds, memory = newest.get(kind, ([], 0.0, 0.0))
        if len(recipe.seeds) > seeds or own > memory:
            pack, seeds, memory = [], card.seeds, card.memory - known.base_bytes
            packs.append(pack)
        pack.append(recipe)
        newest[kind] = pack, seeds - len(recipe.seeds), memory - own
    return packs


def of_several(
    recipes: Iterable[Recipe], learners: Learners, card: Card, known: Calibration | None
) -> dict[str, list[Recipe]]:
    """Return the packs of more than one recipe, by name: the same recipes have the same name."""
    found = {}
    for pack in of(recipes, learners, card, known):
        if len(pack) > 1:
            hashes = "".join(recipe.hash for recipe in pack)
            found[hashlib.sha256(hashes.encode()).hexdigest()[:12]] = pack
    return found


def _in_common(recipe: Recipe, fields: Mapping[str, Field]) -> str:
    """Return what recipes have in common that can share a pack, as a text."""
    values = {name: x for name, x in dataclasses.asdict(recipe).items() if name not in OWN}
    settings = {name: x for name, x in all_settings(recipe).items() if not fields[name].per_run}
    return json.dumps([values, settings], sort_keys=True)


def load(paths: Sequence[Path]) -> list[Recipe]:
    """Return the recipes that are to be one pack.

    Raises `UserError` where two lie in one folder, and as `refuse` does.
    """
    folders: dict[Path, Path] = {}
    for path in paths:
        folder = path.resolve().parent
        if folder in folders:
            raise UserError(
                f"Each recipe of a pack leaves its run in its own folder, but {folders[folder]} "
                f"and {path} lie in one: name each run once."
            )
        folders[folder] = path
    recipes = [Recipe.load(path) for path in paths]
    refuse(recipes)
    return recipes


def refuse(recipes: Sequence[Recipe]) -> None:
    """Raise `UserError` where recipes cannot be trained side by side."""
    one, table = recipes[0], all_settings(recipes[0])
    held_equal = _held_equal(one.learner, table) if len(recipes) > 1 else []
    for other in recipes[1:]:
        for field in dataclasses.fields(Recipe):
            ours, theirs = getattr(one, field.name), getattr(other, field.name)
            if field.name not in OWN and ours != theirs:
                raise _unlike(one, other, field.name, ours, theirs)
        beside = all_settings(other)
        if named := table.keys() ^ beside.keys():
            raise UserError(
                f"Of {one.algorithm} and {other.algorithm} one recipe alone names the settings "
                f"{', '.join(sorted(named))}: `partage plan --write` writes both anew."
            )
        for setting in held_equal:
            if table[setting] != beside[setting]:
                raise _unlike(one, other, setting, table[setting], beside[setting])


def _held_equal(learner: str, names: Iterable[str]) -> list[str]:
    """Return the settings in which runs of one pack cannot differ."""
    files = study.files("learners", LEARNERS)
    fields = read(study.look_up(files, "learner", learner, f"the files of {LEARNERS}"))
    return [each for each in names if each not in fields or not fields[each].per_run]


def _unlike(one: Recipe, other: Recipe, what: str, ours: object, theirs: object) -> UserError:
    return UserError(
        f"Runs of one pack cannot differ in {what}, but {one.algorithm} on {one.task} and "
        f"{other.algorithm} on {other.task} have {ours!r} and {theirs!r}: train them apart."
    )
