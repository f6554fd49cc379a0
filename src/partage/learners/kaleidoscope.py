"""Kaleidoscope on QMIX: one network, and learned masks of its weights for each agent.

**Paper.** Li et al. 2024 (NeurIPS), whose text was not to be had: its code is what was read. Of a
layer's weight W a set has ``sign(W) max(|W| - sigmoid(s), 0)`` with thresholds s of its own; a
diversity loss, weighed anew at each update, keeps masks apart; now and then some of the weights
that all of them cut are drawn anew. The diversity loss has no gradient where all masks agree: it
keeps differences and makes none. What makes them are the thresholds' random start, the TD loss and
resets.

**Reference code.** github.com/LXXXXR/Kaleidoscope, its MPE and SMACv2 versions: QMIX with an id in
the input, three layers of 64 behind the GRU (`behind`) instead of one; masks on the weights of all
layers but the GRU, resets on those behind it; thresholds trained by the same Adam (5e-4, no decay)
and in the same gradient norm as all else. Its baselines have that network too: `masks = "none"`.

**Departures.** PyMARL's one-step targets, 32 episodes an update and as many episodes collected for
it as the task has (its SMACv2 version has TD(0.6), 128 and four, and half the squared error, which
halves the diversity loss with it: the same but for the gradient norm); rewards are not standardised
(its MPE version does so batch by batch); target networks are copied every 200 episodes on every
task. Types are those that a task names, which do not move: of drawn armies, whose agents have
another type in each battle, masks are each agent's.

`fix_at` makes the control that decides: the masks that were learned, or with `moved` as many of the
same overlap in other places, under a network that is drawn anew; it cuts and does not shrink, and
learns from the replay as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from partage.errors import UserError
from partage.learners import _kaleidoscope, _masked, qmix
from partage.learners._masked import BEHIND, MaskedQMIX, layers_of
from partage.nn.bank import Bank
from partage.nn.masks import LearnedMask, diversity, fix
from partage.rl.noise import generators
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

PER_RUN = True  # in a pack of several cells
# what makes it quick on the small tasks of its tests
QUICK = {"lr": 2e-3, "hidden": 32}


@dataclass(frozen=True)
class Settings(_masked.Settings, _kaleidoscope.Settings):
    """The settings of QMIX with masks that are learned."""

    # env steps after which masks stay as they are and the network is trained anew; 0: never
    fix_at: int = 0  # a control   (ours)
    moved: bool = False  # and their places are permuted, alike in all masks


class Kaleidoscope(MaskedQMIX[Settings]):
    """QMIX that learns masks, and reports how much its agents share."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _kaleidoscope.check(settings, settings.sharing, spec)
        check(settings)
        nets = qmix.Networks(spec, settings, seeds, BEHIND)
        if settings.masks != "none":
            index = _kaleidoscope.who_has_which(settings.masks, spec, len(seeds))
            nets.assignment, nets.agent.body.sets = index, int(index.max()) + 1
            sets = nets.agent.body.sets
            _kaleidoscope.mask(layers_of(nets), sets, seeds, settings.fix_at > 0)
        super().__init__(spec, settings, seeds, device, nets)
        self.upkeep = _kaleidoscope.Upkeep(settings, seeds).to(device)
        self.moving = generators([stream(seed, "places") for seed in seeds])
        self.generators += [*self.upkeep.draws, *self.moving]
        self.anew = [stream(seed, "anew") for seed in seeds]

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Reset what is due, then take one step down QMIX's loss and the diversity loss."""
        if self.settings.masks == "none":
            return super().update(batch, active)
        layers = layers_of(self.nets)
        learning = self._fix(active) if self.settings.fix_at else active  # masks
        self.upkeep.reset(layers[1:], self.exploration.steps, learning)
        episodes = batch["obs"], batch["actions"], batch["filled"]
        q = self.nets.q(*episodes)
        with torch.no_grad():
            q_target = self.target.q(*episodes)
        loss, measures = self.td_loss(q, q_target, batch)
        differing = diversity(layers)
        weight = self.upkeep.coefficient(loss.detach(), differing.detach(), active) * learning
        norm = self.optimiser.step(loss + weight * differing, active)
        own = {"diversity": differing.detach(), "diversity_weight": weight}
        return measures | own | {"gradient_norm": norm}

    @torch.no_grad()
    def _fix(self, active: Bool[Tensor, "R"]) -> Bool[Tensor, "R"]:
        """Fix the masks of active runs whose time has come, and begin their networks again.

        Returns the active runs whose masks still learn.
        """
        layers, steps = layers_of(self.nets), self.exploration.steps
        learning = active & ~fixed(layers)
        due = learning & (steps >= self.settings.fix_at)
        if not due.any():
            return learning
        runs = due.nonzero().flatten().tolist()
        for bank in layers:
            fix(bank, {run: self.moving[run] if self.settings.moved else None for run in runs})
        drawn = qmix.Networks(self.spec, self.settings, self.anew, BEHIND).state_dict()
        for name, parameter in self.nets.named_parameters():
            if name in drawn:  # thresholds are not
                parameter.data[due] = drawn[name].to(self.device)[due]
        self.optimiser.forget(due)
        self.update_targets(due)
        self.exploration.since = torch.where(due, steps, self.exploration.since)
        return learning & ~due

    def sharing(self) -> dict[str, Assignment | Shares]:
        """Return who has which mask, and how much any two share; of no masks, which set."""
        if self.settings.masks == "none":
            return {"agent": self.nets.assignment}
        return super().sharing()


def check(s: Settings) -> None:
    """Raise `UserError` where no masks can be fixed so."""
    if s.budget and s.fix_at >= s.budget:
        raise UserError(
            f"Masks are fixed within the run, but fix_at is {s.fix_at:,} env steps of "
            f"{s.budget:,} (budget)."
        )
    if s.moved and not s.fix_at:
        raise UserError(
            "Masks are moved when they are fixed, but fix_at is 0, which is never: say after how "
            "many env steps."
        )
    if s.fix_at and s.masks == "none":
        raise UserError("There are no masks to fix (masks is none): fix_at is 0 then.")


def fixed(layers: Sequence[Bank]) -> Bool[Tensor, "R"]:
    """Return the runs whose masks are fixed."""
    mask = layers[0].derivation
    assert isinstance(mask, LearnedMask)
    return mask.fixed


def make(
    spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
) -> Kaleidoscope:
    """Return Kaleidoscope for this task, one run per seed."""
    return Kaleidoscope(spec, settings, seeds, device)
