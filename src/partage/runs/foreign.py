"""Read what others wrote: JSON, and numbers in the ways they are written.

A number that is none, not finite, or larger than a column of ours holds is a `ValueError` that says
so; who reads the file adds the file's name and the place in it. Nothing here runs what it reads:
what jsonpickle wrote is looked at as plain JSON.
"""

import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from partage import _io
from partage.errors import LIMIT

LARGEST = LIMIT - 1  # of the columns seed, env_steps and updates
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?")


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Return the object that a JSON file of others holds; numbers that are none pass.

    `expected` says what the file should be. Raises `UserError` as `_io.read_json` does.
    """
    return _io.read_json(path, f"{expected} is expected.", finite=False)


def kept(found: Any, levels: int = 20) -> Any:
    """Return what was found as a record of ours keeps it, which holds finite numbers and text.

    Another number becomes text, and so does what is nested deeper than `levels`.
    """
    if isinstance(found, str):
        return found.encode(errors="backslashreplace").decode()
    if isinstance(found, float) and not math.isfinite(found):
        return str(found)
    if not isinstance(found, dict | list):
        return found
    if levels == 0:
        return short(found)
    if isinstance(found, list):
        return [kept(each, levels - 1) for each in found]
    return {kept(str(name)): kept(each, levels - 1) for name, each in found.items()}


def number(found: Any) -> float:
    """Return a number of a JSON file, or a numpy number that jsonpickle wrote, as a float."""
    plain = _plain(found)
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise ValueError(f"{short(found)} is no number")
    try:
        value = float(plain)
    except OverflowError:
        raise ValueError(f"{short(found)} is larger than a float") from None
    return _finite(value, found)


def whole(found: Any) -> int:
    """Return a whole number of a JSON file from 0 on, which may be written as 2000.0."""
    plain = _plain(found)
    if isinstance(plain, int) and not isinstance(plain, bool):
        return _counted(plain, found)
    value = number(plain)
    if not value.is_integer():
        raise ValueError(f"{short(found)} is no whole number")
    return _counted(int(value), found)


def number_of_text(text: str) -> float:
    """Return the number that a CSV file's field holds, as a float.

    >>> number_of_text("1.5e2")
    150.0
    """
    if NUMBER.fullmatch(text.strip()) is None:
        if text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise ValueError(f"{short(text)} is no finite number")
        raise ValueError(f"{short(text)} is no number (a point before decimals, none at thousands)")
    return _finite(float(text), text)


def whole_of_text(text: str) -> int:
    """Return the whole number from 0 on that a CSV file's field holds.

    >>> whole_of_text("2e6")
    2000000
    """
    number_of_text(text)
    exact = Decimal(text.strip())
    if exact > LARGEST:
        raise ValueError(f"{short(text)} is larger than {LARGEST}")
    if exact != exact.to_integral_value():
        raise ValueError(f"{short(text)} is no whole number")
    return _counted(int(exact), text)


def short(found: Any) -> str:
    """Return what was found as it is shown in a sentence: on one line, at most 60 characters."""
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(found: Any) -> Any:
    """Return the number that jsonpickle wrapped, or what was found itself."""
    if isinstance(found, dict) and str(found.get("py/object")).startswith("numpy."):
        found = found.get("value", found.get("values"))
    if isinstance(found, list) and len(found) == 1:
        return found[0]  # an array of one number
    return found


def _finite(value: float, found: Any) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{short(found)} is no finite number")
    return value


def _counted(value: int, found: Any) -> int:
    if not 0 <= value <= LARGEST:
        raise ValueError(f"{short(found)} is not between 0 and {LARGEST}")
    return value
