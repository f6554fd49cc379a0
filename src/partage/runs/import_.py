"""Others' results, brought into the layout of ours: sacred runs of EPyMARL and PyMARL, and curves
in CSV files.

They stand under a variant of algorithms.toml with ``learner = "imported"``: the plan knows them,
nothing trains them, and their label says "(imported)" wherever it is shown. The record keeps where
each seed came from, the configuration it was made with, and the files' sha256. Results of another
budget or another number of seeds than the task gives everybody are refused: they would not be
comparable.
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from partage.config.recipe import IMPORTED, Recipe, run_dir, write_recipes
from partage.errors import UserError
from partage.runs import record

# EPyMARL's and PyMARL's names (src/utils/logging.py, src/runners): means over test episodes, and
# training's own
METRICS = {
    "test_return_mean": "test_return",
    "test_battle_won_mean": "test_score",
    "test_ep_length_mean": "test_length",
    "return_mean": "train_return",
}
REACH = 0.95  # of the budget: the last test of a run may come a little before its end
UNCOUNTED = -1  # updates of a run that does not tell


class Guest(NamedTuple):
    """One seed of somebody else's."""

    seed: int  # theirs
    curve: pd.DataFrame  # the columns of a record, their metrics' names
    facts: dict[str, Any]  # where it comes from


def bring(
    source: Path, recipes: Sequence[Recipe], root: Path, names: Sequence[str] = ()
) -> list[Path]:
    """Write the runs of `recipes` (one algorithm on one task) from `source`; the folders written.

    `names` are "theirs=ours", added to `METRICS`. Their seeds, in order, become 0, 1, ... Raises
    `UserError` for a variant that is ours, malformed files, runs that differ in more than their
    seed, another number of seeds or budget.
    """
    first = recipes[0]
    if first.learner != IMPORTED:
        raise UserError(
            f"{first.algorithm} is trained here (learner {first.learner!r}): imported results need a variant of their "
            f'own in algorithms.toml, with learner = "{IMPORTED}".'
        )
    renamed = METRICS | dict(_pair(name) for name in names)
    if not source.exists():
        raise UserError(
            f"There is no file or folder {source}: a CSV file or a folder of sacred runs is expected."
        )
    guests = sorted(
        table(source) if source.is_file() else sacred(source), key=lambda guest: guest.seed
    )
    wanted = [seed for recipe in recipes for seed in recipe.seeds]
    if len(guests) != len(wanted):
        raise UserError(
            f"{source} holds {len(guests)} runs, but {first.task} has {len(wanted)} seeds at scale {first.scale}: "
            f"bring as many, chosen before looking at their returns."
        )
    ready = {
        seed: (guest, fit(guest, first, seed, renamed))
        for seed, guest in zip(wanted, guests, strict=True)
    }
    write_recipes(root, recipes)
    for recipe in recipes:
        curve = pd.concat([ready[seed][1] for seed in recipe.seeds], ignore_index=True)
        facts = {
            seed: {"seed": ready[seed][0].seed, **ready[seed][0].facts} for seed in recipe.seeds
        }
        record.write(run_dir(root, recipe), curve, _record(recipe, source, facts, renamed))
    return [run_dir(root, recipe) for recipe in recipes]


def fit(guest: Guest, recipe: Recipe, seed: int, names: Mapping[str, str]) -> pd.DataFrame:
    """A guest's curve as one of our seeds: our metrics' names, within the budget."""
    curve = guest.curve.loc[guest.curve["metric"].isin(list(names))]
    if curve.empty:
        has = ", ".join(sorted(set(guest.curve["metric"]))) or "none"
        raise UserError(
            f"Seed {guest.seed} has none of the metrics {', '.join(names)}, but {has}: say --metric theirs=ours."
        )
    doubled = curve[curve.duplicated(["env_steps", "metric"])]
    theirs = set(curve["metric"])
    if not doubled.empty or len({names[name] for name in theirs}) < len(theirs):
        raise UserError(
            f"Seed {guest.seed} has two values at one step, of {', '.join(sorted(theirs))}: each of ours is "
            f"one of theirs, once a step."
        )
    within = curve.loc[(curve["env_steps"] >= 0) & (curve["env_steps"] <= recipe.steps)]
    reached = max(within["env_steps"], default=0)
    if reached < REACH * recipe.steps:
        raise UserError(
            f"Seed {guest.seed} ends at {reached:,} steps, but {recipe.task} gives everybody {recipe.steps:,} at scale "
            f"{recipe.scale}: results of different budgets do not meet in a figure."
        )
    ours = within.assign(seed=seed, metric=[names[name] for name in within["metric"]])
    return ours.sort_values(["env_steps", "metric"], kind="stable")


