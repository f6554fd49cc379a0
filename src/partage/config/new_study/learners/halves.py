"""A2C whose agents share within two halves: the first half of them uses one set of networks."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import device

from partage.learners import a2c
from partage.sharing import assignment
from partage.sims.contract import Spec


@dataclass(frozen=True)
class Settings:
    """What can be set, in sheets/algorithms.toml and with ``partage run --set``."""

    lr: float = 3e-4  # Adam


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> a2c.A2C:
    """Return A2C, a run for each seed, with the sharing of this study."""
    made = a2c.make(spec, a2c.Settings(sharing="none", lr=settings.lr), seeds, where)
    labels = [2 * agent // spec.n_agents for agent in range(spec.n_agents)]
    made.net.front_of = made.net.back_of = assignment.by(labels, len(seeds))
    return made
