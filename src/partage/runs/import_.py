"""Bring others' results into the layout of ours: sacred runs of EPyMARL and PyMARL, and CSV files.

They stand under a variant of algorithms.toml with ``learner = "imported"``: the plan knows them,
nothing trains them, and their label says "(imported)" in every figure. The record keeps where each
seed came from, the configuration it was made with, and the files' sha256. Results of another budget
or another number of seeds than the task gives everybody are refused: they would not be comparable.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from partage.config.recipe import IMPORTED, Recipe, run_dir, write_recipes
from partage.errors import UserError
from partage.runs import record, sacred
from partage.runs.sacred import UNCOUNTED, Guest, sha256

# EPyMARL's and PyMARL's names (src/utils/logging.py, src/runners): means over test episodes, and
# training's own
METRICS = {
    "test_return_mean": "test_return",
    "test_battle_won_mean": "test_score",
    "test_ep_length_mean": "test_length",
    "return_mean": "train_return",
}
WHOLE = 0.95  # of the budget: the last test of a run may come a little before its end
CSV_COLUMNS = ("seed", "env_steps", "metric", "value")  # and updates, where they are known


def bring(
    source: Path, recipes: Sequence[Recipe], root: Path, names: Sequence[str] = ()
) -> list[Path]:
    """Write the runs of `recipes` (one algorithm on one task) from `source`; return their folders.

    `names` are "theirs=ours", added to `METRICS`. Their seeds, in order, become 0, 1, ... Raises
    `UserError` for a variant that is ours, malformed files, runs that differ in more than their
    seed, another number of seeds or budget.
    """
    first = recipes[0]
    if first.learner != IMPORTED:
        raise UserError(
            f"{first.algorithm} is trained here (learner {first.learner!r}): imported results need "
            f'a variant of their own in algorithms.toml, with learner = "{IMPORTED}".'
        )
    metrics = METRICS | dict(_pair(name) for name in names)
    guests = sorted(_read(source), key=lambda guest: guest.seed)
    seeds: list[int] = []
    for recipe in recipes:
        seeds += recipe.seeds
    if len(guests) != len(seeds):
        raise UserError(
            f"{source} holds {len(guests)} runs, but {first.task} has {len(seeds)} seeds at scale "
            f"{first.scale}: bring as many, chosen before looking at their returns."
        )
    guest_of = dict(zip(seeds, guests, strict=True))
    curve_of = {seed: fit(guest, first, seed, metrics) for seed, guest in guest_of.items()}
    write_recipes(root, recipes)
    for recipe in recipes:
        curve = pd.concat([curve_of[seed] for seed in recipe.seeds], ignore_index=True)
        origins = {
            seed: {"seed": guest_of[seed].seed, **guest_of[seed].facts} for seed in recipe.seeds
        }
        record.write(run_dir(root, recipe), curve, _record(recipe, source, origins, metrics))
    return [run_dir(root, recipe) for recipe in recipes]


def _read(source: Path) -> list[Guest]:
    if source.is_file():
        return table(source)
    if source.is_dir():
        return sacred.read(source)
    raise UserError(
        f"There is no file or folder {source}: a CSV file or a folder of sacred runs is expected."
    )


def fit(guest: Guest, recipe: Recipe, seed: int, metrics: Mapping[str, str]) -> pd.DataFrame:
    """Return a guest's curve as one of our seeds: our metrics' names, within the budget.

    Raises `UserError` where it has none of the metrics, two values for one, or another budget.
    """
    curve = guest.curve.loc[guest.curve["metric"].isin(list(metrics))]
    if curve.empty:
        present = ", ".join(sorted(set(guest.curve["metric"]))) or "none"
        raise UserError(
            f"Seed {guest.seed} has none of the metrics {', '.join(metrics)}, but {present}: say "
            f"--metric theirs=ours."
        )
    theirs = set(curve["metric"])
    ours = {metrics[name] for name in theirs}
    if curve.duplicated(["env_steps", "metric"]).any() or len(ours) < len(theirs):
        raise UserError(
            f"Seed {guest.seed} has two values at one step, of {', '.join(sorted(theirs))}: each "
            f"of ours is one of theirs, once a step."
        )
    curve = curve.loc[(curve["env_steps"] >= 0) & (curve["env_steps"] <= recipe.steps)]
    last = max(curve["env_steps"], default=0)
    if last < WHOLE * recipe.steps:
        raise UserError(
            f"Seed {guest.seed} ends at {last:,} steps, but {recipe.task} gives everybody "
            f"{recipe.steps:,} at scale {recipe.scale}: results of different budgets do not meet "
            f"in a figure."
        )
    renamed = curve.assign(seed=seed, metric=[metrics[name] for name in curve["metric"]])
    return renamed.sort_values(["env_steps", "metric"], kind="stable")


def table(source: Path) -> list[Guest]:
    """Return the seeds of a CSV file with the columns seed, env_steps, metric and value.

    A column updates is read where there is one. Raises `UserError` where the file is malformed.
    """
    try:
        with source.open(encoding="utf-8", newline="") as file:
            points = [_point(line) for line in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(
            f"Could not read {source} ({error!r}): the columns {', '.join(CSV_COLUMNS)} are "
            f"expected."
        ) from error
    curve = pd.DataFrame(points, columns=list(record.COLUMNS))
    facts = {"file": str(source), "sha256": sha256(source)}
    return [
        Guest(int(seed), part, facts)  # type: ignore[arg-type]
        for seed, part in curve.groupby("seed")
    ]


def _point(line: Mapping[str, str]) -> tuple[int, int, int, str, float]:
    """Return a line of a CSV file as a point of a curve."""
    updates = int(line.get("updates") or UNCOUNTED)
    return int(line["seed"]), int(line["env_steps"]), updates, line["metric"], float(line["value"])


def _record(
    recipe: Recipe, source: Path, origins: dict[int, Any], metrics: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a record of ours says, as far as it is known, and where the run comes from."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "recipe": asdict(recipe),
        "recipe_hash": recipe.hash,
        "code": {"hash": None, "files": {}, "commit": None},
        "imported": {
            "source": str(source),
            "at": now,
            "metrics": dict(metrics),
            "seeds": origins,
        },
    }


def _pair(name: str) -> tuple[str, str]:
    """Return ``theirs=ours`` as two names."""
    theirs, equals, ours = name.partition("=")
    if not (theirs and equals and ours):
        raise UserError(
            f"--metric is written theirs=ours, as in test_return_mean=test_score, but is {name!r}."
        )
    return theirs, ours
