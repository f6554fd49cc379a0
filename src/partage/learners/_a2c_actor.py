"""How an actor-critic acts: samples of its policy, or in tests the most probable actions."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor

from partage.kernels.acting import Bank
from partage.kernels.policies import ByLogits
from partage.nn.bank import Rows, from_rows, to_rows
from partage.nn.pointwise import categorical, greedy
from partage.rl.noise import generators, uniform
from partage.rl.rollout import Choice
from partage.sims.contract import Spec, TimeStep, stream


@runtime_checkable
class PolicyNetworks(Protocol):
    """What `Actor` acts by."""

    sets: int

    def logits(self, rows: Rows) -> Float32[Tensor, "R G T M A"]:
        """Return the logits for observations laid out as rows."""
        ...

    def in_place(self) -> tuple[Bank, ...]:
        """Return the layers behind them for compiled acting: views of the parameters."""
        ...


class Actor:
    """Samples from the policy when exploring, takes its most probable action when not."""

    def __init__(
        self, net: PolicyNetworks, spec: Spec, seeds: Sequence[int], device: torch.device
    ) -> None:
        self.net, self.n_agents, self.device = net, spec.n_agents, device
        self.generators = generators([stream(seed, "actions") for seed in seeds])

    def initial(self, copies: int, explore: bool) -> None:
        """Return the memory that an episode begins with: none."""
        return None

    def in_place(self, copies: int, time: int, explore: bool) -> ByLogits | None:
        """Return what acts for so many steps, with their noise."""
        if self.device.type != "cpu":
            return None
        sizes = (time, copies, self.n_agents) if explore else (0, 0, 0)
        return ByLogits(self.net.in_place(), uniform(self.generators, *sizes).numpy())

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: None, explore: bool) -> tuple[Choice, None]:
        """Choose everyone's action."""
        rows = to_rows(step.obs.to(self.device)[:, :, None], self.net.sets)
        logits = from_rows(self.net.logits(rows), self.n_agents)[:, :, 0]
        avail = step.avail_actions.to(self.device)
        if not explore:
            return Choice(greedy(logits, avail).cpu()), memory
        noise = uniform(self.generators, *logits.shape[1:3]).to(self.device)
        return Choice(categorical(logits, avail, noise).cpu()), memory