def sacred(source: Path) -> list[Guest]:
    """Each folder at or below `source` with a ``config.json`` and a ``metrics.json`` or
    ``info.json`` is one run.
    """
    folders = sorted(path.parent for path in source.rglob("config.json"))
    if not folders:
        raise UserError(
            f"{source} holds no sacred run: a folder with config.json and metrics.json or info.json is expected."
        )
    configs = [_json(folder / "config.json") for folder in folders]
    common = [_common(config) for config in configs]
    for folder, config in zip(folders, common, strict=True):
        for key in sorted(config.keys() | common[0].keys()):
            if config.get(key) != common[0].get(key):
                raise UserError(
                    f"{folder} and {folders[0]} are not runs of one experiment: {key} is {config.get(key)!r} in one "
                    f"and {common[0].get(key)!r} in the other. Import them as two variants."
                )
    made = [_sacred_run(folder, config) for folder, config in zip(folders, configs, strict=True)]
    if len({guest.seed for guest in made}) < len(made):
        raise UserError(
            f"Two runs in {source} have the same seed: the seeds are {[guest.seed for guest in made]}."
        )
    return made


def _common(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what differs between seeds of one experiment."""
    of_env = config.get("env_args")
    own = (
        {"env_args": {key: x for key, x in of_env.items() if key != "seed"}}
        if isinstance(of_env, dict)
        else {}
    )
    return {
        key: value
        for key, value in (config | own).items()
        if key not in ("seed", "unique_token", "save_path")
    }


def _sacred_run(folder: Path, config: dict[str, Any]) -> Guest:
    seed = config.get("seed")
    if type(seed) is not int:
        raise UserError(
            f"{folder}/config.json should have a whole number as its seed, but it is {seed!r}."
        )
    file = folder / "metrics.json"
    if file.is_file():
        series = {
            name: (each.get("steps"), each.get("values"))
            if isinstance(each, dict)
            else (None, None)
            for name, each in _json(file).items()
        }
    else:
        file = folder / "info.json"
        info = _json(file)
        series = {
            name: (info[f"{name}_T"], values)
            for name, values in info.items()
            if f"{name}_T" in info
        }
    rows = [
        row
        for name, (steps, values) in series.items()
        for row in _rows(seed, name, steps, values, file)
    ]
    if not rows:
        raise UserError(f"{file} holds no measured values.")
    run = _json(folder / "run.json") if (folder / "run.json").is_file() else {}
    facts = {
        "file": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "config": config,
        "run": {
            key: run[key]
            for key in ("status", "start_time", "stop_time", "host", "experiment")
            if key in run
        },
    }
    return Guest(seed, pd.DataFrame(rows, columns=list(record.COLUMNS)), facts)


def _rows(seed: int, name: str, steps: Any, values: Any, file: Path):
    if not isinstance(steps, list) or not isinstance(values, list) or len(steps) != len(values):
        raise UserError(f"{file}: {name!r} should have as many steps as values, each a list.")
    for step, value in zip(steps, values, strict=True):
        number = (
            value.get("value") if isinstance(value, dict) else value
        )  # jsonpickle's way to write a numpy number
        if type(step) is not int or isinstance(number, bool) or not isinstance(number, int | float):
            raise UserError(
                f"{file}: {name!r} should have whole steps and numbers, but has {step!r} and {value!r}."
            )
        yield seed, step, UNCOUNTED, name, float(number)


def table(source: Path) -> list[Guest]:
    """A CSV file with the columns seed, env_steps, metric, value, and updates where they are known."""
    needed = ("seed", "env_steps", "metric", "value")
    try:
        with source.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        rows = [
            (
                int(x["seed"]),
                int(x["env_steps"]),
                int(x.get("updates") or UNCOUNTED),
                x["metric"],
                float(x["value"]),
            )
            for x in lines
        ]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"Could not read {source} ({error!r}): the columns {', '.join(needed)} are expected."
        ) from error
    curve = pd.DataFrame(rows, columns=list(record.COLUMNS))
    facts = {"file": str(source), "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    return [Guest(int(seed), part, facts) for seed, part in curve.groupby("seed")]  # type: ignore[arg-type]


def _record(
    recipe: Recipe, source: Path, facts: dict[int, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    """What a record of ours says, as far as it is known, and where it comes from."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "recipe": asdict(recipe),
        "recipe_hash": recipe.hash,
        "code": {"hash": None, "files": {}, "commit": None},
        "imported": {"source": str(source), "at": now, "metrics": dict(names), "seeds": facts},
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"Could not read {path} ({error}): a run that sacred's FileStorageObserver wrote is expected."
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path} should hold an object, but holds {type(found).__name__}.")
    return found


def _pair(name: str) -> tuple[str, str]:
    theirs, equals, ours = name.partition("=")
    if not (theirs and equals and ours):
        raise UserError(
            f"--metric is written theirs=ours, as in test_return_mean=test_score, but is {name!r}."
        )
    return theirs, ours
