"""Runs as one JSON file in the format that marl-eval reads.

See its README, "Data Structure for Raw Experiment data": environment -> task -> algorithm ->
``seed_<k>`` -> ``step_<i>`` {step_count, metric: [value]}, last ``absolute_metrics`` {metric: [one
per episode]}. A step's value is the mean of that test, which is what a curve holds. No
``elapsed_time`` is given: the same run has the same curve to the last bit, and a clock would not
agree.

marl-eval refuses a run without absolute metrics, and metrics that not all steps and runs have.
Where a run of a family has no absolute metric (never tested, not measured yet, or of others), each
metric of that family stands twice: as it is, and, under a name that says so (`label`), as the mean
of the last 15 % of the steps so far, which at the end is the final performance. The run's
``absolute_metrics`` are then that mean.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from partage import _io
from partage.config.recipe import Recipe, options_of_root, run_dir
from partage.config.types import fits
from partage.errors import UserError
from partage.runs import record
from partage.runs.finals import FINAL_SHARE, final

Steps = dict[str, dict[str, Any]]
Seeds = dict[str, Steps]
Algorithms = dict[str, Seeds]
Tasks = dict[str, Algorithms]
Absolute = dict[int, dict[str, list[float]]]


class Finished(NamedTuple):
    """A finished run, and what `partage absolute` measured of it."""

    recipe: Recipe
    place: Path
    curve: pd.DataFrame
    absolute: Absolute  # of all its seeds, or empty

    @property
    def family(self) -> str:
        """The family of its task, marl-eval's environment."""
        return self.recipe.task.partition("/")[0]


def marl_eval(recipes: Sequence[Recipe], root: Path) -> tuple[dict[str, Tasks], list[str]]:
    """Return all finished runs of `recipes` below `root`, and remarks on what to know of them.

    Raises `UserError` where none is finished.
    """
    finished: list[Finished] = []
    unfinished: list[Path] = []
    for recipe in recipes:
        place = run_dir(root, recipe)
        try:
            curve, _ = record.read(place, recipe)
        except UserError:
            unfinished.append(place)
            continue
        finished.append(Finished(recipe, place, curve, absolutes(place, recipe)))
    if not finished:
        raise UserError(
            f"No run of the plan is finished below {root}: see "
            f"`partage plan{options_of_root(root)}`, or name another with --root."
        )
    by_final = {run.family for run in finished if not run.absolute}
    families: dict[str, Tasks] = {}
    for run in finished:
        tasks = families.setdefault(run.family, {})
        task = run.recipe.task.partition("/")[2]
        seeds = tasks.setdefault(task, {}).setdefault(run.recipe.algorithm, {})
        for seed in run.recipe.seeds:
            seeds[f"seed_{seed}"] = _seed(run, seed, run.family in by_final)
    return families, list(_remarks(families, unfinished, finished))


def _seed(run: Finished, seed: int, with_final: bool) -> Steps:
    """Return what marl-eval reads of one seed; `with_final` with the means of the end, too."""
    content = steps(run.curve.loc[run.curve["seed"] == seed])
    absolute: dict[str, Any] = run.absolute.get(seed, {})
    if with_final:
        finals = _add_finals(content)
        labelled = {label(metric): [value] for metric, value in finals.items()}
        plain = absolute or {metric: [value] for metric, value in finals.items()}
        absolute = plain | labelled
    content["absolute_metrics"] = absolute
    return content


def steps(curve: pd.DataFrame) -> Steps:
    """Return one seed's tests in order, or, where there are none, its training returns."""
    of_tests = curve["metric"].str.startswith("test_")
    points = curve[of_tests if of_tests.any() else curve["metric"] == "train_return"]
    found: Steps = {}
    for count, group in points.groupby("env_steps", sort=True):
        values = dict(zip(group["metric"], group["value"], strict=True))
        if all(math.isfinite(value) for value in values.values()):
            as_lists = {metric: [value] for metric, value in values.items()}
            step = {"step_count": int(count), **as_lists}  # type: ignore[call-overload]
            found[f"step_{len(found)}"] = step
    return found


def label(metric: str) -> str:
    """Return the name of a metric's mean over the end.

    >>> label("train_return")
    'train_return_mean_of_last_15_percent'
    """
    return f"{metric}_mean_of_last_{FINAL_SHARE * 100:.0f}_percent"


def _add_finals(content: Steps) -> dict[str, float]:
    """Add to each step the mean of the end so far, of each metric; return those of the last."""
    series: dict[str, list[tuple[int, float]]] = {}
    finals: dict[str, float] = {}
    for step in content.values():
        for metric in [name for name in step if name != "step_count"]:
            points = series.setdefault(metric, [])
            points.append((step["step_count"], step[metric][0]))
            x, y = np.array(points, float).T
            finals[metric] = final(x, y)
            step[label(metric)] = [finals[metric]]
    return finals


def absolutes(place: Path, recipe: Recipe) -> Absolute:
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
    families: dict[str, Tasks], unfinished: list[Path], finished: list[Finished]
) -> Iterator[str]:
    """Yield what is missing or stands for something else, a sentence each."""
    if unfinished:
        yield (
            f"{len(unfinished)} runs of the plan are not finished and not in the file, the first "
            f"{unfinished[0]}"
        )
    stand_in = f"it is the mean of the last {FINAL_SHARE:.0%} instead, as ..{label('')}"
    without = [run.place for run in finished if not run.absolute]
    measurable = [place for place in without if (place / "best.pt").is_file()]
    never = [place for place in without if place not in measurable]
    if measurable:
        yield (
            f"{len(measurable)} runs have no absolute metric yet "
            f"(`partage absolute {measurable[0]}` measures it): {stand_in}"
        )
    if never:
        yield (
            f"{len(never)} runs have no absolute metric, as no policy of a best test is kept of "
            f"them, the first {never[0]}: {stand_in}"
        )
    for family, tasks in families.items():
        for what in _disagreements(tasks):
            yield (
                f"{family}: tasks or runs differ in their {what}; marl-eval takes only sets of "
                f"runs that agree"
            )


def _disagreements(tasks: Tasks) -> Iterator[str]:
    """Yield in what the runs of a family differ: tests, seeds, algorithms, metrics."""
    tests: set[int] = set()
    seeds: set[int] = set()
    algorithms: set[frozenset[str]] = set()
    metrics: set[frozenset[str]] = set()
    for by_algorithm in tasks.values():
        algorithms.add(frozenset(by_algorithm))
        for by_seed in by_algorithm.values():
            seeds.add(len(by_seed))
            for run in by_seed.values():
                tests.add(len(run) - 1)  # without absolute_metrics
                metrics.update(frozenset(step) - {"step_count"} for step in run.values())
    kinds = {"tests": tests, "seeds": seeds, "algorithms": algorithms, "metrics": metrics}
    for what, found in kinds.items():
        if len(found) > 1:
            yield what
