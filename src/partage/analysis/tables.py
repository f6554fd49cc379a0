"""Final performance: a mean over the end of training, its interval, and the published value."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from partage.analysis import claims, stats, table
from partage.analysis.finals import final_scores
from partage.analysis.labels import NOT_A_RESULT, engine_label
from partage.analysis.stats import named_generator
from partage.analysis.table import Table
from partage.config.plan import Figure, Plan

POOLED = "all tasks (IQM of min-max normalised returns)"
READ_OFF = "Published values are read off the paper's figure: within about 2 % of its axis."
SIZES = {"parameters": "parameters", "multiply_adds": "multiply-adds a row"}  # of networks


class FinalValue(NamedTuple):
    """The final performance of one algorithm on one task, or on all."""

    task: str
    algorithm: str  # its label
    value: float
    ci95_low: float
    ci95_high: float
    seeds: int
    published: float  # NaN: no value is known
    metric: str


def build(plan: Plan, figure: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each metric, task and algorithm, as `FinalValue`, with scale and engine.

    A figure with several tasks has one more row for each algorithm, pooled over all of them.
    """
    rows: list[FinalValue] = []
    for metric in (figure.metric, *figure.beside):
        scores = final_scores(figure, frame, metric)
        rows += _on_each_task(plan, figure, metric, scores)
        if len(figure.tasks) > 1:
            rows += _over_all_tasks(plan, figure, metric, scores)
    data = pd.DataFrame(rows, columns=list(FinalValue._fields)).assign(
        scale=frame.attrs["scale"], engine=engine_label(frame.attrs["engine"], figure.tasks)
    )
    return _with_sizes(plan, figure, data, frame.attrs.get("networks", {}))


def _with_sizes(
    plan: Plan, figure: Figure, data: pd.DataFrame, networks: Mapping[str, Mapping[str, int]]
) -> pd.DataFrame:
    """Return the rows with their networks' sizes, where any record says them."""
    if not networks:
        return data
    sizes = {
        (task, plan.variants[name].label): networks.get(f"{name} on {task}", {})
        for name, task in figure.pairs()
    }
    pairs = zip(data["task"], data["algorithm"], strict=True)
    found = [sizes.get(pair, {}) for pair in pairs]
    columns = {field: [size.get(field, math.nan) for size in found] for field in SIZES}
    return data.assign(**columns)


def _on_each_task(
    plan: Plan, figure: Figure, metric: str, scores: list[dict[str, np.ndarray]]
) -> Iterator[FinalValue]:
    middle = stats.MIDDLES[figure.line_of(metric)]
    names = _generator_names(figure, metric)
    for task, by_algorithm in zip(figure.tasks, scores, strict=True):
        for name, values in by_algorithm.items():
            rng = named_generator(figure.name, task, name, *names, "final")
            low, high = stats.interval([values], rng, middle)
            published = math.nan  # a paper's number is of the figure's first metric
            if metric == figure.metric:
                published = figure.reference.get((task, name), math.nan)
            label, value = plan.variants[name].label, float(middle(values))
            yield FinalValue(task, label, value, low, high, len(values), published, metric)


def _over_all_tasks(
    plan: Plan, figure: Figure, metric: str, scores: list[dict[str, np.ndarray]]
) -> Iterator[FinalValue]:
    """Yield the row of each algorithm that stands on all tasks."""
    names = _generator_names(figure, metric)
    for name, strata in stats.pooled(scores).items():
        if len(strata) == len(figure.tasks):
            rng = named_generator(figure.name, name, *names, "pooled")
            low, high = stats.interval(strata, rng, stats.iqm, seeds=stats.same_seeds(strata))
            value = float(stats.iqm(np.concatenate(strata)))
            seeds = min(len(stratum) for stratum in strata)
            label = plan.variants[name].label
            yield FinalValue(POOLED, label, value, low, high, seeds, math.nan, metric)


def _generator_names(figure: Figure, metric: str) -> list[str]:
    """Return what a further metric adds to the names of its generators; the first adds nothing."""
    return [] if metric == figure.metric else [metric]


def final_table(figure: Figure, data: pd.DataFrame) -> Table:
    """Return the data of `build` as a table for readers."""
    several = len(set(data["metric"])) > 1
    scale, engine = data["scale"].iat[0], data["engine"].iat[0]
    return Table(
        data,
        (
            table.words("task"),
            table.words("algorithm"),
            *([table.words("metric", "measure")] if several else []),
            table.value("value"),
            table.interval(),
            table.count("seeds"),
            table.value("published"),
            *(table.amount(field, title) for field, title in SIZES.items() if field in data),
        ),
        name=figure.name,
        caption=f"{figure.title} ({figure.paper}). Final {figure.y_label}: mean over the last "
        f"15\u202f% of training, then {figure.line_words} over seeds; "
        "95\u202f% stratified bootstrap interval. "
        f"Scale {scale}, engine {engine}.",
        warning="Smoke scale: not a result." if scale == "smoke" else "",
        group_by="task",
    )


def has_reference(figure: Figure) -> bool:
    """Return whether a published value is known of anything that the figure draws."""
    pairs = [(task, algorithm) for algorithm, task in figure.pairs()]
    return any(pair in figure.reference for pair in pairs)


def markdown(figure: Figure, data: pd.DataFrame, judged: pd.DataFrame) -> str:
    """Return the page of a figure's numbers: a table for each metric, the verdicts below them."""
    whole = final_table(figure, data)
    scale, engine = data["scale"].iat[0], data["engine"].iat[0]
    labels = [figure.y_label, *figure.beside.values()]
    lines = [f"# {figure.title}", ""]
    if scale == "smoke":
        lines += [f"**{NOT_A_RESULT}**", ""]
    lines += [
        f"{figure.paper}. Final {' and '.join(labels)}: mean over the last 15 % of training, then "
        f"{figure.line_words} over seeds; 95 % stratified bootstrap interval over seeds. "
        f"Scale {scale}, engine {engine}.",
    ]
    for label, (_, rows) in zip(labels, data.groupby("metric", sort=False), strict=True):
        lines += ["", f"**{label}**", ""] if figure.beside else [""]
        lines += Table(rows, whole.columns).without("measure").markdown()
    if has_reference(figure):
        lines += ["", READ_OFF]
    return "\n".join([*lines, *claims.markdown(judged)]) + "\n"
