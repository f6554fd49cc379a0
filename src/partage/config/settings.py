"""What can be set of a learner: the fields of `Settings` in ``learners/<name>.py``.

The planner must start in milliseconds and without torch, so a learner's file is parsed, not
imported (standard library only).
"""

import ast
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from partage.config import study
from partage.config.types import Scalar, fits
from partage.errors import LIMIT, UserError

HOME = Path(__file__).resolve().parents[1]  # the package
KINDS: Mapping[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
# how the names of settings end that are a discount, or a share of actions, steps or episodes
SHARES = ("gamma", "epsilon_start", "epsilon_end", "_share")


class Field(NamedTuple):
    """One field of a learner's `Settings`."""

    name: str
    kind: str  # "int", "float", "bool", "str" or "Literal"
    choices: tuple[Scalar, ...]  # of a Literal; else empty
    default: Scalar
    per_run: bool = False  # whether runs of one pack may differ in it

    @property
    def expected(self) -> str:
        """Return the field's type in words, for error messages."""
        if self.kind == "Literal":
            return "one of " + ", ".join(map(repr, self.choices))
        words = {
            "bool": "true or false",
            "str": "a text",
            "int": f"a whole number from {self.least} on",
            "float": f"a number from {self.least} {'on' if self.most > 1 else 'to 1'}",
        }
        return words[self.kind]

    @property
    def least(self) -> int:
        """Return the least value of a number.

        Nothing that is set is negative, and what is counted is at least one, unless 0 is its
        default.
        """
        return int(self.kind == "int" and self.default != 0)

    @property
    def most(self) -> float:
        """Return the greatest value of a number: 1 of a discount or a share."""
        if self.kind == "int":
            return LIMIT - 1
        return 1 if self.name.endswith(SHARES) else math.inf


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
            fitting = field.least <= value <= field.most
    if not fitting:
        raise UserError(
            f"{where}: setting {field.name!r} takes {field.expected}, but is {value!r}."
        )
    return float(value) if field.kind == "float" else value


def read_learners(folder: Path) -> dict[str, dict[str, Field]]:
    """Return the fields of every learner, a study's included."""
    return {name: read(path) for name, path in study.files("learners", folder).items()}


def read(path: Path) -> dict[str, Field]:
    """Return the fields of class `Settings` in a learner's file, in order, its base's first.

    Runs that train side by side may differ in what is typed `Each` (`partage.nn.per_run`), if the
    file itself says ``PER_RUN = True``. Raises `UserError` where it has no such class, or a field
    without a type or default known here.
    """
    fields = _declared(path)
    said = _alias("PER_RUN", _parse(path), path)
    if said is None or ast.unparse(said) != "True":
        return {name: field._replace(per_run=False) for name, field in fields.items()}
    return fields


def _declared(path: Path) -> dict[str, Field]:
    tree = _parse(path)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Settings":
            fields: dict[str, Field] = {}
            for base in node.bases:  # another learner's, as in `class Settings(a2c.Settings)`
                learner = ast.unparse(base).split(".")[0]
                fields |= _declared(_beside(path, learner))
            for line in node.body:
                if isinstance(line, ast.AnnAssign):
                    field = _field(line, path, tree)
                    fields[field.name] = field
            return fields
    raise UserError(
        f"{path} has no class Settings: "
        f"a learner's file declares its settings in a frozen dataclass."
    )


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"Could not read the settings of learner {path.stem!r} from {path}: {error}."
        ) from error


def _field(line: ast.AnnAssign, path: Path, tree: ast.Module) -> Field:
    """Return the field that one line declares: ``name: type = default``."""
    name = ast.unparse(line.target)
    where = f"{path.name}, line {line.lineno}"
    annotation, per_run = line.annotation, False
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Each":
        annotation, per_run = annotation.slice, True
    kind, choices = _kind(_spelled_out(annotation, path, tree))
    if kind != "Literal" and kind not in KINDS:
        raise UserError(
            f"{where}: setting {name!r} is of type {kind}, "
            f"but int, float, bool, str or Literal is expected."
        )
    try:
        default = ast.literal_eval(line.value) if line.value else None
    except ValueError:
        default = None
    if default is None:
        raise UserError(f"{where}: setting {name!r} needs a default written as a plain value.")
    field = Field(name, kind, choices, default, per_run)
    return field._replace(default=check(field, default, where))


def _kind(annotation: ast.expr) -> tuple[str, tuple[Scalar, ...]]:
    """Return the name of a type, and the choices of a Literal."""
    name = ast.unparse(annotation)
    if isinstance(annotation, ast.Subscript) and name.startswith(("Literal", "typing.Literal")):
        choices = ast.literal_eval(annotation.slice)
        return "Literal", choices if isinstance(choices, tuple) else (choices,)
    return name, ()


def _spelled_out(annotation: ast.expr, path: Path, tree: ast.Module) -> ast.expr:
    """Return a field's type with a name of our own replaced by what it stands for."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Attribute):  # a2c.Sharing
        learner = _beside(path, ast.unparse(annotation.value))
        if learner.is_file():
            tree = _parse(learner)
            annotation = _alias(annotation.attr, tree, learner) or annotation
    if isinstance(annotation, ast.Name) and annotation.id not in KINDS:
        annotation = _alias(annotation.id, tree, path) or annotation
    return annotation


def _alias(name: str, tree: ast.Module, path: Path) -> ast.expr | None:
    """Return what a type's own name stands for: the right side of ``Sharing = Literal[...]``.

    It is looked for in this file, and in the one of ours that the name is imported from.
    """
    for node in tree.body:
        if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            return node.value
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("partage."):
            for origin in _original_names(node, name):
                source = _module(path, *str(node.module).split(".")[1:])
                if source.is_file():
                    return _alias(origin, _parse(source), source)
    return None


def _beside(path: Path, learner: str) -> Path:
    """Return the file of the learner that another one's file names."""
    return _module(path, "learners", learner)


def _module(path: Path, *parts: str) -> Path:
    """Return the file of a module of ours that a learner's file names: a study's, else shipped."""
    here, shipped = (home.joinpath(*parts).with_suffix(".py") for home in (path.parents[1], HOME))
    return here if here.is_file() else shipped


def _original_names(node: ast.ImportFrom, name: str) -> Iterator[str]:
    """Yield what `name` is called in the module that it is imported from."""
    for alias in node.names:
        if (alias.asname or alias.name) == name:
            yield alias.name
