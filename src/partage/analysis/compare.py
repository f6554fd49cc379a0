"""The suite's statistics on any runs: final values, their intervals, who is probably better.

A run's final value is its mean over the last 15 % of training (`partage.analysis.series`).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from partage.analysis import series, stats
from partage.config.recipe import Recipe
from partage.errors import UserError, at_least, one_of

NEEDED = ("algorithm", "task", "seed", "env_steps", "metric", "value")
EQUAL = ("scale", "engine")  # what all runs of one comparison have in common
POOLED = "all tasks"


@runtime_checkable
class FinishedRun(Protocol):
    """What is asked of a run: a `partage.Run` has it."""

    folder: Path
    recipe: Recipe
    curve: pd.DataFrame  # columns seed, env_steps, updates, metric, value


Finals = dict[str, np.ndarray]  # algorithm -> the final value of each seed [n]
Seeds = dict[str, tuple[int, ...]]  # algorithm -> the seeds of its values, in order
Strata = Mapping[str, list[np.ndarray]]  # algorithm -> those of each task


def compare(
    runs: Iterable[FinishedRun] | pd.DataFrame,
    metric: str = "test_return",
    baseline: str | None = None,
    x: str = "env_steps",
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row for each algorithm on each task: how well it ends, and whether it is better.

    `runs` are Run objects, or a frame of anybody's curves with the columns algorithm, task, seed,
    env_steps, metric and value. Columns: task, algorithm, seeds; mean and iqm of the final values
    over seeds, each with its 95 % bootstrap interval (``mean_low``, ``mean_high``, ...); and
    ``improvement``, the probability that a run of this algorithm ends above one of the `baseline`
    (the first algorithm if none is named), with its interval. With several tasks a last row for
    each algorithm that is on all of them has the same of returns that are min-max normalised per
    task. Intervals are NaN for one seed. `x` is env_steps or updates, `seed` draws the bootstrap.

    Raises `UserError` for a metric or a baseline that is not there, the same seed twice, or runs of
    different scales, engines or budgets.
    """
    one_of("x axis", x, ("env_steps", "updates"))
    at_least("seed", seed, 0)
    curves = runs if isinstance(runs, pd.DataFrame) else _curves(list(runs))
    rows = _rows_of(curves, metric, x)
    finals, seeds = _finals(rows, x)
    algorithms = list(dict.fromkeys(rows["algorithm"]))
    against = algorithms[0] if baseline is None else baseline
    one_of("baseline", against, algorithms)
    found = []
    for task, values in finals.items():
        alone = {name: [each] for name, each in values.items()}
        found += [_row(task, name, alone, against, seed, [seeds[task]]) for name in values]
    if len(finals) > 1:
        pooled = stats.pooled(list(finals.values()))
        everywhere = [name for name in algorithms if len(pooled[name]) == len(finals)]
        found += [
            _row(POOLED, name, pooled, against, seed, [*seeds.values()]) for name in everywhere
        ]
    return pd.DataFrame(found)


def _curves(runs: list[FinishedRun]) -> pd.DataFrame:
    """Return the runs' curves in one frame."""
    if not runs:
        raise UserError("There is nothing to compare: give at least one run.")
    parts, budgets = [], {}
    first = runs[0]
    for run in runs:
        recipe = run.recipe
        for name in EQUAL:
            if getattr(recipe, name) != getattr(first.recipe, name):
                raise UserError(
                    f"Runs of different scales or engines do not compare: {first.folder} has "
                    f"{name} {getattr(first.recipe, name)!r}, {run.folder} has "
                    f"{getattr(recipe, name)!r}."
                )
        steps = budgets.setdefault(recipe.task, recipe.steps)
        if recipe.steps != steps:
            raise UserError(
                f"Runs of different budgets do not compare: on {recipe.task} one has {steps:,} "
                f"steps, {run.folder} has {recipe.steps:,}."
            )
        parts.append(run.curve.assign(algorithm=recipe.algorithm, task=recipe.task))
    return pd.concat(parts, ignore_index=True)


