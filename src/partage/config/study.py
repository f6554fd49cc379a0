"""A study: a folder of one's own, whose learners and environments join those that are shipped.

It is the folder with `MARK` that a process works in or below; or the one that the variable
`PARTAGE_STUDY` names, for processes that work elsewhere. ``learners/`` and ``envs/`` of the study
are further folders of `partage.learners` and `partage.envs`, so a file there is found, imported,
pickled and stamped as a shipped one is. One process works in one study. (Standard library only.)
"""

import importlib
import os
import re
import sys
from collections.abc import Mapping, MutableSequence
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from partage.errors import UserError, program, unknown

Value = TypeVar("Value")
MARK = "partage.toml"
VARIABLE = "PARTAGE_STUDY"
ROOMS = ("learners", "envs")  # of which a study may have more
SNAKEFILE = Path(__file__).parent / "workflow/Snakefile"  # what a study's own one includes
WHOLE = re.compile(r'^include: (SNAKEFILE|"workflow/Snakefile")$', re.MULTILINE)


def root() -> Path | None:
    """Return the folder of the study that this process works in; None outside of any.

    Raises `UserError` where the variable names a folder that is no study.
    """
    if named := os.environ.get(VARIABLE):
        if not (Path(named) / MARK).is_file():
            raise UserError(
                f"{VARIABLE} names {named}, which is no study (it has no {MARK}): name one, or "
                f"make it with `partage new {named}`."
            )
        return Path(named).resolve()
    try:
        here = Path.cwd()
    except OSError:  # it has been deleted
        return None
    return next((each for each in (here, *here.parents) if (each / MARK).is_file()), None)


def look_up(table: Mapping[str, Value], what: str, name: str, where: object) -> Value:
    """Return ``table[name]`` of what a study may have more of.

    Raises `UserError` where there is no such name; outside of a study it says that one's own are
    known in its folder alone.
    """
    if name in table:
        return table[name]
    error = unknown(what, name, table, where)
    if root():
        raise error
    said = str(error).removesuffix(".")
    raise UserError(f"{said}; a study's own are known in its folder alone.")


def is_clone() -> bool:
    """Return whether this process works in a clone of the repository, where `make` has targets."""
    return Path("Makefile").is_file() and Path("src/partage").is_dir()


def workflow() -> list[str]:
    """Return the words that have snakemake take partage's workflow where this process works.

    Where no Snakefile includes it whole, as those of a clone and of a study do, it is named.
    """
    path = Path("Snakefile")
    whole = path.is_file() and WHOLE.search(path.read_text(encoding="utf-8", errors="replace"))
    return [] if whole else ["--snakefile", str(SNAKEFILE)]


def snakemake(config: str) -> str:
    """Return the command that makes what is asked for by a ``--config``, as it works here."""
    return " ".join([program("snakemake"), *workflow(), "--cores all --config", config])


def own(room: str) -> list[Path]:
    """Return the files of learners or environments that the study has."""
    study = root()
    return sorted((study / room).glob("*.py")) if study else []


def files(room: str, shipped: Path) -> dict[str, Path]:
    """Return the files of learners or environments by name, the shipped ones first.

    A file whose name begins with ``_`` is for the others. Raises `UserError` for a study's file
    that has a shipped one's name.
    """
    found = {path.stem: path for path in sorted(shipped.glob("[!_]*.py"))}
    for path in own(room):
        if (shipped / path.name).exists():
            raise UserError(
                f"{path} has the name of a file that partage has in {room}: call it otherwise."
            )
        if not path.name.startswith("_"):
            found[path.stem] = path
    return found


def join(room: str, folders: MutableSequence[str]) -> None:
    """Have Python find a study's files where it finds those of a room, and modules beside them.

    `folders` is the room's ``__path__``.
    """
    study = root()
    if study and str(study / room) not in folders:
        folders[1:] = [str(study / room)]
        if str(study) not in sys.path:
            sys.path.append(str(study))


def load(room: str, name: str, path: Path, needed: tuple[str, ...]) -> ModuleType:
    """Return the module of a learner or an environment.

    Raises `UserError` for a study's that cannot be imported or lacks a `needed` name; what is wrong
    with a shipped one is an error of ours.
    """
    importlib.invalidate_caches()  # a file may have been added since the process started
    study = root()
    if study is None or study not in path.parents:
        return importlib.import_module(f"partage.{room}.{name}")
    try:
        module = importlib.import_module(f"partage.{room}.{name}")
    except (ImportError, SyntaxError, NameError, AttributeError) as error:
        raise UserError(f"Could not import {path}: {error}.") from error
    for each in needed:
        if not hasattr(module, each):
            raise UserError(f"{path} has no {each}, which a file in {room} has.")
    return module
