"""Dynamic parameter sharing by policy distance: A2C whose fronts and backs fuse and divide as it
learns.

**Paper.** MPD §2 and Algorithm 1. Every `period` updates a code of the policies is learned from the
last `data` updates' experience, the distance of every pair of agents measured, and the sharing
moved: closer than `fuse`, agents share; farther than twice that, they part. Networks and losses are
those of the actor-critic baselines (§3.2).

**Reference code.** All agents begin with one front and a back of their own (the critic goes with
the back); backs fuse at half the threshold. `rule = "literal"` is that code: one change an agent
and call, fusions that do nothing but bar others, and divisions that copy set i into set j whoever
uses them.

**Departures.** `rule = "intended"` is the algorithm that the text describes
(`partage.sharing.fuse_divide`); a division copies the optimiser's moments as well. `rule
= "none"` measures and leaves the sharing alone (Fig. 2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float32
from torch import Tensor, device

from partage.distances import codes, distance
from partage.distances.distance import Experience
from partage.errors import UserError
from partage.learners import a2c
from partage.rl.rollout import Rollout
from partage.sharing.fuse_divide import fuse_divide, fuse_divide_literal
from partage.sims.contract import Spec

RULES = {"intended": fuse_divide, "literal": fuse_divide_literal}


@dataclass(frozen=True)
class Settings(a2c.Settings):
    sharing: a2c.Sharing = "front"  # at the start   (reference code)
    rule: Literal["intended", "literal", "none"] = "intended"
    metric: Literal["wasserstein", "bhattacharyya", "hellinger"] = "wasserstein"  # MPD §3.1
    fuse: float = (
        1.0  # threshold epsilon_1; epsilon_2 is twice that   (MPD §3.2: 1.0 in spread, 0.5 in SMAC)
    )
    fuse_back: float = 0.5  # threshold of backs, as a share of epsilon_1   (reference code)
    period: int = (
        2000  # updates between two measurements   (MPD §3.2: 2,000 in spread, 20,000 in SMAC)
    )
    data: int = (
        100  # updates whose experience is measured on   (MPD §3.2: 100 in spread, 500 in SMAC)
    )
    # what a code must tell: the act, or the task's feature c   (MPD §1.2)
    feature: Literal["actions", "task"] = "actions"
    compare: bool = False  # log the average distance by all other measures too   (MPD Fig. 2)


class MDPS(a2c.Around):
    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> None:
        _check(settings, spec.n_agents)
        super().__init__(spec, settings, seeds, where)
        self.settings, self.kept = settings, {}
        self.distances: dict[str, Float32[Tensor, "R N N"]] = {}

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        measures = self.base.learn(rollout)
        self.updates += 1
        since = self.updates % self.settings.period
        if since == 0 or since > self.settings.period - self.settings.data:
            self._keep(rollout)
        if since == 0:
            self.distances = self._measure()
            self._move()
            self.kept = {}
        for kind, d in self.distances.items():
            measures[f"distance/{kind}"] = d.mean(
                (1, 2)
            )  # of the whole matrix, its zeros too   (reference code)
        return measures

    def _keep(self, rollout: Rollout) -> None:
        now = {
            "obs": rollout.obs[:, :, :-1],
            "avail": rollout.avail_actions[:, :, :-1],
            "alive": rollout.alive[:, :, :-1],
            "feature": rollout.feature[..., None, None].expand(*rollout.reward.shape, 1),
        }
        for name, x in now.items():
            self.kept.setdefault(name, []).append(x)

    def _measure(self) -> dict[str, Tensor]:
        kept = {name: torch.cat(parts, 2) for name, parts in self.kept.items()}  # [R, B, T, N, ..]
        obs = kept["obs"]
        probs = self.base.probabilities(obs, obs).cpu()
        told = distance.told(self.settings.feature, probs, kept["avail"], kept["feature"])
        pooled = Experience(*(x.flatten(1, 3) for x in (obs, probs, told, kept["alive"])))
        code = distance.learn(pooled, self.generators)
        kinds = (
            [*distance.CODED, *distance.VANILLA]
            if self.settings.compare
            else [self.settings.metric]
        )
        return distance.measure(
            kinds, code, pooled.obs, pooled.valid, lambda part: self._query(pooled.obs[:, part])
        )

    def _query(self, obs: Float32[Tensor, "R S O"]) -> Float32[Tensor, "R S N A"]:
        everyone = obs[:, :, None, None].expand(-1, -1, 1, self.base.n_agents, -1)
        return self.base.probabilities(everyone, everyone)[:, :, 0].cpu()

    def _move(self) -> None:
        s, net = self.settings, self.base.net
        if s.rule == "none":
            return
        now = RULES[s.rule](
            self.distances[s.metric],
            net.front_of,
            net.back_of,
            s.fuse,
            s.fuse * s.fuse_back,
            2 * s.fuse,
        )
        net.front_of, net.back_of, moves = now
        for move in moves:
            if move.source != move.target:
                self.base.optimiser.copy_set(net.front, move.run, move.source, move.target)

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        return super().state_dict(replay) | {"distances": self.distances}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.distances = state["distances"]


def _check(s: Settings, n_agents: int) -> None:
    if not (s.fuse > 0 and s.fuse_back > 0):  # NaN neither
        raise UserError(
            f"MDPS fuses below a distance fuse > 0 (backs: fuse_back > 0), but they are {s.fuse}, {s.fuse_back}."
        )
    if not 1 <= s.data <= s.period:
        raise UserError(
            f"MDPS measures on the last data updates of each period: 1 <= data <= {s.period}, not {s.data}."
        )
    codes.enough(s.data * s.copies * s.segment * n_agents, "The policy distance")
    if s.rule != "none" and s.sharing not in ("front", "none"):
        raise UserError(
            f"MDPS moves agents between sets of their own: it begins with sharing front or none, not {s.sharing!r}."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], where: device) -> MDPS:
    return MDPS(spec, settings, seeds, where)
