"""Read the JSON files that marl-eval reads: of `partage export`, BenchMARL, Mava and others.

Environment -> task -> algorithm -> ``seed_<k>`` -> ``step_<i>`` {"step_count": n, metric:
[values]}, and a step with "absolute" in its name, which is no point of a curve. What is measured at
a step is the mean of its values: one for each test episode, or their mean alone.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from partage.errors import UserError
from partage.runs import foreign
from partage.runs.experiments import COMPLETED, Measured, Point, Run
from partage.runs.sacred import UNCOUNTED, sha256

EXPECTED = "marl-eval's JSON (environment, task, algorithm, seed_0, step_0, ...)"
# BenchMARL's and Mava's names of what their tests measure
METRICS = {
    "return": "test_return",
    "episode_return": "test_return",
    "mean_episode_return": "test_return",
    "episode_length": "test_length",
}


def runs(source: Path) -> list[Run]:
    """Return the runs of a file, or of all such files below a folder; there may be none there.

    Raises `UserError` where a file is malformed.
    """
    if source.is_file():
        return list(_runs(source, foreign.read_json(source, EXPECTED)))
    found: list[Run] = []
    for path in sorted(source.rglob("*.json")):
        content = foreign.read_json(path, EXPECTED) if _may_be(path) else {}
        if _is_marl_eval(content):
            found += _runs(path, content)
    return found


def _may_be(path: Path) -> bool:
    """Return whether a file begins as an object does: others' logs lie beside theirs."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except OSError:
        return False


def _is_marl_eval(content: Mapping[str, Any]) -> bool:
    """Return whether the first run of a file has steps."""
    inner: Any = content
    for _ in range(4):
        if not isinstance(inner, Mapping) or not inner:
            return False
        inner = next(iter(inner.values()))
    return isinstance(inner, Mapping) and any(_is_step(name) for name in inner)


def _is_step(name: str) -> bool:
    return name.lower().startswith("step") or _is_absolute(name)


def _is_absolute(name: str) -> bool:
    return "absolute" in name.lower()


def _runs(path: Path, content: dict[str, Any]) -> Iterator[Run]:
    """Yield the runs of a file."""
    for environment, tasks in _inside(path, content):
        for task, algorithms in _inside(path, tasks, environment):
            for algorithm, seeds in _inside(path, algorithms, environment, task):
                for name, steps in _inside(path, seeds, environment, task, algorithm):
                    yield _run(path, (environment, task, algorithm, name), steps)


def _inside(path: Path, found: Any, *keys: str) -> list[tuple[str, Any]]:
    """Return what an object holds; `keys` lead to it."""
    if not isinstance(found, dict):
        at = " -> ".join(keys) or "its top"
        raise UserError(f"{path}: an object is expected at {at}, as in {EXPECTED}.")
    return list(found.items())


def _run(path: Path, keys: tuple[str, str, str, str], steps: Any) -> Run:
    """Return one run of a file; `keys` lead to it."""
    environment, task, algorithm, name = keys
    place = f"{path}: {' -> '.join(keys)}"
    number = re.search(r"([0-9]{1,18})$", name)
    if number is None:
        raise UserError(f"{place}: a run is named by its seed, as seed_0, but is {name!r}.")
    seed = int(number[0])
    for step, measured in _inside(path, steps, *keys):
        _inside(path, measured, *keys, step)
    config = {"environment": environment, "task": task, "algorithm": algorithm, "seed": seed}
    return Run(place, seed, config, COMPLETED, partial(_measured, path, place, seed, steps))


def _measured(
    path: Path,
    place: str,
    seed: int,
    steps: Mapping[str, Mapping[str, Any]],
    wanted: Collection[str],
) -> Measured:
    """Return the points of one run, and its absolute metrics among the facts."""
    points: list[Point] = []
    names: set[str] = set()
    facts: dict[str, Any] = {"file": str(path), "sha256": sha256(path)}
    for name, measured in steps.items():
        if _is_absolute(name):
            facts["absolute_metrics"] = dict(measured)
        else:
            names.update(measured)
            points += _points(f"{place} -> {name}", seed, measured, wanted)
    return Measured(points, sorted(names - {"step_count"}), facts)


def _points(
    place: str, seed: int, measured: Mapping[str, Any], wanted: Collection[str]
) -> Iterator[Point]:
    """Yield what was measured at one step."""
    try:
        count = foreign.whole(measured.get("step_count"))
    except ValueError as error:
        raise UserError(f"{place}: step_count should be a whole number, but {error}.") from error
    for name, values in measured.items():
        if name in wanted:
            yield seed, count, UNCOUNTED, name, _mean(place, name, values)


def _mean(place: str, name: str, values: Any) -> float:
    """Return the mean of a list of numbers, or a number itself."""
    listed = values if isinstance(values, list) else [values]
    try:
        numbers = [foreign.number(value) for value in listed]
        return math.fsum(numbers) / len(numbers)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{place}: {name!r} should be numbers, but {error}.") from error
    except ZeroDivisionError:
        raise UserError(f"{place}: {name!r} holds no number.") from None


def narrowed(
    source: Path, runs: list[Run], task: str, algorithm: str, where: Collection[str]
) -> list[Run]:
    """Return the runs of our task, and of our algorithm where any has this very name.

    The settings that `where` names are not looked at. Raises `UserError` where the runs are of
    other tasks of the same family; a family or an algorithm may have another name elsewhere.
    """
    kept = runs
    if not {"environment", "task"}.intersection(where):
        kept = [run for run in runs if _task(run) == task.lower()] or runs
        others = {_task(run) for run in kept} - {task.lower()}
        family = task.partition("/")[0].lower()
        if any(other.partition("/")[0] == family for other in others):
            raise UserError(
                f"{source} holds runs of {', '.join(sorted(others))}, but none of {task}: name "
                f"their task, or choose with --where task=NAME."
            )
    if "algorithm" in where:
        return kept
    return [run for run in kept if run.config["algorithm"].lower() == algorithm.lower()] or kept


def _task(run: Run) -> str:
    return f"{run.config['environment']}/{run.config['task']}".lower()
