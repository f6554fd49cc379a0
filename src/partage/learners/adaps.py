"""AdaPS on A2C, ours after the abstract: each cluster of agents has neurons of one network.

**Paper.** Li et al. 2024 (ICASSP, arXiv 2312.09009), whose body was not to be had: its abstract,
and what HetDPS's paper says of it. A variational auto-encoder gives each agent an identity vector;
k-means makes classes of agents; a fixed mapping network turns a class into the mask of a
sub-network of the one network that all share. Nothing is trained in policies besides that network.

**Reference code.** None was found. Identities and clusters are those of `partage.learners.seps`,
masks those of `partage.learners.snp_ps`, the actor-critic is `partage.learners.a2c`.

**Departures.** Named as ours for all that is not told. Masks are of neurons, in every layer of
actor and critic but the last: the mapping is a random network, frozen, from the mean code of a
class (less that of all agents, in units of their deviation) to one number a neuron, and the
greatest half of each layer's is kept (SNP-PS's rate, as it is here). Agents are clustered once, as
SePS's are; AdaPS may do it again and again, since HetDPS's paper finds it a third slower than SePS.
Till then all act through the whole network, which does not learn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.errors import UserError
from partage.learners import _seps_settings, a2c
from partage.learners.a2c import A2C, ActorCritic
from partage.learners.seps import SePS
from partage.nn.bank import Bank
from partage.nn.masks import FixedMask, check_keep
from partage.nn.networks import MLP, FixedSharing
from partage.nn.tangents import banks, overlap
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

MAPPING = 64  # hidden units of the mapping network   (ours)

# what makes it quick on the small tasks of its tests
QUICK = {"clusters": 2, "pretraining": 4, "data": 4}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(a2c.Settings, _seps_settings.Settings):
    """The settings of A2C, of the clustering of its agents and of their masks."""

    keep: float = 0.5  # share of each layer's neurons that a cluster has   (ours, as SNP-PS here)
    budget: int = 0  # env steps of a run, of which some must be left to learn; 0: not known


class MaskedA2C(A2C):
    """An actor-critic of which each set has some neurons: all of them until `cut`."""

    def __init__(
        self,
        spec: Spec,
        settings: Settings,
        seeds: Sequence[int],
        device: torch.device,
        share: FixedSharing,
    ) -> None:
        net = ActorCritic(spec, settings, seeds)
        net.front_of, net.back_of = share.assignment.clone(), share.assignment.clone()
        net.sets = share.sets
        for bank in banks(net):
            kept = torch.ones(len(seeds), net.sets, *bank.weight.shape[2:], dtype=torch.bool)
            bank.derivation = FixedMask(kept, kept[:, :, 0].clone())
        super().__init__(spec, settings, seeds, device, net=net)
        self.policy.captured = False  # sets are derived anew, and some of it waits for a card

    def sharing(self) -> Mapping[str, Shares]:
        """Return who has which mask, and how much any two of them share."""
        net = self.net
        return {
            "front": Shares(net.front_of, lambda: overlap(net.front, net.sets)),
            "back": Shares(net.back_of, lambda: overlap(net.back, net.sets)),
        }


@torch.no_grad()
def cut(
    learner: MaskedA2C,
    means: Float32[Tensor, "R N Z"],
    active: Bool[Tensor, "R"],
    seeds: Sequence[int],
) -> None:
    """Give each cluster of the active runs its neurons, by the mean of its agents' codes."""
    s, net = learner.settings, learner.net
    assert isinstance(s, Settings)
    between = hidden_layers(net)
    for run in active.cpu().nonzero().flatten().tolist():
        points = centres(means[run], net.front_of[run])
        scores = mapped(points, len(between) * s.hidden, stream(seeds[run], "sets"))
        for (bank, following), of_layer in zip(between, scores.split(s.hidden, 1), strict=True):
            _keep_neurons(bank, following, run, highest(of_layer, s.keep))


def hidden_layers(net: ActorCritic) -> list[tuple[Bank, Bank]]:
    """Return of actor and critic each layer whose outputs are neurons, and the layer behind it."""
    actor, critic = [*banks(net.front), *banks(net.back)], [*banks(net.critic)]
    return [*pairwise(actor), *pairwise(critic)]


def centres(means: Float32[Tensor, "N Z"], labels: Int64[Tensor, "N"]) -> Float32[Tensor, "K Z"]:
    """Return the mean code of each cluster, less that of all agents, in their deviations.

    Codes have any size, and much in common: masks would hardly differ.
    """
    means = means - means.mean(0)
    of_clusters = [means[labels == k].mean(0) for k in range(int(labels.max()) + 1)]
    return torch.stack(of_clusters) / means.square().mean().sqrt().clamp(min=1e-6)


def mapped(points: Float32[Tensor, "K Z"], scores: int, seed: int) -> Float32[Tensor, "K P"]:
    """Return so many scores of each cluster: a random network's, the same for one seed."""
    network = MLP(generators([seed]), 1, [points.shape[1], MAPPING, scores])
    return network(points[None, None, None], assignment.full(1, 1))[0, 0, 0]


def highest(scores: Float32[Tensor, "K H"], keep: float) -> Bool[Tensor, "K H"]:
    """Return where each row is among its greatest: of this share, rounded up."""
    count = math.ceil(keep * scores.shape[1])
    kept = torch.zeros_like(scores, dtype=torch.bool)
    return kept.scatter(1, scores.topk(count, 1).indices, value=True)


def _keep_neurons(bank: Bank, following: Bank, run: int, kept: Bool[Tensor, "K H"]) -> None:
    """Cut the other neurons that lie between two layers, in one run's first K sets."""
    before, behind = bank.derivation, following.derivation
    assert isinstance(before, FixedMask) and isinstance(behind, FixedMask)
    count, kept = len(kept), kept.to(before.bias.device)
    before.bias[run, :count] &= kept
    before.weight[run, :count] &= kept[:, None]
    behind.weight[run, :count] &= kept[:, :, None]


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where there can be no such clusters or masks."""
    check_keep(s.keep)
    if spec.n_agents == 1:
        raise UserError("AdaPS clusters several agents, but this task has one.")
    if s.clusters > spec.n_agents:
        raise UserError(
            f"AdaPS makes at most one cluster an agent: clusters is 0 (found) to {spec.n_agents}, "
            f"but is {s.clusters}."
        )
    first = s.pretraining * s.copies * s.segment
    if s.budget and first >= s.budget:
        raise UserError(
            f"AdaPS learns from the clustering on, after {s.pretraining:,} updates (pretraining), "
            f"which are {first:,} env steps, but a run has {s.budget:,} (budget): choose a smaller "
            "pretraining."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> SePS:
    """Return AdaPS for this task, one run per seed: SePS, whose clusters get masks."""
    check(settings, spec)
    return SePS(spec, settings, seeds, device, MaskedA2C, partial(cut, seeds=list(seeds)))
