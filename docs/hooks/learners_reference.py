"""The learners' reference: what each file says of itself, and its settings."""

import ast
import re
from pathlib import Path

from markdown_tables import cell, table

import partage
from partage.config.settings import Field, read_learners

FOLDER = Path(partage.__file__).parent / "learners"
INTRODUCTION = """# Learners and their settings

Generated from `src/partage/learners`: a file is a learner. Any setting may be set for a run
(`partage run mdps mpe/15a_3c --set fuse=0.5`, `partage.train(..., fuse=0.5)`) or for an algorithm
(`settings.fuse = 0.5` in `algorithms.toml`). Ids in brackets are explained in the readings.
"""
FIELD = re.compile(r"(?P<above>(?:    # .*\n)*)    (?P<name>\w+): [^#\n]*(?:# *(?P<behind>.*))?")


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for name, fields in read_learners(FOLDER).items():
        path = FOLDER / f"{name}.py"
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        remarks = remarks_of(path)
        rows = [_row(field, remarks.get(field.name, "")) for field in fields.values()]
        parts += [f"## {name}", said, table(["setting", "takes", "default", "what it is"], rows)]
    return "\n\n".join(parts) + "\n"


def remarks_of(path: Path) -> dict[str, str]:
    """Return the remarks on the fields of a learner's `Settings`, its bases' first."""
    text = path.read_text(encoding="utf-8")
    _, head, body = text.partition("class Settings")
    if not head:
        return {}
    first, _, rest = body.partition("\n")
    found: dict[str, str] = {}
    for base in re.findall(r"(\w+)\.Settings", first):
        found |= remarks_of(path.with_name(f"{base}.py"))
    for field in FIELD.finditer(re.split(r"\n(?=\S)", rest)[0]):
        above = [line.strip().removeprefix("# ") for line in field["above"].splitlines()]
        found[field["name"]] = "; ".join(filter(None, [" ".join(above), field["behind"] or ""]))
    return found


def _row(field: Field, remark: str) -> list[str]:
    default = str(field.default).lower() if field.kind == "bool" else field.default
    return [f"`{field.name}`", cell(field.expected), f"`{default}`", cell(remark)]
