"""Selective parameter sharing: agents are clustered once, by a code of who they are, and share
within their cluster.

**Paper.** Christianos et al. 2021, "Scaling multi-agent reinforcement learning with selective
parameter sharing": all act through one network while transitions are stored; a variational
auto-encoder learns to predict next observation and reward from (code of the agent's id,
observation, action); agents whose codes' means cluster share a network.

**Reference code.** Sizes, Adam 3e-4, batch 128, 10 epochs, KL weight 1e-4, 10 dimensions; k-means++
with 10 starts; K given or of the smallest Davies-Bouldin index, at most 10 networks; A2C as in
`partage.learners.a2c`.

**Departures.** No update is made before the clustering (as the curves of MPD Fig. 3 show: delayed
training), after 2,000 updates (MADPS). The code learns from `data` of these updates, spread evenly;
the reference keeps all. What dead agents met is left out, and so are transitions that end an
episode: what came next was another's beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.cluster import KMeans
from sklearn.metrics import davies_bouldin_score
from torch import Tensor, device

from partage.distances import codes
from partage.errors import UserError
from partage.learners import a2c
from partage.nn.networks import FixedSharing
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.assignment import Assignment, by
from partage.sims.contract import Spec, stream

HIDDEN, KL = 64, 1e-4  # reference code
MOST = 10  # networks where K is not given   (reference code)


@dataclass(frozen=True)
class Settings(a2c.Settings):
    clusters: int = 0  # K; 0: of the smallest Davies-Bouldin index   (reference code)
    pretraining: int = 2000  # updates before the clustering   (MADPS; 5,000 in SePS)
    data: int = 200  # of them, whose transitions the code learns from


class SePS(a2c.Around):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        _check(settings, spec.n_agents)
        self.spec, self.settings, runs = spec, settings, len(seeds)
        self.most = settings.clusters or min(MOST, spec.n_agents)
        share = FixedSharing(self.most, 0, assignment.full(runs, spec.n_agents))
        super().__init__(spec, settings, seeds, where, share)
        self.seeds = [stream(seed, "clusters") % 2**32 for seed in seeds]

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        self.updates += 1
        s = self.settings
        if self.updates > s.pretraining:
            return self.base.learn(rollout)
        if self.updates * s.data // s.pretraining > (self.updates - 1) * s.data // s.pretraining:
            self.kept.append(self._transitions(rollout))
        if self.updates == s.pretraining:
            labels = self.cluster(self.identify())
            self.base.net.front_of = self.base.net.back_of = labels
            self.kept = []
        return {}

    def _transitions(self, rollout: Rollout) -> tuple[Tensor, Tensor, Tensor]:
        """What is known (o, a) and what is predicted (o', r) of each agent, and whether: ``[R, N, B
        * T, ..]`` each.
        """
        acted = torch.nn.functional.one_hot(rollout.actions, self.spec.n_actions).float()
        after = rollout.obs[:, :, 1:]
        if rollout.final_obs is not None:
            after = torch.where(rollout.truncated[..., None, None], rollout.final_obs, after)
        valid = rollout.alive[:, :, :-1] & (rollout.filled & ~rollout.terminated)[..., None]
        parts = (
            (rollout.obs[:, :, :-1], acted),
            (after, rollout.reward[..., None]),
            (valid[..., None],),
        )
        known, predicted, valid = (
            torch.cat(part, -1).permute(0, 3, 1, 2, 4).flatten(2, 3) for part in parts
        )
        return known, predicted, valid

    def identify(self) -> Tensor:
        """The mean code of every agent ``[R, N, Z]``."""
        known, predicted, valid = (torch.cat(parts, 2) for parts in zip(*self.kept, strict=True))
        runs, n, each = known.shape[:3]
        ids = torch.eye(n).expand(runs, n, n)
        given = ids.repeat_interleave(each, 1)
        known, predicted, valid = known.flatten(1, 2), predicted.flatten(1, 2), valid.flatten(1)
        codes.enough(int(valid.sum(1).min()), "SePS")
        return codes.fit(given, known, predicted, valid, self.generators, HIDDEN, KL).encode(ids)[0]

    def cluster(self, codes: Tensor) -> Assignment:
        """Labels of each run's agents by k-means++ on their codes; K as given, or by the
        Davies-Bouldin index.
        """
        n = codes.shape[1]
        choices = (
            [self.settings.clusters]
            if self.settings.clusters
            else range(2, min(n - 1, self.most) + 1)
        )
        found = []
        for means, seed in zip(codes.double().numpy(), self.seeds, strict=True):
            starts: Any = 10
            labels = [
                KMeans(k, n_init=starts, random_state=seed).fit_predict(means) for k in choices
            ]
            best = (
                min(labels, key=lambda one: davies_bouldin_score(means, one))
                if len(labels) > 1
                else labels[0]
            )
            found.append(by(best.tolist()))
        return torch.cat(found)


def _check(s: Settings, n_agents: int) -> None:
    if not 0 <= s.clusters <= n_agents:
        raise UserError(
            f"SePS makes at most one cluster an agent: clusters is 0 (found) to {n_agents}, but is {s.clusters}."
        )
    if s.clusters == 0 and n_agents < 3:
        raise UserError(
            "SePS finds the number of clusters from 3 agents on: give clusters (1 or 2) for 2 agents."
        )
    if not 1 <= s.data <= s.pretraining:
        raise UserError(
            f"SePS learns its code from data of the pretraining updates: 1 to {s.pretraining}, not {s.data}."
        )
    codes.enough(s.data * s.copies * s.segment * n_agents, "SePS")
    if s.sharing != "full":
        raise UserError(
            f"SePS begins with one network for all: sharing is full, not {s.sharing!r}."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> SePS:
    return SePS(spec, settings, seeds, where)
