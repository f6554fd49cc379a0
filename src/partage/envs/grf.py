# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["gfootball==2.10.2", "gym==0.25.2", "absl-py", "opencv-python-headless", "six"]
# ///
"""Football of several agents, each with a view cone.

The tasks are ``grf/academy_3_vs_1_with_keeper`` and ``grf/academy_pass_and_shoot_with_keeper``;
rules, observations and rewards are in `sims.football.match`, the cone in `sims.football.view_cone`.
The engine is the package's own, in worker processes (`Pool`); ``make football`` installs it.

Options, each a reading of what the paper leaves open: ``checkpoints``, ``places`` and ``still``
(see `football`), ``time_limit`` for the name of the 150th step, and ``agents``, which must be all
players of the left team. The score is the number of goals.
"""

import importlib.metadata
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from partage.config import study
from partage.config.pins import require
from partage.errors import UserError, one_of
from partage.sims.batch import Batched
from partage.sims.contract import Env
from partage.sims.football.match import Maker, Options
from partage.sims.football.tasks import TASKS
from partage.sims.options import choose
from partage.sims.workers.pool import Pool


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "package", **options: Any
) -> Env:
    """Return the copies of the task, played in as many processes as there are cores."""
    one_of("engine of grf", engine, ["package"])
    one_of("task of grf", task, TASKS)
    spec = TASKS[task].spec
    agents = options.pop("agents", spec.n_agents)
    if agents != spec.n_agents:
        raise UserError(
            f"Expected an agent for each of the {spec.n_agents} left players of grf/{task}, got "
            f"agents={agents!r}: with fewer, the engine would choose which players they are, anew "
            f"at every step."
        )
    chosen = choose(
        options,
        checkpoints=("team", "player"),
        places=("relative", "absolute"),
        still=("last", "goal"),
        time_limit=("truncation", "terminal"),
    )
    limit = chosen.pop("time_limit")
    require_engine()
    build_pool = partial(Pool, Maker(task, Options(**chosen)), spec)
    return Batched(spec, build_pool, seeds, copies, limit)


def require_engine() -> None:
    """Raise `UserError` without the engine, or with packages beside it that do not go together."""
    elsewhere = f"`containers/install_football.sh {sys.executable}` in a clone of the repository"
    require(
        __file__,
        "`make football`" if study.is_clone() else elsewhere,
        {"gym": "from 0.26 on it breaks gfootball's reward of checkpoints"},
    )
    names = {found.metadata["Name"] for found in importlib.metadata.distributions()}
    if {"pygame", "pygame-ce"} <= names:
        raise UserError(
            "pygame and pygame-ce are both installed, in one folder, and overwrite each other: run "
            "`pip uninstall -y pygame pygame-ce && pip install pygame-ce` (gfootball needs none)."
        )
