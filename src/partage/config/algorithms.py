"""algorithms.toml: the named algorithms, each a learner with settings (standard library only)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from partage.config.recipe import IMPORTED
from partage.config.schema import Values, as_table, strict
from partage.errors import UserError, look_up

TRIED = "*"  # the key of the settings of a sweep's trial, which stand above all others
KINDS = {"like": str, "learner": str, "label": str, "colour": str, "settings": dict, "task": dict}


class Layer(NamedTuple):
    """Settings that stand in one place of algorithms.toml; a later layer goes on top."""

    key: str  # the family or task they are for ("": everywhere), or `TRIED`
    values: Values
    home: str  # where they stand, as a reader finds them


class Variant(NamedTuple):
    """One named algorithm: a learner with settings."""

    name: str
    learner: str
    label: str
    colour: str  # "#rrggbb"
    layers: tuple[Layer, ...]  # those of the variant it is like come first
    trial_of: str = ""  # the method that it tries other settings of (`partage.config.sweeps`)

    def layers_for(self, key: str = "") -> Iterator[Layer]:
        """Yield what is set for one family or task, or (for "") everywhere."""
        for layer in self.layers:
            if layer.key == key:
                yield layer

    @property
    def tried(self) -> dict[str, Any]:
        """Return what a trial sets; nothing of any other variant."""
        tried: dict[str, Any] = {}
        for layer in self.layers_for(TRIED):
            tried |= layer.values
        return tried

    @property
    def settings(self) -> dict[str, Any]:
        """Return what is set everywhere, as written: a value may be a table by scale."""
        settings: dict[str, Any] = {}
        for layer in self.layers_for():
            settings |= layer.values
        return settings


def read_variants(entries: Values, learners: Mapping[str, Any]) -> dict[str, Variant]:
    """Return the variants of algorithms.toml by name.

    A variant that is ``like`` another has its learner, and its settings below its own. Raises
    `UserError` for what does not belong in an entry, and for variants like each other in a circle.
    """
    for name, entry in entries.items():
        _check(name, entry)
    found = {}
    for name, entry in entries.items():
        line = _line(name, entries)
        layers: list[Layer] = []
        for ancestor in line:
            layers += _own_layers(ancestor, entries[ancestor])
        learner = entries[line[0]]["learner"]
        look_up(learners, "learner", learner, f"algorithms.toml [{line[0]}]")
        imported = " (imported)" if learner == IMPORTED else ""  # never mistaken for ours
        label = entry["label"] + imported
        found[name] = Variant(name, learner, label, entry["colour"], tuple(layers))
    return found


def _check(name: str, entry: Any) -> None:
    where = f"algorithms.toml [{name}]"
    strict(as_table(entry, where), KINDS, where, ["label", "colour"])
    if ("like" in entry) == ("learner" in entry):
        raise UserError(
            f"{where} takes 'learner', or 'like' and another algorithm's name: one of them."
        )
    if not re.fullmatch("#[0-9A-Fa-f]{6}", entry["colour"]):
        raise UserError(f"{where}: a colour is written #rrggbb, but is {entry['colour']!r}.")


def _line(name: str, entries: Values) -> list[str]:
    """Return the variants that one is like, the one with the learner first, itself last."""
    line = [name]
    while "like" in entries[line[0]]:
        where = f"algorithms.toml [{line[0]}] like"
        other = entries[line[0]]["like"]
        look_up(entries, "algorithm", other, where)
        if other in line:
            circle = " -> ".join([*reversed(line), other])
            raise UserError(f"{where}: a variant cannot be like itself, but {circle}.")
        line.insert(0, other)
    return line


def _own_layers(name: str, entry: Values) -> Iterator[Layer]:
    """Yield the layers that one entry adds."""
    yield Layer("", entry.get("settings", {}), f"algorithms.toml [{name}.settings]")
    for key, values in entry.get("task", {}).items():
        as_table(values, f"algorithms.toml [{name}] {key}")
        yield Layer(key, values, f'algorithms.toml [{name}.task."{key}"]')
