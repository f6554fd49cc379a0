"""BDPS's networks, the advantage that roles are chosen by, and eq. 10's entropies.

Networks see *rows*: ``[R, T, M, ..]`` for R runs, T instants and M = copies x agents.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional

from partage.learners._bdps_groups import GroupSelector, Histories
from partage.learners._bdps_settings import Settings
from partage.learners._off_policy import MixedNetworks
from partage.learners._periods import PeriodValues, gather_time
from partage.nn.mixer import Mixer
from partage.nn.pointwise import log_softmax
from partage.nn.routed import RoutedQ
from partage.nn.routing import InOrder, Routes, routes
from partage.rl.losses import total
from partage.rl.noise import generators
from partage.sims.contract import Spec, stream


class Rows(NamedTuple):
    """What R runs' M rows see at T instants, and through which role and group they go.

    On the CPU they are sorted by role and group, both at once (`partage.nn.routing`); elsewhere
    they are as they are.
    """

    x: Float32[Tensor, "L F"]  # elsewhere [R, T, M, F]
    way: Routes | None  # None: not sorted
    roles: Int64[Tensor, "R K"]  # of each stretch; elsewhere [R, T, M]
    groups: Int64[Tensor, "R K"]
    shape: tuple[int, ...]  # R, T, M

    def in_order(self, x: Tensor) -> Tensor:
        """Return what was computed of these rows as ``[R, T, M, ..]``, zeros where left out."""
        if self.way is None:
            return x
        in_order: Any = InOrder.apply(x, self.way.to, math.prod(self.shape))
        return in_order.unflatten(0, self.shape)


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

    def rows(
        self,
        obs: Float32[Tensor, "R B T N O"],
        last_action: Int64[Tensor, "R B T N"],
        roles: Int64[Tensor, "R T M"],
        groups: Int64[Tensor, "R T M"],
    ) -> Rows:
        """Return what goes into the networks: observation, last action (-1: none yet), agent's id.

        Rows whose role is negative are left out.
        """
        s, x = self.settings, self._inputs(obs, last_action)
        if obs.device.type != "cpu":
            return Rows(x, None, roles, groups, roles.shape)
        teams = s.groups if s.levels == "both" else 1
        pair = torch.where(roles < 0, -1, roles * teams + groups) if teams > 1 else roles
        way = routes(pair, s.roles * teams)
        stretch = torch.arange(s.roles * teams).expand(len(obs), -1)
        return Rows(
            x=x.flatten(0, 2).index_select(0, way.to),
            way=way,
            roles=stretch // teams,
            groups=stretch % teams,
            shape=roles.shape,
        )

    def _inputs(
        self, obs: Float32[Tensor, "R B T N O"], last_action: Int64[Tensor, "R B T N"]
    ) -> Float32[Tensor, "R T M F"]:
        """Return observation, last action and agent's id side by side, as rows."""
        # -1 falls into the first column, which is cut off
        one_hot = functional.one_hot(last_action + 1, self.spec.n_actions + 1)[..., 1:].float()
        parts = [obs, one_hot]
        if self.settings.sharing == "id":
            ids = torch.eye(self.spec.n_agents, device=obs.device)
            parts.append(ids.expand(*obs.shape[:4], -1))
        return torch.cat([to_agent_rows(part) for part in parts], -1)

    def values(
        self, rows: Rows, h_u: Float32[Tensor, "R M H"], h_v: Float32[Tensor, "R M H"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return Q^U and Q^V, and the hidden states h^U and h^V, at every instant.

        Values are ``[R, T, M, A]``, and zeros of rows left out; hidden states lie as the rows do.
        `h_u` and `h_v` are the states before the first instant.
        """
        q_u, h_u = self.roles(rows.x, h_u, rows.way, rows.roles)
        q_u_in_order = rows.in_order(q_u)
        if self.settings.levels == "individual":
            return q_u_in_order, torch.zeros_like(q_u_in_order), h_u, h_u
        role_state = h_u.detach() if self.settings.hidden_state == "detached" else h_u
        x = torch.cat((rows.x, role_state), -1)
        q_v, h_v = self.groups(x, h_v, rows.way, rows.groups)
        return q_u_in_order, rows.in_order(q_v), h_u, h_v

    def group_values(self, histories: Histories) -> PeriodValues:
        """Return what values groups, along agents' histories."""
        selector = self.selector
        states = selector.states_of_histories(selector.attention(), histories)

        def at(instants: Int64[Tensor, "R B P"]) -> Float32[Tensor, "R B P N G"]:
            row = gather_time(histories.row_of, instants)
            return selector.values(states.index_select(0, row.flatten()).unflatten(0, row.shape))

        return PeriodValues(at, self.group_mixer)


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
    log_u, log_v = (log_softmax(q.detach()[:, :-1]) for q in (q_u, q_v))
    difference = (log_u.exp() * log_u - log_v.exp() * log_v).sum(-1)  # [R, T, M]
    counts = to_agent_rows(batch["filled"][..., None] & batch["alive"][:, :, :-1])
    by_time = (difference * counts).sum(-1, keepdim=True).transpose(1, 2)  # [R, 1, T]
    return total(by_time) / counts.sum((1, 2)).clamp(min=1)
