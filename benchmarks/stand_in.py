"""A stand-in for a simulator on a card: roll call in torch's own operations, on any device.

On torch's device ``meta`` tensors have no values: whoever asks for one, as whoever would wait for a
card, gets an error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from partage.sims import contract
from partage.sims.contract import Spec, TimeStep


class RollCall:
    """``roll_call``: the team earns the share of agents n that do action n."""

    def __init__(self, seeds: Sequence[int], copies: int, device: str, spec: Spec) -> None:
        self.spec, self.runs, self.copies, self.device = spec, len(seeds), copies, device
        size = self.runs, copies
        n, a = spec.n_agents, spec.n_actions

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*size, *shape, dtype=dtype, device=device)

        self.now = TimeStep(
            obs=zeros(n, spec.obs_dim),
            state=zeros(spec.state_dim),
            avail_actions=zeros(n, a, dtype=torch.bool).fill_(True),
            alive=zeros(n, dtype=torch.bool).fill_(True),
            reward=zeros(n),
            terminated=zeros(dtype=torch.bool),
            truncated=zeros(dtype=torch.bool),
            score=zeros(),
            feature=zeros(),
            clock=zeros(dtype=torch.int64),
        )
        self.live = zeros(dtype=torch.bool)
        self.right = torch.arange(n, device=device) % a

    def reset(self, where: Tensor | None = None) -> TimeStep:
        now = self.now
        where = torch.ones_like(self.live) if where is None else where
        self.live.logical_or_(where)
        for x in (now.terminated, now.truncated, now.score, now.clock):
            x.copy_(torch.where(where, torch.zeros_like(x), x))
        return self._show()

    def step(self, actions: Tensor) -> TimeStep:
        now = self.now
        now.clock.add_(self.live)
        share = (actions == self.right).float().mean(-1) * self.live
        now.reward.copy_(share[..., None].expand_as(now.reward))
        now.score.add_(share)
        ended = (now.clock >= self.spec.horizon) & self.live
        now.truncated.logical_or_(ended)
        self.live.logical_and_(~ended)
        return self._show()

    def _show(self) -> TimeStep:
        instant = torch.arange(self.spec.obs_dim, device=self.device)
        one = (self.now.clock[..., None] == instant).float()
        self.now.obs.copy_(one[:, :, None].expand_as(self.now.obs))
        instant = torch.arange(self.spec.state_dim, device=self.device)
        self.now.state.copy_((self.now.clock[..., None] == instant).float())
        return self.now

    def state_dict(self) -> dict[str, Any]:
        return {"now": [x.clone() for x in self.now], "live": self.live.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> TimeStep:
        for x, saved in zip(self.now, state["now"], strict=True):
            x.copy_(saved)
        self.live.copy_(state["live"])
        return self.now

    def close(self) -> None:
        pass


def roll_call(seeds: Sequence[int], copies: int, device: str = "cpu") -> contract.Env:
    """Four agents, four actions, eight steps."""
    sizes = {"n_agents": 4, "n_actions": 4, "obs_dim": 9, "state_dim": 9, "horizon": 8}
    return RollCall(seeds, copies, device, Spec(**sizes, common_reward=True))
