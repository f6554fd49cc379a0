"""BDPS's settings, and what they must fit."""

from dataclasses import dataclass
from typing import Literal

from partage.errors import UserError
from partage.learners import _off_policy
from partage.sims.contract import Spec


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of BDPS: of its networks, of how they act, of how the selectors learn."""

    levels: Literal["both", "individual"] = "both"  # individual: Q = Q^U, no groups   (BDPS §4.3)
    roles: int = 2  # k; n >= k   (BDPS Table 2)
    groups: int = 2  # m; k >= m   (BDPS Table 2)
    period: int = 5  # T_U: steps between two choices of roles   (BDPS App. G: 5, 7, 8, 10 or 14)
    every: int = 1  # e: T_V = e * T_U   (BDPS App. G: 1 or 2)
    # of every action, or of the one taken
    advantage: Literal["actions", "chosen"] = "actions"  # [A1]
    advantage_of: Literal["sum", "role"] = "sum"  # Q^U + Q^V, or Q^U alone   [A2]
    # how roles are chosen in the tests that figures draw; the other way is tested as well
    test_roles: Literal["mean", "drawn"] = "drawn"  # BDPS eq. 3   [A4]
    # what the role selector's code is, see `RoleSelector`   (BDPS App. F)   [A23]
    code: Literal["softmax", "gaussian", "categorical", "random"] = "softmax"
    unit: Literal["running", "none"] = "running"  # of the advantages that U reads   [A23]
    # own: agents see themselves beside what attention gives   (eq. 4-5: attention)   [A24]
    group_features: Literal["own", "attention"] = "own"
    # also test with everybody in one group, each in turn, and with groups drawn at random
    test_groups: bool = False
    hidden_state: Literal["joined", "detached"] = "joined"  # does the team's loss reach h^U   [A13]
    kl: float = 0.01  # lambda of eq. 7   [A6]
    selector_lr: float = 5e-4  # Adam of the role selector   [A14]
    # joint: one gradient norm for all networks; apart: one for those that act, one for V and its
    # mixer   [A25]
    clipping: Literal["joint", "apart"] = "joint"

    @property
    def group_period(self) -> int:
        """Steps between two choices of groups: T_V."""
        return self.period * self.every


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where the settings do not fit each other or the task."""
    if not 2 <= s.roles <= spec.n_agents:
        raise UserError(
            f"BDPS gives {spec.n_agents} agents 2 to {spec.n_agents} roles (n >= k >= 2), "
            f"not {s.roles}."
        )
    if not 2 <= s.groups <= s.roles:
        raise UserError(
            f"BDPS puts {s.roles} roles in 2 to {s.roles} groups (k >= m >= 2), not {s.groups}."
        )
    if s.period < 1 or s.every < 1 or s.group_period >= spec.horizon:
        raise UserError(
            f"BDPS changes groups within an episode: period >= 1, every >= 1 and period * every < "
            f"{spec.horizon} (its horizon), but they are {s.period} and {s.every}."
        )
    if s.test_groups and s.levels == "individual":
        raise UserError("test_groups needs groups: levels should be both, but is individual.")
    if s.code == "random" and s.test_roles == "mean":
        raise UserError(
            "Roles of code random have no mean: test_roles should be drawn, but is mean."
        )
    if s.sharing == "none":
        raise UserError(
            "BDPS shares in roles and groups: sharing says whether agents show an id, "
            "id or full, not none."
        )
