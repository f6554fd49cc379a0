"""Where a result comes from: code, versions, machine, time (no torch here: versions are read from package metadata)."""

import ast
import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from partage.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
# Imported by the trainer, but they only carry numbers: a change here makes no run stale.
BOOKKEEPING = {"atomic.py", "checkpoint.py", "progress.py", "provenance.py", "recipe.py", "record.py", "settings.py"}


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
    ran: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What record.json says of a run that ends now. Seconds count all parts of a run that was `resumed` times.

    `ran` is what `code` said when the process began: files may be edited while a run goes on.
    """
    return {
        "recipe": dataclasses.asdict(recipe),
        "recipe_hash": recipe.hash,
        "code": ran or code(recipe.learner, recipe.family),
        "versions": versions(recipe.family),
        "machine": {**machine(), "gpu": gpu},
        "image": image(),
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(wall_seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "resumed": resumed,
        "threads": threads,
        "device": device,
    }


def code(learner: str, family: str, root: Path | None = None) -> dict[str, Any]:
    """The code a run depends on, file by file: what ``train.py``, its learner and its environment import of ours.

    Other learners and families, the planner, the drawing side and `BOOKKEEPING` are not in it.
    """
    root = root or ROOT
    source = root / "src" / "partage"
    todo = [source / "train.py", source / "learners" / f"{learner}.py", root / "envs" / f"{family}.py"]
    hashes: dict[str, str] = {}
    while todo:
        path = todo.pop()
        name = path.relative_to(root).as_posix()
        if name not in hashes and path.is_file() and (path.parent != source or path.name not in BOOKKEEPING):
            text = path.read_bytes()
            hashes[name] = hashlib.sha256(text).hexdigest()
            if path.suffix == ".py":
                todo += _imports(text, source)
            if path.name == "__init__.py":
                todo += path.parent.glob("*.toml")  # a package's data: units and maps of the battles
    total = hashlib.sha256("".join(f"{name} {hashes[name]}\n" for name in sorted(hashes)).encode()).hexdigest()
    return {"hash": total, "files": dict(sorted(hashes.items())), "commit": _commit(root)}


def _imports(text: bytes, source: Path) -> list[Path]:
    """The files of our package that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    ours = [name.split(".")[1:] for name in names if name.split(".")[0] == "partage"]
    return [path for parts in ours for path in (source.joinpath(*parts, "__init__.py"), _module(source, parts))]


def _module(source: Path, parts: list[str]) -> Path:
    return source.joinpath(*parts[:-1], f"{parts[-1]}.py") if parts else source / "__init__.py"


def _commit(root: Path) -> str | None:
    try:
        asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None  # not a checkout, no commit yet, or no git


def versions(family: str, root: Path | None = None) -> dict[str, str]:
    """Python and the installed packages that can move a number; a family's own are those its file pins (PEP 723)."""
    names = ["torch", "numpy", "numba", "pandas", "pyarrow", *_pins((root or ROOT) / "envs" / f"{family}.py")]
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # the batched engine does not need the family's packages
    return found


def _pins(path: Path) -> list[str]:
    """Package names of the script header of ``envs/<family>.py``."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    block = re.search(r"(?m)^# /// script$\n((?:^#(?: .*)?$\n)+?)^# ///$", text)
    if not block:
        return []
    header = tomllib.loads("\n".join(line[2:] for line in block.group(1).splitlines()))
    return [re.split(r"[^\w.-]", dependency)[0] for dependency in header.get("dependencies", [])]


def image() -> dict[str, str] | None:
    """The container this process is in: name and digest; None outside of one.

    Apptainer names the file, whose digest was written beside it when it was built. Another engine is told to say it:
    ``podman run --env PARTAGE_IMAGE=<name>@<digest>``.
    """
    if named := os.environ.get("PARTAGE_IMAGE"):
        name, _, digest = named.partition("@")
        return {"name": name, "digest": digest}
    if not (named := os.environ.get("APPTAINER_CONTAINER", "")):
        return None
    path = Path(named)
    noted = path.with_name(f"{path.name}.sha256")
    if noted.is_file() and noted.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        return {"name": path.name, "digest": f"sha256:{noted.read_text(encoding='utf-8').split()[0]}"}
    if not path.is_file():
        return {"name": path.name, "digest": ""}  # not to be seen from inside
    with open(path, "rb") as file:
        return {"name": path.name, "digest": f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"}


def machine() -> dict[str, Any]:
    """CPU model, cores this process may use, memory in GiB."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and (found := re.search(r"model name\s*: (.*)", cpuinfo.read_text())):
        model = found.group(1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "host": platform.node(),
    }
