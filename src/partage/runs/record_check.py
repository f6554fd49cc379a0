"""What a record has to hold before anybody reads on in it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from partage.config import recipe as recipes
from partage.config.types import expected, fits
from partage.errors import UserError

KINDS: dict[str, Any] = {
    "recipe": dict,
    "code": dict,
    "recipe_hash": str,
    "versions": dict,
    "machine": dict,
    "vectors": dict,
    "started": str,
    "finished": str,
    "wall_seconds": float,
    "cpu_seconds": float,
    "resumed": int,
    "threads": int,
    "device": str,
    "earlier_code": list[str],
    "image": dict,
    "imported": dict,
    "networks": dict,
}
NEEDED = ("recipe", "code")
INSIDE: dict[str, dict[str, Any]] = {
    "code": {"hash": str, "commit": str, "files": dict},
    "image": {"digest": str},
    "imported": {"source": str, "at": str},
    "networks": {"parameters": int, "multiply_adds": int},
}
NAMED_TEXTS = ("versions", "machine", "vectors")  # tables of names and plain values


def check(record: dict[str, Any], path: Path, advice: str) -> None:
    """Raise `UserError`, which ends in `advice`, for a record that is not what we write.

    What newer code has added is passed over; what nobody knew is null.
    """
    _check_kinds(record, KINDS, NEEDED, str(path), advice)
    for key, kinds in INSIDE.items():
        if record.get(key) is not None:
            needed = kinds if key == "imported" else ()
            _check_kinds(record[key], kinds, needed, f"{path}, {key},", advice)
    for key in NAMED_TEXTS:
        for value in (record.get(key) or {}).values():
            if isinstance(value, dict | list):
                raise UserError(f"{path} is corrupt ({key!r} should hold plain values): {advice}")
    files = record["code"].get("files") or {}
    _check_kinds(files, dict.fromkeys(files, str), (), f"{path}, code files,", advice)
    recipes.parse(record["recipe"], path)


def _check_kinds(
    values: dict[str, Any], kinds: dict[str, Any], needed: Iterable[str], where: str, advice: str
) -> None:
    for key in needed:
        if values.get(key) is None:
            raise UserError(f"{where} is corrupt (it has no {key!r}): {advice}")
    for key, kind in kinds.items():
        value = values.get(key)
        if value is not None and not fits(value, kind):
            raise UserError(
                f"{where} is corrupt ({key!r} should be {expected(kind)}, but is {value!r}): "
                f"{advice}"
            )
