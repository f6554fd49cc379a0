# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["gfootball==2.10.2", "gym==0.25.2", "absl-py", "opencv-python-headless", "six"]
# ///
"""Football of several agents, each with a view cone: ``grf/academy_3_vs_1_with_keeper`` and
``grf/academy_pass_and_shoot_with_keeper``; rules, observations and rewards in `football`, the cone
in `view_cone`.

The engine is the package's own, in worker processes (`pool`); ``make football`` installs it.
Options, each a reading of what the paper leaves open: ``checkpoints``, ``places`` and ``still``
(see `football`), ``time_limit`` for the name of the 150th step, and ``agents``, which must be all
players of the left team. The score is the number of goals.
"""

import importlib.metadata
from collections.abc import Sequence
from functools import partial
from typing import Any

from partage.config.pins import require
from partage.errors import UserError, one_of
from partage.sims.batch import Batched
from partage.sims.contract import Engine, Env, Spec
from partage.sims.football.match import HORIZON, TASKS, Maker, Options
from partage.sims.options import choose
from partage.sims.workers.pool import Pool


def make(
    task: str, seeds: Sequence[int], copies: int, engine: Engine = "package", **options: Any
) -> Env:
    """The copies of the task, in as many processes as there are cores."""
    one_of("engine of grf", engine, ["package"])
    one_of("task of grf", task, TASKS)
    players = TASKS[task].sizes[0]
    if (agents := options.pop("agents", players)) != players:
        raise UserError(f"Expected an agent for each of the {players} left players of grf/{task}, got agents={agents!r}: "
                      "with fewer, the engine would choose which players they are, anew at every step.")  # fmt: skip
    chosen = choose(
        options,
        checkpoints=("team", "player"),
        places=("relative", "absolute"),
        still=("last", "goal"),
        time_limit=("truncation", "terminal"),
    )
    limit = chosen.pop("time_limit")
    installed()
    spec = Spec(*TASKS[task].sizes, HORIZON, common_reward=True)
    return Batched(spec, partial(Pool, Maker(task, Options(**chosen)), spec), seeds, copies, limit)


def installed() -> None:
    """Refuse to go on without the engine, or with packages beside it that do not go together."""
    require(
        __file__,
        "make football",
        {"gym": "from 0.26 on it breaks gfootball's reward of checkpoints"},
    )
    names = {found.metadata["Name"] for found in importlib.metadata.distributions()}
    if {"pygame", "pygame-ce"} <= names:
        raise UserError("pygame and pygame-ce are both installed, in one folder, and overwrite each other: run `pip "
                      "uninstall -y pygame pygame-ce && pip install pygame-ce` (gfootball plays without).")  # fmt: skip
