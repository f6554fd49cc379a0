"""What a picture was drawn of, written into it: a picture that lies there may be of anything."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from partage import _io
from partage.config import outcomes
from partage.config.recipe import Recipe
from partage.config.snapshots import Snapshot

OPENS, CLOSES = b"<!-- partage: ", b" -->\n"
Facts = Mapping[str, str]


def of_run(folder: Path, recipe: Recipe) -> dict[str, str]:
    """Return what a picture of a run's policies is of: its recipe, and its outcome if any."""
    return {"recipe": recipe.hash, "curve": outcomes.curve_of(folder)}


def of_snapshot(snapshot: Snapshot) -> dict[str, str]:
    """Return what a picture of a game is of: all that snapshots.toml says."""
    return {"snapshot": hashlib.sha256(repr(snapshot).encode()).hexdigest()}


def note(svg: Path, facts: Facts) -> None:
    """Write into an SVG what it was drawn of."""
    line = json.dumps(facts, sort_keys=True).replace("--", "- -").encode()
    _io.write(svg, svg.read_bytes(), OPENS, line, CLOSES)


def read_note(svg: bytes) -> dict[str, str]:
    """Return what `note` wrote; nothing where it is not there."""
    _, found, rest = svg.rpartition(OPENS)
    try:
        facts = json.loads(rest.removesuffix(CLOSES)) if found else {}
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
