"""What training costs here: a file that `partage calibrate` writes (standard library only).

It holds the sizes of every task and how long its episodes are, and for some cells, of each learner
a few, what an environment step and an update of a run cost. All else is predicted from these
(`partage.config.costs`).
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from partage import _io
from partage.config.types import WORDS, Scalar, fits
from partage.errors import UserError, unknown

SCHEMA = 2  # raised when a key is added, removed or changes its meaning
FILE = "calibration.json"  # beside the results
SHIPPED = Path(__file__).parent / "sheets" / FILE  # of the reference machine
AGAIN = "make it anew with `partage calibrate --anew`"


@dataclasses.dataclass(frozen=True)
class Played:
    """The sizes of a task, and what its episodes are like when everybody acts at random."""

    agents: int
    actions: int
    obs: int  # floats an agent sees
    state: int  # floats of the state
    horizon: int  # most steps of an episode
    length: float  # steps of a mean episode
    longest: float  # of the longest of 32
    engine: str  # that played it
    step_seconds: float  # CPU-seconds of the environment, a joint step of one copy
    step_bytes: float  # of the replay, a joint step


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a run of a cell costs, as one of those that train side by side."""

    algorithm: str
    learner: str
    task: str
    settings: dict[str, Scalar]  # as its recipe has them
    runs: int  # side by side
    step_seconds: float = 0.0  # CPU-seconds an environment step: acting, the environment, counting
    update_seconds: float = 0.0  # an update
    test_seconds: float = 0.0  # a step of a test
    event_seconds: float = 0.0  # what happens once, or once a period: a clustering, a measurement
    working_bytes: float = 0.0  # memory beside the replay
    kept_bytes: float = 0.0  # of what a finished run leaves


@dataclasses.dataclass(frozen=True)
class Calibration:
    """All that was measured on one machine with one code."""

    schema: int
    whole: bool  # False while cells are still to be measured
    made: str  # when
    machine: dict[str, Any]
    code: str  # stamp of all code that moves numbers
    versions: dict[str, Any]
    base_bytes: int  # memory of a process that trains nothing yet
    start_seconds: float  # CPU-seconds until it trains
    tasks: dict[str, Played]
    cells: list[Measured]

    def text(self) -> str:
        """Return the calibration as it is written: a line for each task and each cell."""
        values = dataclasses.asdict(self)
        tasks, cells = values.pop("tasks"), values.pop("cells")
        lines = [f"{_json(name)}: {_json(value)}" for name, value in values.items()]
        of_tasks = [f"{_json(name)}: {_json(task)}" for name, task in tasks.items()]
        lines.append('"tasks": {\n' + ",\n".join(of_tasks) + "\n}")
        lines.append('"cells": [\n' + ",\n".join(map(_json, cells)) + "\n]")
        return "{\n" + ",\n".join(lines) + "\n}\n"


class Found(NamedTuple):
    """A calibration and where it lies."""

    calibration: Calibration
    path: Path

    @property
    def shipped(self) -> bool:
        """Return whether it is the one that the suite brings, of the reference machine."""
        return self.path == SHIPPED


def find(results: Path) -> Found | None:
    """Return the calibration beside the results, else the shipped one, else None.

    Raises `UserError` for a file that is damaged, half made or something else.
    """
    for path in (results / FILE, SHIPPED):
        if path.exists():
            return Found(read(path), path)
    return None


def load(results: Path) -> Calibration | None:
    """Return the calibration that `find` finds."""
    found = find(results)
    return found.calibration if found else None


def read(path: Path) -> Calibration:
    """Return the calibration in a file. Raises `UserError` for what is none."""
    raw = _io.read_json(path, f"{AGAIN}.")
    if raw.get("schema") != SCHEMA:
        raise UserError(
            f"{path} is no calibration of schema {SCHEMA} (it has {raw.get('schema')!r}): {AGAIN}."
        )
    if raw.get("whole") is not True:
        raise UserError(
            f"{path} is half a calibration: repeat `partage calibrate`, which goes on with what it "
            "has measured."
        )
    return parse(raw, path)


def parse(raw: dict[str, Any], path: Path) -> Calibration:
    """Return a calibration, whole or not, from decoded JSON."""
    played, measured = raw.get("tasks"), raw.get("cells")
    if not isinstance(played, dict) or not isinstance(measured, list):
        raise UserError(f"{path} is no calibration (tasks and cells are missing): {AGAIN}.")
    tasks = {name: _parsed(each, Played, f"{path}, {name}") for name, each in played.items()}
    cells = [_parsed(each, Measured, f"{path}, cell {n}") for n, each in enumerate(measured)]
    for cell in cells:
        if cell.task not in tasks:
            raise UserError(f"{path} is half a calibration (task {cell.task} is missing): {AGAIN}.")
    return _parsed({**raw, "tasks": tasks, "cells": cells}, Calibration, path)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _parsed(raw: Any, kind: Any, where: object) -> Any:
    """Return one part of a calibration from decoded JSON."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: a table is expected, but there is {raw!r}: {AGAIN}.")
    kinds: Mapping[str, Any] = {field.name: field.type for field in dataclasses.fields(kind)}
    for name in raw:
        if name not in kinds:
            raise unknown("key", name, kinds, where)
    for name, wanted in kinds.items():
        value = raw.get(name)
        if name not in raw or not _fits(value, wanted):
            what = "a number from 0 on" if wanted in (int, float) else WORDS.get(wanted, "a table")
            raise UserError(f"{where}: {name} should be {what}, but is {value!r}: {AGAIN}.")
    return kind(**raw)


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a value is of a kind, and no number is negative."""
    if kind in (int, float):
        return fits(value, kind) and value >= 0
    return fits(value, kind) if kind in WORDS else isinstance(value, (dict, list))
