"""The environment families, a file each: the file's name is the family's name."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from partage.errors import look_up
from partage.sims.contract import Env

ENVS = Path(__file__).parent


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return the copies of ``family/task`` for each run; `seeds` are used as they are.

    Raises `UserError` for a family, task, engine or option that does not exist, or a simulator
    that is not installed.
    """
    family, _, name = task.partition("/")
    return load(family)(name, seeds, copies, engine, **options)


def load(family: str) -> Callable[..., Env]:
    """Return the `make` of ``envs/<family>.py``."""
    files = {path.stem: path for path in sorted(ENVS.glob("[!_]*.py"))}
    look_up(files, "environment family", family, f"the files of {ENVS}")
    importlib.invalidate_caches()  # a file may have been added since the process started
    return importlib.import_module(f"partage.envs.{family}").make
