"""What MDPS and SePS have in common: an actor-critic, and something that moves its sharing."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from partage.learners.a2c import A2C, ActorCritic, Settings
from partage.nn.networks import FixedSharing
from partage.rl.noise import Streams, generators
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

ExperienceT = TypeVar("ExperienceT")


class DynamicA2C(Generic[ExperienceT]):
    """Contains an actor-critic (`a2c`), and the experience that its next sharing is decided on."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        seeds: Sequence[int],
        device: torch.device,
        experience: ExperienceT,
        share: FixedSharing | None = None,
    ) -> None:
        self.a2c = A2C(spec, settings, seeds, device, ActorCritic(spec, settings, seeds, share))
        self.policy, self.copies = self.a2c.policy, self.a2c.copies
        self.segment = self.a2c.segment
        self.generators = generators([stream(seed, "codes") for seed in seeds])
        self.streams = Streams(self.generators)
        self.updates = 0
        self.experience = experience

    def probabilities(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Return each agent's policy on its own observations, availability left aside."""
        return self.a2c.probabilities(obs, actions)

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return who goes through which set by now, block by block."""
        return self.a2c.sharing()

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; there is no replay."""
        return {
            "a2c": self.a2c.state_dict(),
            "generators": [g.get_state() for g in self.generators],
            "updates": self.updates,
            "experience": self.experience,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.a2c.load_state_dict(state["a2c"])
        self.streams.restore(state["generators"])
        self.updates, self.experience = state["updates"], state["experience"]
