"""One tidy frame for each figure, made of its runs: what is drawn, with nothing computed yet."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from partage import _io
from partage.analysis import sharing
from partage.analysis.series import Series
from partage.analysis.spent import cpu_seconds
from partage.config import outcomes
from partage.config.figures import OF_TRIALS
from partage.config.plan import Figure, Request
from partage.config.recipe import Recipe, options_of_root, run_dir, seeds_name
from partage.errors import UserError
from partage.runs import equal_code, parquet, record

COLUMNS = {
    "algorithm": "str",
    "task": "str",
    "seed": "int64",
    "env_steps": "int64",
    "updates": "int64",
    "metric": "str",
    "value": "float64",
}
SHARING_SEED = 0  # whose sharing by degrees is drawn: every pair's is much; seeds count from 0
IN_COMMON = ("scale", "engine")  # all runs of a figure agree on these; they stand in `frame.attrs`


def build(figure: Figure, recipes: Sequence[Recipe], root: Path) -> pd.DataFrame:
    """Return the figure's frame of the runs of `recipes` below `root`.

    Raises `UserError` that names every missing or corrupt run.
    """
    runs, broken, reasons = [], [], []
    for recipe in recipes:
        folder = run_dir(root, recipe)
        try:
            runs.append((folder, *record.read(folder, recipe)))
        except UserError as error:
            broken.append(str(folder))
            reasons.append(str(error))
    if broken:
        more = f" (and {len(broken) - 1} more: {', '.join(broken[1:])})" if broken[1:] else ""
        raise UserError(f"Figure {figure.name} lacks a run{more}: {reasons[0]}")
    return join(figure, runs)


def join(figure: Figure, runs: Sequence[tuple[Path, pd.DataFrame, dict[str, Any]]]) -> pd.DataFrame:
    """Return one frame of runs, each given as its folder, curve and record.

    Raises `UserError` where scales or engines would meet, or a metric was not measured.
    """
    parts: list[pd.DataFrame] = []
    conditions: list[tuple[Path, dict[str, str]]] = []
    for folder, curve, made in runs:
        recipe = made["recipe"]
        conditions.append((folder, {key: recipe[key] for key in IN_COMMON}))
        _check_alike(figure, conditions)
        if figure.kind == "arena" or any(map(sharing.is_scale, figure.metrics)):
            curve = sharing.with_scale(curve)
        _check_measured(figure, recipe["algorithm"], curve, folder)
        drawn = curve[_is_drawn(figure, recipe["algorithm"], curve)]
        parts.append(drawn.assign(algorithm=recipe["algorithm"], task=recipe["task"]))
    if not parts:
        raise UserError(
            f"Figure {figure.name} has no runs: give it tasks and algorithms in figures.toml."
        )
    frame = pd.DataFrame(pd.concat(parts, ignore_index=True), columns=list(COLUMNS)).astype(COLUMNS)
    order = ["task", "algorithm", "seed", "env_steps"]
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    frame.attrs = {"figure": figure.name, **conditions[0][1]}
    frame.attrs["recipes"] = recipes_digest(made["recipe"] for _, _, made in runs)
    frame.attrs["curves"] = {
        _name(made["recipe"]): made["curve_sha256"] for _, _, made in runs if "curve_sha256" in made
    }
    frame.attrs["networks"] = {
        _pair(made["recipe"]): made["networks"] for _, _, made in runs if made.get("networks")
    }
    if figure.kind in OF_TRIALS:  # no other figure tells it: equal curves make equal frames
        spent = cpu_seconds((_pair(made["recipe"]), made) for _, _, made in runs)
        frame.attrs["cpu_seconds"] = spent
    entries = equal_code.read()
    frame.attrs["begun_by_other_code"] = [
        _name(made["recipe"]) for _, _, made in runs if equal_code.begun_by_other(entries, made)
    ]
    return frame


def recipes_digest(recipes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return for each pair of algorithm and task a digest of the recipes of its curves.

    It is the same however seeds are packed into runs.
    """
    curves: dict[str, list[str]] = {}
    for recipe in recipes:
        pair = _pair(recipe)
        for seed in recipe["seeds"]:
            text = json.dumps({**recipe, "seeds": [seed]}, sort_keys=True)
            curves.setdefault(pair, []).append(text)
    return {
        pair: hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()
        for pair, texts in curves.items()
    }


def _pair(recipe: Mapping[str, Any]) -> str:
    """Return how an algorithm on a task is called within its figure."""
    return f"{recipe['algorithm']} on {recipe['task']}"


def _name(recipe: Mapping[str, Any]) -> str:
    """Return how a run is called within its figure."""
    return f"{recipe['algorithm']} on {recipe['task']}, seeds {seeds_name(recipe['seeds'])}"


def _check_alike(figure: Figure, conditions: list[tuple[Path, dict[str, str]]]) -> None:
    """Raise `UserError` where the last run is of another scale or engine than the first."""
    first, wanted = conditions[0]
    last, found = conditions[-1]
    if found != wanted:
        raise UserError(
            f"Figure {figure.name} cannot mix scales or engines: {first} is "
            f"{tuple(wanted.values())}, but {last} is {tuple(found.values())}."
        )


