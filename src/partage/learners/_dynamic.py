"""What MDPS, SePS and HetDPS have in common: an actor-critic, and what moves its sharing.

Which actor-critic is their learner's choice: `mdps`, `seps` and `hetdps` move A2C's sharing,
`mdps_ppo` and `seps_ppo` PPO's. Both have the blocks front and back, and copy sets by `copy_set`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from partage.errors import UserError
from partage.learners import Learner
from partage.nn.state import move
from partage.rl.noise import Streams, generators
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import stream

ExperienceT = TypeVar("ExperienceT")


class ActorCritic(Learner, Protocol):
    """A learner whose agents' networks have a front and a back, with an assignment of each."""

    net: Any  # has `front_of` and `back_of`, which `partage.nn.state.share` moves
    device: torch.device
    n_agents: int
    streams: Streams

    def copy_set(self, block: str, run: int, source: int, target: int) -> None:
        """Make set `target` of a block what set `source` is, values and moments."""
        ...


MakeBase = Callable[..., Any]  # the class of an `ActorCritic`, called as a learner is


class DynamicSharing(Generic[ExperienceT]):
    """Contains an actor-critic (`base`), and the experience that its next sharing is decided on."""

    def __init__(self, base: ActorCritic, seeds: Sequence[int], experience: ExperienceT) -> None:
        if base.segment is None:
            raise UserError(
                "Sharing that moves is measured on single instants: experience is segments and "
                "memory none."
            )
        move(base.net, base.device, moving=True)
        self.base = base
        self.policy, self.copies, self.segment = base.policy, base.copies, base.segment
        self.generators = generators([stream(seed, "codes") for seed in seeds])
        self.streams = Streams(self.generators)
        self.updates = 0
        self.experience = experience

    def probabilities(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Return each agent's policy on its own observations, availability left aside."""
        return self.base.probabilities(obs, actions)

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return who goes through which set by now, block by block."""
        return self.base.sharing()

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; there is no replay."""
        return {
            "a2c": self.base.state_dict(),  # the name it has had in saved states from the start
            "generators": [g.get_state() for g in self.generators],
            "updates": self.updates,
            "experience": self.experience,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.base.load_state_dict(state["a2c"])
        self.streams.restore(state["generators"])
        self.updates, self.experience = state["updates"], state["experience"]
