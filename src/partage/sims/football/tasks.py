"""The academy games: where everyone starts. Loads no torch, as it is read in worker processes."""

from typing import NamedTuple

from partage.sims.spec import Spec

HORIZON = 150  # steps   (CDS; BDPS says nothing)
Spots = tuple[tuple[float, float, str], ...]


class Task(NamedTuple):
    """Where everyone starts, as gfootball's scenario of that name has it.

    A player is (x, y, role), and each team's places are counted from its own goal.
    """

    ball: tuple[float, float]
    left: Spots
    right: Spots

    @property
    def spec(self) -> Spec:
        """Return the task's sizes."""
        players = len(self.left) + len(self.right)
        return Spec(
            n_agents=len(self.left),
            n_actions=19,
            obs_dim=11 + 3 * (players - 1),
            state_dim=4 * players + 9,
            horizon=HORIZON,
            common_reward=True,
        )


KEEPER = (-1.0, 0.0, "GK")
TASKS = {
    "academy_3_vs_1_with_keeper": Task(
        ball=(0.62, 0.0),
        left=(KEEPER, (0.6, 0.0, "CM"), (0.7, 0.2, "CM"), (0.7, -0.2, "CM")),
        right=(KEEPER, (-0.75, 0.0, "CB")),
    ),
    "academy_pass_and_shoot_with_keeper": Task(
        ball=(0.7, -0.28),
        left=(KEEPER, (0.7, 0.0, "CB"), (0.7, -0.3, "CB")),
        right=(KEEPER, (-0.75, 0.3, "CB")),
    ),
}
