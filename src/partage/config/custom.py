"""A run that no figure needs to ask for: any algorithm on any task, with settings of one's own.

Where nothing is changed the recipe is the workflow's own, so the workflow takes the run as done.
Changed settings are named in the algorithm's name, ``mdps+fuse=0.5``, and so in the run's folder:
such a run never replaces a standard one. (Standard library only.)
"""

import dataclasses
import hashlib
import itertools
import json
import operator
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from partage import _io
from partage.config import recipe as recipes
from partage.config.recipe import IMPORTED, LONGEST_NAME, MOST_SEEDS, WHY_SEEDS, Recipe
from partage.config.request import Request
from partage.config.settings import check
from partage.config.tasks import LENGTH, NOTHING
from partage.config.types import Scalar
from partage.errors import UserError, at_most, look_up

if TYPE_CHECKING:
    from partage.config.plan import Plan

WORD = re.compile(r"[A-Za-z0-9_.-]+")  # a value that a folder, a shell and Snakemake take


def custom_recipe(
    plan: "Plan",
    algorithm: str,
    task: str,
    request: Request,
    seeds: Iterable[int] | None = None,
    steps: int | None = None,
    settings: Mapping[str, Any] = NOTHING,
) -> Recipe:
    """Return the recipe of one run of `algorithm` on `task`, all its seeds side by side.

    `seeds` are the scale's own when None; `steps` and `settings` take the place of the standard
    ones. Raises `UserError` for a name, a setting or a value that does not exist, and for an
    imported algorithm, which nothing here can train.
    """
    standard = plan.recipes_of(algorithm, task, request)
    first = standard[0]
    _refuse_imported(first, request.options)
    changes = _changed_settings(plan, first, settings)
    changed = dataclasses.replace(
        first, seeds=_chosen_seeds(seeds, standard), settings=first.settings | changes
    )
    if steps is not None and steps != first.steps:
        changes["steps"] = steps
        length = {LENGTH: steps} if LENGTH in changed.settings and LENGTH not in settings else {}
        changed = dataclasses.replace(changed, steps=steps, settings=changed.settings | length)
    changed = recipes.parse(dataclasses.asdict(changed), f"{algorithm} on {task}")
    return dataclasses.replace(
        changed,
        algorithm=name_with_changes(algorithm, changes),
        log_every=min(changed.log_every, changed.steps),  # a short run is logged as well
    )


def name_with_changes(algorithm: str, changes: Mapping[str, Scalar]) -> str:
    """Return an algorithm's name with what is changed, in words that can be a folder's.

    Changes that are long, or of odd characters, are named by the digest of them; the recipe holds
    their values.

    >>> name_with_changes("mdps", {"fuse": 0.5, "compare": True})
    'mdps+compare=true+fuse=0.5'
    """
    parts = [algorithm]
    odd = False
    for name, value in sorted(changes.items()):
        word = value if isinstance(value, str) else json.dumps(value)
        odd |= not WORD.fullmatch(word)
        parts.append(f"{name}={word}")
    readable = "+".join(parts)
    if odd or len(readable) > LONGEST_NAME:
        digest = hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()
        return f"{algorithm}+settings={digest[:12]}"
    return readable


def read_settings(assignments: Iterable[str]) -> dict[str, Scalar]:
    """Return settings written ``name=value``, as on the command line.

    A value is written as in TOML (``0.5``, ``1e-3``, ``true``); any other word stands for itself.

    >>> read_settings(["fuse=0.5", "compare=true", "sharing=none"])
    {'fuse': 0.5, 'compare': True, 'sharing': 'none'}
    """
    found: dict[str, Scalar] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not (name and equals and value.strip()):
            raise UserError(
                f"A setting is written name=value, as in fuse=0.5, but is {assignment!r}."
            )
        if name in found:
            raise UserError(f"The setting {name!r} is given twice: give it once.")
        found[name] = _read_value(value.strip())
    return found


def _read_value(word: str) -> Scalar:
    """Return a value that is written as in TOML, or the word itself."""
    try:
        found = _io.parse_toml(f"value = {word}")
    except ValueError:
        return word
    value = found["value"]
    return value if isinstance(value, Scalar) and len(found) == 1 else word


def _refuse_imported(recipe: Recipe, options: str) -> None:
    """Raise `UserError` for an algorithm whose runs others made."""
    if recipe.learner == IMPORTED:
        raise UserError(
            f"{recipe.algorithm} on {recipe.task} is not trained here but imported: bring its "
            f"curves with `partage import SOURCE {recipe.algorithm} {recipe.task}{options}`."
        )


def _changed_settings(
    plan: "Plan", standard: Recipe, settings: Mapping[str, Any]
) -> dict[str, Scalar]:
    """Return the settings, checked, whose values are not the standard ones."""
    where = f"{standard.algorithm} on {standard.task}"
    fields = plan.learners[standard.learner]
    changes: dict[str, Scalar] = {}
    for name, value in settings.items():
        field = look_up(fields, f"setting of learner {standard.learner!r}", name, where)
        checked = check(field, _plain(value), where)
        if checked != standard.settings[name]:
            changes[name] = checked
    return changes


def _plain(value: Any) -> Any:
    """Return a number of NumPy or torch as Python's own; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def _chosen_seeds(seeds: Iterable[int] | None, standard: list[Recipe]) -> list[int]:
    """Return the seeds in ascending order: of the scale where none are named."""
    if seeds is None:
        if len(standard) > 1:
            raise UserError(
                f"{standard[0].algorithm} on {standard[0].task} has its seeds in {len(standard)} "
                f"runs at scale {standard[0].scale}: name the seeds of one run."
            )
        return standard[0].seeds
    try:
        chosen = [operator.index(seed) for seed in itertools.islice(seeds, MOST_SEEDS + 1)]
    except TypeError as error:
        raise UserError(f"seeds is a list of whole numbers, but is {seeds!r}.") from error
    at_most("the number of seeds", len(chosen), MOST_SEEDS, WHY_SEEDS)
    return sorted(chosen)