def _check_measured(figure: Figure, algorithm: str, curve: pd.DataFrame, folder: Path) -> None:
    """Raise `UserError` where a run lacks a metric, or the x axis, that the figure draws of it."""
    needed = [figure.metric, *figure.beside]
    if algorithm == figure.algorithms[0]:
        needed += figure.also
    measured = set(curve["metric"])
    for metric in needed:
        if metric not in measured:
            plain = sorted(name for name in measured if name.count("/") < 2)
            raise UserError(
                f"Figure {figure.name} draws {metric!r}, but {folder} has only the metrics "
                f"{', '.join(plain) or 'none'}."
            )
    if figure.x == "updates" and bool(np.any(curve["updates"] < 0)):
        raise UserError(
            f"Figure {figure.name} draws over updates, but {folder} was imported without their "
            "number."
        )


def _is_drawn(figure: Figure, algorithm: str, curve: pd.DataFrame) -> np.ndarray:
    """Return for each row of a curve whether the figure draws it."""
    metric = curve["metric"]
    drawn = metric.isin(figure.metrics)
    if algorithm == figure.strip:
        drawn |= metric.str.startswith("sharing/")
        drawn |= metric.str.startswith("overlap/") & (curve["seed"] == SHARING_SEED)
    if figure.kind == "arena":
        drawn |= metric.map(sharing.is_scale)
    if figure.kind == "ceilings":
        drawn |= metric.str.startswith("sharing/")
    return drawn.to_numpy()


def save(frame: pd.DataFrame, path: Path) -> None:
    """Save a frame, its `attrs` with it, as parquet."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)  # pyarrow keeps `attrs`
    _io.write(path, buffer.getbuffer())


def load(path: Path) -> pd.DataFrame:
    """Return a saved frame. Raises `UserError` where it is missing or corrupt."""
    again = f"`partage frame {path.stem}{options_of_root(path.parents[1])}`"
    payload = _io.read_bytes(path, f"make it with {again}.")
    frame = parquet.decode(payload, COLUMNS, path, f"make it anew with {again}.")
    if not all(isinstance(frame.attrs.get(key), str) for key in IN_COMMON):
        raise UserError(f"{path} is not a figure's frame: make it anew with {again}.")
    return frame


def differences(attrs: Mapping[Any, Any], recipes: Sequence[Recipe], root: Path) -> list[str]:
    """Return which curves of a frame are not of today's recipes, or not of the runs below `root`.

    `attrs` are the frame's. A run that is not there, as where only frames were copied, is no
    difference.
    """
    wanted = recipes_digest(dataclasses.asdict(recipe) for recipe in recipes)
    found: Mapping[str, str] = attrs.get("recipes", {})
    pairs = dict.fromkeys([*wanted, *found])
    other = [pair for pair in pairs if wanted.get(pair) != found.get(pair)]
    curves: Mapping[str, str] = attrs.get("curves", {})
    for recipe in recipes:
        name = _name(dataclasses.asdict(recipe))
        made = outcomes.curve_of(run_dir(root, recipe))
        if name in curves and made not in ("", curves[name]):
            other.append(name)
    return other


def attributes(path: Path) -> dict[str, Any]:
    """Return a saved frame's `attrs` without its rows; none where there is no sound frame."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        found = json.loads(metadata.get(b"PANDAS_ATTRS", b"{}"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def check(figure: Figure, frame: pd.DataFrame, recipes: Sequence[Recipe], request: Request) -> None:
    """Raise `UserError` where a frame is not of what the figure draws today.

    That is these recipes' runs, as they lie where the `request` has them, and the figure's metrics.
    """
    other = differences(frame.attrs, recipes, request.root)
    if other:
        more = f" (and {len(other) - 1} more)" if other[1:] else ""
        raise UserError(
            f"The frame of {figure.name} is not of today's recipes and runs: {other[0]}{more} "
            f"differs; make it anew with `partage frame {figure.name}{request.options}`, or all "
            f"that is lacking with `{request.workflow}`."
        )
    there = set(zip(frame["task"], frame["algorithm"], frame["metric"], strict=True))
    metrics = (figure.metric, *figure.beside)
    for (algorithm, task), metric in product(figure.pairs(), metrics):
        if (task, algorithm, metric) not in there:
            raise UserError(
                f"The frame of {figure.name} lacks {metric} of {algorithm} on {task}, as "
                f"figures.toml has it now: "
                f"make it anew with `partage frame {figure.name}{request.options}`."
            )


def runs_of(frame: pd.DataFrame, algorithm: str, task: str, metric: str, x: str) -> list[Series]:
    """Return the series of one curve, one for each seed in order; `x` names the x axis' column."""
    return list(runs_by_seed(frame, algorithm, task, metric, x).values())


def runs_by_seed(
    frame: pd.DataFrame, algorithm: str, task: str, metric: str, x: str
) -> dict[int, Series]:
    """Return the series of one curve by their seeds, in order."""
    rows = frame
    for column, wanted in (("task", task), ("algorithm", algorithm), ("metric", metric)):
        rows = rows.loc[rows[column] == wanted]  # fewer each time, which is faster than all at once
    return {
        int(str(seed)): Series(np.asarray(run[x], float), np.asarray(run["value"], float))
        for seed, run in rows.groupby("seed")
    }
