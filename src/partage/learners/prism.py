"""Prism on QMIX, ours after the abstract: masks of one network's singular values for each agent.

**Paper.** "Prism" 2026 (arXiv 2602.06476), whose body was not to be had: its abstract. All agents
share ``U diag(d) V^T`` in place of a layer's weight, and each has a learned mask of the singular
values d; a diversity term keeps masks apart and a regulariser U and V orthogonal. It was tried on
level-based foraging, SMACv2 and MaMuJoCo, and takes less memory than masks of weights do.

**Reference code.** None was found. QMIX as in `partage.learners.qmix`, on Kaleidoscope's network.

**Departures.** Named as ours for all that the abstract leaves open, and kept to what
`partage.learners.kaleidoscope` does: QMIX with an id; three layers behind the memory, which itself
is not masked; a mask shrinks what it keeps, ``sign(d) max(|d| - sigmoid(s), 0)``; thresholds begin
below 0.007; the diversity loss, on singular values for weights, and its coefficient that follows
the loss. There are no resets. U, d and V begin as what torch's default weight is made of, with all
its singular values; so nearly nothing is cut at the start, and the diversity loss, which has no
gradient where all masks agree, is 0 until the TD loss has parted them. The regulariser is ``sum
|U^T U - 1|^2 + |V^T V - 1|^2`` over layers, with a weight of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from partage.errors import UserError
from partage.learners import _kaleidoscope, _masked, qmix
from partage.learners._masked import BEHIND, MaskedQMIX, layers_of
from partage.nn.generated import Spectrum, orthogonality, spectra_differ
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sims.contract import Spec, stream

PER_RUN = True  # in a pack of several cells
# what makes it quick on the small tasks of its tests
QUICK = {"lr": 3e-3, "hidden": 64}


@dataclass(frozen=True)
class Settings(_masked.Settings):
    """The settings of QMIX with masks of singular values."""

    # the diversity loss in units of the TD loss, by means over the last 100 updates
    diversity: float = 0.5  # Kaleidoscope on MPE
    orthogonality: float = 0.01  # weight of the regulariser   (ours)


class Prism(MaskedQMIX[Settings]):
    """QMIX that learns masks of spectra, and reports how much its agents share."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        check(settings, spec)
        nets = qmix.Networks(spec, settings, seeds, BEHIND)
        nets.assignment = assignment.none(len(seeds), spec.n_agents)
        nets.agent.body.sets = spec.n_agents
        draws = generators([stream(seed, "sets") for seed in seeds])
        for bank in layers_of(nets):
            bank.derivation = Spectrum(bank, spec.n_agents, draws)
        super().__init__(spec, settings, seeds, device, nets)
        never = _kaleidoscope.Settings(diversity=settings.diversity, reset_share=0.0)
        self.upkeep = _kaleidoscope.Upkeep(never, seeds).to(device)

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take one step down QMIX's loss, the diversity loss and the regulariser."""
        layers = layers_of(self.nets)
        episodes = batch["obs"], batch["actions"], batch["filled"]
        q = self.nets.q(*episodes)
        with torch.no_grad():
            q_target = self.target.q(*episodes)
        loss, measures = self.td_loss(q, q_target, batch)
        differing, off = spectra_differ(layers), orthogonality(layers)
        weight = self.upkeep.coefficient(loss.detach(), differing.detach(), active)
        total = loss + weight * differing + self.settings.orthogonality * off
        norm = self.optimiser.step(total, active)
        own = {"diversity": differing.detach(), "diversity_weight": weight}
        return measures | own | {"orthogonality": off.detach(), "gradient_norm": norm}


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where there can be no such masks."""
    if s.sharing == "none":
        raise UserError(
            "Prism's masks are of one network that all share: sharing is full, or id with an id in "
            "the input, not 'none'."
        )
    if spec.n_agents == 1:
        raise UserError("Prism's masks tell several agents apart, but this task has one.")


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> Prism:
    """Return Prism for this task, one run per seed."""
    return Prism(spec, settings, seeds, device)
