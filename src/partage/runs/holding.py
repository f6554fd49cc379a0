"""The lock of a run's folder: one process trains a run, and saves only where it still holds it.

The lock's file names its holder in its first line; in its second the holder says how far it is.
"""

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from partage import _io
from partage.errors import UserError

LOCK = "lock"  # the file's name


class Held(NamedTuple):
    """A run's lock, held by this process."""

    run_dir: Path
    handle: int  # of the locked file
    holder: str  # the file's first line

    def tell(self, said: Mapping[str, object]) -> None:
        """Write how far the run is below the holder's name, for whoever looks (`runs.status`)."""
        lines = f"{self.holder}\n{json.dumps(said)}\n".encode()
        with contextlib.suppress(OSError):  # a full disk: training goes on, unseen
            os.pwrite(self.handle, lines, 0)
            os.ftruncate(self.handle, len(lines))

    def check(self) -> None:
        """Raise `UserError` where the run's folder was deleted since, and maybe made anew.

        Whoever saves asks first: the folder that is there now is another process's.
        """
        if not _io.is_at(self.handle, self.run_dir / LOCK):
            raise UserError(
                f"{self.run_dir} was deleted or replaced while this process trained it: it ends "
                f"here and saves nothing; whoever made it anew trains it."
            )


@contextlib.contextmanager
def hold(run_dir: Path, wait: bool = False) -> Iterator[Held]:
    """Hold a run's lock, so that no second process works on it.

    The kernel lets go when the process ends, however it ends (SIGKILL too). Where another process
    holds the lock, `wait` until that has ended; else raise `UserError`. What is refused within is
    told as `Held.check` tells it where the folder is gone: a file may fail to be written for that.
    """
    handle = _open_lock(run_dir)
    try:
        _lock(handle, run_dir, wait)
        while not _io.is_at(handle, run_dir / LOCK):  # deleted while this process waited for it
            os.close(handle)
            handle = _open_lock(run_dir)
            _lock(handle, run_dir, wait)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {platform.node()} since {now}"
        with contextlib.suppress(OSError):  # a full disk: only a second process would have read it
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{holder}\n".encode(), 0)
        held = Held(run_dir, handle, holder)
        try:
            yield held
        except UserError:
            held.check()
            raise
    finally:
        os.close(handle)


def _open_lock(run_dir: Path) -> int:
    """Return the lock's file, open and not yet locked."""
    path = run_dir / LOCK
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        # closed on exec: programs started by the run do not hold it
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"Could not write {path} ({error.strerror}): make the folder writable, then repeat."
        ) from error


def _lock(handle: int, run_dir: Path, wait: bool) -> None:
    """Lock an open file; raise `UserError` where another process has it and it is not to `wait`."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        first_line = os.read(handle, 200).decode(errors="replace").partition("\n")[0]
        holder = first_line.strip() or "another process"
        if not wait:
            raise UserError(
                f"{run_dir} is being trained by {holder}: wait for it to end, or stop it first."
            ) from error
        print(
            f"partage: {run_dir} is being trained by {holder}: waiting for it to end.",
            flush=True,
        )
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        raise UserError(
            f"Could not lock {run_dir / LOCK} ({error.strerror}): results must lie on a file "
            f"system with flock (NFS 4 has it, Lustre if mounted with `-o flock`)."
        ) from error
