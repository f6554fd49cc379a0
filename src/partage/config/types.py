"""Which values fit which types: one rule for config files, recipes, settings and ``--config``."""

import sys
from collections.abc import Mapping
from typing import Any, get_args

Scalar = bool | int | float | str

WORDS: Mapping[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
    list[str]: "a list of names",
    list[int]: "a list of whole numbers",
    dict[str, Scalar]: "a table of plain values",
    dict[str, Any]: "a table",
}
LARGEST = sys.float_info.max


def fits(value: Any, kind: Any) -> bool:
    """Return whether `value` is of a type in `WORDS`; `object` takes anything.

    True is no number; a whole number is a number; infinity and NaN are none.

    >>> fits(0, float), fits(True, int), fits(["a"], list[str])
    (True, False, True)
    """
    if kind is object:
        return True
    if kind is float:
        return type(value) in (int, float) and -LARGEST <= value <= LARGEST
    if kind in (int, str, bool, list, dict):
        return type(value) is kind
    if kind in (list[str], list[int]):
        return type(value) is list and all(fits(item, get_args(kind)[0]) for item in value)
    if kind == dict[str, Scalar]:
        return type(value) is dict and all(isinstance(item, Scalar) for item in value.values())
    return type(value) is dict


def expected(kind: Any) -> str:
    """Return a type in words: "a whole number"."""
    return WORDS[kind]
