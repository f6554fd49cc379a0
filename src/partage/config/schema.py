"""How every TOML file of ours is read: strictly (standard library only).

Unknown keys and wrong types are refused. A value may be a table by scale:
``steps = {paper = 1_600_000, lab = 400_000, smoke = 40_000}``.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from partage import _io
from partage.config.recipe import SCALES
from partage.config.types import expected, fits
from partage.errors import UserError, all_known, look_up, unknown

Values = Mapping[str, Any]


def toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds. Raises `UserError` where it is missing or not TOML."""
    return _io.read_toml(path, "install partage again, or run it from a checkout.")


def as_table(value: Any, where: str) -> dict[str, Any]:
    """Return `value` if it is a table; else raise `UserError`."""
    if not isinstance(value, dict):
        raise UserError(f"{where} should be a table, but is {value!r}.")
    return value


def strict(entry: Values, kinds: Mapping[str, Any], where: str, needed: Iterable[str] = ()) -> None:
    """Raise `UserError` unless all keys are known and of their types, and all `needed` there."""
    all_known({"key": (entry, kinds)}, where)
    for key, value in entry.items():
        kind = kinds[key]
        if not fits(value, kind):
            raise UserError(f"{where}: {key!r} should be {expected(kind)}, but is {value!r}.")
        _check_text(value, key, where)
    lacking = [repr(key) for key in needed if key not in entry]
    if lacking:
        raise UserError(f"{where} lacks the key{'s' * (len(lacking) > 1)} {', '.join(lacking)}.")
    for key in needed:
        if entry[key] == "":
            raise UserError(f"{where}: {key!r} should be a text, but is empty.")


def _check_text(value: Any, key: str, where: str) -> None:
    """Raise `UserError` for a text with characters that no page and no picture can show."""
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if isinstance(text, str) and any(unicodedata.category(letter) == "Cc" for letter in text):
            raise UserError(
                f"{where}: {key!r} should be a text of one line without control characters, but "
                f"is {text!r}."
            )


def each_once(names: list[str], key: str, where: str, least: int = 0) -> None:
    """Raise `UserError` unless there are at least so many names, each once."""
    if len(names) < least or len(set(names)) < len(names):
        raise UserError(
            f"{where}: {key!r} should be names{', at least one' if least else ''}, each once, but "
            f"is {names!r}."
        )


def check_scalars(values: Values, where: str) -> None:
    """Raise `UserError` unless all values are plain: a text, true or false, a number."""
    for key, value in values.items():
        if not any(fits(value, kind) for kind in (str, bool, float)):
            raise UserError(f"{where}: {key!r} should be a plain value, but is {value!r}.")
        _check_text(value, key, where)


def at_scale(value: Any, scale: str, where: str) -> Any:
    """Return a value that is a table by scale at one scale; any other value as it is."""
    if not isinstance(value, dict):
        return value
    for key in value:
        if key not in SCALES:
            raise unknown("scale", key, SCALES, where)
    return look_up(value, "scale", scale, where)
