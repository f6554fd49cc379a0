"""MDPS on PPO: `partage.learners.mdps` moves the sharing of another actor-critic.

**Departures.** Nobody published it. PPO's actor of three layers has a body of two (the front) and a
head of one (the back); with `actor_layers = 4` both have two, as in MPD. An update of PPO is of 51
times the experience of A2C's, so periods are counted in fewer of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from partage.learners import _mdps_settings, _ppo_settings
from partage.learners._ppo_settings import Sharing
from partage.learners.mdps import MDPS
from partage.learners.ppo import PPO
from partage.sims.contract import Spec

# what makes it quick on the small tasks of its tests
QUICK = {"copies": 8, "segment": 16, "minibatches": 2, "period": 20, "data": 10, "fuse": 0.02}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(_ppo_settings.Settings, _mdps_settings.Settings):
    """The settings of PPO, and of what moves its sharing."""

    sharing: Sharing = "front"  # at the start   (MDPS's reference code)
    period: int = 40  # updates between two measurements: MPD's 2,000 are as many env steps
    data: int = 2  # updates whose experience is measured on: MPD's 100, likewise


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> MDPS:
    """Return MDPS on PPO for this task, one run per seed."""
    return MDPS(spec, settings, seeds, device, PPO)
