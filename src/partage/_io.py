"""Write files so that a reader finds the old one or the new one, never half of one.

Standard library only.
"""

import contextlib
import os
from pathlib import Path

from partage.errors import UserError

Bytes = bytes | bytearray | memoryview


def write(path: Path, *parts: Bytes) -> None:
    """Put `parts`, one after the other and uncopied, at `path`.

    They go to a temporary file beside it, which is synced and renamed. Raises `UserError` where the
    folder is read-only or the disk is full; what was at `path` is then still there, and the
    temporary file is gone.
    """
    if not path.name or (path.exists() and not path.is_file()):
        raise UserError(
            f"Could not write {path}: a file is expected there, but it is a folder or a device; "
            "name a file."
        )
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)  # of a process that was killed while writing
        with open(tmp, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(tmp, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"Could not write {path} ({error.strerror or error}): what was written before is "
            "kept; free space or make the folder writable (or name another with --results), then "
            "repeat the command."
        ) from error
    finally:
        # also where a parent is a file, or a disk that has just gone
        with contextlib.suppress(OSError):
            tmp.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Sync a folder: without this a rename can be lost when the machine loses power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
