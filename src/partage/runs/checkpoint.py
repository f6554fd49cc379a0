"""Checkpoints: two files in alternation, each with a header that shows whether it is whole.

They lie in ``<run>/checkpoint/``, outside the outputs that Snakemake knows of, since it deletes
those of a failed run. Standard library only.
"""

import contextlib
import hashlib
import struct
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from partage import _io
from partage.errors import UserError

MAGIC = b"partage1"
# magic, number of the save (from 1 on), length of the payload, its sha256
HEADER = struct.Struct("<8sQQ32s")
FILES = ("a", "b")
ANEW = "delete that folder to train this run from its start."  # the advice where none can be used


class Slot(NamedTuple):
    """One of the two files, and what its header says."""

    path: Path
    number: int  # of the save; 0: the file is missing or its header is not one
    length: int
    digest: bytes


def save(run_dir: Path, payload: _io.Bytes) -> None:
    """Write `payload`, uncopied, over the older of the two files; the newer one stays as it is.

    Raises `UserError` where the folder cannot be written.
    """
    # of a process that was killed while writing, whichever file: it may be gigabytes
    _io.sweep(run_dir / "checkpoint")
    slots = _slots(run_dir)
    older = min(slots, key=lambda slot: slot.number)
    newest_number = max(slot.number for slot in slots)
    digest = hashlib.sha256(payload).digest()
    header = HEADER.pack(MAGIC, newest_number + 1, memoryview(payload).nbytes, digest)
    _io.write(older.path, header, payload)


def load(run_dir: Path) -> bytes | None:
    """Return the newest whole checkpoint; None where there is none yet.

    A corrupt newest one is named on standard error and removed, so that the next save does not keep
    it. Raises `UserError` where all that lie there are corrupt.
    """
    corrupt: list[Path] = []
    # a file without a sound header may be the newest: it comes first, and is found corrupt
    newest_first = sorted(_slots(run_dir), key=lambda slot: -(slot.number or sys.maxsize))
    for slot in newest_first:
        if not slot.path.exists():
            continue
        payload = _payload(slot)
        if payload is None:
            corrupt.append(slot.path)
            continue
        for path in corrupt:
            print(
                f"partage: checkpoint {path} is corrupt; going on from the one before it",
                file=sys.stderr,
            )
            path.unlink(missing_ok=True)
        return payload
    if corrupt:
        names = ", ".join(path.name for path in corrupt)
        raise UserError(
            f"No whole checkpoint is left in {run_dir / 'checkpoint'} (corrupt: {names}): {ANEW}"
        )
    return None


@contextlib.contextmanager
def fits_todays_code(folder: Path) -> Iterator[None]:
    """Raise `UserError` where what lies in `folder` has other parts than today's code.

    It goes around the lines that take over a saved state.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _misfit(folder, f"{type(error).__name__}: {error}") from error
    except UserError as error:  # a simulator's: what it is given is not what it saved
        raise _misfit(folder, str(error).rstrip(".")) from error


def _misfit(folder: Path, why: str) -> UserError:
    return UserError(
        f"What is saved in {folder} does not fit today's code ({textwrap.shorten(why, 200)}): use "
        f"the code that saved it, or {ANEW}"
    )


def clear(run_dir: Path) -> None:
    """Remove a run's checkpoints: its record is written."""
    folder = run_dir / "checkpoint"
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    _io.sweep(folder)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _slots(run_dir: Path) -> list[Slot]:
    return [_slot(run_dir / "checkpoint" / name) for name in FILES]


def _slot(path: Path) -> Slot:
    """Return what a file's header says; number 0 where there is none."""
    try:
        with open(path, "rb") as file:
            magic, number, length, digest = HEADER.unpack(file.read(HEADER.size))
    except (OSError, struct.error):
        return Slot(path, 0, 0, b"")
    return Slot(path, number if magic == MAGIC else 0, length, digest)


def _payload(slot: Slot) -> bytes | None:
    """Return what the file holds after its header, if that is what the header promises."""
    if not slot.number or slot.path.stat().st_size != HEADER.size + slot.length:
        return None
    with open(slot.path, "rb") as file:
        file.seek(HEADER.size)
        payload = file.read(slot.length)
    return payload if hashlib.sha256(payload).digest() == slot.digest else None
