"""BDPS's networks, the advantage that roles are chosen by, and eq. 10's entropies.

Networks see *rows*: ``[R, T, M, ..]`` for R runs, T instants and M = copies x agents.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional

from partage.learners._bdps_groups import GroupSelector
from partage.learners._bdps_settings import Settings
from partage.learners._off_policy import MixedNetworks
from partage.nn.mixer import Mixer
from partage.nn.networks import RoutedQ
from partage.rl.losses import total
from partage.rl.noise import generators
from partage.sims.contract import Spec, stream


class Networks(MixedNetworks):
    """Role networks, group networks, the group selector, and a mixer for either kind of values."""

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        s = settings
        self.spec, self.settings = spec, s
        n, ids = spec.n_agents, spec.n_agents if s.sharing == "id" else 0
        inputs = spec.obs_dim + spec.n_actions + ids
        g = generators([stream(seed, "networks") for seed in seeds])
        self.mixer = Mixer(g, n, spec.state_dim, s.mixer, s.hyper)
        self.roles = RoutedQ(g, s.roles, inputs, spec.n_actions, s.hidden)
        if s.levels == "both":
            self.groups = RoutedQ(g, s.groups, inputs + s.hidden, spec.n_actions, s.hidden)
            self.selector = GroupSelector(g, n, s.roles, s.groups, s.hidden, s.group_features)
            self.group_mixer = Mixer(g, n, spec.state_dim, s.mixer, s.hyper)

    def inputs(
        self, obs: Float32[Tensor, "R B T N O"], last_action: Int64[Tensor, "R B T N"]
    ) -> Float32[Tensor, "R T M F"]:
        """Return observation, last action (-1: none yet) and agent's id side by side, as rows."""
        # -1 falls into the first column, which is cut off
        one_hot = functional.one_hot(last_action + 1, self.spec.n_actions + 1)[..., 1:].float()
        parts = [obs, one_hot]
        if self.settings.sharing == "id":
            ids = torch.eye(self.spec.n_agents, device=obs.device)
            parts.append(ids.expand(*obs.shape[:4], -1))
        return to_agent_rows(torch.cat(parts, -1))

    def values(
        self,
        x: Float32[Tensor, "R T M F"],
        h_u: Float32[Tensor, "R M H"],
        h_v: Float32[Tensor, "R M H"],
        roles: Int64[Tensor, "R T M"],
        groups: Int64[Tensor, "R T M"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return Q^U and Q^V, and the hidden states h^U and h^V, at every instant.

        Values are ``[R, T, M, A]``, hidden states ``[R, T, M, H]``; `h_u` and `h_v` are the states
        before the first instant.
        """
        q_u, h_u = self.roles(x, h_u, roles)
        if self.settings.levels == "individual":
            return q_u, torch.zeros_like(q_u), h_u, h_u
        role_state = h_u.detach() if self.settings.hidden_state == "detached" else h_u
        q_v, h_v = self.groups(torch.cat((x, role_state), -1), h_v, groups)
        return q_u, q_v, h_u, h_v


def advantage(
    settings: Settings,
    q_u: Float32[Tensor, "*X A"],
    q_v: Float32[Tensor, "*X A"],
    avail: Bool[Tensor, "*X A"],
    actions: Int64[Tensor, "*X"],
) -> Float32[Tensor, "*X W"]:
    """Return A = max Q - Q >= 0 (BDPS §3.1.1), 0 for actions that are not available.

    W is the number of actions, or 1 where only the action taken counts.
    """
    q = q_u if settings.advantage_of == "role" else q_u + q_v
    best = q.masked_fill(~avail, -torch.inf).amax(-1, keepdim=True)
    of_actions = (best - q).masked_fill(~avail, 0.0)
    if settings.advantage == "actions":
        return of_actions
    return of_actions.gather(-1, actions[..., None])


def to_agent_rows(x: Tensor) -> Tensor:
    """Return ``[R, B, T, N, ..]`` as rows of copies x agents: ``[R, T, M, ..]``."""
    return x.transpose(1, 2).flatten(2, 3)


def from_agent_rows(rows: Tensor, copies: int) -> Tensor:
    """Return the inverse of `to_agent_rows`."""
    return rows.unflatten(2, (copies, -1)).transpose(1, 2)


def entropy_difference(
    q_u: Float32[Tensor, "R T1 M A"], q_v: Float32[Tensor, "R T1 M A"], batch: dict[str, Tensor]
) -> Float32[Tensor, "R"]:
    """Return entropy of softmax Q^V less that of softmax Q^U, in nats   (BDPS eq. 10).

    It is the mean over living agents.
    """
    log_u, log_v = q_u.detach()[:, :-1].log_softmax(-1), q_v.detach()[:, :-1].log_softmax(-1)
    difference = (log_u.exp() * log_u - log_v.exp() * log_v).sum(-1)  # [R, T, M]
    counts = to_agent_rows(batch["filled"][..., None] & batch["alive"][:, :, :-1])
    by_time = (difference * counts).sum(-1, keepdim=True).transpose(1, 2)  # [R, 1, T]
    return total(by_time) / counts.sum((1, 2)).clamp(min=1)
