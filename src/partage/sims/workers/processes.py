"""The processes of a `Pool`: `Worker`, one of them, and `WorkerProcesses`, all and a watchdog."""

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
from typing import Any, NamedTuple

from partage.sims.workers import watchdog, worker
from partage.sims.workers.worker import Job


class Answer(NamedTuple):
    """What a worker answers to an order."""

    succeeded: bool
    content: Any  # what was asked for, or what went wrong


class Worker:
    """One process and the copies it plays. It starts with its first order."""

    def __init__(self, job: Job, memory: int) -> None:
        self.copies, self._job, self._memory = job.copies, job, memory
        self.failures = 0
        self.connection: Any = None  # a `Connection` while there is a process
        self._process: Any = None

    def order(self, processes: "WorkerProcesses", *order: Any) -> bool:
        """Send an order; return False if the process has died since the last one."""
        if self._process is None:
            self._start(processes)
        try:
            self.connection.send_bytes(pickle.dumps(order))
        except OSError:
            return False
        return True

    def _start(self, processes: "WorkerProcesses") -> None:
        ours, theirs = socketpair()
        self._folder = Path(tempfile.mkdtemp(dir=processes.folder))
        import_path = os.pathsep.join(path for path in sys.path if path)
        with theirs, (self._folder / "log").open("wb") as log:
            socket = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", worker.__name__, str(socket), str(self._memory)],
                env=os.environ | {"PYTHONPATH": import_path, "TMPDIR": str(self._folder)},
                start_new_session=True,
                pass_fds=[socket, self._memory],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        processes.watch(self._process.pid)
        self.connection = Connection(ours.detach())
        self.connection.send_bytes(pickle.dumps(self._job))

    def answer(self) -> Answer:
        """Return the answer that waits to be read, or how the process ended."""
        try:
            return Answer(*self.connection.recv())
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
            code = self._process.returncode or 0
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            log = (self._folder / "log").read_text(errors="replace").strip()
            last_line = log.splitlines()[-1:]
            return Answer(False, " ".join([f"the process ended with {how}", *last_line]))

    def stop(self, processes: "WorkerProcesses", patience: float = 0.0) -> None:
        """End the process and all it has started.

        With `patience` (seconds) it may close its simulators first.
        """
        if self._process is None:
            return
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        processes.unwatch(self._process.pid)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self.connection = None


class WorkerProcesses:
    """The workers, their folder for temporary files, and the watchdog over both."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers
        self.folder = tempfile.mkdtemp(prefix="partage-")
        self._watchdog = subprocess.Popen(
            [sys.executable, "-S", "-E", str(watchdog.__file__), self.folder],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """Have the watchdog kill a process group when the trainer ends."""
        self._tell(f"+{group}")

    def unwatch(self, group: int) -> None:
        """Tell the watchdog that a process group has ended."""
        self._tell(f"-{group}")

    def _tell(self, line: str) -> None:
        # a line is shorter than a pipe's block: it arrives whole
        print(line, file=self._watchdog.stdin, flush=True)

    def close(self) -> None:
        """End all workers, then the watchdog, which removes the folder."""
        for each in self.workers:
            each.stop(self, patience=2.0)
        self._watchdog.communicate()
