"""The names of level-based foraging tasks, those of lbforaging without ``Foraging-``:
``15x15-4p-5f-v2``.
"""

import re
from typing import NamedTuple

from partage.errors import UserError
from partage.sims.contract import Spec
from partage.sims.foraging.grid import Units

HORIZON = 50  # steps, in every registered task
GRAMMAR = "[<sight>s-]<rows>x<cols>-<players>p-<foods>f[-coop][-pen]-v2|v3"
PATTERN = re.compile(r"(?:(\d+)s-)?(\d+)x(\d+)-(\d+)p-(\d+)f(-coop)?(-pen)?-v([23])")


class Task(NamedTuple):
    rows: int
    cols: int
    n_players: int
    n_foods: int
    sight: int  # cells an agent sees in each direction
    coop: bool  # every food takes all of the three weakest players (fewer if there are fewer)
    penalty: float  # of each player that loads in vain
    # 2: food levels 1..S-1 (lbforaging 1.x), 3: 1..S (2.x); S sums the three lowest player levels
    version: int

    def spec(self, common_reward: bool) -> Spec:
        """Six actions: none, north, south, west, east, load. State: all observations."""
        obs_dim = 3 * (self.n_foods + self.n_players)
        return Spec(self.n_players, 6, obs_dim, self.n_players * obs_dim, HORIZON, common_reward)

    def smac_units(self) -> Units:
        """Coordinates by the longer side and levels by the highest of a food: within [-1, 1]; all
        food is worth 20.
        """
        return Units(max(self.rows, self.cols), 2 * min(3, self.n_players), 20.0)


def named(task: str) -> Task:
    """The task of that name. ``-2s`` after the foods or coop, as some releases write sight 2, is
    not read here.

    >>> named("2s-8x8-2p-2f-coop-v3")
    Task(rows=8, cols=8, n_players=2, n_foods=2, sight=2, coop=True, penalty=0.0, version=3)
    """
    found = PATTERN.fullmatch(task)
    if found is None:
        raise UserError(f"Unknown task lbf/{task}: expected {GRAMMAR}, such as 15x15-4p-5f-v2.")
    rows, cols, players, foods = (int(found[k]) for k in (2, 3, 4, 5))
    sight = int(found[1]) if found[1] else max(rows, cols)
    if (
        min(rows, cols) < 3
        or players < 2
        or foods < 1
        or sight < 1
        or 2 * players + foods > rows * cols
    ):
        raise UserError(f"Task lbf/{task} has no room: expected 3 rows and columns or more, 2 players or more, 1 food or "
                      "more, sight of 1 or more, and two cells for each player.")  # fmt: skip
    return Task(
        rows, cols, players, foods, sight, bool(found[6]), 0.1 if found[7] else 0.0, int(found[8])
    )
