"""Runs as one JSON file in the format that marl-eval reads (its README, "Data Structure for Raw
Experiment data").

environment -> task -> algorithm -> ``seed_<k>`` -> ``step_<i>`` {step_count, metric: [value]}, last
``absolute_metrics`` {metric: [one per episode]}. A step's value is the mean of that test, which is
what a curve holds. No ``elapsed_time`` is given: the same run has the same curve to the last bit,
and a clock would not agree.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from partage.config.recipe import Recipe, options_of_root, run_dir
from partage.errors import UserError
from partage.runs import record

Steps = dict[str, dict[str, Any]]


def marl_eval(recipes: Sequence[Recipe], root: Path) -> tuple[dict[str, Any], list[str]]:
    """All finished runs of `recipes` below `root`, and remarks on what marl-eval will miss.

    Raises `UserError` where none is finished.
    """
    made: dict[str, Any] = {}
    lacking, without = [], []
    for recipe in recipes:
        place = run_dir(root, recipe)
        try:
            curve = record.read(place, recipe)[0]
        except UserError:
            lacking.append(place)
            continue
        worth = absolutes(place, recipe)
        without += [] if worth else [place]
        family, _, task = recipe.task.partition("/")
        runs = made.setdefault(family, {}).setdefault(task, {}).setdefault(recipe.algorithm, {})
        for seed in recipe.seeds:
            runs[f"seed_{seed}"] = {
                **steps(curve.loc[curve["seed"] == seed]),
                "absolute_metrics": worth.get(seed, {}),
            }
    if not made:
        raise UserError(
            f"No run of the plan is finished below {root}: see "
            f"`partage plan{options_of_root(root)}`, or name another with --root."
        )
    return made, list(_remarks(made, lacking, without))


def steps(curve: pd.DataFrame) -> Steps:
    """One seed's tests in order, or, where there are none, its training returns."""
    named = curve["metric"].str.startswith("test_")
    rows = curve[named if named.any() else curve["metric"] == "train_return"]
    found: Steps = {}
    for i, (count, group) in enumerate(rows.groupby("env_steps", sort=True)):
        values = {
            metric: [value] for metric, value in zip(group["metric"], group["value"], strict=True)
        }
        if all(math.isfinite(value) for (value,) in values.values()):
            found[f"step_{i}"] = {"step_count": int(count), **values}  # type: ignore[call-overload]
    return found


def absolutes(place: Path, recipe: Recipe) -> dict[int, dict[str, list[float]]]:
    """What `partage absolute` measured of a run: by seed, each episode's outcome; nothing where it
    is not there.
    """
    try:
        found = json.loads((place / "absolute.json").read_text(encoding="utf-8"))
        if found["recipe_hash"] != recipe.hash:
            return {}
        return {
            int(seed): {name: values for name, values in each.items() if name.startswith("test_")}
            for seed, each in found["seeds"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{place}/absolute.json is corrupt ({error!r}): `partage absolute {place}` makes it anew."
        ) from error


def _remarks(made: dict[str, Any], lacking: list[Path], without: list[Path]):
    if lacking:
        yield f"{len(lacking)} runs of the plan are not finished and not in the file, the first {lacking[0]}"
    if without:
        yield f"{len(without)} runs have no absolute metric yet (`partage absolute {without[0]}`), marl-eval wants one"
    for family, tasks in made.items():
        runs = [
            run
            for by_name in tasks.values()
            for by_seed in by_name.values()
            for run in by_seed.values()
        ]
        for what, counts in (
            ("tests", {len(run) - 1 for run in runs}),
            ("seeds", {len(by_seed) for by_name in tasks.values() for by_seed in by_name.values()}),
            ("algorithms", {frozenset(by_name) for by_name in tasks.values()}),
        ):
            if len(counts) > 1:
                yield f"{family}: tasks or runs differ in their {what}; marl-eval takes only sets of runs that agree"
