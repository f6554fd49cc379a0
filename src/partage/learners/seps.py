"""Selective parameter sharing: agents are clustered once, by a code of who they are.

**Paper.** Christianos et al. 2021, "Scaling multi-agent reinforcement learning with selective
parameter sharing": all act through one network while transitions are stored; a variational
auto-encoder learns to predict next observation and reward from (code of the agent's id,
observation, action); agents whose codes' means cluster share a network.

**Reference code.** Sizes, Adam 3e-4, batch 128, 10 epochs, KL weight 1e-4, 10 dimensions; k-means++
with 10 starts; K given or of the smallest Davies-Bouldin index, at most 10 networks; A2C as in
`partage.learners.a2c`.

**Departures.** No update is made before the clustering (as the curves of MPD Fig. 3 show: delayed
training), after 2,000 updates (MADPS). The code learns from `data` of these updates, spread evenly;
the reference keeps all. What dead agents met is left out, and so are transitions into a terminal
end: what came next was another's beginning. At a time limit the episode's own last observation is
what came next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float32
from sklearn.metrics import davies_bouldin_score
from torch import Tensor

from partage.distances import codes
from partage.errors import UserError
from partage.learners import _seps_settings, _transitions, a2c
from partage.learners._clustering import k_means
from partage.learners._dynamic import DynamicSharing, MakeBase
from partage.learners._transitions import Transitions
from partage.learners.a2c import A2C
from partage.nn.networks import FixedSharing
from partage.nn.state import share
from partage.rl.experience import on_host
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

HIDDEN, KL = 64, 1e-4  # units of a code's layers, weight of its divergence   (reference code)
MOST_CLUSTERS = 10  # networks where K is not given   (reference code)

# does what else is due when agents are clustered, by their mean codes, in active runs: AdaPS
Clustered = Callable[[Any, Float32[Tensor, "R N Z"], Bool[Tensor, "R"]], None]

# what makes it quick on the small tasks of its tests
QUICK = {"clusters": 2, "pretraining": 4, "data": 4}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(a2c.Settings, _seps_settings.Settings):
    """The settings of SePS on A2C."""


class SePS(DynamicSharing[list[Transitions]]):
    """An actor-critic whose agents are clustered before it learns, and share by cluster."""

    def __init__(
        self,
        spec: Spec,
        settings: Any,  # those of the actor-critic and `_seps_settings`
        seeds: Sequence[int],
        device: torch.device,
        base: MakeBase = A2C,
        clustered: Clustered | None = None,
    ) -> None:
        _check(settings, spec.n_agents)
        self.spec, self.settings, self.clustered = spec, settings, clustered
        self.most_clusters = settings.clusters or min(MOST_CLUSTERS, spec.n_agents)
        together = FixedSharing(self.most_clusters, 0, assignment.full(len(seeds), spec.n_agents))
        super().__init__(base(spec, settings, seeds, device, together), seeds, experience=[])
        self.seeds = [stream(seed, "clusters") % 2**32 for seed in seeds]

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Collect till the clustering, cluster once, then take the actor-critic's steps."""
        self.updates += 1
        s = self.settings
        if self.updates > s.pretraining:
            return self.base.learn(rollout)
        collected = self.updates * s.data // s.pretraining
        if collected > (self.updates - 1) * s.data // s.pretraining:  # `data` of them, evenly
            self.experience.append(_transitions.of(on_host(rollout), self.spec.n_actions))
        if self.updates == s.pretraining:
            means = self.identify(rollout.active)
            labels = self.cluster(means, rollout.active)
            share(self.base.net, front_of=labels, back_of=labels)
            if self.clustered:
                self.clustered(self.base, means, rollout.active)
            self.experience = []
        self.streams.settle(rollout.active)
        self.base.streams.settle(rollout.active)
        return {}

    def identify(self, active: Bool[Tensor, "R"] | None = None) -> Float32[Tensor, "R N Z"]:
        """Return the mean code of every agent, learned from what was collected.

        Nothing is looked at of runs that are not `active` (None: all are), or lack numbers.
        """
        (known, predicted, valid), _ = _transitions.joined(self.experience, active)
        runs, n, transitions = known.shape[:3]
        ids = torch.eye(n).expand(runs, n, n)
        id_of_transition = ids.repeat_interleave(transitions, 1)
        valid = valid.flatten(1)
        codes.enough(int(valid.sum(1).min()), "SePS")
        code = codes.fit(
            id_of_transition,
            known.flatten(1, 2),
            predicted.flatten(1, 2),
            valid,
            self.generators,
            HIDDEN,
            KL,
        )
        mean, _ = code.encode(ids)
        return mean

    def cluster(
        self, means: Float32[Tensor, "R N Z"], active: Bool[Tensor, "R"] | None = None
    ) -> Assignment:
        """Return the sharing by k-means++ on each run's codes.

        K is as given, or that of the smallest Davies-Bouldin index. Runs that are not `active`
        (None: all are) share as before.
        """
        found = []
        for run, (points, seed) in enumerate(zip(means, self.seeds, strict=True)):
            if active is not None and not active[run]:
                found.append(self.base.net.front_of[run : run + 1])
                continue
            labels = {k: k_means(points, k, seed) for k in self._numbers_of_clusters()}
            best = min(labels)
            if len(labels) > 1:
                index = {k: _davies_bouldin(points, labels[k]) for k in labels}
                best = min(index, key=lambda k: index[k])
            found.append(assignment.by(labels[best]))
        return torch.cat(found)

    def _numbers_of_clusters(self) -> list[int]:
        """Return the K that are tried."""
        if self.settings.clusters:
            return [self.settings.clusters]
        return list(range(2, min(self.spec.n_agents - 1, self.most_clusters) + 1))


def _davies_bouldin(points: Float32[Tensor, "N Z"], labels: list[int]) -> float:
    """Return the Davies-Bouldin index of a clustering: the smaller, the better."""
    return float(davies_bouldin_score(points.double().numpy(), labels))


def _check(s: Any, n_agents: int) -> None:
    """Raise `UserError` where the settings do not fit each other or the task."""
    if not 0 <= s.clusters <= n_agents:
        raise UserError(
            f"SePS makes at most one cluster an agent: clusters is 0 (found) to {n_agents}, "
            f"but is {s.clusters}."
        )
    if s.clusters == 0 and n_agents < 3:
        raise UserError(
            "SePS finds the number of clusters from 3 agents on: "
            "give clusters (1 or 2) for 2 agents."
        )
    if not 1 <= s.data <= s.pretraining:
        raise UserError(
            f"SePS learns its code from data of the pretraining updates: 1 to {s.pretraining}, "
            f"not {s.data}."
        )
    codes.enough(s.data * s.copies * s.segment * n_agents, "SePS")
    if s.sharing != "full":
        raise UserError(
            f"SePS begins with one network for all: sharing is full, not {s.sharing!r}."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> SePS:
    """Return SePS for this task, one run per seed."""
    return SePS(spec, settings, seeds, device)
