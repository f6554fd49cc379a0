"""SNP-PS on QMIX: one network, of which each agent has random neurons, for good.

**Paper.** Kim & Sung 2023 (AAMAS), whose text was not to be had: a randomly initialised network is
pruned at random for each agent, by whole neurons, and then trained as it is. There is no id in the
input, and nothing besides the network is trained.

**Reference code.** Its authors published none. This is the version that the authors of Kaleidoscope
describe in their repository's first issue, and say may differ: on their network of three layers
behind the memory, an agent's neurons are kept behind the memory (in its recurrence too), the second
and the third layer; the first layer and the last are not cut; what is kept is not scaled up.

**Departures.** No text gives the rate; two rewrites by others have 0.5. Of a neuron in the memory
that an agent has not, all three gates are cut, with the same states. The optimiser is
Kaleidoscope's, for comparison.

Its controls: `cut = "weights"` cuts single weights of all layers but the memory, as Kaleidoscope
does, at random; `masks = "one"` has one mask for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator

from partage.errors import UserError
from partage.learners import _masked, qmix
from partage.learners._masked import BEHIND, MaskedQMIX, layers_of
from partage.nn.adapters import Shared
from partage.nn.masks import FixedMask, check_keep, drawn_mask, whole_neurons
from partage.nn.networks import Sharing
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sims.contract import Spec, stream

PER_RUN = True  # in a pack of several cells
# what makes it quick on the small tasks of its tests
QUICK = {"lr": 2e-3, "hidden": 32}


@dataclass(frozen=True)
class Settings(_masked.Settings):
    """The settings of QMIX with masks that are drawn."""

    sharing: Sharing = "full"  # SNP-PS: no id
    keep: float = 0.5  # share of the neurons, or weights, that each agent has   (rewrites of it)
    cut: Literal["neurons", "weights"] = "neurons"
    masks: Literal["agent", "one"] = "agent"  # one: the same for all


class SNP(MaskedQMIX[Settings]):
    """QMIX that reports how much its agents share."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        check(settings, spec)
        nets = qmix.Networks(spec, settings, seeds, BEHIND)
        if settings.masks == "agent":
            nets.assignment = assignment.none(len(seeds), spec.n_agents)
        sets = nets.agent.body.sets = int(nets.assignment.max()) + 1
        draws = generators([stream(seed, "sets") for seed in seeds])
        cut = cut_neurons if settings.cut == "neurons" else cut_weights
        cut(nets, sets, settings.keep, draws)
        super().__init__(spec, settings, seeds, device, nets)


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where there can be no such masks."""
    check_keep(s.keep)
    if s.sharing == "none":
        raise UserError(
            "Masks are of one network that all share: sharing is full, or id with an id in the "
            "input, not 'none'."
        )
    if s.masks == "agent" and spec.n_agents == 1:
        raise UserError(
            "Masks of each agent tell several agents apart, but this task has one: masks are one."
        )


def cut_neurons(nets: qmix.Networks, sets: int, keep: float, draws: Sequence[Generator]) -> None:
    """Give each set its own neurons of the memory and of the two layers behind it."""
    memory, hidden = nets.agent.body.memory, nets.agent.body.hidden
    first, second, third, last = layers_of(nets)
    remembered, *behind = (drawn_mask(draws, keep, sets, hidden) for _ in range(3))
    gates, everything = remembered.repeat(1, 1, 3), torch.ones_like(remembered)
    every_action = everything.new_ones(*remembered.shape[:2], last.bias.shape[2])
    first.derivation = Shared(sets)
    memory.inputs.derivation = FixedMask(*whole_neurons(everything, gates))
    memory.hidden.derivation = FixedMask(*whole_neurons(remembered, gates))
    second.derivation = FixedMask(*whole_neurons(remembered, behind[0]))
    third.derivation = FixedMask(*whole_neurons(behind[0], behind[1]))
    last.derivation = FixedMask(*whole_neurons(behind[1], every_action))


def cut_weights(nets: qmix.Networks, sets: int, keep: float, draws: Sequence[Generator]) -> None:
    """Give each set its own weights of the layers before and behind the memory."""
    for bank in layers_of(nets):
        kept = drawn_mask(draws, keep, sets, *bank.weight.shape[2:])
        bank.derivation = FixedMask(kept, torch.ones_like(kept[:, :, 0]))


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> SNP:
    """Return SNP-PS for this task, one run per seed."""
    return SNP(spec, settings, seeds, device)
