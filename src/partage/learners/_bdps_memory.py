"""What BDPS's actor remembers within an episode."""

from typing import NamedTuple

from jaxtyping import Float32, Int64
from torch import Tensor

from partage.rl.exploration import ExplorationNoise


class Memory(NamedTuple):
    """What `Actor` remembers within an episode."""

    h_u: Float32[Tensor, "R M H"]  # hidden state of the roles' networks
    h_v: Float32[Tensor, "R M H"]  # of the groups' networks
    h_advantage: Float32[Tensor, "R M H"]  # of the role selector, when the episode begins
    h_selector: Float32[Tensor, "R M H"]  # of the group selector, when it last chose
    # what either has not read yet, which it does when it chooses: all of it in one go
    advantages: tuple[Tensor, ...]  # [R, M, W] of each step of the period
    played: tuple[tuple[Tensor, Tensor], ...]  # roles and who lives [R, B, N] of each instant
    attention: Tensor | None  # the group selector's, for every count of players; None: no groups
    roles: Int64[Tensor, "R M"]
    groups: Int64[Tensor, "R M"]
    last_action: Int64[Tensor, "R B N"]  # -1: none yet
    action_noise: ExplorationNoise | None  # None: greedy
    group_noise: ExplorationNoise | None
    role_noise: Float32[Tensor, "R P M K"] | None  # of every period; None: the mean
    given_groups: Int64[Tensor, "R P M"] | None  # of every group period; None: V chooses
    t: int  # step of the episode
