# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = []
# ///
"""Games with a closed form, ``games/specialisation-4x4-10`` and ``games/synchronisation-4x4-10``.

A name is <game>-<agents>x<actions>-<horizon>; with ``-last`` behind it agents see the last joint
action instead of the clock, with ``-own`` that and their own action before it. The rules are in
`sims.games.rules`, the best returns for any sharing in `sims.games.ceilings`.

Options: ``reward="team"`` pays everyone the team's mean, ``"own"`` each agent its own; and
``time_limit``, whose default is a real end where the clock is seen and a truncation where it is
hidden. The score is the return so far: the team's, or the sum over agents.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from partage.errors import one_of
from partage.sims.batch import Batched
from partage.sims.contract import Env
from partage.sims.games.rules import kernel
from partage.sims.games.tasks import named
from partage.sims.options import choose


def make(
    task: str, seeds: Sequence[int], copies: int, engine: str = "batched", **options: Any
) -> Env:
    """Return the copies of the game. Raises `UserError` for what does not exist."""
    one_of("engine of games", engine, ["batched"])
    game = named(f"games/{task}")
    ends = ("terminal", "truncation") if game.view == "clock" else ("truncation", "terminal")
    chosen = choose(options, reward=("team", "own"), time_limit=ends)
    common = chosen["reward"] == "team"
    sim = partial(kernel, game, common)
    return Batched(game.spec(common), sim, seeds, copies, chosen["time_limit"])
