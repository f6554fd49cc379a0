"""The spread tasks: which exist, how many agents of which colour, and what the task's constants
are.
"""

import random
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from partage.errors import one_of
from partage.sims.contract import Spec


class Task(NamedTuple):
    """Agents come in groups of one colour, ordered by colour; a colour has one landmark. See
    `sims.spread`.
    """

    groups: tuple[int, ...]  # agents per colour
    shuffled: bool = False  # each colour sees its observation in an order of its own
    # an agent sees the distance to its landmark, and a colour that arrives whole earns a bonus
    hardened: bool = True
    simple: bool = False  # mpe2's simple_spread_v3: no colours, any landmark, collisions

    @property
    def n_agents(self) -> int:
        return sum(self.groups)

    @property
    def n_landmarks(self) -> int:
        return self.n_agents if self.simple else len(self.groups)

    @property
    def spec(self) -> Spec:
        """Five actions: stay, left, right, down, up. State: positions, velocities and landmarks."""
        n, marks = self.n_agents, self.n_landmarks
        obs_dim = 4 + 2 * n + 4 * (n - 1) if self.simple else 4 + 2 * marks + self.hardened
        return Spec(
            n, 5, obs_dim, 4 * n + 2 * marks, 25 if self.simple else 50, common_reward=False
        )

    @property
    def colours(self) -> Int64[np.ndarray, "N"]:
        """The colour of each agent."""
        return np.repeat(np.arange(len(self.groups)), self.groups)

    @property
    def orders(self) -> Int64[np.ndarray, "L O"]:
        """For each colour, which entry of the observation stands at which place."""
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
    """The task of that name; ``<name>_original`` is the coloured task before it was hardened."""
    base = task.removesuffix(ORIGINAL)
    known = [
        name + end for name in TASKS for end in ("", ORIGINAL) if not (end and TASKS[name].simple)
    ]
    one_of("task of mpe", task, known)
    return TASKS[base]._replace(hardened=False) if base != task else TASKS[base]
