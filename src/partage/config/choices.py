"""chosen.toml: what was chosen of the trials of sweeps (standard library only).

A study has one of its own, which comes first: what it chose there is of its own trials.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from partage import _io
from partage.config import schema, study
from partage.config.recipe import SCALES
from partage.config.types import Scalar
from partage.errors import one_of

FILE = "chosen.toml"
HEAD = """# What was chosen of the trials of each sweep of figures.toml, by scale and method:
# `partage sweep NAME --write` writes it. `score` is the trial's mean over tasks and seeds of final
# values, 0 for the worst run of all trials and 1 for the best; `trials` is a digest of the recipes
# of all trials of the method: what was chosen of others counts no more.
"""
Choices = dict[str, dict[str, dict[str, "Choice"]]]  # sweep -> scale -> method


class Choice(NamedTuple):
    """The trial that was chosen for a method."""

    settings: dict[str, Scalar]
    score: float
    trials: str  # digest of the recipes of all trials of the method


KINDS = {"settings": dict, "score": float, "trials": str}


def place(package: Path) -> Path:
    """Return the file that a choice is written to: the study's, or outside of any the package's."""
    return (study.root() or package / "config") / "sheets" / FILE


def of(package: Path) -> Choices:
    """Return what was chosen: of each sweep and scale what the study says, else the package.

    Raises `UserError` for what does not belong in a file.
    """
    found = read_choices(package / "config/sheets" / FILE)
    for sweep, scales in read_choices(place(package)).items():
        found[sweep] = found.get(sweep, {}) | scales
    return found


def read_choices(path: Path) -> Choices:
    """Return what was chosen; nothing where there is no such file yet.

    Raises `UserError` for what does not belong in it.
    """
    found: Choices = {}
    for sweep, scales in (schema.toml(path) if path.exists() else {}).items():
        for scale, methods in schema.as_table(scales, f"{FILE} [{sweep}]").items():
            one_of("scale", scale, SCALES, f"{FILE} [{sweep}]")
            for method, entry in schema.as_table(methods, f"{FILE} [{sweep}.{scale}]").items():
                where = f"{FILE} [{sweep}.{scale}.{method}]"
                schema.strict(schema.as_table(entry, where), KINDS, where, KINDS)
                found.setdefault(sweep, {}).setdefault(scale, {})[method] = Choice(**entry)
    return found


def _key(name: str) -> str:
    """Return a name as a key of TOML."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name)


def write_choices(path: Path, choices: Choices) -> None:
    """Write what was chosen, all of it."""
    lines = [HEAD]
    for sweep, scales in choices.items():
        for scale, methods in scales.items():
            for method, choice in methods.items():
                pairs = (f"{_key(name)} = {json.dumps(x)}" for name, x in choice.settings.items())
                lines += [
                    f"[{_key(sweep)}.{scale}.{_key(method)}]",
                    f"settings = {{ {', '.join(pairs)} }}",
                    f"score = {choice.score:.4f}",
                    f"trials = {json.dumps(choice.trials)}\n",
                ]
    _io.write(path, "\n".join(lines).encode())
