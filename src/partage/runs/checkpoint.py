"""Checkpoints: two files in alternation, each with a header that shows whether it is whole.

They lie in ``<run>/checkpoint/``, outside the outputs that Snakemake knows of, since it deletes
those of a failed run. Episodes lie beside them in `chunks`, which both name: a checkpoint is there
when its own file is, which is written last.
"""

import contextlib
import hashlib
import json
import struct
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from partage import _io
from partage.errors import UserError
from partage.rl.packing import Ring
from partage.runs import chunks
from partage.runs.chunks import Stored

MAGIC = b"partage2"
OLDER = b"partage1"  # those name no chunks
# magic, number of the save (from 1 on), length of the payload, sha256 of it and of what follows:
# the names of chunks
HEADER = struct.Struct("<8sQQ32s")
FILES = ("a", "b")
SHARE = 0.03  # of the time, at most, goes into checkpoints
# what parts of a corrupt file are found to be
NOT_SOUND = (KeyError, RecursionError, TypeError, ValueError, struct.error)
ANEW = "delete that folder to train this run from its start."  # the advice where none can be used


class Slot(NamedTuple):
    """One of the two files, and what its header says."""

    path: Path
    number: int  # of the save; 0: the file is missing or its header is not one
    length: int


class Saved(NamedTuple):
    """A checkpoint, read."""

    payload: bytes
    rings: list[Ring]  # the episodes of each run
    stored: list[Stored]  # and where they lie


def save(
    run_dir: Path,
    payload: _io.Bytes,
    rings: Sequence[Ring] = (),
    before: Sequence[Stored] = (),
) -> list[Stored]:
    """Write `payload`, uncopied, over the older of the two files; the newer one stays as it is.

    Of `rings`, the episodes of each run, what is new is written; `before` is what was returned by
    the save before, or read. Raises `UserError` where the folder cannot be written.
    """
    # of a process that was killed while writing, whichever file: it may be gigabytes
    _io.sweep(run_dir / "checkpoint")
    _remove_unnamed(run_dir)
    slots = _slots(run_dir)
    older = min(slots, key=lambda slot: slot.number)
    number = max(slot.number for slot in slots) + 1
    try:
        stored = chunks.write(older.path.parent / chunks.FOLDER, number, rings, before)
        names = json.dumps(chunks.as_plain(stored)).encode() if stored else b""
        digest = hashlib.sha256(payload)
        digest.update(names)
        header = HEADER.pack(MAGIC, number, memoryview(payload).nbytes, digest.digest())
        _io.write(older.path, header, payload, names)
    finally:
        _remove_unnamed(run_dir)
    return stored


def _remove_unnamed(run_dir: Path) -> None:
    """Remove the chunks that neither file names."""
    folder, named = run_dir / "checkpoint" / chunks.FOLDER, []
    if folder.is_dir():
        for slot in _slots(run_dir):
            with contextlib.suppress(OSError, *NOT_SOUND):  # a corrupt one names none
                named += _named(slot)
        with contextlib.suppress(OSError):
            chunks.remove(folder, named)


def _named(slot: Slot) -> list[str]:
    """Return the chunks that a file names, whether it is whole or not."""
    with open(slot.path, "rb") as file:
        file.seek(HEADER.size + slot.length)
        names = file.read()
    stored = chunks.from_plain(json.loads(names)) if names else []
    return [chunk.file for each in stored for chunk in each.chunks]


def seconds_until_next(asked: float, took: float) -> float:
    """Return the seconds from a checkpoint that took so long until the next.

    They are what was asked for, or more where it would take more than its share of the time; 0 asks
    for one after each update, whatever that takes.
    """
    return max(asked, took * (1 / SHARE - 1)) if asked else 0.0


def load(run_dir: Path) -> bytes | None:
    """Return the newest whole checkpoint without its episodes; None where there is none yet.

    A corrupt newest one is named on standard error and removed, so that the next save does not keep
    it. Raises `UserError` where all that lie there are corrupt.
    """
    return _newest(run_dir, lambda slot: _contents(slot)[0])


def load_whole(run_dir: Path) -> Saved | None:
    """Return the newest whole checkpoint with its episodes; see `load`."""
    return _newest(run_dir, _whole)


Read = TypeVar("Read")


def _newest(run_dir: Path, read: Callable[[Slot], Read]) -> Read | None:
    """Return what is read of the newest checkpoint of which that can be read."""
    corrupt: dict[Path, str] = {}
    # a file without a sound header may be the newest: it comes first, and is found corrupt
    newest_first = sorted(_slots(run_dir), key=lambda slot: -(slot.number or sys.maxsize))
    for slot in newest_first:
        if not slot.path.exists():
            continue
        try:
            found = read(slot)
        except (OSError, *NOT_SOUND) as error:
            corrupt[slot.path] = textwrap.shorten(f"{error}", 80)
            continue
        for path in corrupt:
            print(
                f"partage: checkpoint {path} is corrupt; going on from the one before it",
                file=sys.stderr,
            )
            path.unlink(missing_ok=True)
        return found
    if corrupt:
        names = ", ".join(f"{path.name}: {why}" for path, why in corrupt.items())
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
    chunks.remove(folder / chunks.FOLDER)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _slots(run_dir: Path) -> list[Slot]:
    return [_slot(run_dir / "checkpoint" / name) for name in FILES]


def _slot(path: Path) -> Slot:
    """Return what a file's header says; number 0 where there is none."""
    try:
        with open(path, "rb") as file:
            magic, number, length, _ = HEADER.unpack(file.read(HEADER.size))
    except (OSError, struct.error):
        return Slot(path, 0, 0)
    return Slot(path, number if magic in (MAGIC, OLDER) else 0, length)


def _contents(slot: Slot) -> tuple[bytes, list[Stored]]:
    """Return what a file holds: its payload, and the chunks that it names.

    Raises `ValueError` and others where it is not what was written.
    """
    with open(slot.path, "rb") as file:
        # read again: a process that trains may have renamed another file to here since
        _, _, length, expected = HEADER.unpack(file.read(HEADER.size))
        payload, names = file.read(length), file.read()
    digest = hashlib.sha256(payload)
    digest.update(names)
    if not slot.number or len(payload) != length or digest.digest() != expected:
        raise ValueError("it is not what was written")
    return payload, chunks.from_plain(json.loads(names)) if names else []


def _whole(slot: Slot) -> Saved:
    payload, stored = _contents(slot)
    rings = chunks.read(slot.path.parent / chunks.FOLDER, stored)
    return Saved(payload, rings, stored)
