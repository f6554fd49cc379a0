"""Read runs of EPyMARL and PyMARL, as sacred's FileStorageObserver writes them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from partage import _io
from partage.errors import UserError
from partage.runs import record

UNCOUNTED = -1  # updates of a run that does not say
PER_SEED = ("seed", "unique_token", "save_path")  # what differs between seeds of one experiment
RUN_FACTS = ("status", "start_time", "stop_time", "host", "experiment")

Point = tuple[int, int, int, str, float]  # a row of `record.COLUMNS`


class Guest(NamedTuple):
    """One seed of somebody else's."""

    seed: int  # theirs
    curve: pd.DataFrame  # the columns of a record, their metrics' names
    facts: dict[str, Any]  # where it comes from


class Series(NamedTuple):
    """The values of one metric, and the steps that they were measured at; unchecked."""

    steps: Any
    values: Any


def read(source: Path) -> list[Guest]:
    """Return the runs at or below `source`.

    A folder with a ``config.json`` and a ``metrics.json`` or ``info.json`` is one. Raises
    `UserError` where there is none, one is malformed, or they differ in more than their seed.
    """
    folders = sorted(path.parent for path in source.rglob("config.json"))
    if not folders:
        raise UserError(
            f"{source} holds no sacred run: a folder with config.json and metrics.json or "
            f"info.json is expected."
        )
    configs = [_json(folder / "config.json") for folder in folders]
    _check_one_experiment(folders, configs)
    guests = [_run(folder, config) for folder, config in zip(folders, configs, strict=True)]
    seeds = [guest.seed for guest in guests]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"Two runs in {source} have the same seed: the seeds are {seeds}.")
    return guests


def sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_one_experiment(folders: list[Path], configs: list[dict[str, Any]]) -> None:
    """Raise `UserError` where configurations differ in more than what belongs to a seed."""
    first = _common(configs[0])
    for folder, config in zip(folders, configs, strict=True):
        common = _common(config)
        for key in sorted(common.keys() | first.keys()):
            if common.get(key) != first.get(key):
                raise UserError(
                    f"{folder} and {folders[0]} are not runs of one experiment: {key} is "
                    f"{common.get(key)!r} in one and {first.get(key)!r} in the other. Import them "
                    f"as two variants."
                )


def _common(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without what differs between seeds of one experiment."""
    common = {key: value for key, value in config.items() if key not in PER_SEED}
    env_args = common.get("env_args")
    if isinstance(env_args, dict):
        common["env_args"] = {key: value for key, value in env_args.items() if key != "seed"}
    return common


def _run(folder: Path, config: dict[str, Any]) -> Guest:
    """Return the run in a folder."""
    seed = config.get("seed")
    if type(seed) is not int:
        raise UserError(
            f"{folder}/config.json should have a whole number as its seed, but it is {seed!r}."
        )
    file = folder / "metrics.json"
    if file.is_file():
        series = _series_of_metrics(_json(file))
    else:
        file = folder / "info.json"
        series = _series_of_info(_json(file))
    points: list[Point] = []
    for name, measured in series.items():
        points += _points(seed, name, measured, file)
    if not points:
        raise UserError(f"{file} holds no measured values.")
    run_file = folder / "run.json"
    run = _json(run_file) if run_file.is_file() else {}
    facts = {
        "file": str(file),
        "sha256": sha256(file),
        "config": config,
        "run": {key: run[key] for key in RUN_FACTS if key in run},
    }
    return Guest(seed, pd.DataFrame(points, columns=list(record.COLUMNS)), facts)


def _series_of_metrics(content: dict[str, Any]) -> dict[str, Series]:
    """Return the metrics of a ``metrics.json``: {name: {"steps": [..], "values": [..]}}."""
    series: dict[str, Series] = {}
    for name, each in content.items():
        if isinstance(each, dict):
            series[name] = Series(each.get("steps"), each.get("values"))
        else:
            series[name] = Series(None, None)
    return series


def _series_of_info(content: dict[str, Any]) -> dict[str, Series]:
    """Return the metrics of an ``info.json``: {name: [values], name_T: [steps]}."""
    return {
        name: Series(content[f"{name}_T"], values)
        for name, values in content.items()
        if f"{name}_T" in content
    }


def _points(seed: int, name: str, series: Series, file: Path) -> Iterator[Point]:
    """Yield the points of one metric; raises `UserError` where it is malformed."""
    steps, values = series
    if not isinstance(steps, list) or not isinstance(values, list) or len(steps) != len(values):
        raise UserError(f"{file}: {name!r} should have as many steps as values, each a list.")
    for step, value in zip(steps, values, strict=True):
        # jsonpickle's way to write a numpy number
        number = value.get("value") if isinstance(value, dict) else value
        if type(step) is not int or isinstance(number, bool) or not isinstance(number, int | float):
            raise UserError(
                f"{file}: {name!r} should have whole steps and numbers, but has {step!r} and "
                f"{value!r}."
            )
        yield seed, step, UNCOUNTED, name, float(number)


def _json(path: Path) -> dict[str, Any]:
    advice = "a run that sacred's FileStorageObserver wrote is expected."
    return _io.read_json(path, advice, finite=False)  # losses of others may be none
