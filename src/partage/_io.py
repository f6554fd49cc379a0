"""Files: written so that a reader finds the old one or the new one, never half of one; and read so
that whatever is wrong with one is one sentence.

Standard library only.
"""

import contextlib
import fcntl
import json
import math
import os
import secrets
import tomllib
from pathlib import Path
from typing import Any

from partage.errors import UserError

Bytes = bytes | bytearray | memoryview
DEEPEST = 32  # levels of nesting that a file has: ours have six
WRITTEN = 2**128  # whole numbers that can be shown in a message stay below


def write(path: Path, *parts: Bytes) -> None:
    """Put `parts`, one after the other and uncopied, at `path`.

    They go to a temporary file beside it, which is synced and renamed; no two writers share one, so
    of several at once the last to end is read. Raises `UserError` where the folder is read-only or
    the disk is full; what was at `path` is then still there, and the temporary file is gone.
    """
    if not path.name or (path.exists() and not path.is_file()):
        raise UserError(
            f"Could not write {path}: a file is expected there, but it is a folder or a device; "
            "name a file."
        )
    tmp = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        with open(_create(tmp), "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            os.replace(tmp, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"Could not write {path} ({error.strerror or error}): what was written before is "
            "kept; free space or make the folder writable (or name another), then "
            "repeat the command."
        ) from error
    finally:
        # also where a parent is a file, or a disk that has just gone
        with contextlib.suppress(OSError):
            tmp.unlink(missing_ok=True)


def _create(tmp: Path) -> int:
    """Return a new file, open for writing and locked, which says that its writer lives."""
    while True:
        handle = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: nobody sweeps there
            fcntl.flock(handle, fcntl.LOCK_EX)
        if is_at(handle, tmp):
            return handle
        os.close(handle)  # swept between its making and its locking


def sweep(folder: Path, name: str = "") -> None:
    """Remove the temporary files in `folder` (of the file `name`) whose writers are dead.

    A writer that lives has its file locked, and the kernel lets go of it when the writer ends.
    """
    for left in list(folder.glob(".*.tmp")):
        if left.name.startswith(f".{name}." if name else "."):
            with contextlib.suppress(OSError):  # it lives, or somebody else was faster
                _remove_unlocked(left)


def _remove_unlocked(path: Path) -> None:
    """Remove a file that nobody has locked. Raises `OSError` where somebody has."""
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is the one that lies at `path` now.

    A lock is on the file, not on its name: where that was removed and made anew, two processes
    would each hold one.
    """
    try:
        there = os.stat(path)
    except OSError:
        return False
    ours = os.fstat(handle)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)


def _sync_folder(folder: Path) -> None:
    """Sync a folder: without this a rename can be lost when the machine loses power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_bytes(path: Path, advice: str) -> bytes:
    """Return what a file holds.

    Raises `UserError` that ends in `advice`, also for a folder, a device or a pipe: one would be
    waited for without end.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(
                f"Could not read {path} (a file is expected there, but it is a folder or a "
                f"device): {advice}"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or error
        raise UserError(f"Could not read {path} ({why}): {advice}") from error


def read_json(path: Path, advice: str, finite: bool = True) -> dict[str, Any]:
    """Return the object that a JSON file holds: the one way in which JSON is read here.

    A byte order mark, as some editors write it, is passed over.

    Raises `UserError` that ends in `advice` where there is no such file, it is not UTF-8 or not
    JSON, a key stands in it twice, it holds no object, or what `check_plain` refuses.
    """
    payload = read_bytes(path, advice)
    try:
        found = json.loads(payload.decode("utf-8-sig"), object_pairs_hook=_each_key_once)
        check_plain(found, finite)
    except (ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{path} is corrupt ({_why(error)}): {advice}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} is corrupt (it holds no object): {advice}")
    return found


def read_toml(path: Path, advice: str) -> dict[str, Any]:
    """Return what a TOML file holds; a byte order mark, as some editors write it, is passed over.

    Raises `UserError` that ends in `advice` where there is no such file, and another where it is
    not UTF-8, not TOML, or holds what `check_plain` refuses.
    """
    payload = read_bytes(path, advice)
    try:
        return parse_toml(payload.decode("utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from error


def parse_toml(text: str) -> dict[str, Any]:
    """Return what TOML says. Raises `ValueError` where it is not TOML, or `check_plain` does.

    NaN and infinity pass: whoever expects a number says which.
    """
    try:
        found = tomllib.loads(text)
    except (RecursionError, MemoryError) as error:
        raise ValueError("it is nested too deep") from error
    check_plain(found, finite=False)
    return found


def check_plain(value: Any, finite: bool = True) -> None:
    """Raise `ValueError` for a value that no file of ours has, and that harms who reads on.

    That is nesting beyond `DEEPEST` levels, a whole number beyond 128 bits, a number that is none
    (if they are to be `finite`), text that is no Unicode, and a date.
    """
    level = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += [*each, *each.values()]
            elif isinstance(each, list):
                inner += each
            else:
                _check_scalar(each, finite)
        if not inner:
            return
        level = inner
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _check_scalar(value: Any, finite: bool) -> None:
    if isinstance(value, str):
        value.encode()  # raises a ValueError for half of a surrogate pair
    elif isinstance(value, float):
        if finite and not math.isfinite(value):
            raise ValueError(f"{value} is no number that is expected here")
    elif isinstance(value, int):
        if not -WRITTEN < value < WRITTEN:
            raise ValueError("a whole number has more than 128 bits")
    elif value is not None:
        raise ValueError(f"{value} is a date or a time: write it as a text")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands in it twice")
    return found


def _why(error: BaseException) -> str:
    """Return in words why something could not be decoded."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, MemoryError):
        return "it does not fit into the memory"
    return f"not valid JSON: {error}"
