"""GradPS on QMIX: one network, of which a neuron whose agents pull apart is given clones.

**Paper.** Qin et al. 2025 (ICML), "GradPS: Resolving Futile Neurons in Parameter Sharing Network
for Multi-Agent Reinforcement Learning", whose text was not to be had but for a summary: its code is
what was read. A neuron of the first layer is futile where what the agents' gradients ask of it
cancels out; it gets K clones, and agents that are in conflict there go through different ones.

**Reference code.** github.com/xmu-rl-3dv/GradPS, its QMIX: no id in the input; K 3 and a window of
20 intervals between copies to the target networks on SMAC, 2 and 10 on stag hunts. It opens what is
less efficient than half of the mean of those that may be opened (``threshold = "relative"``), and
its QPLEX, DMIX and RMIX, as the paper, what is below 0.2. Clones never come together again there:
the step is 0 in every configuration.

**Departures.** Clones have biases of their own (the paper; its code: one bias). An opened clone
begins with its neuron's RMSprop moments, not with none, which made its first step ten times as
long. Instants at which an agent is dead do not count. The gradient's norm is of what is trained;
there that of the gains by which it watches neurons is in it, so that it clips sooner. A neuron at
which no two agents are in conflict is not opened: its split would be arbitrary. Clones that are to
be one again take steps down the L1 distance to their mean, with a rate of ours. PyMARL's mixer of
32 units, as in all that is on QMIX here (its own: 64). The code's binary search for a graph's
colours, which changes no result, is left out.

``clones = 1`` opens nothing and measures: full sharing, and its share of futile neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from partage.errors import UserError
from partage.learners import _gradps, _off_policy, qmix
from partage.learners._gradps import Neurons, Rules, Watched
from partage.nn.adapters import Columns, Shared, own_sets
from partage.nn.bank import Bank
from partage.nn.networks import Sharing
from partage.nn.tangents import overlap
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

PER_RUN = True  # in a pack of several cells
# what makes it quick on the small tasks of its tests
QUICK = {"clones": 2, "window": 3, "lr": 2e-3}


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of QMIX with neurons that are given clones."""

    sharing: Sharing = "full"  # GradPS: no id
    clones: int = 3  # of a neuron, K; at most one an agent   (GradPS; stag hunts: 2)
    # intervals between copies to the target networks that are looked back on, and that a neuron
    # stays as it is
    window: int = 20  # GradPS; stag hunts: 10
    futile: float = 0.2  # efficiency below which a neuron is opened   (GradPS)
    # relative: `futile` times the mean of the neurons that may be opened   (its QMIX code: 0.5)
    threshold: Literal["absolute", "relative"] = "absolute"
    # probability that in an interval clones begin to come together, of a layer that is all open
    restore_share: float = 0.0  # GradPS; its largest stag hunt: 0.05, without effect
    # env steps of a run, of which an episode takes one at least; 0: it is not known
    budget: int = 0


class GradPS(qmix.OnQMIX[Settings]):
    """QMIX that watches its first layer, and reports how much of it agents share."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        check(settings, spec)
        s, runs, agents = settings, len(seeds), spec.n_agents
        nets = qmix.Networks(spec, settings, seeds)
        own_sets(nets.agent.body.encoder, s.clones)
        chosen = torch.zeros(runs, agents, s.hidden, dtype=torch.int64)
        nets.agent.body.encoder.derivation = Columns(chosen)
        nets.agent.head.derivation = Shared(agents)
        nets.agent.body.sets, nets.assignment = agents, assignment.none(runs, agents)
        super().__init__(spec, settings, seeds, device, nets)
        self.policy = qmix.EpsilonGreedy(self.nets, spec, self.exploration, device)
        self.policy.captured = False  # sets are derived anew, and some of it waits for a card
        rules = Rules(s.clones, s.window, s.futile, s.threshold, s.restore_share)
        self.neurons = Neurons(rules, runs, agents, s.hidden)
        self.neurons.asked = self.neurons.asked.to(device)
        self.restoring = generators([stream(seed, "restoring") for seed in seeds])
        self.generators += self.restoring

    @property
    def layer(self) -> Bank:
        """The first layer, whose neurons are watched."""
        return self.nets.agent.body.encoder

    @property
    def columns(self) -> Int64[Tensor, "R N O"]:
        """Which clone of each neuron each agent goes through."""
        assert isinstance(self.layer.derivation, Columns)
        return self.layer.derivation.columns

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take QMIX's own step, and note what agents asked of each neuron in it."""
        watched = Watched(batch["alive"])
        measures = self.descend(batch, active, watched)
        norm = measures["gradient_norm"]
        assert watched.asked is not None
        clipping = self.optimiser.clipping(norm)
        self.neurons.note(clipping[:, None, None] * watched.asked, active & norm.isfinite())
        closing = (self.neurons.closing == 1) & active.cpu()[:, None]
        if closing.any():
            _gradps.draw_together(self.layer, closing)
        return measures | self.neurons.measures()

    def update_targets(self, active: Bool[Tensor, "R"]) -> None:
        """Open and close neurons of active runs, then copy to their target networks."""
        opened, closed = (torch.zeros(self.neurons.age.shape, dtype=torch.bool) for _ in range(2))
        chosen, (variance, apart) = self.columns.cpu(), _gradps.differences(self.layer)
        for run in active.nonzero().flatten().tolist():
            if self.settings.restore_share:
                self.neurons.begin_closing(run, variance[run], self.restoring[run])
            self.neurons.age[run] += 1
            opened[run] = self.neurons.open(run, chosen[run])
            closed[run] = self.neurons.close(run, chosen[run], apart[run])
            self.neurons.end_interval(run, chosen[run])  # no decision has seen it
        self.columns.copy_(chosen)
        self.optimiser.change(self.layer, partial(_gradps.copy_first, opened))
        self.optimiser.change(self.layer, partial(_gradps.average, closed))
        super().update_targets(active)

    def sharing(self) -> dict[str, Shares]:
        """Return who chooses alike at all neurons, and how much any two agents share."""
        chosen, agent = self.columns.cpu(), self.nets.agent
        alike = (chosen[:, :, None] == chosen[:, None]).all(3)
        first = alike.int().argmax(2)  # of those who choose alike
        return {
            "layers": Shares(first, lambda: overlap(self.layer, self.spec.n_agents)),
            "agent": Shares(first, lambda: overlap(agent, self.spec.n_agents)),
        }


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where there can be no such clones, or none in time."""
    if s.sharing == "none":
        raise UserError(
            "Clones are of neurons that all share: sharing is full, or id with an id in the "
            "input, not 'none'."
        )
    if s.clones > spec.n_agents:
        raise UserError(
            f"A neuron has at most one clone an agent: clones is 1 to {spec.n_agents} on this "
            f"task, but is {s.clones}."
        )
    first = (s.window + 1) * s.target_every
    if s.clones > 1 and s.budget and first > s.budget:
        raise UserError(
            f"A neuron is first opened after {first:,} episodes (a window of {s.window:,} and one "
            f"more, of {s.target_every:,} episodes each), but a run of {s.budget:,} env steps "
            "(budget) has fewer: choose a smaller window or target_every."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> GradPS:
    """Return GradPS on QMIX for this task, one run per seed."""
    return GradPS(spec, settings, seeds, device)
