"""Which games there are: their names, and the sizes that follow. Loads no torch, nor Numba."""

import re
from typing import Any, Literal, NamedTuple

from partage.errors import UserError, at_most, look_up
from partage.sims.spec import Spec

Kind = Literal["specialisation", "synchronisation", "roll_call"]
View = Literal["clock", "last", "own"]

MOST_AGENTS, WHY_AGENTS = 1_000, "who chose alike is counted pair by pair"
MOST_ENTRIES, WHY_ENTRIES = 10_000, "each is an entry of what is observed"
SIZES = "<agents>x<actions>-<horizon>"
OF_FAMILY = {  # what a name's pattern has besides the sizes
    "games": r"(?P<kind>specialisation|synchronisation)-{sizes}(-(?P<view>last|own))?",
    "roll_call": r"{sizes}",
}
GRAMMAR = {
    "games": f"specialisation-{SIZES} or synchronisation-{SIZES}, with -last or -own behind it "
    "where the clock is hidden, such as specialisation-4x4-10",
    "roll_call": f"{SIZES}, such as 4x4-8",
}


class Game(NamedTuple):
    """A game: N agents name one of A actions each, H times."""

    kind: Kind
    n_agents: int
    n_actions: int
    horizon: int
    # what all see: the time; the last joint action; or that with the own action before it
    view: View = "clock"

    def spec(self, common_reward: bool) -> Spec:
        """Return the game's sizes. The state is what all see: the time, or the joint action."""
        joint = self.n_agents * self.n_actions
        seen = {"clock": self.horizon, "last": joint, "own": self.n_actions + joint}
        return Spec(
            n_agents=self.n_agents,
            n_actions=self.n_actions,
            obs_dim=seen[self.view],
            state_dim=self.horizon if self.view == "clock" else joint,
            horizon=self.horizon,
            common_reward=common_reward,
        )


def named(task: str) -> Game:
    """Return the game of a task. Raises `UserError` where it is none.

    >>> named("games/synchronisation-3x2-10-own")
    Game(kind='synchronisation', n_agents=3, n_actions=2, horizon=10, view='own')
    >>> named("roll_call/4x4-8").kind
    'roll_call'
    """
    family, _, name = task.partition("/")
    pattern = look_up(OF_FAMILY, "family of games", family)
    sizes = r"(?P<n>[1-9]\d{0,8})x(?P<a>[1-9]\d{0,8})-(?P<h>[1-9]\d{0,8})"
    found = re.fullmatch(pattern.replace("{sizes}", sizes), name)
    if found is None:
        raise UserError(f"Unknown task {task}: expected {family}/{GRAMMAR[family]}.")
    said: dict[str, Any] = found.groupdict()
    game = Game(
        kind=said.get("kind", "roll_call"),
        n_agents=int(said["n"]),
        n_actions=int(said["a"]),
        horizon=int(said["h"]),
        view=said.get("view") or "clock",
    )
    at_most(f"{task}: the number of agents", game.n_agents, MOST_AGENTS, WHY_AGENTS)
    joint = game.n_agents * game.n_actions
    at_most(f"{task}: agents times actions", joint, MOST_ENTRIES, WHY_ENTRIES)
    at_most(f"{task}: the horizon", game.horizon, MOST_ENTRIES, WHY_ENTRIES)
    return game
