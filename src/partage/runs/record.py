"""A run's outcome, ``curve.parquet`` and ``record.json``: written whole, checked when read.

Loads no torch. Beside them in the run's folder lie its recipe, its checkpoints
(`partage.runs.checkpoint`), its lock (`partage.runs.holding`), and a second copy of the outcome:
Snakemake deletes the outputs that it knows of before it runs a job, also where the last main
process was killed and the job has ended well since.
"""

import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from partage import _io
from partage.config.outcomes import SECOND_COPY
from partage.config.recipe import OUTCOME, Recipe, options_of_root, root_of
from partage.errors import UserError
from partage.runs import parquet, record_check
from partage.runs.code_stamps import code
from partage.runs.holding import hold
from partage.runs.provenance import provenance

__all__ = [
    "COLUMNS",
    "OF_POLICIES",
    "OUTCOME",
    "SCHEMA",
    "code",
    "hold",
    "is_finished",
    "provenance",
    "read",
    "read_record",
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

# what the commands `absolute`, `episode` and `distance` made of a run's policies
OF_POLICIES = (
    "absolute.json",
    *(f"episode.{kind}" for kind in ("csv", "png", "svg")),
    *(f"distance.{kind}" for kind in ("csv", "png", "svg")),
)


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


def is_finished(run_dir: Path, recipe: Recipe) -> bool:
    """Return whether the outcome of this recipe is there, from its second copy where need be."""
    try:
        read(run_dir, recipe)
    except UserError:
        if not os.path.exists(run_dir / SECOND_COPY):
            return False  # without reading all code that could have made it
        return restore(run_dir, recipe, code(recipe.learner, recipe.family)["hash"])
    return True


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

    Raises `UserError` where one is missing, corrupt or made by another recipe than `today`'s; where
    none is given, than the one that lies there.
    """
    made = read_record(run_dir, today)
    return _read_curve(made, run_dir), made


def read_record(run_dir: Path, today: Recipe | None = None) -> dict[str, Any]:
    """Return the record alone, checked as `read` does."""
    made = _json(run_dir / "record.json", run_dir)
    _check_record(made, run_dir)
    if today is not None:
        _check_recipe(made["recipe"], today, run_dir)
        return made
    wanted = run_dir / "recipe.json"
    if wanted.is_file() and _json(wanted, run_dir) != made["recipe"]:
        raise UserError(
            f"{run_dir} was made by another recipe than the one that lies there now: "
            f"{_again(run_dir)}"
        )
    return made


def _check_record(made: dict[str, Any], run_dir: Path) -> None:
    """Raise `UserError` where a record lacks what every reader takes for granted."""
    if made.get("schema") != SCHEMA:
        raise UserError(
            f"{run_dir}/record.json has schema {made.get('schema')!r}, but this version of "
            f"partage reads {SCHEMA}: {_again(run_dir)}"
        )
    record_check.check(made, run_dir / "record.json", _again(run_dir))


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
