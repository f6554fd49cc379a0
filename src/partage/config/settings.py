"""What a learner can be told: the fields of the dataclass `Settings` in ``learners/<name>.py``,
read, never run.

The planner must start in milliseconds and without torch, so the file is parsed, not imported
(standard library only).
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from partage.config.types import Scalar, fits
from partage.errors import UserError

KINDS: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "str": str}


class Field(NamedTuple):
    """One field of a learner's `Settings`."""

    name: str
    kind: str  # "int", "float", "bool", "str" or "Literal"
    choices: tuple[Scalar, ...]  # of a Literal; else empty
    default: Scalar

    @property
    def expected(self) -> str:
        """The field's type in words, for error messages."""
        words = {"bool": "true or false", "str": "a text"}
        words |= {
            "int": f"a whole number from {self.least} on",
            "float": f"a number from {self.least} on",
        }
        return words.get(self.kind) or "one of " + ", ".join(map(repr, self.choices))

    @property
    def least(self) -> int:
        """Nothing that is set is negative, and what is counted is at least one, unless 0 is its
        default.
        """
        return int(self.kind == "int" and self.default != 0)


def check(field: Field, value: Any, where: object) -> Scalar:
    """Return `value` as the field's type, a whole number as a number where one is expected.

    Raises `UserError` for a value of another type, or outside its range.
    """
    if field.kind == "Literal":
        # 1 == True == 1.0 in Python: the type has to agree too
        fitting = any(value == choice and type(value) is type(choice) for choice in field.choices)
    else:
        fitting = fits(value, KINDS[field.kind])
        if fitting and field.kind in ("int", "float"):
            fitting = value >= field.least
    if not fitting:
        raise UserError(
            f"{where}: setting {field.name!r} takes {field.expected}, but is {value!r}."
        )
    return float(value) if field.kind == "float" else value


def read(path: Path) -> dict[str, Field]:
    """The fields of class `Settings` in a learner's file, in the order they are written, those of
    its base first.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"Could not read the settings of learner {path.stem!r} from {path}: {error}."
        ) from error
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Settings":
            fields: dict[str, Field] = {}
            for (
                base
            ) in node.bases:  # another learner's Settings, as in `class Settings(a2c.Settings)`
                fields |= read(path.with_name(ast.unparse(base).split(".")[0] + ".py"))
            lines = [line for line in node.body if isinstance(line, ast.AnnAssign)]
            return fields | {
                field.name: field for field in (_field(line, path, tree) for line in lines)
            }
    raise UserError(
        f"{path} has no class Settings: a learner's file declares its settings in a frozen dataclass."
    )


def _alias(name: str, tree: ast.Module, path: Path) -> ast.expr | None:
    """What a type's own name stands for: ``Sharing = Literal[...]``, in this file or the one of
    ours it comes from.
    """
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            ast.unparse(target) == name for target in node.targets
        ):
            return node.value
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("partage."):
            origin = next(
                (alias.name for alias in node.names if (alias.asname or alias.name) == name), None
            )
            source = path.parents[1].joinpath(*node.module.split(".")[1:]).with_suffix(".py")
            if origin and source.is_file():
                return _alias(origin, ast.parse(source.read_text(encoding="utf-8")), source)
    return None


def _field(line: ast.AnnAssign, path: Path, tree: ast.Module) -> Field:
    name = ast.unparse(line.target)
    where = f"{path.name}, line {line.lineno}"
    annotation = line.annotation
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Attribute):  # a2c.Sharing
        learner = path.with_name(ast.unparse(annotation.value) + ".py")
        if learner.is_file():
            tree = ast.parse(learner.read_text(encoding="utf-8"))
            annotation = _alias(annotation.attr, tree, learner) or annotation
    if isinstance(annotation, ast.Name) and annotation.id not in KINDS:
        annotation = _alias(annotation.id, tree, path) or annotation
    kind, choices = ast.unparse(annotation), ()
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in (
        "Literal",
        "typing.Literal",
    ):
        listed = ast.literal_eval(annotation.slice)
        kind, choices = "Literal", listed if isinstance(listed, tuple) else (listed,)
    if kind != "Literal" and kind not in KINDS:
        raise UserError(
            f"{where}: setting {name!r} is of type {kind}, but int, float, bool, str or Literal is expected."
        )
    try:
        default = ast.literal_eval(line.value) if line.value else None
    except ValueError:
        default = None
    if default is None:
        raise UserError(f"{where}: setting {name!r} needs a default written as a plain value.")
    field = Field(name, kind, choices, default)
    return field._replace(default=check(field, default, where))


def read_learners(folder: Path) -> dict[str, dict[str, Field]]:
    """Return every learner's fields: a learner is a file whose name does not begin with ``_``."""
    return {path.stem: read(path) for path in sorted(folder.glob("[!_]*.py"))}
