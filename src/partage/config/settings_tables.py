"""tables.toml: what is set, in tables (standard library only)."""

from typing import Any, NamedTuple

from partage.config.schema import Values, as_table, each_once, strict


class SettingsTable(NamedTuple):
    """One entry of tables.toml: what is set, not what came out."""

    name: str
    paper: str  # which table of which paper
    title: str
    tasks: list[str]
    facts: list[str]  # columns, of what tasks.toml says of a task
    algorithm: str  # whose settings are listed ("": none)
    settings: list[str]  # columns


def read_settings_tables(entries: Values) -> dict[str, SettingsTable]:
    """Return the entries of tables.toml by name.

    Raises `UserError` for what does not belong in one.
    """
    return {name: _read_settings_table(name, entry) for name, entry in entries.items()}


def _read_settings_table(name: str, entry: Any) -> SettingsTable:
    kinds = {
        "paper": str,
        "title": str,
        "tasks": list[str],
        "facts": list[str],
        "algorithm": str,
        "settings": list[str],
    }
    where = f"tables.toml [{name}]"
    strict(as_table(entry, where), kinds, where, ["paper", "title", "tasks"])
    optional: dict[str, Any] = {"facts": [], "algorithm": "", "settings": []}
    table = SettingsTable(name=name, **(optional | entry))
    each_once(table.tasks, "tasks", where, least=1)
    each_once([*table.facts, *table.settings], "facts and settings", where)
    return table
