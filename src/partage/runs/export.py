"""Runs as one JSON file in the format that marl-eval reads.

See its README, "Data Structure for Raw Experiment data": environment -> task -> algorithm ->
``seed_<k>`` -> ``step_<i>`` {step_count, metric: [value]}, last ``absolute_metrics`` {metric: [one
per episode]}. A step's value is the mean of that test, which is what a curve holds. No
``elapsed_time`` is given: the same run has the same curve to the last bit, and a clock would not
agree.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from partage import _io
from partage.config.recipe import Recipe, options_of_root, run_dir
from partage.config.types import fits
from partage.errors import UserError
from partage.runs import record

Steps = dict[str, dict[str, Any]]
Seeds = dict[str, Steps]
Algorithms = dict[str, Seeds]
Tasks = dict[str, Algorithms]


def marl_eval(recipes: Sequence[Recipe], root: Path) -> tuple[dict[str, Tasks], list[str]]:
    """Return all finished runs of `recipes` below `root`, and remarks on what marl-eval will miss.

    Raises `UserError` where none is finished.
    """
    families: dict[str, Tasks] = {}
    unfinished: list[Path] = []
    without_absolute: list[Path] = []
    for recipe in recipes:
        place = run_dir(root, recipe)
        try:
            curve, _ = record.read(place, recipe)
        except UserError:
            unfinished.append(place)
            continue
        absolute = absolutes(place, recipe)
        if not absolute:
            without_absolute.append(place)
        family, _, task = recipe.task.partition("/")
        tasks = families.setdefault(family, {})
        seeds = tasks.setdefault(task, {}).setdefault(recipe.algorithm, {})
        for seed in recipe.seeds:
            content = steps(curve.loc[curve["seed"] == seed])
            content["absolute_metrics"] = absolute.get(seed, {})
            seeds[f"seed_{seed}"] = content
    if not families:
        raise UserError(
            f"No run of the plan is finished below {root}: see "
            f"`partage plan{options_of_root(root)}`, or name another with --root."
        )
    return families, list(_remarks(families, unfinished, without_absolute))


def steps(curve: pd.DataFrame) -> Steps:
    """Return one seed's tests in order, or, where there are none, its training returns."""
    of_tests = curve["metric"].str.startswith("test_")
    points = curve[of_tests if of_tests.any() else curve["metric"] == "train_return"]
    found: Steps = {}
    for i, (count, group) in enumerate(points.groupby("env_steps", sort=True)):
        values = dict(zip(group["metric"], group["value"], strict=True))
        if all(math.isfinite(value) for value in values.values()):
            as_lists = {metric: [value] for metric, value in values.items()}
            found[f"step_{i}"] = {"step_count": int(count), **as_lists}  # type: ignore[call-overload]
    return found


def absolutes(place: Path, recipe: Recipe) -> dict[int, dict[str, list[float]]]:
    """Return what `partage absolute` measured of a run: by seed, each episode's outcome.

    It is empty where nothing was measured. Raises `UserError` where the file is corrupt.
    """
    path, advice = place / "absolute.json", f"`partage absolute {place}` makes it anew."
    if not path.exists():
        return {}
    found = _io.read_json(path, advice)
    if found.get("recipe_hash") != recipe.hash:
        return {}
    seeds = found.get("seeds")
    if not isinstance(seeds, dict) or set(seeds) != set(map(str, recipe.seeds)):
        raise UserError(f"{path} is corrupt (its seeds are not the recipe's): {advice}")
    return {int(seed): _test_outcomes(each, path, advice) for seed, each in seeds.items()}


def _test_outcomes(found: Any, path: Path, advice: str) -> dict[str, list[float]]:
    """Return each outcome of one seed's episodes, which have to be lists of numbers."""
    values = found if isinstance(found, dict) else {}
    outcomes = {name: each for name, each in values.items() if name.startswith("test_")}
    for each in outcomes.values():
        if not isinstance(each, list) or not all(fits(value, float) for value in each):
            raise UserError(f"{path} is corrupt (an outcome is no list of numbers): {advice}")
    if not outcomes:
        raise UserError(f"{path} is corrupt (a seed has no outcomes): {advice}")
    return outcomes


def _remarks(
    families: dict[str, Tasks], unfinished: list[Path], without_absolute: list[Path]
) -> Iterator[str]:
    """Yield what marl-eval will miss, a sentence each."""
    if unfinished:
        yield (
            f"{len(unfinished)} runs of the plan are not finished and not in the file, the first "
            f"{unfinished[0]}"
        )
    if without_absolute:
        yield (
            f"{len(without_absolute)} runs have no absolute metric yet "
            f"(`partage absolute {without_absolute[0]}`), marl-eval wants one"
        )
    for family, tasks in families.items():
        for what in _disagreements(tasks):
            yield (
                f"{family}: tasks or runs differ in their {what}; marl-eval takes only sets of "
                f"runs that agree"
            )


def _disagreements(tasks: Tasks) -> Iterator[str]:
    """Yield in what the runs of a family differ: tests, seeds, algorithms."""
    tests: set[int] = set()
    seeds: set[int] = set()
    algorithms: set[frozenset[str]] = set()
    for by_algorithm in tasks.values():
        algorithms.add(frozenset(by_algorithm))
        for by_seed in by_algorithm.values():
            seeds.add(len(by_seed))
            tests.update(len(run) - 1 for run in by_seed.values())  # without absolute_metrics
    for what, found in (("tests", tests), ("seeds", seeds), ("algorithms", algorithms)):
        if len(found) > 1:
            yield what
