"""Methods side by side over many tasks, and over those that are alike in a fact."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from partage.analysis import sharing, stats, table
from partage.analysis.finals import final_scores
from partage.analysis.sets_in_use import NO_POLICY
from partage.analysis.stats import named_generator
from partage.analysis.table import Table
from partage.config.plan import Figure, Plan

ALL = "all tasks"
Strata = Mapping[str, Sequence[np.ndarray]]  # algorithm -> normalised finals, one [n] a task


class Standing(NamedTuple):
    """How one method stands on some of the tasks, and what it takes there."""

    group: str  # `ALL`, or a fact and its value
    algorithm: str  # the variant's name
    label: str
    tasks: int
    seeds: int  # the fewest of any task
    iqm: float  # of min-max normalised final values
    iqm_low: float
    iqm_high: float
    improvement: float  # P(a run of it ends above one of the first method); NaN of that itself
    improvement_low: float
    improvement_high: float
    parameters: float  # what a run trains, mean over tasks; NaN: not known
    multiply_adds: float  # a row, likewise
    cpu_seconds: float  # of a seed, likewise
    degree: float  # of sharing at the end, mean over the policy's blocks, seeds and tasks
    sets: float  # effective ones, likewise


def build(plan: Plan, arena: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each method on all tasks, and on those of each value of each fact.

    Returns are normalised on each task over all its runs. A method that is not drawn on all tasks
    of a group has no row there.
    """
    scores = final_scores(arena, frame, arena.metric)
    rows: list[Standing] = []
    for group, tasks in groups(plan, arena).items():
        of_group = [scores[arena.tasks.index(task)] for task in tasks]
        everywhere = {
            name: strata
            for name, strata in stats.pooled(of_group).items()
            if len(strata) == len(tasks)
        }
        rows += _standings(plan, arena, frame, group, tasks, everywhere)
    return pd.DataFrame(rows, columns=list(Standing._fields))


def groups(plan: Plan, arena: Figure) -> dict[str, list[str]]:
    """Return the tasks of each group: all, then those of each value of each fact, numbers in order.

    A fact that sorts no tasks apart, as at smoke scale, makes no groups.
    """
    found = {ALL: list(arena.tasks)}
    for fact in arena.by:
        known = {t: plan.tasks[t].facts[fact] for t in arena.tasks if fact in plan.tasks[t].facts}
        values = list(dict.fromkeys(known.values()))
        if not any(isinstance(value, str) for value in values):
            values.sort()
        for value in values if len(values) > 1 else []:
            found[f"{fact}: {value}"] = [task for task in known if known[task] == value]
    return found


def _standings(
    plan: Plan,
    arena: Figure,
    frame: pd.DataFrame,
    group: str,
    tasks: Sequence[str],
    strata: Strata,
) -> Iterator[Standing]:
    first = arena.algorithms[0]
    for name, mine in strata.items():
        seeds = stats.same_seeds(mine)
        generator = named_generator(arena.name, group, name, "iqm")
        low, high = stats.interval(mine, generator, stats.iqm, seeds=seeds)
        better, better_low, better_high = np.nan, np.nan, np.nan
        if name != first and first in strata:
            theirs = strata[first]
            better = float(stats.improvement(mine, theirs))
            generator = named_generator(arena.name, group, name, "improvement")
            names = seeds, stats.same_seeds(theirs)
            better_low, better_high = stats.improvement_interval(
                mine, theirs, generator, seeds=names
            )
        yield Standing(
            group=group,
            algorithm=name,
            label=plan.variants[name].label,
            tasks=len(tasks),
            seeds=min(seeds),
            iqm=float(stats.iqm(np.concatenate(mine))),
            iqm_low=low,
            iqm_high=high,
            improvement=better,
            improvement_low=better_low,
            improvement_high=better_high,
            parameters=_of_networks(frame, name, tasks, "parameters"),
            multiply_adds=_of_networks(frame, name, tasks, "multiply_adds"),
            cpu_seconds=_mean(frame.attrs.get("cpu_seconds", {}), name, tasks),
            degree=_scale(frame, name, tasks, "degree"),
            sets=_scale(frame, name, tasks, "sets"),
        )


def _of_networks(frame: pd.DataFrame, name: str, tasks: Sequence[str], size: str) -> float:
    """Return the mean over tasks of a size of a method's networks."""
    known = frame.attrs.get("networks", {})
    return _mean({pair: sizes[size] for pair, sizes in known.items()}, name, tasks)


def _mean(known: Mapping[str, float], name: str, tasks: Sequence[str]) -> float:
    """Return the mean over tasks of what is known of pairs; NaN where one is not."""
    return float(np.mean([known.get(f"{name} on {task}", np.nan) for task in tasks]))


def _scale(frame: pd.DataFrame, name: str, tasks: Sequence[str], what: str) -> float:
    """Return how much a method shares at the end: `what` is one of `sharing.SCALE`."""
    metric = frame["metric"].astype(str)
    wanted = metric.map(sharing.is_scale) & (frame["algorithm"] == name) & frame["task"].isin(tasks)
    rows = frame.loc[wanted]
    if rows.empty:  # others' curves alone do not say
        return np.nan
    parts = rows["metric"].astype(str).str.partition("/")
    rows = rows.loc[(parts[0] == what) & ~parts[2].isin(NO_POLICY)]
    last = rows.groupby(["task", "seed", "metric"])["value"].last()
    return float(last.groupby("task").mean().mean()) if len(last) else np.nan


def render(standings: pd.DataFrame) -> Table:
    """Return the standings as a table for readers, best first within each group."""
    groups = list(standings["group"].unique())
    order = [groups.index(group) for group in standings["group"]]
    data = standings.assign(order=order).sort_values(
        ["order", "iqm"], ascending=[True, False], kind="stable"
    )
    words = [
        f"{table.number(row['iqm'])} {_interval(row, 'iqm')}" for row in data.to_dict("records")
    ]
    better = [
        f"{table.number(row['improvement'])} {_interval(row, 'improvement')}"
        for row in data.to_dict("records")
    ]
    data = data.drop(columns="order").assign(iqm_words=words, better_words=better)
    return Table(
        data.reset_index(drop=True),
        (
            table.words("group", "tasks"),
            table.words("label", "method"),
            table.words("iqm_words", "IQM")._replace(align=table.RIGHT),
            table.words("better_words", "P(better than the first)")._replace(align=table.RIGHT),
            table.amount("parameters"),
            table.amount("multiply_adds", "multiply-adds a row"),
            table.amount("cpu_seconds", "CPU-seconds a seed", digits=1),
            table.amount("degree", "degree", digits=2),
            table.amount("sets", "effective sets", digits=2),
        ),
        group_by="group",
    )


def _interval(row: table.Row, of: str) -> str:
    return table.interval_words({"ci95_low": row[f"{of}_low"], "ci95_high": row[f"{of}_high"]})


def markdown(standings: pd.DataFrame) -> list[str]:
    """Return the lines of the section on standings."""
    first = standings["label"].iat[0]
    return [
        "",
        "## Standings",
        "",
        "IQM of final values, 0 for the worst run on a task and 1 for the best, and the chance "
        f"that a run ends above one of {first}; 95 % bootstrap intervals, a seed drawn for all "
        "tasks at once. Sizes and CPU time are means over the tasks; degree and effective sets are "
        "those of the policy at the end, ids in the input left out (docs/methods.md).",
        "",
        *render(standings).markdown(),
    ]