def _rows_of(curves: pd.DataFrame, metric: str, x: str) -> pd.DataFrame:
    """Return the metric's rows, checked."""
    needed = dict.fromkeys([*NEEDED, x])
    missing = [name for name in needed if name not in curves.columns]
    if missing:
        raise UserError(
            f"Curves have the columns {', '.join(needed)}, but {', '.join(missing)} is missing: "
            f"there are {', '.join(map(str, curves.columns)) or 'none'}."
        )
    metrics = sorted({name for name in curves["metric"].astype(str) if name.count("/") < 2})
    one_of("metric", metric, metrics)
    rows = curves.loc[curves["metric"] == metric]
    for algorithm, task in _pairs(curves):
        if (algorithm, task) not in _pairs(rows):
            raise UserError(f"{algorithm} on {task} was not measured by {metric!r}.")
    twice = rows[rows.duplicated(["algorithm", "task", "seed", "env_steps"])]
    if not twice.empty:
        one = twice.iloc[0]
        raise UserError(
            f"Seed {one['seed']} of {one['algorithm']} on {one['task']} is there twice: give each "
            f"seed once."
        )
    return rows


def _pairs(curves: pd.DataFrame) -> dict[tuple[str, str], None]:
    """Return each (algorithm, task) once, in the order in which they come."""
    return dict.fromkeys(zip(curves["algorithm"], curves["task"], strict=True))


def _finals(rows: pd.DataFrame, x: str) -> tuple[dict[str, Finals], dict[str, Seeds]]:
    """Return per task and algorithm the final value of every seed, and which seeds these are."""
    found: dict[str, Finals] = {}
    seeds: dict[str, Seeds] = {}
    for algorithm, task in _pairs(rows):
        mine = rows.loc[(rows["algorithm"] == algorithm) & (rows["task"] == task)]
        values = {}
        for seed, curve in mine.sort_values([x], kind="stable").groupby("seed"):
            y = curve["value"].to_numpy(float)
            values[seed] = series.final(curve[x].to_numpy(float), y)
        found[task] = {**found.get(task, {}), algorithm: np.array(list(values.values()))}
        seeds[task] = {**seeds.get(task, {}), algorithm: tuple(values)}
    return found, seeds


def _row(
    task: str, algorithm: str, scores: Strata, baseline: str, seed: int, seeds: list[Seeds]
) -> dict[str, Any]:
    """Return one algorithm's numbers on one task, or over several of them.

    A seed's runs on several tasks are drawn together, for its networks are the same.
    """
    mine = scores[algorithm]
    together = np.concatenate(mine)
    row: dict[str, Any] = {"task": task, "algorithm": algorithm, "seeds": min(map(len, mine))}
    for name in ("mean", "iqm"):
        statistic = stats.MIDDLES[name]
        generator = stats.named_generator(str(seed), task, algorithm, name)
        names = [each[algorithm] for each in seeds]
        interval = stats.interval(mine, generator, statistic, seeds=names)
        row |= _with_interval(name, float(statistic(together)), interval)
    improvement, interval = np.nan, (np.nan, np.nan)
    theirs = scores.get(baseline, [])
    if algorithm != baseline and len(theirs) == len(mine):
        improvement = float(stats.improvement(mine, theirs))
        generator = stats.named_generator(str(seed), task, algorithm, baseline)
        names = ([each[algorithm] for each in seeds], [each[baseline] for each in seeds])
        interval = stats.improvement_interval(mine, theirs, generator, seeds=names)
    return row | {"baseline": baseline} | _with_interval("improvement", improvement, interval)


def _with_interval(name: str, value: float, interval: tuple[float, float]) -> dict[str, float]:
    """Return a number and its interval, by the names of their columns."""
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}
