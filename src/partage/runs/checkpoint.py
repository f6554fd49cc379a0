"""Checkpoints: two files in alternation, each with a header that shows whether it is whole
(standard library only).

They lie in ``<run>/checkpoint/``, outside the outputs that Snakemake knows of, since it deletes
those of a failed run.
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
HEADER = struct.Struct(
    "<8sQQ32s"
)  # magic, number of the save (from 1 on), length of the payload, its sha256


class Slot(NamedTuple):
    path: Path
    number: int  # of the save; 0: the file is missing or its header is not one
    length: int
    digest: bytes


def save_checkpoint(run_dir: Path, payload: _io.Bytes) -> None:
    """Write `payload` over the older of the two; the newer one stays as it is. The payload is not
    copied.
    """
    for left in (run_dir / "checkpoint").glob(".*.tmp"):
        left.unlink(
            missing_ok=True
        )  # of a process that was killed while writing: it may be gigabytes
    slots = _slots(run_dir)
    older, newest = min(slots, key=lambda slot: slot.number), max(slot.number for slot in slots)
    header = HEADER.pack(
        MAGIC, newest + 1, memoryview(payload).nbytes, hashlib.sha256(payload).digest()
    )
    _io.write(older.path, header, payload)


def load_checkpoint(run_dir: Path) -> bytes | None:
    """The newest whole checkpoint; None where there is none yet; a `UserError` where all that lie
    there are corrupt.

    A corrupt newest one is named on standard error and removed, so that the next save does not keep
    it.
    """
    corrupt: list[Path] = []
    # a file without a sound header may be the newest: it is looked at first, and found corrupt
    for slot in sorted(_slots(run_dir), key=lambda slot: -(slot.number or sys.maxsize)):
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
        raise UserError(
            f"No whole checkpoint is left in {run_dir / 'checkpoint'} (corrupt: {', '.join(p.name for p in corrupt)}): "
            f"delete that folder to train this run from its start."
        )
    return None


@contextlib.contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Around what takes over a state that lies in `folder`: a `UserError` where it has other parts
    than today's code.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        why = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
        raise UserError(
            f"What is saved in {folder} does not fit today's code ({why}): use the code that saved it, or delete that "
            f"folder to train this run from its start."
        ) from error


def clear_checkpoints(run_dir: Path) -> None:
    """Remove a run's checkpoints: its record is written."""
    folder = run_dir / "checkpoint"
    for path in [*(slot.path for slot in _slots(run_dir)), *folder.glob(".*.tmp")]:
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _slots(run_dir: Path) -> list[Slot]:
    return list(_headers(run_dir / "checkpoint"))


def _headers(folder: Path) -> Iterator[Slot]:
    for name in ("a", "b"):
        path = folder / name
        try:
            with open(path, "rb") as file:
                magic, number, length, digest = HEADER.unpack(file.read(HEADER.size))
        except (OSError, struct.error):
            magic, number, length, digest = b"", 0, 0, b""
        yield Slot(path, number if magic == MAGIC else 0, length, digest)


def _payload(slot: Slot) -> bytes | None:
    """What the file holds after its header, if that is what the header promises."""
    if not slot.number or slot.path.stat().st_size != HEADER.size + slot.length:
        return None
    with open(slot.path, "rb") as file:
        file.seek(HEADER.size)
        payload = file.read(slot.length)
    return payload if hashlib.sha256(payload).digest() == slot.digest else None
