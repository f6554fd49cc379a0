"""Which code a run depends on: the hash of each file that moves its numbers, and the commit.

Files of a study are among them, named ``study/...``. No code is imported here: files are parsed.
"""

import ast
import functools
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from partage.config import study

PACKAGE = Path(__file__).resolve().parents[1]
# What moves numbers: the rooms whose files a run depends on, where it reaches them by imports.
ROOMS = (
    "distances", "envs", "kernels", "learners", "nn", "rl", "sharing", "sims",
)  # fmt: skip
FILES = ("_jit.py", "runs/metrics.py", "runs/train.py")
NOT_PROFILES = (":/", ":(top,exclude,glob)**/profiles/**")  # as git names files
DATA = (".csv", ".json", ".npy", ".npz", ".toml")  # what a study's files may read beside them


def code(learner: str, family: str, package: Path = PACKAGE) -> dict[str, Any]:
    """Return the code a run depends on: the hash of all of it, of each file, and the commit.

    It is what ``runs/train.py``, the learner and the family reach by imports within the rooms that
    move numbers, and within a study; other learners and families, configuration, records and
    drawing are not in it. A run with files of a study's has the study's commit as well.
    """
    homes = [home for home in (package, study.root()) if home]
    todo = [package / "runs/train.py"]
    todo += [home / f"learners/{learner}.py" for home in homes]
    todo += [home / f"envs/{family}.py" for home in homes]
    hashes: dict[str, str] = {}
    met: set[Path] = set()  # most files are imported by many
    while todo:
        path = todo.pop()
        if path in met:
            continue
        met.add(path)
        name = _name(path, package)
        if not name or not path.is_file():
            continue
        content = path.read_bytes().replace(b"\r\n", b"\n")  # git may have written the lines' ends
        hashes[name] = hashlib.sha256(content).hexdigest()
        if path.suffix == ".py":
            todo += _imports(content, path, package, study.root())
            todo += _data_beside(path, name)
    lines = [f"{name} {hashes[name]}\n" for name in sorted(hashes)]
    total = hashlib.sha256("".join(lines).encode()).hexdigest()
    found = {"hash": total, "files": dict(sorted(hashes.items())), "commit": _commit(package)}
    if any(name.startswith("study/") for name in hashes):
        found["study_commit"] = _commit(study.root() or package, study.MARK)
    return found


def stamp(package: Path = PACKAGE) -> str:
    """Return the hash of all code that moves numbers, whatever a run depends on."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if _moves_numbers(name):
            found.update(f"{name}\n".encode() + path.read_bytes().replace(b"\r\n", b"\n"))
    return found.hexdigest()


def _moves_numbers(name: str) -> bool:
    return name in FILES or name.partition("/")[0] in ROOMS


def _name(path: Path, package: Path) -> str:
    """Return what a record calls a file; "" where it moves no number."""
    if path.is_relative_to(package):
        name = path.relative_to(package).as_posix()
        return f"partage/{name}" if _moves_numbers(name) else ""
    root = study.root()
    return f"study/{path.relative_to(root).as_posix()}" if root else ""


def _data_beside(path: Path, name: str) -> Iterator[Path]:
    """Yield the data that code reads: units and maps of the battles, and what a study's may."""
    if name.startswith("study/"):
        yield from (each for each in path.parent.iterdir() if each.suffix in DATA)
    elif path.name == "__init__.py":
        yield from path.parent.glob("*.toml")


@functools.lru_cache(maxsize=1024)
def _imports(content: bytes, path: Path, package: Path, root: Path | None) -> list[Path]:
    """Return the files, ours and a study's, that a file imports, at its top or in a function.

    `root` is the study that the process works in.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = ".".join([*_relative_to(path, node.level), *(node.module or "").split(".")])
            names.add(source.rstrip("."))
            names.update(f"{source.rstrip('.')}.{alias.name}" for alias in node.names)
    paths: list[Path] = []
    for name in names:
        first, *parts = name.split(".")
        paths += _files_of_module(package, parts) if first == "partage" else _of_study(name)
    return paths


def _relative_to(path: Path, level: int) -> list[str]:
    """Return the package that a study's file names by `level` dots: ``from ._networks import``."""
    root = study.root()
    if not level or root is None or not path.is_relative_to(root):
        return []
    inside = path.relative_to(root).parts[:-1]
    inside = ("partage", *inside) if inside[:1] and inside[0] in study.ROOMS else inside
    return list(inside[: len(inside) + 1 - level])


def _files_of_module(package: Path, parts: list[str]) -> list[Path]:
    """Return where a module may lie, and the packages that are imported with it."""
    files = _along(package, parts)
    root = study.root()
    if root and parts[:1] and parts[0] in study.ROOMS:
        files += _along(root, parts)
    return files


def _of_study(name: str) -> list[Path]:
    """Return where a module of a study's own may lie, outside of its learners and environments."""
    root = study.root()
    return _along(root, name.split(".")) if root and name else []


def _along(home: Path, parts: list[str]) -> list[Path]:
    folders = [home.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    files = [folder / "__init__.py" for folder in folders]
    if parts:
        files.append(folders[-1].with_suffix(".py"))
    return files


def _commit(folder: Path, file: str = "__init__.py") -> str | None:
    """Return the checkout's commit, "-dirty" behind it where tracked files are others by now.

    Profiles do not count: they say where jobs run, and are there to be edited. None where the
    package is installed, or without git.
    """
    try:
        if not _git(folder, "ls-files", file):
            return None  # a folder within somebody else's repository
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *NOT_PROFILES)
        return f"{commit}-dirty" if changed else commit
    except (OSError, subprocess.SubprocessError):
        return None  # not a checkout, no commit yet, or no git


def _git(package: Path, *arguments: str) -> str:
    command = ["git", "-C", str(package), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
