"""Other commits of this repository: checked out into a temporary folder, and trained there."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from partage.errors import UserError

STOP_AFTER = 0.3  # seconds between the first checkpoint and the signal


def find_commit(repository: Path, name: str) -> str:
    """Return a commit's whole name. Raises `UserError` where the repository does not have it."""
    try:
        return _git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"Commit {name} is not in the repository {repository}: fetch it, then repeat."
        ) from error


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
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextlib.contextmanager
def checked_out(repository: Path, commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary worktree, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="partage-equal-code-") as place:
        folder = Path(place) / commit[:12]
        _git(repository, "worktree", "add", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git(repository, "worktree", "remove", "--force", str(folder))


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
    with subprocess.Popen([*command, "--checkpoint-every", "0"], **options) as first:
        _stop_after_checkpoint(first, folder)
        error = first.communicate()[1]
    too_old = first.returncode == 2 and "--checkpoint-every" in error
    if first.returncode != 128 + signal.SIGTERM and not too_old:
        return _failure(first.returncode, error)
    second = subprocess.run(command, check=False, **options)
    return _failure(second.returncode, second.stderr)


def _stop_after_checkpoint(process: subprocess.Popen[str], folder: Path) -> None:
    """Send SIGTERM a moment after the first checkpoint lies in the run's folder."""
    while process.poll() is None:
        if any((folder / "checkpoint").glob("[!.]*")):
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
