"""scenes.toml: pictures of a game itself, where nobody has learned anything yet (standard library only)."""

from pathlib import Path
from typing import NamedTuple

from partage import Refusal, sheets


class Scene(NamedTuple):
    """One episode: who sees whom at one step of it, and pictures of its course."""

    name: str
    paper: str  # which figure of which paper
    title: str
    caption: str  # file in workflow/captions
    task: str  # of family grf
    seed: int  # of the episode, and of what the players do
    step: int  # whose view cones are drawn
    pictures: int  # of its course


def read(path: Path) -> dict[str, Scene]:
    """The sheet's entries, strictly."""
    kinds = {name: int if name in ("seed", "step", "pictures") else str for name in Scene._fields[1:]}
    found = {}
    for name, entry in sheets.toml(path).items():
        where = f"scenes.toml [{name}]"
        sheets.strict(sheets.as_table(entry, where), kinds, where, kinds)
        if min(entry["seed"], entry["step"]) < 0 or entry["pictures"] < 1:
            raise Refusal(f"{where}: seed and step are at least 0 and pictures at least 1.")
        found[name] = Scene(name=name, **entry)
    return found
