"""The environment families, a file each: the file's name is the family's name.

A study's lie in its own folder (`partage.config.study`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from partage.config import study
from partage.sims.contract import Env

ENVS = Path(__file__).parent
study.join("envs", __path__)


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
    study.join("envs", __path__)  # it may be another folder's by now
    files = study.files("envs", ENVS)
    path = study.look_up(files, "environment family", family, f"the files of {ENVS}")
    return study.load("envs", family, path, ("make",)).make
