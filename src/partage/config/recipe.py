"""A recipe: one run's only input, as JSON; and where a run lies (standard library only)."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from partage import _io
from partage.config.names import check_custom_name, check_name, check_task
from partage.config.types import Scalar, expected, fits
from partage.errors import LIMIT, UserError, at_most, one_of, unknown

SCHEMA = 1  # raised when a key is added, removed or changes its meaning
SCALES = ("smoke", "lab", "paper")
ENGINES = ("batched", "package")
DEFAULTS = {"scale": SCALES[0], "engine": ENGINES[0], "results": "results"}  # if nothing is said
OUTCOME = ("curve.parquet", "record.json")  # what a finished run leaves beside its recipe
RESERVED = ("name", "task", "seeds", "copies", "engine")  # what `envs.make` takes besides options
LONGEST_NAME = 100  # letters of a folder that is named after values
MOST_SEEDS, WHY_SEEDS = 1_000, "each is trained, and those of a run side by side"
MOST_EPISODES, WHY_EPISODES = 10_000, "those of a test are played side by side"
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
        """Return the recipe as it is written: equal recipes are equal texts."""
        values = dataclasses.asdict(self)
        return json.dumps(values, sort_keys=True, indent=2, allow_nan=False) + "\n"

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the recipe as it is written."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    @property
    def family(self) -> str:
        """Return the task's family of environments."""
        return self.task.partition("/")[0]

    @staticmethod
    def load(path: Path) -> "Recipe":
        """Return the recipe in a file.

        Raises `UserError` where it is missing, corrupt or of another schema version.
        """
        raw = _io.read_json(path, f"write it anew with {_planning(path)}.")
        return parse(raw, path)


def _planning(where: object) -> str:
    """Return the command that writes a recipe where it lies, as advice."""
    options = options_of_root(root_of(where)) if isinstance(where, Path) else ""
    return f"`partage plan --write{options}`"


def parse(raw: Any, where: object) -> Recipe:
    """Return a recipe from decoded JSON. Raises `UserError` for what does not belong in one."""
    if not isinstance(raw, dict) or "schema" not in raw:
        raise UserError(f"{where} is not a recipe: an object with the key 'schema' is expected.")
    if raw["schema"] != SCHEMA or isinstance(raw["schema"], bool):
        raise UserError(
            f"{where} has recipe schema {raw['schema']!r}, but this version of partage reads "
            f"{SCHEMA}: write it anew with {_planning(where)}."
        )
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Recipe)}
    for key in raw:
        if key not in kinds:
            raise unknown("key", key, kinds, where)
    for key, kind in kinds.items():
        if key not in raw:
            raise UserError(
                f"{where} lacks the key {key!r}: write it anew with {_planning(where)}."
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
    check_task(recipe.task, where)
    check_custom_name(recipe.algorithm, where)
    check_name("a learner's name", recipe.learner, where)
    at_most(f"{where}: the number of seeds", len(recipe.seeds), MOST_SEEDS, WHY_SEEDS)
    different = len(set(recipe.seeds)) == len(recipe.seeds)
    in_range = all(0 <= seed < LIMIT for seed in recipe.seeds)
    if not (recipe.seeds and different and in_range):
        raise UserError(
            f"{where}: seeds are different whole numbers from 0 on, below 2^63, "
            f"but are {recipe.seeds}."
        )
    for name, least in (("steps", 1), ("log_every", 1), ("test_every", 0), ("test_episodes", 0)):
        value = getattr(recipe, name)
        if not least <= value < LIMIT:
            raise UserError(f"{where}: {name} is at least {least} and below 2^63, but is {value}.")
    at_most(f"{where}: test_episodes", recipe.test_episodes, MOST_EPISODES, WHY_EPISODES)
    refuse_reserved_options(recipe.options, where)
    if recipe.test_every and not recipe.test_episodes:
        raise UserError(
            f"{where}: test_every is {recipe.test_every}, so test_episodes must be at least 1, "
            f"but is 0."
        )


def packs(count: int, seeds_per_run: int) -> list[list[int]]:
    """Return seeds 0..count-1 in consecutive packs.

    >>> packs(5, 2)
    [[0, 1], [2, 3], [4]]
    """
    seeds = list(range(count))
    return [seeds[start : start + seeds_per_run] for start in range(0, count, seeds_per_run)]


def refuse_reserved_options(options: Iterable[str], where: object) -> None:
    """Raise `UserError` for an option of an environment that its `make` has got already."""
    for name in options:
        if name in RESERVED:
            raise UserError(
                f"{where}: an option cannot be called {name!r}, which is said elsewhere "
                f"(engine: --engine; seeds: tasks.toml; copies: a setting of the learner)."
            )


def seeds_name(seeds: Sequence[int]) -> str:
    """Return the name of a pack's folder: ``0``, ``0-4``, and ``0+3+7`` where seeds are left out.

    >>> seeds_name([0, 1, 2]), seeds_name([0, 3, 7])
    ('0-2', '0+3+7')
    """
    if len(seeds) == 1:
        return str(seeds[0])
    if list(seeds) == [seeds[0] + k for k in range(len(seeds))]:
        return f"{seeds[0]}-{seeds[-1]}"
    every_one = "+".join(str(seed) for seed in seeds)
    if len(every_one) > LONGEST_NAME:
        return f"seeds={hashlib.sha256(every_one.encode()).hexdigest()[:12]}"
    return every_one


def results_root(results: Path, scale: str, engine: str) -> Path:
    """Return the folder of one scale and engine: apart, so that their results cannot meet."""
    return results / (scale if engine == ENGINES[0] else f"{scale}-{engine}")


def run_dir(root: Path, recipe: Recipe) -> Path:
    """Return a run's folder below that of its scale and engine."""
    return root / "runs" / recipe.algorithm / recipe.task / seeds_name(recipe.seeds)


def root_of(place: Path) -> Path:
    """Return the folder of scale and engine that a run, or a file of a run, lies in.

    >>> root_of(Path("results/lab/runs/nps/mpe/15a_3c/0-2")).as_posix()
    'results/lab'
    """
    for folder in place.parents:
        if folder.name == "runs":
            return folder.parent
    return place


def options_of_root(root: Path) -> str:
    """Return the options that ask for one folder of scale and engine; "" for any other folder.

    Advice repeats them, so that what it says is right where it is said.

    >>> options_of_root(Path("tried/lab-package"))
    ' --scale lab --engine package --results tried'
    """
    scale, _, engine = root.name.partition("-")
    if scale not in SCALES or engine not in ("", *ENGINES):
        return ""
    return options(scale, engine or ENGINES[0], root.parent.as_posix())


def options(scale: str, engine: str, results: str) -> str:
    """Return the options of the command line that ask for this, those by default left out.

    >>> options("paper", "batched", "results")
    ' --scale paper'
    """
    given = {"scale": scale, "engine": engine, "results": results}
    return "".join(f" --{key} {value}" for key, value in given.items() if value != DEFAULTS[key])


def write_recipes(root: Path, recipes: Iterable[Recipe]) -> list[Path]:
    """Write each recipe that differs from what lies there, and return the paths written.

    What is trained does not hang on it: a run is made when its record is of the recipe wanted
    (`partage.config.outcomes.is_made`).
    """
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
    return written


def refuse_no_folder(root: Path) -> None:
    """Raise `UserError` where results cannot lie at `root`, since it is, or lies in, a file."""
    there = next((place for place in (root, *root.parents) if place.exists()), root)
    if there.exists() and not there.is_dir():
        raise UserError(
            f"Results cannot lie in {root} (Not a directory: {there} is a file): name another "
            "folder with --results."
        )
