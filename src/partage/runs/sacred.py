"""Read runs of EPyMARL and PyMARL, as sacred's FileStorageObserver writes them.

A run's folder holds ``config.json``, ``run.json`` (its status), and what it measured: in
``metrics.json`` (``{name: {"steps": [..], "values": [..]}}``), in ``info.json`` (``{name: [values],
name_T: [steps]}``), or in both. From sacred 0.8 on there always is a ``metrics.json``, which
PyMARL leaves empty: each metric is taken from the first of the two that has it.
"""

import hashlib
import os
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from partage.errors import UserError
from partage.runs import experiments, foreign
from partage.runs.experiments import COMPLETED, Measured, Point, Run

UNCOUNTED = -1  # updates of a run that does not say
RUN_FACTS = ("status", "start_time", "stop_time", "host", "experiment")
MEASURED = ("metrics.json", "info.json")
OF_A_RUN = ("run.json", *MEASURED, "cout.txt")  # beside config.json
EXPECTED = "a run that sacred's FileStorageObserver wrote"


class Series(NamedTuple):
    """The values of one metric, and the steps that they were measured at; unchecked."""

    steps: Any
    values: Any
    file: Path


def runs(source: Path) -> list[Run]:
    """Return the runs at or below `source`; there may be none.

    A folder with a ``config.json`` and another file of sacred's is one. Raises `UserError` where a
    configuration or a status cannot be read.
    """
    return [_run(folder) for folder in sorted(_folders(source))]


def _folders(source: Path) -> Iterator[Path]:
    """Yield the folders of runs at or below `source`."""
    for folder, inside, files in os.walk(source, onerror=_refuse):
        inside[:] = [name for name in inside if name not in ("_sources", "_resources")]
        if "config.json" in files and any(name in files for name in OF_A_RUN):
            yield Path(folder)


def _refuse(error: OSError) -> None:
    raise UserError(f"Could not read {error.filename} ({error.strerror}): make it readable.")


def sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(folder: Path) -> Run:
    """Return the run in a folder, its curve not read yet."""
    run_file = folder / "run.json"
    run = foreign.read_json(run_file, EXPECTED) if run_file.is_file() else {}
    status = str(run.get("status", COMPLETED))
    try:
        config = foreign.read_json(folder / "config.json", EXPECTED)
        seed = experiments.seed_of(config, folder / "config.json")
    except UserError:
        if status == COMPLETED:
            raise
        config, seed = {}, UNCOUNTED  # it was killed while writing: it has no end to reach
    facts = {"config": config, "run": {key: run[key] for key in RUN_FACTS if key in run}}
    return Run(
        str(folder), seed, experiments.flat(config), status, partial(_measured, folder, seed, facts)
    )


def _measured(folder: Path, seed: int, facts: dict[str, Any], wanted: Collection[str]) -> Measured:
    """Return what a run measured of what is wanted."""
    series: dict[str, Series] = {}
    for name in reversed(MEASURED):
        file = folder / name
        if file.is_file():
            content = foreign.read_json(file, EXPECTED)
            of_file = _of_metrics if name == MEASURED[0] else _of_info
            series |= dict(of_file(content, file))
    points: list[Point] = []
    files: set[Path] = set()
    for name, each in series.items():
        if name in wanted:
            points += _points(seed, name, each)
            files.add(each.file)
    return Measured(points, sorted(series), _digests(files) | facts)


def _digests(files: Collection[Path]) -> dict[str, Any]:
    """Return the file that values were taken from and its sha256, and all where there are two."""
    found = {str(file): sha256(file) for file in sorted(files, reverse=True)}
    if not found:
        return {}
    file, digest = next(iter(found.items()))
    return {"file": file, "sha256": digest} | ({"files": found} if len(found) > 1 else {})


def _of_metrics(content: dict[str, Any], file: Path) -> Iterator[tuple[str, Series]]:
    """Yield the metrics of a ``metrics.json`` that hold anything."""
    for name, each in content.items():
        if not isinstance(each, dict):
            yield name, Series(None, None, file)
        elif each.get("values") != []:
            yield name, Series(each.get("steps"), each.get("values"), file)


def _of_info(content: dict[str, Any], file: Path) -> Iterator[tuple[str, Series]]:
    """Yield the metrics of an ``info.json``."""
    for name, values in content.items():
        if f"{name}_T" in content:
            yield name, Series(content[f"{name}_T"], values, file)


def _points(seed: int, name: str, series: Series) -> Iterator[Point]:
    """Yield the points of one metric; raises `UserError` where it is malformed."""
    steps, values, file = series
    if not isinstance(steps, list) or not isinstance(values, list) or len(steps) != len(values):
        raise UserError(f"{file}: {name!r} should have as many steps as values, each a list.")
    for i, (step, value) in enumerate(zip(steps, values, strict=True)):
        try:
            yield seed, foreign.whole(step), UNCOUNTED, name, foreign.number(value)
        except ValueError as error:
            raise UserError(
                f"{file}: {name!r} should have whole steps and numbers, but {error} (number "
                f"{i + 1} of {len(steps)})."
            ) from error
