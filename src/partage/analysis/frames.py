"""Runs -> one tidy frame per figure, kept beside the figure: the rows that are drawn, and nothing
computed yet.
"""

import io
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from partage import _io
from partage.config.plan import Figure
from partage.config.recipe import Recipe, run_dir
from partage.errors import UserError
from partage.runs import record

COLUMNS = {
    "algorithm": "str",
    "task": "str",
    "seed": "int64",
    "env_steps": "int64",
    "updates": "int64",
    "metric": "str",
    "value": "float64",
}
SEED = 0  # whose sharing is drawn; seeds are counted from 0
MEETS = ("scale", "engine")  # what all runs of one figure have in common; kept in `frame.attrs`


def build(figure: Figure, recipes: Sequence[Recipe], root: Path) -> pd.DataFrame:
    """The figure's metric from the runs of `recipes` below `root`; every missing or corrupt run is
    named.
    """
    parts, broken, refusals = [], [], []
    for recipe in recipes:
        place = run_dir(root, recipe)
        try:
            parts.append((place, *record.read(place, recipe)))
        except UserError as refusal:
            broken.append(str(place))
            refusals.append(str(refusal))
    if broken:
        others = (
            f" (and {len(broken) - 1} more: {', '.join(broken[1:])})" if len(broken) > 1 else ""
        )
        raise UserError(f"Figure {figure.name} lacks a run{others}: {refusals[0]}")
    return join(figure, parts)


def join(figure: Figure, runs: Iterable[tuple[Path, pd.DataFrame, dict]]) -> pd.DataFrame:
    """One frame of (place, curve, record); a `UserError` where scales or engines would meet, or the
    metric is missing.
    """
    parts, common, first = [], None, None
    for place, curve, made in runs:
        own = {key: made["recipe"][key] for key in MEETS}
        common, first = common or own, first or place
        if own != common:
            raise UserError(
                f"Figure {figure.name} cannot mix scales or engines: {first} is {tuple(common.values())}, "
                f"but {place} is {tuple(own.values())}."
            )
        algorithm, metric = made["recipe"]["algorithm"], curve["metric"]
        for needed in (
            figure.metric,
            *figure.beside,
            *(figure.also if algorithm == figure.algorithms[0] else ()),
        ):
            if needed not in set(metric):
                has = ", ".join(sorted({name for name in metric if name.count("/") < 2})) or "none"
                raise UserError(
                    f"Figure {figure.name} draws {needed!r}, but {place} has only the metrics {has}."
                )
        if figure.x == "updates" and bool(np.any(curve["updates"] < 0)):
            raise UserError(
                f"Figure {figure.name} draws over updates, but {place} was imported without their number."
            )
        rows = metric.isin([figure.metric, *figure.beside, *figure.also])
        if algorithm == figure.strip:
            rows |= metric.str.startswith("sharing/") & (curve["seed"] == SEED)
        parts.append(curve[rows].assign(algorithm=algorithm, task=made["recipe"]["task"]))
    if common is None:
        raise UserError(
            f"Figure {figure.name} has no runs: give it tasks and algorithms in figures.toml."
        )
    frame = pd.DataFrame(pd.concat(parts, ignore_index=True), columns=list(COLUMNS)).astype(COLUMNS)
    frame = frame.sort_values(
        ["task", "algorithm", "seed", "env_steps"], kind="stable", ignore_index=True
    )
    frame.attrs = {"figure": figure.name, **common}
    return frame


def save(frame: pd.DataFrame, path: Path) -> None:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)  # pyarrow keeps `attrs`
    _io.write(path, buffer.getbuffer())


def load(path: Path) -> pd.DataFrame:
    """A saved frame; a `UserError` where it is missing or corrupt."""
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are one or the other
        why = "it is not there" if isinstance(error, FileNotFoundError) else "it is corrupt"
        raise UserError(
            f"Could not read {path} ({why}): make it with `partage frame {path.stem}`."
        ) from error
    if list(frame.columns) != list(COLUMNS) or not all(key in frame.attrs for key in MEETS):
        raise UserError(
            f"{path} is not a figure's frame: make it anew with `partage frame {path.stem}`."
        )
    return frame


def check(figure: Figure, frame: pd.DataFrame) -> None:
    """A `UserError` where a frame lacks what the figure draws today."""
    there = set(zip(frame["task"], frame["algorithm"], frame["metric"], strict=True))
    for task, name, metric in product(
        figure.tasks, figure.algorithms, (figure.metric, *figure.beside)
    ):
        if figure.draws(name, task) and (task, name, metric) not in there:
            raise UserError(f"The frame of {figure.name} lacks {metric} of {name} on {task}, as figures.toml has it now: "
                          f"make it anew with `partage frame {figure.name}`.")  # fmt: skip


def runs_of(
    frame: pd.DataFrame, algorithm: str, task: str, metric: str, x: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per seed, in order: (x, value) arrays of one curve."""
    rows = frame
    for column, name in (
        ("task", task),
        ("algorithm", algorithm),
        ("metric", metric),
    ):  # fewer each time
        rows = rows.loc[rows[column] == name]
    return [
        (np.asarray(run[x], float), np.asarray(run["value"], float))
        for _, run in rows.groupby("seed")
    ]
