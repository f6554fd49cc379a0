"""Mistakes a user can mend: the one exception for them, and the checks that raise it.

What a sentence tells the user to run is written `` `partage plan` `` and said as it works where the
user stands: with an environment that is active or not, in a clone, a study or anywhere.
"""

import contextlib
import difflib
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")
LIMIT = 2**63  # whole numbers that are computed with stay below
PROGRAMS = ("partage", "snakemake", "pip")  # of the environment that Python is of
CALL = re.compile(rf"(?<=`)({'|'.join(PROGRAMS)})(?= )")


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one sentence that says what was expected, what came and what to do. The command
    line prints it without a traceback and exits with code 2.
    """

    def __init__(self, sentence: object) -> None:
        super().__init__(callable_here(str(sentence)))


def callable_here(sentence: str) -> str:
    """Return a sentence whose commands, in backquotes, are as they can be called here."""
    return CALL.sub(lambda found: program(found[1]), sentence)


def program(name: str, folder: Path = Path()) -> str:
    """Return what calls one of `PROGRAMS` in a folder: a name that the shell finds, or a path.

    Without a script of its own it is run as a module.
    """
    python = Path(sys.executable or "python3")
    script = python.with_name(name)
    if script.is_file():
        return _typed(script, folder)
    return name if shutil.which(name) else f"{_typed(python, folder)} -m {name}"


def _typed(script: Path, folder: Path) -> str:
    """Return how a shell that stands in a folder is told of a program."""
    found = shutil.which(script.name)
    if found and os.path.samefile(found, script):
        return script.name
    with contextlib.suppress(OSError):  # the folder has been deleted
        here = folder.resolve()
        script = script.relative_to(here) if script.is_relative_to(here) else script
    return shlex.quote(str(script))


def unknown(
    what: str, name: object, known: Iterable[Any], where: object = "", *others: object
) -> UserError:
    """Return the error for names that do not exist: the nearest matches, then all that are known.

    >>> print(unknown("scale", "papr", ("smoke", "lab", "paper")))
    Unknown scale 'papr': did you mean 'paper'? known are lab, paper, smoke.
    """
    names, strays = sorted(map(str, known)), [name, *others]
    near = [match for x in strays for match in difflib.get_close_matches(str(x), names, n=1)]
    hint = f"did you mean {_listed(near)}? " if near else ""
    place = f" in {where}" if where else ""
    what = f"{what}s" if others else what
    return UserError(
        f"Unknown {what} {_listed(strays)}{place}: {hint}known are {', '.join(names) or 'none'}."
    )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names))


def all_known(named: Mapping[str, tuple[Iterable[Any], Iterable[Any]]], where: object) -> None:
    """Raise `UserError`, which says of each that is not, unless all names are known.

    ``{"task": (names, known)}``: what is named, and what there is.
    """
    said = []
    for what, (names, known) in named.items():
        choices = list(known)
        if strays := [name for name in names if name not in choices]:
            said.append(str(unknown(what, strays[0], choices, where, *strays[1:])))
    if len(said) > 1:  # together they would be too long to be read
        said = [re.sub(r"\? known are .*", "?", each) for each in said]
    if said:
        raise UserError(" ".join(said))


def look_up(table: Mapping[str, Value], what: str, name: str, where: object = "") -> Value:
    """Return ``table[name]``. Raises `UserError` where there is no such name."""
    if name not in table:
        raise unknown(what, name, table, where)
    return table[name]


def one_of(what: str, value: Any, known: Iterable[Any], where: object = "") -> None:
    """Raise `UserError` unless `value` is among the known ones."""
    choices = list(known)
    if value not in choices:
        raise unknown(what, value, choices, where)


def at_most(what: str, value: float, most: float, why: str) -> None:
    """Raise `UserError`, which says `why`, for a value above the most that makes sense."""
    if value > most:
        raise UserError(f"{what} is at most {most:,} ({why}), but is {value:,}.")


def at_least(what: str, value: float, least: float) -> None:
    """Raise `UserError` unless `value` is a number from `least` on (NaN is none)."""
    if not value >= least:
        raise UserError(f"{what} is at least {least}, but is {value}.")
