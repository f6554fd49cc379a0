"""A recipe: one run's only input, as JSON; and where a run lies (standard library only)."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from partage import _io
from partage.config.types import Scalar, expected, fits
from partage.errors import UserError, one_of, unknown

SCHEMA = 1  # raised when a key is added, removed or changes its meaning
SCALES = ("smoke", "lab", "paper")
ENGINES = ("batched", "package")  # the first is the default
OUTCOME = ("curve.parquet", "record.json")  # what a finished run leaves beside its recipe
RESERVED = ("name", "task", "seeds", "copies", "engine")  # what `envs.make` takes besides options
LIMIT = 2**63  # whole numbers in a curve stay below
IMPORTED = "imported"  # the learner of variants whose runs others made: see `partage.runs.import_`


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One run: R seeds of one algorithm on one task, everything resolved.

    Steps are joint environment steps of one seed (all agents act in one step), summed over its
    copies.
    """

    schema: int
    scale: str
    engine: str
    algorithm: str  # the variant's name in algorithms.toml
    learner: str  # the file in src/partage/learners
    settings: dict[str, Scalar]  # every field of the learner's Settings
    task: str  # "family/name"
    options: dict[str, Any]  # for the environment's `make`, `time_limit` included
    seeds: list[int]  # trained side by side in one process
    steps: int
    log_every: int  # steps between two points of the training curves
    test_every: int  # steps between two greedy evaluations; 0: none
    test_episodes: int  # episodes of one evaluation

    def text(self) -> str:
        """The recipe as it is written: equal recipes are equal texts."""
        return (
            json.dumps(dataclasses.asdict(self), sort_keys=True, indent=2, allow_nan=False) + "\n"
        )

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()

    @property
    def family(self) -> str:
        return self.task.partition("/")[0]

    @staticmethod
    def load(path: Path) -> "Recipe":
        """Read ``recipe.json``; a `UserError` where it is missing, corrupt or of another schema
        version.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        except OSError as error:
            raise UserError(
                f"Could not read the recipe {path} ({error.strerror}): write it with `partage plan --write`."
            ) from error
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path} is not valid JSON ({error}): write it anew with `partage plan --write`."
            ) from error
        return parse(raw, path)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number that JSON has")


def parse(raw: Any, where: object) -> Recipe:
    """A recipe from decoded JSON, checked key by key."""
    if not isinstance(raw, dict) or "schema" not in raw:
        raise UserError(f"{where} is not a recipe: an object with the key 'schema' is expected.")
    if raw["schema"] != SCHEMA or isinstance(raw["schema"], bool):
        raise UserError(
            f"{where} has recipe schema {raw['schema']!r}, but this version of partage reads {SCHEMA}: "
            f"write it anew with `partage plan --write`."
        )
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Recipe)}
    for key in raw:
        if key not in kinds:
            raise unknown("key", key, kinds, where)
    for key, kind in kinds.items():
        if key not in raw:
            raise UserError(
                f"{where} lacks the key {key!r}: write it anew with `partage plan --write`."
            )
        if not fits(raw[key], kind):
            raise UserError(f"{where}: {key!r} should be {expected(kind)}, but is {raw[key]!r}.")
    recipe = Recipe(**raw)
    _check(recipe, where)
    return recipe


def _check(recipe: Recipe, where: object) -> None:
    """Check what a type cannot say."""
    one_of("scale", recipe.scale, SCALES, where)
    one_of("engine", recipe.engine, ENGINES, where)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", recipe.task):
        raise UserError(f"{where}: a task is written family/name, but is {recipe.task!r}.")
    different = len(set(recipe.seeds)) == len(recipe.seeds)
    in_range = all(0 <= seed < LIMIT for seed in recipe.seeds)
    if not (recipe.seeds and different and in_range):
        raise UserError(
            f"{where}: seeds are different whole numbers from 0 on, below 2^63, but are {recipe.seeds}."
        )
    for name, least in (("steps", 1), ("log_every", 1), ("test_every", 0), ("test_episodes", 0)):
        value = getattr(recipe, name)
        if not least <= value < LIMIT:
            raise UserError(f"{where}: {name} is at least {least} and below 2^63, but is {value}.")
    refuse_reserved_options(recipe.options, where)
    if recipe.test_every and not recipe.test_episodes:
        raise UserError(
            f"{where}: test_every is {recipe.test_every}, so test_episodes must be at least 1, "
            f"but is 0."
        )


def packs(count: int, seeds_per_run: int) -> list[list[int]]:
    """Seeds 0..count-1 in consecutive packs: ``packs(5, 2)`` is [[0, 1], [2, 3], [4]]."""
    return [
        list(range(start, min(start + seeds_per_run, count)))
        for start in range(0, count, seeds_per_run)
    ]


def refuse_reserved_options(options: Iterable[str], where: object) -> None:
    """An option of an environment has a name that its `make` has not got already."""
    for name in options:
        if name in RESERVED:
            raise UserError(f"{where}: an option cannot be called {name!r}, which is said elsewhere (engine: --engine; "
                          f"seeds: tasks.toml; copies: a setting of the learner).")  # fmt: skip


def seeds_name(seeds: Sequence[int]) -> str:
    """A pack's folder: ``0`` or ``0-4``."""
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"


def results_root(results: Path, scale: str, engine: str) -> Path:
    """Where one scale and engine lies: engines never share a folder, so their results cannot meet."""
    return results / (scale if engine == ENGINES[0] else f"{scale}-{engine}")


def run_dir(root: Path, recipe: Recipe) -> Path:
    return root / "runs" / recipe.algorithm / recipe.task / seeds_name(recipe.seeds)


def write_recipes(root: Path, recipes: Iterable[Recipe]) -> list[Path]:
    """Write each recipe that differs from what lies there; the paths written. Times decide a rerun:
    untouched recipes keep theirs, and that of a finished run is made no newer than the outcome (a
    clone has them by chance)."""
    written = []
    for recipe in recipes:
        path, text = run_dir(root, recipe) / "recipe.json", recipe.text().encode()
        try:
            same = path.read_bytes() == text
        except OSError:
            same = False  # missing, or a parent is no folder: the write below says so
        if not same:
            _io.write(path, text)
            written.append(path)
        else:
            _settle(path, recipe)
    return written


def _settle(path: Path, recipe: Recipe) -> None:
    outcome = [path.with_name(name) for name in OUTCOME]
    try:
        made = min(each.stat().st_mtime_ns for each in outcome)
        if (
            made < path.stat().st_mtime_ns
            and json.loads(outcome[1].read_bytes())["recipe_hash"] == recipe.hash
        ):
            os.utime(path, ns=(made, made))
    except (OSError, ValueError, TypeError, KeyError):
        pass  # there is none yet, or whoever reads it says what is wrong with it
