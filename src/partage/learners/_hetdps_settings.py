"""What HetDPS sets besides its actor-critic: when agents are clustered anew, and how."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Settings:
    """The settings of HetDPS that are not its actor-critic's."""

    # updates between two clusterings   (ours, as MPD; HetDPS: 20 to 60 of a learner that it does
    # not name; of PPO as many env steps are 40)   [D2]
    period: int = 2000
    data: int = 100  # of them, the last, whose transitions the code learns from   (ours, as MPD)
    # entries of an observation that are the agent's own state, at its front or end; 0: all   [D1]
    own: int = 0
    own_at: Literal["front", "end"] = "front"
    # affinity: affinity propagation; threshold: MPD's distances at which agents join and part
    clusters: Literal["affinity", "threshold"] = "affinity"  # HetDPS App. I
    # distance below which they join; they part at twice that   (MPD §2; the value is ours)   [D3]
    fuse: float = 0.35
    # what sets of clusters that come together are to be, one of HetDPS's four: their mean, by
    # agents or not; that of the most agents; one drawn
    merge: Literal["weighted", "average", "majority", "random"] = "weighted"  # ours   [D4]
    decoder_id: bool = False  # the decoder sees who it was, as eq. 5 has it   [D1]
    # env steps of a run, which must have one period at least; 0: it is not known
    budget: int = 0
