"""LoRASA on PPO, ours after the abstract: one actor first, then low-rank offsets of each agent's.

**Paper.** Zhang, Kapoor & Sun 2025, "Low-Rank Agent-Specific Adaptation" (arXiv 2502.05573), whose
body was not to be had: its abstract, and somebody's notes section by section. All agents learn one
actor; from some update on it is frozen, and each agent learns W + A B^T of every weight of it,
A and B of rank 8, from its own experience.

**Reference code.** None was found. PPO as in `partage.learners.ppo`, by default MAPPO's form.

**Departures.** Named as ours for what the notes leave open: A begins at 0 and B within 1/sqrt(rank)
(one factor is 0, they say, the other random); the critic stays one and learns on; biases are
frozen with the weights; the actor's moments, and the count of Adam's steps, begin anew. The rate is
PPO's (theirs: 3e-4). The change is counted in updates: theirs comes after 0.2 M (3s5z) to 7 M
environment steps (MMM2), where the policy is able and not yet flat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from partage.errors import UserError
from partage.learners import _ppo_settings
from partage.learners._ppo_networks import Networks
from partage.learners._ppo_settings import CriticSharing
from partage.learners.ppo import PPO
from partage.nn.adapters import LowRank
from partage.nn.bank import Bank, Sets
from partage.nn.derived import Met, Products, in_common, spread
from partage.nn.tangents import banks, overlap
from partage.rl.noise import generators
from partage.rl.rollout import Rollout
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"copies": 8, "segment": 8, "epochs": 2, "minibatches": 2, "hidden": 16, "together": 5}
PER_RUN = True  # in a pack of several cells


@dataclass(frozen=True)
class Settings(_ppo_settings.Settings):
    """The settings of PPO whose agents part by low-rank offsets."""

    critic: Literal["obs", "state"] = "state"  # LoRASA: MAPPO
    critic_sharing: CriticSharing = "id"  # of MAPPO as it is here
    norms: Literal["one", "each"] = "each"  # likewise
    rank: int = 8  # of the offsets   (LoRASA; 4 was at times too small, 16 and 64 slower)
    # updates in which all learn one actor   (LoRASA on 3s5z: 0.2 M env steps, as many as 98)
    together: int = 98
    budget: int = 0  # env steps of a run, of which some must be left for offsets; 0: not known


class Offset(nn.Module):
    """The base until a run's agents are `apart`; then the base as it was, and each one's offset."""

    apart: Bool[Tensor, "R"]

    def __init__(self, bank: Bank, sets: int, draws: Sequence[Generator], rank: int) -> None:
        super().__init__()
        self.count, self.offset = sets, LowRank(bank, sets, draws, rank)
        self.register_buffer("apart", torch.zeros(len(bank.weight), dtype=torch.bool))

    def forward(self, base: Sets) -> Sets:
        apart = self.offset(Sets(base.weight.detach(), base.bias.detach()))
        weight, bias = spread(base.weight, self.count), spread(base.bias, self.count)
        where = self.apart[:, None, None]
        return Sets(
            torch.where(where[..., None], apart.weight, weight),
            torch.where(where, apart.bias, bias),
        )

    @torch.no_grad()
    def products(self, base: Sets, met: Met) -> Products:
        """Return those of what is trained: the base, which is all agents', or each one's own."""
        both = (in_common(met) + 1) * base.bias.shape[2]
        own = self.offset.products(base, met) - both  # on the diagonal alone
        return torch.where(self.apart[:, None, None], own, both.expand_as(own))


class LoRASA(PPO):
    """PPO whose agents share one actor first, and then learn offsets from it."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        _ppo_settings.check(settings, spec)
        check(settings, spec)
        net, runs = Networks(spec, settings, seeds, None), len(seeds)
        draws = generators([stream(seed, "sets") for seed in seeds])
        for bank in banks(net.actor):
            bank.derivation = Offset(bank, spec.n_agents, draws, settings.rank)
        net.actor.sets = spec.n_agents
        net.front_of = assignment.none(runs, spec.n_agents)
        net.back_of = net.front_of.clone()
        if net.critic_follows:
            net.critic_follows, net.own_critic_of = False, assignment.full(runs, spec.n_agents)
        self.parting = settings.together
        super().__init__(spec, settings, seeds, device, net=net)

    def learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Take the steps of all epochs; then it may be time to part."""
        measures = super().learn(rollout)
        if self.updates == self.parting:
            self._part(rollout.active.to(self.device))
        return measures

    def _part(self, active: Bool[Tensor, "R"]) -> None:
        """Freeze the actor that all share, and begin to train offsets."""
        for bank in banks(self.net.actor):
            assert isinstance(bank.derivation, Offset)
            bank.derivation.apart |= active
        self.optimiser.forget(active)  # or what was frozen would move on
        for state in self.optimiser.torch.state.values():
            state["step"].zero_()  # the same update for all runs of a pack

    def sharing(self) -> Mapping[str, Assignment | Shares]:
        """Return that each agent has its own set, and how much any two of them share."""
        actor, n = self.net.actor, self.n_agents
        front = Shares(self.net.front_of, lambda: overlap(actor.body, n))
        back = Shares(self.net.back_of, lambda: overlap(actor.head, n))
        return dict(super().sharing()) | {"front": front, "back": back}


def check(s: Settings, spec: Spec) -> None:
    """Raise `UserError` where agents cannot part so."""
    if spec.n_agents < 2:
        raise UserError("LoRASA's agents part: it takes a task with two of them at least.")
    if s.sharing != "full":
        raise UserError(
            f"LoRASA begins with one actor for all: sharing is full, not {s.sharing!r}."
        )
    if s.norms != "each":
        raise UserError(
            "LoRASA's actor begins anew when agents part, its critic does not: norms is each, not "
            f"{s.norms!r}."
        )
    episode = s.segment if s.experience == "segments" else 1
    first = s.together * s.copies * episode
    if s.budget and first >= s.budget:
        raise UserError(
            f"LoRASA's agents part after {s.together:,} updates (together), which is {first:,} env "
            f"steps or more, but a run has {s.budget:,} (budget): choose a smaller together."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> LoRASA:
    """Return LoRASA on PPO for this task, one run per seed."""
    return LoRASA(spec, settings, seeds, device)
