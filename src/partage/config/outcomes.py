"""Where finished runs lie, and of which recipe each is (standard library only).

What decides is what a record says, never which file is newer: files are copied, cloned and touched.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from partage import _io
from partage.config.recipe import OUTCOME, Recipe
from partage.errors import UserError

SECOND_COPY = "kept"  # the folder within a run's that has its outcome once more


def is_made(folder: Path, recipe: Recipe) -> bool:
    """Return whether the outcome of this very recipe lies in a run's folder."""
    try:
        made = _io.read_json(folder / "record.json", "").get("recipe")
    except UserError:
        return False
    text = json.dumps(made, sort_keys=True, indent=2) + "\n"
    return text == recipe.text() and all((folder / name).is_file() for name in OUTCOME)


def curve_of(folder: Path) -> str:
    """Return the sha256 of the curve that a run's record vouches for; "" where there is none."""
    try:
        return str(_io.read_json(folder / "record.json", "").get("curve_sha256", ""))
    except UserError:
        return ""


def find(place: Path, option: str = "") -> list[Path]:
    """Return the folders of all finished runs at `place` and below it, in order.

    Any level will do: all results, those of one scale, a run itself. Raises `UserError` for what is
    no folder or cannot be read, and where no finished run lies there; its advice names the `option`
    that asked for the place.
    """
    where = f"with {option} the results' folder" if option else "the results' folder"
    if not place.is_dir():
        raise UserError(f"There is no folder {place}: name {where}, or one within it.")
    found = sorted(folder for folder, files in _walk(place) if "record.json" in files)
    if not found:
        raise UserError(
            f"No finished run lies in {place} or below it (one is a folder with record.json): name "
            f"{where}, or one within it that has runs."
        )
    return found


def refuse_no_root(root: Path) -> None:
    """Raise `UserError` where runs are looked for in a folder that never had any."""
    if not (root / "runs").is_dir():
        raise UserError(
            f"{root} is no folder of results, which has its runs in {root / 'runs'}: name one such "
            "as results/smoke."
        )


def refuse_file_of_a_run(path: Path) -> None:
    """Raise `UserError` where something else would be written over what a run has left."""
    if path.name in ("recipe.json", *OUTCOME) and path.exists():
        raise UserError(f"{path} is a file of a run: name another file to write to.")


def refuse_no_run(folder: Path) -> None:
    """Raise `UserError` where a folder is not a run's, such as one above it."""
    if not any((folder / name).exists() for name in ("recipe.json", "record.json")):
        raise UserError(
            f"{folder} is no run's folder, which has recipe.json and, once finished, record.json: "
            "name one that `partage list runs` shows."
        )


def planned(place: Path) -> list[Path]:
    """Return the folders of all runs at `place` and below it, whether finished or not, in order."""
    kinds = {"recipe.json", "record.json"}
    return sorted(folder for folder, files in _walk(place) if kinds & set(files))


def _walk(place: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with the names of its files; second copies and hidden ones are left out.

    Links to folders are followed, each folder once: results may lie on several disks.
    """
    seen: set[Path] = set()
    for name, folders, files in os.walk(place, onerror=_refuse, followlinks=True):
        folder = Path(name)
        real = folder.resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        is_run = bool({"recipe.json", "lock", *OUTCOME} & set(files))
        left_out = {SECOND_COPY, "checkpoint"} if is_run else set()
        folders[:] = sorted(
            each for each in folders if each not in left_out and not each.startswith(".")
        )
        yield folder, files


def _refuse(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        return  # it has been deleted since its parent was read
    raise UserError(
        f"Could not look into {error.filename} ({error.strerror}): make the folder readable, or "
        "name another."
    ) from error
