"""Which code was seen to give the same curves: ``results/published/equal-code.toml``, read here.

Code is edited without moving a number: a file moves, a name changes. The stamp of a run cannot know
that. So the list names pairs of stamps of one learner on one family between which curves were
compared bit for bit; where entries lead from a run's stamp to today's, the run is not stale.
`partage.runs.code_comparison` makes the entries.
"""

import datetime
import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partage.config import schema
from partage.errors import UserError

PUBLISHED = Path(__file__).with_name("equal-code.toml")  # a link to results/published in a checkout
STAMP = {"hash": str, "commit": str}
SHORT_HASH = 12  # letters of a sha256


class Stamp(NamedTuple):
    """The code of one learner on one family: `partage.runs.code_stamps.code` of a commit."""

    hash: str
    commit: str


class Entry(NamedTuple):
    """A comparison: curves of these recipes were equal byte by byte."""

    before: Stamp
    after: Stamp
    learner: str
    family: str
    tasks: list[str]
    algorithms: list[str]
    steps: int  # env steps of each seed
    seeds: list[int]
    machine: str  # its processor
    versions: dict[str, Any]
    date: str


KINDS: dict[str, Any] = {
    "before": dict,
    "after": dict,
    "learner": str,
    "family": str,
    "tasks": list[str],
    "algorithms": list[str],
    "steps": int,
    "seeds": list[int],
    "machine": str,
    "versions": dict,
    "date": str,
}


def read(path: Path = PUBLISHED) -> list[Entry]:
    """Return the entries of a list; none where there is no such file.

    Raises `UserError` for a file that is not TOML, a key that is unknown or missing, and a value
    that cannot be what it should be.
    """
    if not path.exists():
        return []
    content = schema.toml(path)
    schema.strict(content, {"equal": list}, path.name)
    return [
        _entry(raw, f"{path.name}, entry {number}")
        for number, raw in enumerate(content.get("equal", []), 1)
    ]


def _entry(raw: Any, where: str) -> Entry:
    """Return one entry, checked."""
    values = schema.as_table(raw, where)
    schema.strict(values, KINDS, where, KINDS)
    before, after = (_stamp(values[name], f"{where}, {name}") for name in ("before", "after"))
    entry = Entry(**{**values, "before": before, "after": after})
    if before.hash == after.hash:
        raise UserError(f"{where}: before and after should be two stamps, but are one.")
    for name in ("tasks", "algorithms", "seeds"):
        if not values[name]:
            raise UserError(f"{where}: {name!r} should name what was compared, but is empty.")
    if entry.steps < 1:
        raise UserError(f"{where}: 'steps' is at least 1, but is {entry.steps}.")
    for name, version in entry.versions.items():
        if not isinstance(version, str):
            raise UserError(f"{where}: versions are texts, but that of {name} is {version!r}.")
    try:
        datetime.date.fromisoformat(entry.date)
    except ValueError as error:
        raise UserError(
            f"{where}: 'date' should be written as 2026-11-26, but is {entry.date!r}."
        ) from error
    return entry


def _stamp(raw: dict[str, Any], where: str) -> Stamp:
    """Return one stamp, checked."""
    schema.strict(raw, STAMP, where, STAMP)
    stamp = Stamp(**raw)
    if len(stamp.hash) != 64 or not set(stamp.hash) <= set("0123456789abcdef"):
        raise UserError(f"{where}: 'hash' should be a whole sha256, but is {stamp.hash!r}.")
    return stamp


def chain(
    entries: Sequence[Entry], learner: str, family: str, before: str, after: str
) -> list[Entry]:
    """Return the fewest entries that lead from one stamp's hash to another's; empty if none do.

    Equal is equal in both directions, so an entry is gone through either way.
    """
    paths: dict[str, list[Entry]] = {before: []}
    todo = deque([before])
    while todo and after not in paths:
        here = todo.popleft()
        for entry in entries:
            if (entry.learner, entry.family) != (learner, family):
                continue
            for there in _other_end(entry, here):
                if there not in paths:
                    paths[there] = [*paths[here], entry]
                    todo.append(there)
    return paths.get(after, [])


def _other_end(entry: Entry, end: str) -> list[str]:
    """Return the other stamp's hash if one of the entry's two is `end`; else nothing."""
    if end == entry.before.hash:
        return [entry.after.hash]
    if end == entry.after.hash:
        return [entry.before.hash]
    return []


def between(
    entries: Sequence[Entry],
    recipe: Mapping[str, Any],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> list[Entry]:
    """Return the `chain` between the codes that made two runs of a recipe.

    Recipe and codes are as records have them.
    """
    family = recipe["task"].partition("/")[0]
    first, last = (code.get("hash") or "" for code in (before, after))
    return chain(entries, recipe["learner"], family, first, last)


class Standing(NamedTuple):
    """How the code that made a run stands to another code."""

    other: list[str]  # the files in which they differ, and codes that the run began with
    equal: list[Entry]  # comparisons that make other code as good as the same


def standing(
    entries: Sequence[Entry], made: Mapping[str, Any], today: Mapping[str, Any]
) -> Standing:
    """Return how the codes of a run, as its record has them, stand to `today`'s.

    A run that was resumed by other code than it began with was made by all of them: it is as good
    as made by today's where entries lead there from each.
    """
    other, equal = [], []
    files = changed_files(made["code"], today)
    if files:
        linked = between(entries, made["recipe"], made["code"], today)
        equal += linked
        other += [] if linked else files
    for earlier in dict.fromkeys(made.get("earlier_code", [])):
        if earlier == today.get("hash"):
            continue
        linked = between(entries, made["recipe"], {"hash": earlier}, today)
        equal += linked
        other += [] if linked else [f"begun by other code, {earlier[:SHORT_HASH]}"]
    return Standing(other, list({str(entry): entry for entry in equal}.values()))


def begun_by_other(entries: Sequence[Entry], made: Mapping[str, Any]) -> bool:
    """Return whether a run was resumed by code that is not known to be equal to its first."""
    return bool(standing(entries, made, made["code"]).other)


def changed_files(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the files in which two codes differ, as records have them."""
    then, now = before["files"], after["files"]
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def describe(entries: Sequence[Entry]) -> str:
    """Return what a chain of entries says, for people."""
    compared = [
        f"{entry.before.commit[:7]} and {entry.after.commit[:7]} on {', '.join(entry.tasks)}, "
        f"{entry.steps:,} steps on {entry.machine}, {entry.date}"
        for entry in entries
    ]
    return f"equal by comparison ({'; '.join(compared)})"


def write_toml(entries: Sequence[Entry]) -> str:
    """Return entries as `read` reads them."""
    return "".join(f"\n[[equal]]\n{_toml(entry)}" for entry in entries)


def _toml(entry: Entry) -> str:
    """Return one entry's lines. Texts, lists and numbers of JSON are those of TOML, too."""
    lines = []
    for name, value in entry._asdict().items():
        if isinstance(value, Stamp):
            value = value._asdict()
        if isinstance(value, dict):
            pairs = [f"{json.dumps(key)} = {json.dumps(each)}" for key, each in value.items()]
            lines.append(f"{name} = {{ {', '.join(pairs)} }}\n")
        else:
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines)
