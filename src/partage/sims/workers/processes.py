"""The processes of a `Pool`: `Worker`, one process and the copies it plays, and `Crew`, all of them
and their guard.
"""

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socketpair
from typing import Any

from partage.sims.workers import watchdog, worker
from partage.sims.workers.worker import Job


class Worker:
    """One process and the copies it plays. It starts with its first order."""

    def __init__(self, job: Job, memory: int) -> None:
        self.copies, self._job, self._memory = job.copies, job, memory
        self.failures = 0
        self.connection: Any = None  # a `Connection` while there is a process
        self._process: Any = None

    def order(self, crew: "Crew", *order: Any) -> bool:
        """Send an order; False if the process has died since the last one."""
        if self._process is None:
            self._start(crew)
        try:
            self.connection.send_bytes(pickle.dumps(order))
        except OSError:
            return False
        return True

    def _start(self, crew: "Crew") -> None:
        ours, theirs = socketpair()
        self._folder = Path(tempfile.mkdtemp(dir=crew.folder))
        command = [sys.executable, "-m", worker.__name__, str(theirs.fileno()), str(self._memory)]
        places = os.pathsep.join(path for path in sys.path if path)
        with theirs, (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | {"PYTHONPATH": places, "TMPDIR": str(self._folder)}, start_new_session=True,
                pass_fds=[theirs.fileno(), self._memory], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        crew.tell(f"+{self._process.pid}")
        self.connection = Connection(ours.detach())
        self.connection.send_bytes(pickle.dumps(self._job))

    def answer(self) -> tuple[bool, Any]:
        """(True, what was asked for) or (False, what went wrong)."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
            code = self._process.returncode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            said = (self._folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
            return False, " ".join([f"the process ended with {how}", *said])

    def stop(self, crew: "Crew", patience: float = 0.0) -> None:
        """End the process and all it has started; with patience it may put its simulators away
        first.
        """
        if self._process is None:
            return
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        crew.tell(f"-{self._process.pid}")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self.connection = None


class Crew:
    """The workers, and the guard over them."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers
        self.folder = tempfile.mkdtemp(prefix="partage-")
        self._guard = subprocess.Popen(
            [sys.executable, "-S", "-E", str(watchdog.__file__), self.folder], stdin=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def tell(self, line: str) -> None:
        print(
            line, file=self._guard.stdin, flush=True
        )  # a line is shorter than a pipe's block: it arrives whole

    def close(self) -> None:
        for each in self.workers:
            each.stop(self, patience=2.0)
        self._guard.communicate()
