"""How all pictures look."""

from collections.abc import Iterable
from typing import Any

import seaborn as sns

from partage.config.recipe import ENGINES

INK, FAINT, WARNING = "#262626", "#6b6b6b", "#B00020"
SIMULATED = {
    "smac": "StarCraft II"
}  # families whose batched engine is a simulator of a game, not held to it
STYLE: dict[Any, Any] = {
    **sns.axes_style("ticks"),
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9.0,
    "axes.edgecolor": "#9a9a9a",
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#9a9a9a",
    "ytick.color": "#9a9a9a",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "svg.hashsalt": "partage",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType, embedded: some publishers refuse Type 3
}


def simulated(task: str, engine: str) -> bool:
    """Is this a simulator's word on a game that it only resembles?"""
    return engine == ENGINES[0] and task.partition("/")[0] in SIMULATED


def title(label: str, task: str, engine: str) -> str:
    """A task's label, as every panel has it."""
    return f"{label} (simulator)" if simulated(task, engine) else label


def source(engine: str, tasks: Iterable[str]) -> str:
    """The engine's name, as every picture and table has it."""
    games = dict.fromkeys(
        SIMULATED[task.partition("/")[0]] for task in tasks if simulated(task, engine)
    )
    return f"{engine} (a simulator, not {' nor '.join(games)})" if games else engine
