"""The spread tasks: which exist, how many agents of which colour, and their constants."""

import random
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from partage.errors import one_of
from partage.sims.contract import Spec


class Task(NamedTuple):
    """A spread task: see `spread` for its rules.

    Agents come in groups of one colour, ordered by colour; a colour has one landmark.
    """

    groups: tuple[int, ...]  # agents per colour
    shuffled: bool = False  # each colour sees its observation in an order of its own
    # an agent sees the distance to its landmark, and a colour that arrives whole earns a bonus
    hardened: bool = True
    simple: bool = False  # mpe2's simple_spread_v3: no colours, any landmark, collisions

    @property
    def n_agents(self) -> int:
        """Return how many agents there are."""
        return sum(self.groups)

    @property
    def n_landmarks(self) -> int:
        """Return how many landmarks there are: one for each colour, or for each agent."""
        return self.n_agents if self.simple else len(self.groups)

    @property
    def spec(self) -> Spec:
        """Return the task's sizes.

        The five actions are stay, left, right, down, up; the state holds positions, velocities and
        landmarks.
        """
        n, marks = self.n_agents, self.n_landmarks
        simple_dim = 4 + 2 * n + 4 * (n - 1)
        coloured_dim = 4 + 2 * marks + self.hardened
        return Spec(
            n_agents=n,
            n_actions=5,
            obs_dim=simple_dim if self.simple else coloured_dim,
            state_dim=4 * n + 2 * marks,
            horizon=25 if self.simple else 50,
            common_reward=False,
            types=() if self.simple else tuple(f"colour {colour}" for colour in self.colours),
        )

    @property
    def colours(self) -> Int64[np.ndarray, "N"]:
        """Return the colour of each agent."""
        return np.repeat(np.arange(len(self.groups)), self.groups)

    @property
    def orders(self) -> Int64[np.ndarray, "L O"]:
        """Return, for each colour, which entry of the observation stands at which place."""
        orders = [list(range(self.spec.obs_dim)) for _ in self.groups]
        if self.shuffled:
            for colour, order in enumerate(orders):
                random.Random(colour).shuffle(order)
        return np.array(orders, np.int64)


# Group sizes: the SePS authors' scenarios v1..v4 and, shuffled, v5 and v6. The registered v6 has
# five colours, the paper's name for it has three: both are here, each under the name that says what
# it is.
TASKS = {
    "15a_3c": Task((5, 5, 5)),
    "30a_3c": Task((10, 10, 10)),
    "30a_5c": Task((6, 6, 6, 6, 6)),
    "30a_5c_super": Task((3, 3, 3, 12, 9)),
    "15a_3c_shuffle": Task((5, 5, 5), shuffled=True),
    "30a_3c_shuffle": Task((10, 10, 10), shuffled=True),
    "30a_5c_shuffle": Task((6, 6, 6, 6, 6), shuffled=True),
    "simple_spread_v3": Task((3,), hardened=False, simple=True),
}
ORIGINAL = "_original"  # blind particle spread as first published: no distance, no bonus


def named(task: str) -> Task:
    """Return the task of that name.

    ``<name>_original`` is the coloured task before it was hardened. Raises `UserError` where there
    is no such task.
    """
    originals = [name + ORIGINAL for name, found in TASKS.items() if not found.simple]
    one_of("task of mpe", task, [*TASKS, *originals])
    if task in TASKS:
        return TASKS[task]
    return TASKS[task.removesuffix(ORIGINAL)]._replace(hardened=False)
