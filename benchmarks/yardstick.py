"""What the QMIX learner is held to: the same update as plain PyTorch writes it, for one run.

Torch's own layers and autograd; `nn.GRU` over all time, one module per agent where nobody shares,
targets without a graph, foreach optimiser.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from partage.learners.qmix import Settings
from partage.sims.contract import Spec


class Agent(nn.Module):
    """PyMARL's agent over rows ``[T, M, inputs]``."""

    def __init__(self, inputs: int, hidden: int, n_actions: int) -> None:
        super().__init__()
        self.encoder, self.gru = nn.Linear(inputs, hidden), nn.GRU(hidden, hidden)
        self.head = nn.Linear(hidden, n_actions)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(self.encoder(x).relu())[0])


def hyper(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Networks(nn.Module):
    def __init__(self, spec: Spec, s: Settings) -> None:
        super().__init__()
        self.spec, self.own, self.embed = spec, s.sharing == "none", s.mixer
        inputs = spec.obs_dim + spec.n_actions + (spec.n_agents if s.sharing == "id" else 0)
        count = spec.n_agents if self.own else 1
        self.agents = nn.ModuleList(Agent(inputs, s.hidden, spec.n_actions) for _ in range(count))
        self.w1, self.w2 = (
            hyper(spec.state_dim, s.hyper, s.mixer * spec.n_agents),
            hyper(spec.state_dim, s.hyper, s.mixer),
        )
        self.b1, self.v = nn.Linear(spec.state_dim, s.mixer), hyper(spec.state_dim, s.mixer, 1)

    def q(self, x: Tensor) -> Tensor:
        """``[T, B, N, inputs]`` -> ``[T, B, N, A]``."""
        if self.own:
            return torch.stack([agent(x[:, :, n]) for n, agent in enumerate(self.agents)], 2)
        return self.agents[0](x.flatten(1, 2)).unflatten(1, x.shape[1:3])

    def total(self, q: Tensor, state: Tensor) -> Tensor:
        w1, w2 = (
            self.w1(state).abs().unflatten(-1, (self.spec.n_agents, self.embed)),
            self.w2(state).abs(),
        )
        hidden = functional.elu((q[..., None] * w1).sum(-2) + self.b1(state))
        return (hidden * w2).sum(-1) + self.v(state).squeeze(-1)


class Plain:
    """One QMIX run on batches ``[1, B, T, ...]`` of the replay's."""

    def __init__(self, spec: Spec, settings: Settings) -> None:
        self.spec, self.settings, self.nets = spec, settings, Networks(spec, settings)
        self.target = deepcopy(self.nets).requires_grad_(False)
        s, parameters = settings, list(self.nets.parameters())
        self.optimiser = torch.optim.RMSprop(
            parameters, lr=s.lr, alpha=s.alpha, eps=s.rms_eps, foreach=True
        )

    def update(self, batch: dict[str, Tensor]) -> Tensor:
        """One gradient step; returns the loss before it."""
        b = {name: x[0].transpose(0, 1) for name, x in batch.items()}  # time first
        hot = functional.one_hot(b["actions"], self.spec.n_actions).float()
        parts = [b["obs"], torch.cat((torch.zeros_like(hot[:1]), hot))]
        if self.settings.sharing == "id":
            parts.append(torch.eye(self.spec.n_agents).expand(*parts[0].shape[:3], -1))
        x = torch.cat(parts, -1)
        q = self.nets.q(x)
        total = self.nets.total(
            q[:-1].gather(-1, b["actions"][..., None]).squeeze(-1), b["state"][:-1]
        )
        with torch.no_grad():
            best = q[1:].masked_fill(~b["avail_actions"][1:], -torch.inf).argmax(-1, keepdim=True)
            following = self.target.total(
                self.target.q(x)[1:].gather(-1, best).squeeze(-1), b["state"][1:]
            )
            goal = b["team_reward"] + self.settings.gamma * following * ~b["terminated"]
        loss = ((total - goal) * b["filled"]).square().sum() / b["filled"].sum()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.nets.parameters(), self.settings.clip, foreach=True)
        self.optimiser.step()
        return loss.detach()
