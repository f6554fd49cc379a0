"""The names of level-based foraging tasks: lbforaging's without ``Foraging-``."""

import re
from typing import NamedTuple

from partage.errors import UserError
from partage.sims.contract import Spec
from partage.sims.foraging.grid import Units

HORIZON = 50  # steps, in every registered task
GRAMMAR = "[<sight>s-]<rows>x<cols>-<players>p-<foods>f[-coop][-pen]-v2|v3"
PATTERN = re.compile(
    r"(?:(?P<sight>\d+)s-)?(?P<rows>\d+)x(?P<cols>\d+)-(?P<players>\d+)p-(?P<foods>\d+)f"
    r"(?P<coop>-coop)?(?P<penalty>-pen)?-v(?P<version>[23])"
)
SIZES = ("rows", "cols", "players", "foods")
PENALTY = 0.1  # of a player that loads in vain, in tasks named -pen


class Task(NamedTuple):
    """A foraging task, as its name says it."""

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
        """Return the task's sizes.

        The six actions are none, north, south, west, east, load; the state is all observations.
        """
        obs_dim = 3 * (self.n_foods + self.n_players)
        return Spec(
            n_agents=self.n_players,
            n_actions=6,
            obs_dim=obs_dim,
            state_dim=self.n_players * obs_dim,
            horizon=HORIZON,
            common_reward=common_reward,
            state_is_obs=True,
        )

    def smac_units(self) -> Units:
        """Return the units in which numbers lie within [-1, 1] and all food is worth 20.

        Coordinates count by the longer side, levels by the highest that a food can have.
        """
        highest = 2 * min(3, self.n_players)
        return Units(length=max(self.rows, self.cols), level=highest, reward=20.0)


def named(task: str) -> Task:
    """Return the task of that name; raises `UserError` where there is none.

    ``-2s`` after the foods or coop, as some releases write sight 2, is not read here.

    >>> named("2s-8x8-2p-2f-coop-v3")
    Task(rows=8, cols=8, n_players=2, n_foods=2, sight=2, coop=True, penalty=0.0, version=3)
    """
    found = PATTERN.fullmatch(task)
    if found is None:
        raise UserError(f"Unknown task lbf/{task}: expected {GRAMMAR}, such as 15x15-4p-5f-v2.")
    rows, cols, players, foods = (int(found[name]) for name in SIZES)
    sight = int(found["sight"]) if found["sight"] else max(rows, cols)
    few = min(rows, cols) < 3 or players < 2 or foods < 1 or sight < 1
    if few or 2 * players + foods > rows * cols:
        raise UserError(
            f"Task lbf/{task} has no room: expected 3 rows and columns or more, 2 players or more, "
            f"1 food or more, sight of 1 or more, and two cells for each player."
        )
    return Task(
        rows=rows,
        cols=cols,
        n_players=players,
        n_foods=foods,
        sight=sight,
        coop=found["coop"] is not None,
        penalty=PENALTY if found["penalty"] else 0.0,
        version=int(found["version"]),
    )
