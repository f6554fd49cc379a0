"""snapshots.toml: pictures of a game itself (standard library only)."""

from typing import Any, NamedTuple

from partage.config import schema
from partage.config.names import check_name
from partage.errors import UserError, at_most

MOST = {
    "seed": (2**31 - 1, "the game takes no other"),
    "step": (10_000, "no game is longer"),
    "pictures": (100, "they stand side by side"),
}


class Snapshot(NamedTuple):
    """One episode: who sees whom at one step of it, and pictures of its course."""

    name: str
    paper: str  # which figure of which paper
    title: str
    caption: str  # file in report/captions
    task: str  # of family grf
    seed: int  # of the episode, and of what the players do
    step: int  # whose view cones are drawn
    pictures: int  # of its course


def read(entries: schema.Values) -> dict[str, Snapshot]:
    """Return the entries of snapshots.toml by name."""
    return {name: read_snapshot(name, entry) for name, entry in entries.items()}


def read_snapshot(name: str, entry: Any) -> Snapshot:
    """Return one entry of snapshots.toml. Raises `UserError` for what does not belong in it."""
    where = f"snapshots.toml [{name}]"
    schema.as_table(entry, where)
    whole_numbers = ("seed", "step", "pictures")
    kinds = {key: int if key in whole_numbers else str for key in Snapshot._fields if key != "name"}
    schema.strict(entry, kinds, where, kinds)
    if min(entry["seed"], entry["step"]) < 0 or entry["pictures"] < 1:
        raise UserError(f"{where}: seed and step are at least 0 and pictures at least 1.")
    for key, (most, why) in MOST.items():
        at_most(f"{where}: {key}", entry[key], most, why)
    check_name("caption, a file's name,", entry["caption"], where)
    return Snapshot(name=name, **entry)
