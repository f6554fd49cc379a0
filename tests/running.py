"""What the tests of training share: tiny runs, and processes killed in the middle of one."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd

from partage.config.recipe import SCHEMA, Recipe
from partage.runs import record, train

# learner, task, how its clock ends an episode, settings: a few dozen updates, over several
# episodes; what is moved by experience that was kept is moved several times
CASES = {
    "a2c": ("a2c", "mpe/15a_3c", "truncation", {"sharing": "id", "copies": 4}, 600),
    "ppo": (
        "ppo",
        "mpe/15a_3c",
        "truncation",
        {"copies": 4, "segment": 16, "anneal": 8, "reward_scale": "scaled", "norms": "each"},
        600,
    ),
    "ppo-memory": (
        "ppo",
        "lbf/5x5-2p-1f-v3",
        "terminal",
        {"memory": "both", "experience": "episodes", "copies": 2, "minibatches": 2, "hidden": 16},
        500,
    ),
    "qmix": (
        "qmix",
        "lbf/5x5-2p-1f-v3",
        "terminal",
        {
            "sharing": "id",
            "batch": 4,
            "buffer": 9,
            "target_every": 3,
            "epsilon_anneal": 300,
            "hidden": 16,
        },
        500,
    ),
    "mdps": (
        "mdps",
        "mpe/15a_3c",
        "truncation",
        {"copies": 4, "period": 8, "data": 5, "fuse": 0.3},
        600,
    ),
    "seps": (
        "seps",
        "mpe/15a_3c",
        "truncation",
        {"copies": 4, "pretraining": 16, "data": 8, "clusters": 3},
        600,
    ),
    "derived": (
        "qmix_derived",
        "lbf/5x5-2p-1f-v3",
        "terminal",
        {"sets": "random", "batch": 4, "buffer": 9, "target_every": 3, "hidden": 16},
        500,
    ),
}


def recipe(name: str, seeds: list[int] | None = None, **more) -> Recipe:
    learner, task, end, settings, steps = CASES[name]
    values = {
        "schema": SCHEMA,
        "scale": "smoke",
        "engine": "batched",
        "algorithm": name,
        "learner": learner,
        "settings": settings,
        "task": task,
        "options": {"time_limit": end},
        "seeds": seeds or [0, 1],
        "steps": steps,
        "log_every": 100,
        "test_every": 250,
        "test_episodes": 2,
    }
    return Recipe(**{**values, **more})


def lay(folder: Path, one: Recipe) -> Path:
    """Write the recipe into a run's folder; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(one.text())
    return folder / "recipe.json"


def trained(folder: Path, one: Recipe) -> pd.DataFrame:
    """Train it in peace; its curve."""
    train.run(lay(folder, one))
    return record.read(folder)[0]


def started(work: Callable[[], None]) -> BaseProcess:
    """It, under way in another process."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def apart(work: Callable[[], None], seconds: float = 60) -> int:
    """Do it in another process; how that ended (a negative number: by that signal)."""
    process = started(work)
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"still at it after {seconds} seconds")
    return process.exitcode
