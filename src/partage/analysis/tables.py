"""Final performance: the mean over the last 15 % of training, its interval, the published value
beside it.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from partage import _io
from partage.analysis import stats
from partage.analysis.frames import runs_of
from partage.config.plan import Figure, Plan
from partage.plots.curves import generator
from partage.plots.style import source

POOLED = "all tasks (IQM of min-max normalised returns)"


def finals(figure: Figure, frame: pd.DataFrame, metric: str) -> list[dict[str, np.ndarray]]:
    """Per task {algorithm: final value of the metric for each seed, [n]}."""
    return [
        {
            name: np.array(
                [stats.final(x, y) for x, y in runs_of(frame, name, task, metric, figure.x)]
            )
            for name in figure.algorithms
            if figure.draws(name, task)
        }
        for task in figure.tasks
    ]


def build(plan: Plan, figure: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """A row per metric, task and algorithm; with several tasks one more per algorithm, pooled over
    all of them.
    """
    parts = [of_metric(plan, figure, frame, metric) for metric in (figure.metric, *figure.beside)]
    return pd.concat(parts, ignore_index=True).assign(
        scale=frame.attrs["scale"], engine=source(frame.attrs["engine"], figure.tasks)
    )


def of_metric(plan: Plan, figure: Figure, frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    scores, middle, rows = finals(figure, frame, metric), stats.MIDDLES[figure.line], []
    names = () if metric == figure.metric else (metric,)  # of the bootstrap's generators
    for task, by_name in zip(figure.tasks, scores, strict=True):
        for name, values in by_name.items():
            low, high = stats.interval(
                [values], generator(figure.name, task, name, *names, "final"), middle
            )
            published = math.nan if names else figure.reference.get((task, name), math.nan)
            rows.append(
                (
                    task,
                    plan.variants[name].label,
                    float(middle(values)),
                    low,
                    high,
                    len(values),
                    published,
                )
            )
    if len(figure.tasks) > 1:
        for name, strata in stats.pooled(scores).items():
            if len(strata) < len(figure.tasks):
                continue  # it stands on some of them only
            low, high = stats.interval(
                strata, generator(figure.name, name, *names, "pooled"), stats.iqm
            )
            point = float(stats.iqm(np.concatenate(strata)))
            rows.append(
                (
                    POOLED,
                    plan.variants[name].label,
                    point,
                    low,
                    high,
                    min(map(len, strata)),
                    math.nan,
                )
            )
    table = pd.DataFrame(
        rows, columns=["task", "algorithm", "value", "ci95_low", "ci95_high", "seeds", "published"]
    )
    return table.assign(metric=metric)


def markdown(figure: Figure, table: pd.DataFrame, claims: pd.DataFrame) -> str:
    """The table for a reader, and the verdicts below it."""
    scale, engine = table["scale"].iat[0], table["engine"].iat[0]
    lines = [f"# {figure.title}", ""]
    if scale == "smoke":
        lines += ["**smoke scale: not a result**", ""]
    labels = [figure.y_label, *figure.beside.values()]
    lines += [
        f"{figure.paper}. Final {' and '.join(labels)}: mean over the last 15 % of training, then {figure.line} over "
        "seeds; "
        f"95 % stratified bootstrap interval over seeds. Scale {scale}, engine {engine}.",
    ]
    for label, (_, rows) in zip(labels, table.groupby("metric", sort=False), strict=True):
        lines += ["", *([f"**{label}**", ""] if figure.beside else [])]
        lines += cells_of(rows)
    if any((task, name) in figure.reference for task in figure.tasks for name in figure.algorithms):
        lines += [
            "",
            "Published values are read off the paper's figure: within about 2 % of its axis.",
        ]
    return "\n".join([*lines, *verdicts(claims)]) + "\n"


def cells_of(table: pd.DataFrame) -> list[str]:
    lines = [
        "| task | algorithm | value | 95 % interval | seeds | published |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in table.to_dict("records"):
        cells = (
            row["task"],
            row["algorithm"],
            number(row["value"]),
            band(row),
            str(row["seeds"]),
            number(row["published"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def verdicts(claims: pd.DataFrame) -> list[str]:
    """Each claim with its verdict, and the numbers it rests on."""
    lines = []
    for says, rows in claims.groupby("claim", sort=False):
        lines += ["", f"**Claim: {says}** Verdict: **{rows['claim_verdict'].iat[0]}**.", ""]
        lines += ["| judged by | value | 95 % interval | verdict |", "|---|---:|---:|---|"]
        for row in rows.to_dict("records"):
            band = f"[{number(row['ci95_low'])}, {number(row['ci95_high'])}]"
            lines.append(
                f"| {row['judged_by']} | {number(row['value'])} | {band} | {row['verdict']} |"
            )
    return lines


def number(value: float) -> str:
    """The digits that matter: -701, 0.431, 5.0e+16; a dash for NaN."""
    if math.isnan(value):
        return "\u2013"
    if 1e7 <= abs(value) < math.inf:
        return f"{value:.1e}"
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.3g}"
        if abs(value) >= 1
        else f"{value:.3f}"
    )


def band(row: Mapping[Any, Any]) -> str:
    """The interval of a table's row; a dash where there is no spread to see."""
    low, high = row["ci95_low"], row["ci95_high"]
    return number(low) if math.isnan(low) else f"[{number(low)}, {number(high)}]"


def save(table: pd.DataFrame, path: Path) -> None:
    _io.write(path, table.to_csv(index=False, lineterminator="\n").encode())
