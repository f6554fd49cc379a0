"""A run's outcome, ``curve.parquet`` and ``record.json``: written whole, checked when read.

Loads no torch. Beside them in the run's folder lie its recipe, its checkpoints
(`partage.runs.checkpoint`), its lock, and a second copy of the outcome: Snakemake deletes the
outputs that it knows of before it runs a job, also where the last main process was killed and the
job has ended well since.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from partage import _io
from partage.config.recipe import OUTCOME, Recipe, options_of_root, root_of
from partage.errors import UserError
from partage.runs import parquet, record_check
from partage.runs.provenance import code, provenance

__all__ = [
    "COLUMNS",
    "OUTCOME",
    "SCHEMA",
    "code",
    "hold",
    "provenance",
    "read",
    "restore",
    "write",
]

SCHEMA = 1  # of record.json
# One row is one measured number. env_steps are joint steps of that seed; a metric's name is free
# ("train_return", ...).
COLUMNS = {
    "seed": "int64",
    "env_steps": "int64",
    "updates": "int64",
    "metric": "str",
    "value": "float64",
}
SECOND_COPY = "kept"  # a folder


def write(run_dir: Path, curve: pd.DataFrame, record: dict[str, Any]) -> None:
    """Write the curve, then the record that vouches for it.

    `record` is what `provenance` returns, and whatever else is added. Raises `UserError` where the
    folder cannot be written.
    """
    if list(curve.columns) != list(COLUMNS):
        raise ValueError(
            f"a curve has the columns {list(COLUMNS)}, but this one has {list(curve.columns)}"
        )
    buffer = io.BytesIO()
    curve.astype(COLUMNS).to_parquet(buffer, index=False)
    payload = buffer.getbuffer()
    record = {"schema": SCHEMA, **record, "curve_sha256": hashlib.sha256(payload).hexdigest()}
    json_bytes = (json.dumps(record, sort_keys=True, indent=2) + "\n").encode()
    for folder in (run_dir / SECOND_COPY, run_dir):
        for name, content in zip(OUTCOME, (payload, json_bytes), strict=True):
            _io.write(folder / name, content)


def restore(run_dir: Path, recipe: Recipe, code_hash: str) -> bool:
    """Put the outcome back from its second copy, and return whether that was possible.

    The copy has to be whole and of this very recipe and code.
    """
    try:
        _, record = read(run_dir / SECOND_COPY)
    except UserError:
        return False
    if record.get("recipe_hash") != recipe.hash or record["code"].get("hash") != code_hash:
        return False
    for name in OUTCOME:
        _io.write(run_dir / name, (run_dir / SECOND_COPY / name).read_bytes())
    return True


def read(run_dir: Path, today: Recipe | None = None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the curve and the record of a finished run.

    Raises `UserError` where one is missing, corrupt or made by another recipe than the one that
    lies there, or than `today`'s.
    """
    record = _json(run_dir / "record.json", run_dir)
    _check_record(record, run_dir)
    if today is not None:
        _check_recipe(record["recipe"], today, run_dir)
    return _read_curve(record, run_dir), record


def _check_record(record: dict[str, Any], run_dir: Path) -> None:
    if record.get("schema") != SCHEMA:
        raise UserError(
            f"{run_dir}/record.json has schema {record.get('schema')!r}, but this version of "
            f"partage reads {SCHEMA}: {_again(run_dir)}"
        )
    recipe = run_dir / "recipe.json"
    if recipe.is_file() and _json(recipe, run_dir) != record.get("recipe"):
        raise UserError(
            f"{run_dir} was made by another recipe than the one that lies there now: "
            f"{_again(run_dir)}"
        )
    record_check.check(record, run_dir / "record.json", _again(run_dir))


def _check_recipe(made: dict[str, Any], today: Recipe, run_dir: Path) -> None:
    """Raise `UserError` where a run was made by another recipe than today's."""
    wanted = dataclasses.asdict(today)
    if made != wanted:
        changed = ", ".join(sorted(key for key, value in wanted.items() if made.get(key) != value))
        options = options_of_root(root_of(run_dir))
        if not options:
            options = f" --scale {today.scale} --engine {today.engine}"
        raise UserError(
            f"{run_dir} was made by another recipe than today's ({changed}): "
            f"`partage plan --write{options}`, then {_again(run_dir)}"
        )


def _read_curve(record: dict[str, Any], run_dir: Path) -> pd.DataFrame:
    """Return the curve, which has to be the one that the record names."""
    path = run_dir / "curve.parquet"
    payload = _io.read_bytes(path, _again(run_dir))
    if hashlib.sha256(payload).hexdigest() != record.get("curve_sha256"):
        raise UserError(
            f"{path} is corrupt (it is not the one its record names): {_again(run_dir)}"
        )
    return parquet.decode(payload, COLUMNS, path, _again(run_dir))


def _json(path: Path, run_dir: Path) -> dict[str, Any]:
    return _io.read_json(path, _again(run_dir))


def _again(run_dir: Path) -> str:
    return f"make the run again with `partage train {run_dir}/recipe.json`."


@contextlib.contextmanager
def hold(run_dir: Path, wait: bool = False) -> Iterator[None]:
    """Hold a run's lock, so that no second process works on it.

    The kernel lets go when the process ends, however it ends (SIGKILL too). Where another process
    holds the lock, `wait` until that has ended; else raise `UserError`.
    """
    path = run_dir / "lock"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        # closed on exec: programs started by the run do not hold it
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"Could not write {path} ({error.strerror}): make the folder writable, then repeat."
        ) from error
    try:
        _lock(handle, run_dir, wait)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = f"process {os.getpid()} on {platform.node()} since {now}\n"
        with contextlib.suppress(OSError):  # a full disk: only a second process would have read it
            os.ftruncate(handle, 0)
            os.pwrite(handle, holder.encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, run_dir: Path, wait: bool) -> None:
    """Lock an open file; raise `UserError` where another process has it and it is not to `wait`."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(handle, 200).decode(errors="replace").strip() or "another process"
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
            f"Could not lock {run_dir / 'lock'} ({error.strerror}): results must lie on a file "
            f"system with flock (NFS 4 has it, Lustre if mounted with `-o flock`)."
        ) from error
