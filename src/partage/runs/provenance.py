"""Where a result comes from: code, versions, machine, time (no torch here: versions are read from
package metadata).
"""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from partage.config import pins, study
from partage.config.recipe import Recipe
from partage.runs.code_stamps import PACKAGE, code
from partage.runs.machine import machine


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


def versions(family: str, package: Path = PACKAGE) -> dict[str, str]:
    """Python and the installed packages that can move a number; a family's own are those its file
    pins (PEP 723).
    """
    file = study.files("envs", package / "envs").get(family)
    pinned = [pins.package_name(each) for each in pins.dependencies(file)] if file else []
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
