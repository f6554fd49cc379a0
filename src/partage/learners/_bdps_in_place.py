"""BDPS's actor in compiled code, which Python leaves where roles are chosen (`kernels.roles`)."""

import numpy as np
import torch
from torch import Tensor

from partage.kernels import roles
from partage.kernels.roles import ByRoles
from partage.learners._bdps_memory import Memory
from partage.learners._bdps_networks import Networks
from partage.learners._bdps_roles import RoleSelector
from partage.nn.gru import GRU
from partage.nn.routed import RoutedQ
from partage.rl import exploration
from partage.sharing.assignment import Assignment
from partage.sims.contract import TimeStep


def by_roles(nets: Networks, selector: RoleSelector, m: Memory, copies: int, time: int) -> ByRoles:
    """Return what acts in episodes that begin with this memory."""
    s, spec = nets.settings, nets.spec
    last, role, group = (x.numpy().copy() for x in (m.last_action, m.roles, m.groups))
    shape = len(role), copies, time, spec.n_agents
    role_noise = np.empty((0, 0, 0, 0), np.float32)
    if m.role_noise is not None:
        role_noise = m.role_noise.numpy()
    return ByRoles(
        ids=spec.n_agents if s.sharing == "id" else 0,
        u=_routed(nets.roles, role, m.h_u),
        v=_routed(nets.groups, group, m.h_v),
        selector=_selector(nets, m),
        reader=roles.Reader(
            _memory(selector.reader, selector.everyone, m.h_advantage),
            (selector.scale if selector.scaled else torch.ones(len(role))).numpy(),
            s.advantage == "actions",
            s.advantage_of == "sum",
        ),
        noise=exploration.in_place(m.action_noise),
        last=last.reshape(-1),
        role=role,
        group=group,
        roles=np.zeros(shape, np.int64),
        groups=np.zeros(shape, np.int64),
        role_noise=role_noise,
    )


def _rows(h: Tensor) -> np.ndarray:
    """Return states of a run's rows as those of all runs, in memory of their own."""
    return h.flatten(0, 1).numpy().copy()


def _routed(net: RoutedQ, used: np.ndarray, h: Tensor) -> roles.Routed:
    """Return networks among which rows move as `used` ``[R, M]`` says."""
    body, head = net.in_place(torch.from_numpy(used))
    return roles.Routed(body, head, _rows(h))


def _memory(gru: GRU, everyone: Assignment, h: Tensor) -> roles.Memory:
    """Return a GRU that all share, and its states."""
    return roles.Memory(gru.inputs.in_place(everyone), gru.hidden.in_place(everyone), _rows(h))


def _selector(nets: Networks, m: Memory) -> roles.Selector:
    """Return the group selector with an episode's noise."""
    selector, given, fed = nets.selector, m.given_groups, m.attention
    assert fed is not None  # there are groups
    return roles.Selector(
        fed=fed.contiguous().numpy(),
        numbers=selector.numbers.numpy(),
        place_values=selector.place_values.numpy(),
        memory=_memory(selector.memory, selector.everyone, m.h_selector),
        value=selector.value.in_place(selector.everyone),
        noise=exploration.in_place(m.group_noise),
        given=np.empty((0, 0, 0), np.int64) if given is None else given.numpy(),
        period=nets.settings.group_period,
    )


def choose_roles(
    selector: RoleSelector, play: ByRoles, step: TimeStep, t: int, period: int
) -> None:
    """Choose the roles of a period that begins; the dead keep theirs."""
    h = torch.from_numpy(play.reader.memory.h).unflatten(0, play.role.shape)
    noise = None
    if play.role_noise.size:
        noise = torch.from_numpy(play.role_noise)[:, t // period]
    living = step.alive.flatten(1) | (t == 0)
    role = torch.from_numpy(play.role)
    role.copy_(torch.where(living, selector.roles(h, noise), role))
    h.zero_()
