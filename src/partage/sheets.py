"""The sheets, read strictly (standard library only): tasks.toml and algorithms.toml here, the others in `exhibits`.

Unknown keys and wrong types are refused. Any value of a task, and any setting, may be a table by scale:
``steps = {paper = 1_600_000, lab = 400_000, smoke = 40_000}``.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from partage import Refusal
from partage.recipe import ENGINES, IMPORTED, SCALES, refuse_taken
from partage.settings import unknown

Values = Mapping[str, Any]
RUN = ("steps", "seeds", "log_every", "test_every", "test_episodes")  # whole numbers a task gives each run
TIME_LIMITS = ("terminal", "truncation")


class Task(NamedTuple):
    """One task: its family's values with its own on top."""

    name: str  # "family/name"
    label: str
    run: Values  # the keys of RUN and time_limit
    options: Values  # for the environment's `make`
    settings: Values  # held equal for all algorithms
    facts: Values  # about the task, for its row in a table
    engine: str  # the only one there is ("": the one asked for)
    needs: Mapping[str, str]  # what has to be installed besides, and the command that does it


class Variant(NamedTuple):
    """One named algorithm: a learner with settings."""

    name: str
    learner: str
    label: str
    colour: str
    settings: Values
    task: Mapping[str, Values]  # by family or by task


def get(table: Mapping[str, Any], what: str, name: str, where: str) -> Any:
    if name not in table:
        raise unknown(what, name, table, where)
    return table[name]


def at_scale(value: Any, scale: str, where: str) -> Any:
    """A value that is a table by scale, at one scale; any other value as it is."""
    if not isinstance(value, dict):
        return value
    if wrong := [key for key in value if key not in SCALES]:
        raise unknown("scale", wrong[0], SCALES, where)
    return get(value, "scale", scale, where)


def run_values(task: Task, scale: str, own: Values = MappingProxyType({})) -> tuple[dict[str, int], dict[str, Any]]:
    """Steps, seeds and evaluation of a task, and the options of its environment, at one scale; `own` come first."""
    run = {}
    for key in RUN:
        least = 0 if key.startswith("test") else 1
        value = run[key] = at_scale(
            get({**task.run, **own}, "value", key, f"tasks.toml, {task.name}"), scale, f"{task.name} {key}"
        )
        if type(value) is not int or value < least:
            raise Refusal(
                f"tasks.toml, {task.name}: {key} is a whole number from {least} on, but is {value!r} at scale {scale}."
            )
    if run["test_every"] and not run["test_episodes"]:
        raise Refusal(
            f"tasks.toml, {task.name}: test_every is {run['test_every']}, so test_episodes must be at least 1."
        )
    options = {key: at_scale(value, scale, f"{task.name} {key}") for key, value in task.options.items()}
    limit = at_scale(task.run.get("time_limit"), scale, f"{task.name} time_limit")
    if limit not in TIME_LIMITS:
        raise unknown("time_limit", limit, TIME_LIMITS, f"tasks.toml, {task.name}")
    return run, options | {"time_limit": limit}


def toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(
            f"Could not read {path} ({error.strerror}): run partage from a checkout of its repository."
        ) from error
    except ValueError as error:
        raise Refusal(f"{path} is not valid TOML: {error}.") from error


def as_table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(f"{where} should be a table, but is {value!r}.")
    return value


def strict(entry: Values, kinds: Mapping[str, type], where: str, needed: Iterable[str] = ()) -> None:
    """Only known keys, each of its type; all of `needed`."""
    for key, value in entry.items():
        kind = get(kinds, "key", key, where)
        if kind is not object and not isinstance(value, kind):
            raise Refusal(f"{where}: {key!r} should be of type {kind.__name__}, but is {value!r}.")
        if kind is list and not all(isinstance(item, str) for item in value):
            raise Refusal(f"{where}: {key!r} should be a list of names, but is {value!r}.")
    for key in needed:
        if key not in entry:
            raise Refusal(f"{where} lacks the key {key!r}.")


def tasks(raw: Values) -> Iterable[Task]:
    kinds = dict.fromkeys((*RUN, "time_limit"), object) | {"options": dict, "settings": dict, "facts": dict}
    only = {"engine": str, "needs": dict}  # of a whole family
    for family, shared in raw.items():
        where = f"tasks.toml [{family}]"
        strict(as_table(shared, where), kinds | only | {"task": dict}, where, ["task"])
        if shared.get("engine", ENGINES[0]) not in ENGINES:
            raise unknown("engine", shared["engine"], ENGINES, where)
        for name, own in shared["task"].items():
            strict(as_table(own, f"{where} {name}"), kinds | {"label": str}, f"tasks.toml [{family}.task.{name}]")
            run = {key: source[key] for source in (shared, own) for key in (*RUN, "time_limit") if key in source}
            merged = [shared.get(key, {}) | own.get(key, {}) for key in ("options", "settings", "facts")]
            refuse_taken(merged[0], f"tasks.toml, {family}/{name}")
            engine, needs = shared.get("engine", ""), shared.get("needs", {})
            yield Task(f"{family}/{name}", own.get("label", name), run, *merged, engine=engine, needs=needs)


def variant(name: str, entry: dict[str, Any], learners: Mapping[str, Any]) -> Variant:
    where = f"algorithms.toml [{name}]"
    kinds = {"learner": str, "label": str, "colour": str, "settings": dict, "task": dict}
    strict(entry, kinds, where, ["learner", "label", "colour"])
    get(learners, "learner", entry["learner"], where)
    by_task = {key: as_table(value, f"{where} {key}") for key, value in entry.get("task", {}).items()}
    if not re.fullmatch("#[0-9A-Fa-f]{6}", entry["colour"]):
        raise Refusal(f"{where}: a colour is written #rrggbb, but is {entry['colour']!r}.")
    label = entry["label"] + (" (imported)" if entry["learner"] == IMPORTED else "")  # never mistaken for ours
    return Variant(name, entry["learner"], label, entry["colour"], entry.get("settings", {}), by_task)
