"""LDSA on QMIX: every agent takes a subtask at every step, and acts by that subtask's policy.

**Paper.** Yang et al. 2022 (NeurIPS), "LDSA: Learning Dynamic Subtask Assignment in Cooperative
Multi-Agent Reinforcement Learning", whose text was not to be had: code is what was read. Subtasks
have learned codes; an agent's embedding of what it has seen takes one by their products; the
subtask's policy is generated from its code.

**Reference code.** The authors' own was not found; two rewrites by others agree
(github.com/chaobiubiu/DCC and github.com/boliQi/pymarl2-ldsa; numbers by the former, which are
PyMARL's). Four subtasks on every map, codes and embeddings of 64 numbers. Subtasks are drawn (hard
Gumbel-softmax of temperature 1, its gradient straight through) when acting in training, and drawn
anew, not taken from the replay, when learning, by target networks too; in tests the likeliest is
taken. Codes are kept apart and choices steady, by 0.001 each. A code has no gradient through the
policy that is generated from it. There is an id in the input.

**Departures.** The steadiness term is a mean over pairs of instants at which somebody acts (there
its sum has padding in it); its logarithm is of the softmax itself (there + 1e-8). Epsilon falls as
a task gives it to all learners (there in 500,000 steps on 3s5z_vs_3s6z and 6h_vs_8z, else 50,000).

More subtasks than agents are no mistake: an agent goes from one to the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from partage.errors import UserError
from partage.learners import _ldsa, _off_policy
from partage.learners._ldsa import Networks, choose_subtask, of_chosen
from partage.learners._ldsa_actor import Actor
from partage.learners._off_policy import OffPolicyLearner
from partage.nn.tangents import overlap
from partage.rl.noise import generators
from partage.sharing.overlap import Shares
from partage.sims.contract import Spec, stream

# what makes it quick on the small tasks of its tests
QUICK = {"lr": 2e-3, "hidden": 32, "embedding": 16, "batch": 16}


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of QMIX with subtasks."""

    subtasks: int = 4  # LDSA [L1]
    embedding: int = 64  # numbers of a subtask's code and of an agent's embedding   (LDSA)
    apart: float = 1e-3  # weight of the codes' mean squared distance   (LDSA)
    steady: float = 1e-3  # of the cross entropy of successive choices   (LDSA)


class LDSA(OffPolicyLearner[Networks, Settings]):
    """QMIX on the values of the subtasks that agents choose."""

    def __init__(
        self, spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device
    ) -> None:
        check(settings)
        s = settings
        nets = Networks(spec, s, seeds, s.subtasks, s.embedding)
        super().__init__(spec, s, seeds, device, nets)
        acting = generators([stream(seed, "subtasks") for seed in seeds])
        self.drawing = generators([stream(seed, "subtasks learned") for seed in seeds])
        self.generators += [*acting, *self.drawing]
        self.policy = Actor(self.nets, spec, self.exploration, acting, device)
        self.blocks = {"subtasks": torch.zeros(len(seeds), spec.n_agents, dtype=torch.int64)}

    def update(self, batch: dict[str, Tensor], active: Bool[Tensor, "R"]) -> dict[str, Tensor]:
        """Take one step down QMIX's loss, that codes be apart and choices steady."""
        episodes = batch["obs"], batch["actions"], batch["filled"]
        noise, noise_of_target = self._noise(batch["obs"])
        online = self.nets.along(*episodes)
        q = of_chosen(online.values, choose_subtask(online.preferences, noise))
        with torch.no_grad():
            target = self.target.along(*episodes)
            chosen = choose_subtask(target.preferences, noise_of_target)
            q_target = of_chosen(target.values, chosen)
        loss, measures = self.td_loss(q, q_target, batch)
        apart = _ldsa.distance(self.nets.subtasks.codes())
        change = _ldsa.change(online.preferences, batch["filled"])
        whole = loss - self.settings.apart * apart + self.settings.steady * change
        own = {"code_distance": apart.detach(), "subtask_change": change.detach()}
        return measures | own | {"gradient_norm": self.optimiser.step(whole, active)}

    def _noise(
        self, obs: Float32[Tensor, "R B T1 N O"]
    ) -> tuple[Float32[Tensor, "R B T1 N K"], Float32[Tensor, "R B T1 N K"]]:
        """Draw the noise of choices, of the networks' and of the target networks'.

        As much whatever the episodes' length: padding must not move generators.
        """
        _, copies, time, n, _ = obs.shape
        shape = 2, copies, self.spec.horizon + 1, n, self.settings.subtasks
        drawn = _ldsa.gumbel(self.drawing, *shape)[:, :, :, :time].to(self.device)
        return drawn[:, 0], drawn[:, 1]

    @torch.no_grad()
    def probabilities(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T N A"]:
        """Return the softmax of values, subtasks chosen as in a test."""
        obs, actions = obs.to(self.device), actions.to(self.device)
        found = self.nets.along(obs, actions[:, :, :-1])
        return of_chosen(found.values, choose_subtask(found.preferences, None)).softmax(-1)

    def sharing(self) -> Mapping[str, Shares]:
        """Return each agent's most frequent subtask, and how much heads of subtasks share.

        Counted in the episodes before the target networks were last copied to.
        """
        heads, count = self.nets.head, self.settings.subtasks
        return {"subtasks": Shares(self.blocks["subtasks"], lambda: overlap(heads, count))}


def check(s: Settings) -> None:
    """Raise `UserError` where there is nothing to choose from, or nothing to share."""
    if s.subtasks < 2:
        raise UserError(f"Agents choose among subtasks: subtasks is 2 or more, not {s.subtasks}.")
    if s.sharing == "none":
        raise UserError(
            "LDSA shares by subtasks: sharing says whether agents show an id, id or full, not none."
        )


def make(spec: Spec, settings: Settings, seeds: Sequence[int], device: torch.device) -> LDSA:
    """Return LDSA for this task, one run per seed."""
    return LDSA(spec, settings, seeds, device)
