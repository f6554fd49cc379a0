"""The sheets: those that are shipped, and a study's with them (standard library only).

A study's sheets add: algorithms (also ``like`` shipped ones), tasks (also of shipped families),
figures, tables and snapshots. What is shipped they cannot change, so a name means one thing
everywhere.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from partage import _io
from partage.config import VERSION, choices, schema, study
from partage.errors import UserError, one_of

SHEETS = ("algorithms", "tasks", "figures", "tables", "snapshots")
SHOWN = ("figures", "tables", "snapshots")  # the sheets of what is drawn or written
ADVICE = "make it so that it can be read, or see what `partage new` makes."


class Sheets(NamedTuple):
    """All that the sheets say."""

    entries: dict[str, dict[str, Any]]  # by sheet, then by name
    folders: list[Path]  # of the sheets, the study's first
    own: frozenset[str] | None  # what of the study is drawn or written; None outside of any


def read(package: Path) -> Sheets:
    """Return the sheets of a package, and of the study that this process works in.

    Raises `UserError` for a sheet that cannot be read, and for a study that lacks what it needs or
    has a name that is shipped.
    """
    shipped = package / "config/sheets"
    entries = {name: schema.toml(shipped / f"{name}.toml") for name in SHEETS}
    root = study.root()
    if root is None:
        return Sheets(entries, [shipped], None)
    _check_mark(root / study.MARK)
    shown: set[str] = set()
    for name, path in _sheets_of(root).items():
        added = _io.read_toml(path, ADVICE)
        _add(entries[name], added, path)
        if name in SHOWN:
            shown |= added.keys()
        if name == "tasks":
            _check_families(added, package, root)
    return Sheets(entries, [root / "sheets", shipped], frozenset(shown))


def _check_mark(path: Path) -> None:
    """Raise `UserError` where a study was made for a later version than this one."""
    content = _io.read_toml(path, ADVICE)
    schema.strict(content, {"partage": str}, str(path), ["partage"])
    wanted = content["partage"]
    if not re.fullmatch(r"\d+(\.\d+)*", wanted):
        raise UserError(f"{path}: a version is written 0.2.0, but is {wanted!r}.")
    if _numbers(wanted) > _numbers(VERSION):
        raise UserError(
            f"{path}: the study is for partage {wanted} or later, but this is {VERSION}: "
            "install a later one."
        )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _sheets_of(root: Path) -> dict[str, Path]:
    """Return the sheets of a study by name."""
    folder = root / "sheets"
    if not folder.is_dir():
        raise UserError(
            f"The study {root} has no folder sheets, where algorithms.toml, tasks.toml and "
            "figures.toml say what is its own: make it, or begin with `partage new`."
        )
    found = {path.stem: path for path in sorted(folder.glob("*.toml")) if path.name != choices.FILE}
    for name in found:
        one_of("sheet", name, SHEETS, folder)
    return found


def _add(entries: dict[str, Any], added: Mapping[str, Any], path: Path) -> None:
    """Put a study's entries beside the shipped ones."""
    for name, entry in added.items():
        if name not in entries:
            entries[name] = entry
        elif path.stem == "tasks":
            _add_tasks(name, entries[name], entry, path)
        else:
            raise _taken(path, name)


def _add_tasks(family: str, shipped: dict[str, Any], entry: Any, path: Path) -> None:
    """Put a study's tasks beside those of a shipped family."""
    table = schema.as_table(entry, f"{path} [{family}]")
    schema.strict(table, {"task": dict}, f"{path} [{family}], a family that partage has,")
    for name, task in table.get("task", {}).items():
        if name in shipped["task"]:
            raise _taken(path, f"{family}/{name}")
        shipped["task"][name] = task


def _taken(path: Path, name: str) -> UserError:
    return UserError(
        f"{path}: partage has {name!r} already, which a study cannot change: give yours another "
        "name."
    )


def _check_families(added: Mapping[str, Any], package: Path, root: Path) -> None:
    """Raise `UserError` for a family of tasks without the file that plays it."""
    files = study.files("envs", package / "envs")
    for family in added:
        if family not in files:
            raise UserError(
                f"{root / 'sheets/tasks.toml'} has the family {family!r}, but there is no "
                f"{root / 'envs' / family}.py that plays it: write it, or leave the family out."
            )
