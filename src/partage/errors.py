"""Mistakes a user can mend: the one exception for them, and the checks that raise it."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")
LIMIT = 2**63  # whole numbers that are computed with stay below


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one sentence that says what was expected, what came and what to do. The command
    line prints it without a traceback and exits with code 2.
    """


def unknown(what: str, name: object, known: Iterable[Any], where: object = "") -> UserError:
    """Return the error for a name that does not exist: the nearest match, then all that are known.

    >>> print(unknown("scale", "papr", ("smoke", "lab", "paper")))
    Unknown scale 'papr': did you mean 'paper'? known are lab, paper, smoke.
    """
    names = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    place = f" in {where}" if where else ""
    return UserError(
        f"Unknown {what} {name!r}{place}: {hint}known are {', '.join(names) or 'none'}."
    )


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
