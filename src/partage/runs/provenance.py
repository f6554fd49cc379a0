"""Where a result comes from: code, versions, machine, time (no torch here: versions are read from
package metadata).
"""

import ast
import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from partage.config import pins
from partage.config.recipe import Recipe
from partage.runs.machine import machine

PACKAGE = Path(__file__).resolve().parents[1]
# What moves numbers: the rooms whose files a run depends on, where it reaches them by imports.
ROOMS = (
    "distances", "envs", "kernels", "learners", "nn", "rl", "sharing", "sims",
)  # fmt: skip
FILES = ("_jit.py", "runs/metrics.py", "runs/train.py")


def provenance(
    recipe: Recipe,
    *,
    started: datetime,
    wall_seconds: float,
    cpu_seconds: float,
    resumed: int,
    threads: int,
    device: str,
    gpu: str | None = None,
    vectors: Mapping[str, str] | None = None,
    ran: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What record.json says of a run that ends now. Seconds count all parts of a run that was
    `resumed` times.

    `vectors` is what `partage.runs.process.vectors` returns: which instructions computed. `ran` is
    what `code` said when the process began: files may be edited while a run goes on.
    """
    return {
        "recipe": dataclasses.asdict(recipe),
        "recipe_hash": recipe.hash,
        "code": ran or code(recipe.learner, recipe.family),
        "versions": versions(recipe.family),
        "machine": {**machine(), "gpu": gpu},
        "vectors": dict(vectors or {}),
        "image": image(),
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(wall_seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "resumed": resumed,
        "threads": threads,
        "device": device,
    }


def code(learner: str, family: str, package: Path = PACKAGE) -> dict[str, Any]:
    """Return the code a run depends on: the hash of all of it, of each file, and the commit.

    It is what ``runs/train.py``, the learner and the family reach by imports within the rooms that
    move numbers; other learners and families, configuration, records and drawing are not in it.
    """
    todo = [
        package / "runs/train.py",
        package / f"learners/{learner}.py",
        package / f"envs/{family}.py",
    ]
    hashes: dict[str, str] = {}
    while todo:
        path = todo.pop()
        name = path.relative_to(package).as_posix()
        if f"partage/{name}" in hashes or not path.is_file() or not _moves_numbers(name):
            continue
        content = path.read_bytes().replace(b"\r\n", b"\n")  # git may have written the lines' ends
        hashes[f"partage/{name}"] = hashlib.sha256(content).hexdigest()
        if path.suffix == ".py":
            todo += _imports(content, package)
        if path.name == "__init__.py":
            todo += path.parent.glob("*.toml")  # a simulator's data: units and maps of the battles
    lines = [f"{name} {hashes[name]}\n" for name in sorted(hashes)]
    total = hashlib.sha256("".join(lines).encode()).hexdigest()
    return {"hash": total, "files": dict(sorted(hashes.items())), "commit": _commit(package)}


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


def _imports(content: bytes, package: Path) -> list[Path]:
    """Return the files of our package that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    paths = []
    for name in names:
        first, *parts = name.split(".")
        if first == "partage":
            paths += _files_of_module(package, parts)
    return paths


def _files_of_module(package: Path, parts: list[str]) -> list[Path]:
    """Return where a module may lie, and the packages that are imported with it."""
    folders = [package.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    files = [folder / "__init__.py" for folder in folders]
    if parts:
        files.append(folders[-1].with_suffix(".py"))
    return files


def _commit(package: Path) -> str | None:
    """Return the checkout's commit; None where the package is installed, or without git."""
    try:
        if not _git(package, "ls-files", "__init__.py"):
            return None  # a folder within somebody else's repository
        asked = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
        return _git(package, *asked) or None
    except (OSError, subprocess.SubprocessError):
        return None  # not a checkout, no commit yet, or no git


def _git(package: Path, *arguments: str) -> str:
    command = ["git", "-C", str(package), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def versions(family: str, package: Path = PACKAGE) -> dict[str, str]:
    """Python and the installed packages that can move a number; a family's own are those its file
    pins (PEP 723).
    """
    file = package / f"envs/{family}.py"
    pinned = [pins.package_name(each) for each in pins.dependencies(file)] if file.is_file() else []
    names = ["torch", "numpy", "numba", "pandas", "pyarrow", *pinned]
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # the batched engine does not need the family's packages
    return found


def image() -> dict[str, str] | None:
    """The container this process is in: name and digest; None outside of one.

    Apptainer names the file, whose digest was written beside it when it was built. Another engine
    is told to say it: ``podman run --env PARTAGE_IMAGE=<name>@<digest>``.
    """
    if named := os.environ.get("PARTAGE_IMAGE"):
        name, _, digest = named.partition("@")
        return {"name": name, "digest": digest}
    if not (named := os.environ.get("APPTAINER_CONTAINER", "")):
        return None
    path = Path(named)
    noted = path.with_name(f"{path.name}.sha256")
    if noted.is_file() and noted.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        return {
            "name": path.name,
            "digest": f"sha256:{noted.read_text(encoding='utf-8').split()[0]}",
        }
    if not path.is_file():
        return {"name": path.name, "digest": ""}  # not to be seen from inside
    with open(path, "rb") as file:
        return {
            "name": path.name,
            "digest": f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}",
        }
