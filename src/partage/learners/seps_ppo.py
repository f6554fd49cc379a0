"""SePS on PPO: `partage.learners.seps` clusters the agents of another actor-critic.

**Departures.** Nobody published it. An update of PPO is of 51 times the experience of A2C's, so
what comes before the clustering is counted in fewer of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from partage.learners import _ppo_settings, _seps_settings
from partage.learners.ppo import PPO
from partage.learners.seps import SePS
from partage.sims.contract import Spec

# what makes it quick on the small tasks of its tests
QUICK = {"copies": 8, "segment": 16, "minibatches": 2, "clusters": 2, "pretraining": 4, "data": 4}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(_ppo_settings.Settings, _seps_settings.Settings):
    """The settings of PPO, and of the clustering of its agents."""

    pretraining: int = 40  # updates before the clustering: MADPS's 2,000 are as many env steps
    data: int = 4  # of them, whose transitions the code learns from: MADPS's 200, likewise


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> SePS:
    """Return SePS on PPO for this task, one run per seed."""
    return SePS(spec, settings, seeds, device, PPO)
