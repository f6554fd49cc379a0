"""Other commits of this repository: checked out into a temporary folder, and trained there."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from partage.errors import UserError

STOP_AFTER = 0.3  # seconds between the first checkpoint and the signal


def find_commit(repository: Path, name: str) -> str:
    """Return a commit's whole name. Raises `UserError` where the repository does not have it."""
    missing = f"Commit {name} is not in the repository {repository}: fetch it, then repeat."
    if name.startswith("-"):  # from a record that anybody may have written: no option of git's
        raise UserError(missing)
    try:
        return _git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise UserError(missing) from error


def find_repository(package: Path) -> Path:
    """Return the checkout that a package lies in. Raises `UserError` where it is in none."""
    try:
        return Path(_git(package, "rev-parse", "--show-toplevel"))
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"{package} lies in no git checkout: code is compared in a clone of the repository."
        ) from error


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    # in a session of its own: Ctrl-C in the terminal is for this process, which still tidies up
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, start_new_session=True
    )
    return done.stdout.strip()


@contextlib.contextmanager
def checked_out(repository: Path, commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary worktree, which is removed afterwards."""
    try:
        with tempfile.TemporaryDirectory(prefix="partage-equal-code-") as place:
            folder = Path(place) / commit[:12]
            _git(repository, "worktree", "add", "--detach", str(folder), commit)
            yield folder
    finally:  # the repository forgets worktrees whose folders are gone, half made ones as well
        _git(repository, "worktree", "prune")


class Trainings:
    """The trainings under way in other processes: they end when this process is told to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    @contextlib.contextmanager
    def start(self, command: list[str], options: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
        """Start a training; wait for its end. Raises `Stopped` once all are to end."""
        with self.lock:
            if self.stopped:
                raise Stopped
            process = subprocess.Popen(command, **options)
            self.running.add(process)
        try:
            with process:
                yield process
        finally:
            self.running.discard(process)

    def stop(self) -> None:
        """End all trainings, and let none start."""
        self.stopped = True
        with self.lock:
            for process in self.running:
                process.terminate()


class Stopped(Exception):
    """This process was told to end."""


TRAININGS = Trainings()


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM, SIGHUP and Ctrl-C end the work within as an exception, so that it tidies up.

    Trainings under way are ended, further signals are passed over. Exits with 128 and the signal's
    number.
    """

    def stop(number: int, _: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        TRAININGS.stop()
        raise SystemExit(128 + number)

    signals = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.signal(each, stop) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
        TRAININGS.stopped = False


def train(checkout: Path, folder: Path) -> str:
    """Train ``folder/recipe.json`` by a checkout's own code, stopped once; what failed, or nothing.

    Commits before ``--checkpoint-every`` train in one go.
    """
    command = [sys.executable, "-m", "partage", "train", str(folder / "recipe.json")]
    options: dict[str, Any] = {
        "cwd": checkout,
        "env": {**os.environ, "PYTHONPATH": str(checkout / "src")},
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    try:
        return _train_twice(command, options, folder)
    except Stopped:
        return "this process, which was told to end"


def _train_twice(command: list[str], options: dict[str, Any], folder: Path) -> str:
    with TRAININGS.start([*command, "--checkpoint-every", "0"], options) as first:
        _stop_after_checkpoint(first, folder)
        error = first.communicate()[1]
    too_old = first.returncode == 2 and "--checkpoint-every" in error
    if first.returncode != 128 + signal.SIGTERM and not too_old:
        return _failure(first.returncode, error)
    with TRAININGS.start(command, options) as second:
        error = second.communicate()[1]
    return _failure(second.returncode, error)


def _stop_after_checkpoint(process: subprocess.Popen[str], folder: Path) -> None:
    """Send SIGTERM a moment after the first checkpoint lies in the run's folder."""
    while process.poll() is None:
        if any((folder / "checkpoint").glob("[ab]")):
            time.sleep(STOP_AFTER)
            process.terminate()
            return
        time.sleep(0.02)


def _failure(code: int, error: str) -> str:
    """Return nothing where the exit code is 0, else the last line of what was said."""
    if code == 0:
        return ""
    lines = error.strip().splitlines()
    return f"exit code {code}: {lines[-1] if lines else 'nothing was said'}"
