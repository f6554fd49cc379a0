# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = []
# ///
"""StarCraft II micromanagement on SMAC's maps, ``smac/MMM2``: the contract of SMAC version 1, see `skirmish.contract`.

Engine "batched" is our simulator of these battles (`partage.sims.skirmish`), never the game: its results are no SMAC
results. Options: ``reward="v1"`` has the absolute value of the enemies' losses, so that their regeneration pays, and
``"v2"`` smacv2's positive part; ``enemies="unsorted"`` has the enemies numbered anew in each episode, as the game does,
``"sorted"`` always alike, which RODE's copy of SMAC has; ``time_limit`` says what the last step is called (SMAC:
``"terminal"``). The team's reward adds up to 20 in a battle won; the score is 1 when it is won.
"""

from collections.abc import Sequence
from typing import Any

from partage.env import Engine, Env
from partage.sims.batch import Batched
from partage.sims.options import choose, one_of
from partage.sims.skirmish.data import named
from partage.sims.skirmish.skirmish import Options, kernel


def make(task: str, seeds: Sequence[int], copies: int, engine: Engine = "batched", **options: Any) -> Env:
    """The copies of the map."""
    one_of("engine of smac", engine, ["batched"])
    limits = ("terminal", "truncation")
    chosen = choose(options, reward=("v1", "v2"), enemies=("unsorted", "sorted"), time_limit=limits)
    found, played = named(task), Options(positive=chosen["reward"] == "v2", in_order=chosen["enemies"] == "sorted")
    return Batched(found.spec, lambda n: kernel(found, played, n), seeds, copies, chosen["time_limit"])
