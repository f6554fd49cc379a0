"""The words by which every picture and table says what its numbers are, and are not."""

from collections.abc import Iterable

import pandas as pd

from partage.config.recipe import ENGINES

NOT_A_RESULT = "smoke scale: not a result"
# Families whose batched engine is a simulator of a game, and is not held to it.
SIMULATED_GAMES = {"smac": "StarCraft II", "smacv2": "StarCraft II"}


def is_smoke(frame: pd.DataFrame) -> bool:
    """Return whether a frame's runs are of smoke scale, which is no result."""
    return frame.attrs["scale"] == "smoke"


def simulated_game(task: str, engine: str) -> str:
    """Return the game that the task only resembles on this engine; "" if it is the game itself."""
    family = task.partition("/")[0]
    return SIMULATED_GAMES.get(family, "") if engine == ENGINES[0] else ""


def task_label(label: str, task: str, engine: str) -> str:
    """Return a task's label as every panel shows it."""
    return f"{label} (simulator)" if simulated_game(task, engine) else label


def engine_label(engine: str, tasks: Iterable[str]) -> str:
    """Return the engine's name as every picture and table shows it.

    >>> engine_label("batched", ["smac/3m", "smac/8m"])
    'batched (a simulator, not StarCraft II)'
    """
    games = dict.fromkeys(simulated_game(task, engine) for task in tasks)
    games.pop("", None)
    return f"{engine} (a simulator, not {' nor '.join(games)})" if games else engine
