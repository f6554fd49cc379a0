"""What MDPS sets besides its actor-critic: when and how the sharing moves."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """The settings of MDPS that are not its actor-critic's."""

    # which reading of Algorithm 1 moves the sharing   [M7, M11]
    rule: Literal["steady", "backs-divide", "intended", "literal", "none"] = "steady"
    metric: Literal["wasserstein", "bhattacharyya", "hellinger"] = "wasserstein"  # MPD §3.1
    # threshold epsilon_1; epsilon_2 is twice that
    fuse: float = 1.0  # MPD §3.2: 1.0 in spread, 0.5 in SMAC
    fuse_back: float = 0.5  # threshold of backs, as a share of epsilon_1   (reference code)
    # updates between two measurements
    period: int = 2000  # MPD §3.2: 2,000 in spread, 20,000 in SMAC
    # updates whose experience is measured on
    data: int = 100  # MPD §3.2: 100 in spread, 500 in SMAC
    # what a code must reconstruct: the act, or the task's feature c   (MPD §1.2)
    feature: Literal["actions", "task"] = "actions"
    compare: bool = False  # log the average distance by all other measures too   (MPD Fig. 2)
