"""Dynamic parameter sharing by policy distance: A2C whose fronts and backs fuse and divide.

**Paper.** MPD §2 and Algorithm 1. Every `period` updates a code of the policies is learned from the
last `data` updates' experience, the distance of every pair of agents measured, and the sharing
moved: closer than `fuse`, agents share; farther than twice that, they part. Networks and losses are
those of the actor-critic baselines (§3.2).

**Reference code.** All agents begin with one front and a back of their own (the critic goes with
the back); backs fuse at half the threshold, which is 0.5 wherever it plays. `rule = "literal"` is
that code with the paper's thresholds: one change an agent and call, fusions that do nothing but bar
others, and divisions that copy set i into set j whoever uses them.

**Departures.** `rule = "intended"` is the algorithm that the text describes
(`partage.sharing.fuse_divide`), `rule = "steady"` (the default) one that comes to rest: nobody
joins a set that somebody too far away uses, and backs are decided when all fronts are. With `rule =
"backs-divide"` agents of different fronts part in the back as well. A division copies the
optimiser's moments, too. `rule = "none"` measures and leaves the sharing alone (Fig. 2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.distances import codes, distance
from partage.distances.distance import Experience
from partage.errors import UserError
from partage.learners import _mdps_settings, a2c
from partage.learners._dynamic import DynamicSharing, MakeBase
from partage.learners.a2c import A2C
from partage.nn.state import share
from partage.rl.experience import on_host
from partage.rl.losses import are_numbers
from partage.rl.rollout import Rollout
from partage.sharing.fuse_divide import (
    BACKS_DIVIDE,
    INTENDED,
    STEADY,
    fuse_divide,
    fuse_divide_literal,
)
from partage.sims.contract import Spec

RULES = {
    "steady": partial(fuse_divide, rules=STEADY),
    "backs-divide": partial(fuse_divide, rules=BACKS_DIVIDE),
    "intended": partial(fuse_divide, rules=INTENDED),
    "literal": fuse_divide_literal,
}

# what makes it quick on the small tasks of its tests
QUICK = {"period": 20, "data": 10, "fuse": 0.02}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(a2c.Settings, _mdps_settings.Settings):
    """The settings of MDPS on A2C."""

    sharing: a2c.Sharing = "front"  # at the start   (reference code)


class MDPS(DynamicSharing[dict[str, list[Tensor]]]):
    """An actor-critic whose sharing moves by the distance of policies, period after period."""

    def __init__(
        self,
        spec: Spec,
        settings: Any,  # those of the actor-critic and `_mdps_settings`
        seeds: Sequence[int],
        device: torch.device,
        base: MakeBase = A2C,
    ) -> None:
        _check(settings, spec.n_agents)
        super().__init__(base(spec, settings, seeds, device), seeds, experience={})
        self.settings = settings
        self.distances: dict[str, Float32[Tensor, "R N N"]] = {}  # as last measured, by kind

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take the actor-critic's step; at the end of a period measure, and move the sharing."""
        measures = dict(self.base.learn(rollout))
        self.updates += 1
        since = self.updates % self.settings.period
        if since == 0 or since > self.settings.period - self.settings.data:
            self._collect(on_host(rollout))
        if since == 0:
            self.distances = self._measure(rollout.active)
            self._move(rollout.active)
            self.experience = {}
            self.streams.settle(rollout.active)
        for kind, matrix in self.distances.items():
            # of the whole matrix, its zeros too   (reference code)
            measures[f"distance/{kind}"] = matrix.mean((1, 2))
        return measures

    def _collect(self, rollout: Rollout) -> None:
        """Add what the distances will be measured on."""
        parts = {
            "obs": rollout.obs[:, :, :-1],
            "avail": rollout.avail_actions[:, :, :-1],
            "alive": rollout.alive[:, :, :-1],
            "feature": rollout.feature[..., None, None].expand(*rollout.reward.shape, 1),
        }
        for name, x in parts.items():
            self.experience.setdefault(name, []).append(x)

    def _measure(self, active: Bool[Tensor, "R"]) -> dict[str, Float32[Tensor, "R N N"]]:
        """Return the distances of all pairs by the kinds asked for   (MPD eq. 1).

        They are NaN in runs whose policies are no numbers, and in runs that have ended what they
        were.
        """
        collected = {name: torch.cat(parts, 2) for name, parts in self.experience.items()}
        obs = collected["obs"]  # [R, B, T, N, O]
        probs = self.base.probabilities(obs, obs).cpu()
        target = distance.code_target(
            self.settings.feature, probs, collected["avail"], collected["feature"]
        )
        pooled = Experience(
            obs=obs.flatten(1, 3),
            probs=probs.flatten(1, 3),
            target=target.flatten(1, 3),
            valid=collected["alive"].flatten(1, 3),
        )
        sound = active & are_numbers(pooled.probs) & are_numbers(pooled.obs)
        pooled = distance.only(pooled, sound)
        code = distance.learn(pooled, self.generators)
        kinds = [self.settings.metric]
        if self.settings.compare:
            kinds = [*distance.CODED, *distance.VANILLA]

        def probabilities_on(part: slice) -> Tensor:
            return self._everyone_on(pooled.obs[:, part])

        measured = distance.measure(kinds, code, pooled.obs, pooled.valid, probabilities_on)
        found = {}
        for kind, matrix in measured.items():
            now = torch.where(sound[:, None, None], matrix, torch.nan)
            before = self.distances.get(kind, now)
            found[kind] = torch.where(active[:, None, None], now, before)
        return found

    def _everyone_on(self, obs: Float32[Tensor, "R S O"]) -> Float32[Tensor, "R S N A"]:
        """Return every agent's act probabilities on the same observations."""
        everyone = obs[:, :, None, None].expand(-1, -1, 1, self.base.n_agents, -1)
        return self.base.probabilities(everyone, everyone)[:, :, 0].cpu()

    def _move(self, active: Bool[Tensor, "R"]) -> None:
        """Move the sharing by the distances; a set that is divided is copied with its moments."""
        s, net = self.settings, self.base.net
        if s.rule == "none":
            return
        front, back, moves = RULES[s.rule](
            self.distances[s.metric],
            net.front_of,
            net.back_of,
            fuse=s.fuse,
            fuse_back=s.fuse * s.fuse_back,
            divide=2 * s.fuse,
        )
        front = torch.where(active[:, None], front, net.front_of)
        back = torch.where(active[:, None], back, net.back_of)
        share(net, front_of=front, back_of=back)
        for move in moves:
            if move.source != move.target and active[move.run]:
                self.base.copy_set(move.block, move.run, move.source, move.target)

    def state_dict(self, replay: bool = True) -> dict[str, Any]:
        """Return all that a resumed run needs; there is no replay."""
        return super().state_dict(replay) | {"distances": self.distances}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        super().load_state_dict(state)
        self.distances = state["distances"]


def _check(s: Any, n_agents: int) -> None:
    """Raise `UserError` where the settings do not fit each other."""
    if not (s.fuse > 0 and s.fuse_back > 0):  # NaN neither
        raise UserError(
            "MDPS fuses below a distance fuse > 0 (backs: fuse_back > 0), "
            f"but they are {s.fuse}, {s.fuse_back}."
        )
    if not 1 <= s.data <= s.period:
        raise UserError(
            f"MDPS measures on the last data updates of each period: 1 <= data <= {s.period}, "
            f"not {s.data}."
        )
    codes.enough(s.data * s.copies * s.segment * n_agents, "The policy distance")
    if s.rule != "none" and s.sharing not in ("front", "none"):
        raise UserError(
            "MDPS moves agents between sets of their own: it begins with sharing front or none, "
            f"not {s.sharing!r}."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> MDPS:
    """Return MDPS for this task, one run per seed."""
    return MDPS(spec, settings, seeds, device)
