"""HetDPS: agents share by cluster, and are clustered anew by what happens to them.

**Paper.** "Heterogeneity in Multi-Agent Reinforcement Learning", by MPD's first two authors (AAMAS
2026; read: arXiv 2512.22941's text as it was submitted, with appendices A to I). Every `period`
updates a code of the agents' meta-transitions is learned (`partage.learners._meta_transition`), the
distance of every pair measured, and the agents clustered by affinity propagation. Clusters are
matched to those before by the Hungarian method; a new one begins as a copy of the network of the
cluster that most of it comes from, and networks of clusters that come together are merged (App. I).

**Reference code.** None was to be had, nor the appendix on settings: but for the range of `period`
no number is known. The code's sizes and rates are MPD's, whose authors these are.

**Departures.** The decoder does not see who it was: if it does (`decoder_id`, eq. 5), codes need
not tell agents apart, and with no weight on them end at the prior. Agents begin with one network
for all. A network is kept only by a cluster that has an agent of it. Merged networks are the mean
by agents, with their moments; the paper names four ways and chooses none. Where affinity
propagation comes to no rest, or a run has less than a batch of transitions, clusters stay. What the
dead met, and what led to a terminal end, is left out.

Affinity propagation asks how distances compare, not how large they are: it cuts a team of equals,
whose distances are noise, into several clusters, others each time (docs/methods.md).
``clusters = "threshold"`` groups as MPD does, by a distance of one's choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.distances import codes
from partage.errors import UserError
from partage.kernels.auto_encoder import BATCH
from partage.learners import _hetdps_settings, _meta_transition, _transitions, a2c
from partage.learners._clustering import exemplars, silhouette
from partage.learners._dynamic import DynamicSharing, MakeBase
from partage.learners._transitions import Transitions
from partage.learners.a2c import A2C
from partage.nn.networks import FixedSharing
from partage.nn.optimiser import Optimiser
from partage.nn.state import share
from partage.rl.experience import on_host
from partage.rl.losses import are_numbers
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.fuse_divide import fuse_divide
from partage.sharing.relabel import relabel, shares
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"period": 40, "data": 20}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(a2c.Settings, _hetdps_settings.Settings):
    """The settings of HetDPS on A2C."""


class HetDPS(DynamicSharing[list[Transitions]]):
    """An actor-critic whose agents share by cluster, period after period."""

    def __init__(
        self,
        spec: Spec,
        settings: Any,  # those of the actor-critic and `_hetdps_settings`
        seeds: Sequence[int],
        device: torch.device,
        base: MakeBase = A2C,
    ) -> None:
        _check(settings, spec)
        self.spec, self.settings = spec, settings
        together = FixedSharing(spec.n_agents, 0, assignment.full(len(seeds), spec.n_agents))
        super().__init__(base(spec, settings, seeds, device, together), seeds, experience=[])
        self.seeds = [stream(seed, "clusters") % 2**32 for seed in seeds]
        # as last measured; nothing before
        self.distances: dict[str, Float32[Tensor, "R N N"]] = {}
        self.measured: dict[str, Float32[Tensor, "R"]] = {}

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take the actor-critic's step; at the end of a period measure, and cluster anew."""
        measures = self.base.learn(rollout)
        self.updates += 1
        since = self.updates % self.settings.period
        if since == 0 or since > self.settings.period - self.settings.data:
            self.experience.append(_transitions.of(on_host(rollout), self.spec.n_actions))
        if since == 0:
            self._measure_and_move(rollout.active)
            self.experience = []
            self.streams.settle(rollout.active)
        return measures | self.measured

    def _measure_and_move(self, active: Bool[Tensor, "R"]) -> None:
        """Measure the distances of all pairs of agents, and cluster them.

        Measures are NaN in runs that have lost their numbers. All stays as it is in runs that have
        ended, or met too little.
        """
        s = self.settings
        transitions, numbers = _transitions.joined(self.experience)
        enough = transitions[2].flatten(1).sum(1) >= BATCH
        looked_at = active & numbers & enough
        transitions = _transitions.only(looked_at, *transitions)
        front, end = slice(s.own or None), slice(-s.own, None)
        own = front if s.own_at == "front" else end
        found = _meta_transition.measure(transitions, self.generators, own, s.decoder_id)
        numbers = numbers & are_numbers(found.distance)
        silhouettes = torch.zeros(len(active))
        for run in (looked_at & numbers).nonzero().flatten().tolist():
            self._move(run, found.distance[run])
            sets = self.base.net.front_of[run].tolist()
            silhouettes[run] = silhouette(found.distance[run], sets)
        pairs = self.spec.n_agents * (self.spec.n_agents - 1)
        new = {
            "distance/meta": found.distance.sum((1, 2)) / pairs,
            "code_divergence": found.divergence,
            "silhouette": silhouettes,
        }
        where = active & enough, numbers
        self.distances = _after(self.distances, {"meta": found.distance}, *where)
        self.measured = _after(self.measured, new, *where)

    def _move(self, run: int, distance: Float32[Tensor, "N N"]) -> None:
        """Cluster one run's agents, and give them their sets."""
        net, way = self.base.net, self.settings.merge
        labels = self._clusters(run, distance)
        if labels is None:
            return
        moved = relabel(net.front_of[run].tolist(), labels)
        begins = {new: shares(parts, "average", 0.0) for new, parts in moved.copies.items()}
        for new, parts in moved.merges.items():
            drawn = float(torch.rand((), generator=self.generators[run]))
            begins[new] = shares(parts, way, drawn)
        if begins:
            for optimiser in vars(self.base).values():  # PPO may have one of the critic's own
                if isinstance(optimiser, Optimiser):
                    optimiser.mix_sets(net, run, begins)
        index = net.front_of.clone()
        index[run] = torch.tensor(moved.sets)
        share(net, front_of=index, back_of=index)

    def _clusters(self, run: int, distance: Float32[Tensor, "N N"]) -> list[int] | None:
        """Return each agent's cluster; None: as before."""
        s = self.settings
        if s.clusters == "affinity":
            return exemplars(distance, self.seeds[run])
        index = self.base.net.front_of[run : run + 1]
        front, *_ = fuse_divide(distance[None], index, index, s.fuse, s.fuse, 2 * s.fuse)
        return front[0].tolist()

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; there is no replay."""
        kept: dict[str, Any] = {"distances": self.distances, "measured": self.measured}
        kept["experience"] = list(self.experience)  # a list of its own: this one grows
        return super().state_dict(replay) | kept

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state)
        self.distances, self.measured = state["distances"], state["measured"]


def _after(
    before: dict[str, Tensor],
    new: dict[str, Tensor],
    where: Bool[Tensor, "R"],
    numbers: Bool[Tensor, "R"],
) -> dict[str, Tensor]:
    """Return what is known by name: the new `where` there is any, NaN in runs without numbers."""
    known = {}
    for name, x in new.items():
        shape = len(x), *(1,) * (x.dim() - 1)
        now = torch.where(numbers.view(shape), x, torch.nan)
        known[name] = torch.where(where.view(shape), now, before.get(name, torch.zeros_like(x)))
    return known


def _check(s: Any, spec: Spec) -> None:
    """Raise `UserError` where the settings do not fit each other or the task."""
    steps = s.copies * s.segment  # of an update
    if spec.n_agents < 2:
        raise UserError("HetDPS clusters agents: it takes a task with two of them at least.")
    if not 1 <= s.data <= s.period:
        raise UserError(
            f"HetDPS measures on the last data updates of each period: 1 <= data <= {s.period}, "
            f"not {s.data}."
        )
    codes.enough(s.data * steps * spec.n_agents, "HetDPS")
    if s.own > spec.obs_dim:
        raise UserError(
            f"An agent's own state is part of what it observes: own is 0 (all) to {spec.obs_dim} "
            f"on this task, but is {s.own}."
        )
    if s.clusters == "threshold" and not s.fuse > 0:
        raise UserError(f"HetDPS's agents join below a distance fuse > 0, but it is {s.fuse}.")
    if s.sharing != "full":
        raise UserError(
            f"HetDPS begins with one network for all: sharing is full, not {s.sharing!r}."
        )
    if s.budget and s.period * steps > s.budget:
        raise UserError(
            f"HetDPS first clusters after {s.period * steps:,} env steps (a period of {s.period:,} "
            f"updates, of {steps:,} each), but a run has {s.budget:,} (budget): choose a smaller "
            "period."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> HetDPS:
    """Return HetDPS for this task, one run per seed."""
    return HetDPS(spec, settings, seeds, device)
