"""algorithms.toml: the named algorithms, each a learner with settings (standard library only)."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from partage.config.recipe import IMPORTED
from partage.config.schema import Values, as_table, strict
from partage.errors import UserError, look_up

KINDS = {"learner": str, "label": str, "colour": str, "settings": dict, "task": dict}


class Variant(NamedTuple):
    """One named algorithm: a learner with settings."""

    name: str
    learner: str
    label: str
    colour: str  # "#rrggbb"
    settings: Values
    task: Mapping[str, Values]  # by family or by task


def read_variant(name: str, entry: dict[str, Any], learners: Mapping[str, Any]) -> Variant:
    """Return one entry of algorithms.toml. Raises `UserError` for what does not belong in it."""
    where = f"algorithms.toml [{name}]"
    strict(entry, KINDS, where, ["learner", "label", "colour"])
    learner, label, colour = entry["learner"], entry["label"], entry["colour"]
    look_up(learners, "learner", learner, where)
    if not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
        raise UserError(f"{where}: a colour is written #rrggbb, but is {colour!r}.")
    if learner == IMPORTED:
        label += " (imported)"  # never mistaken for ours
    by_task = entry.get("task", {})
    for key, values in by_task.items():
        as_table(values, f"{where} {key}")
    return Variant(name, learner, label, colour, entry.get("settings", {}), by_task)
