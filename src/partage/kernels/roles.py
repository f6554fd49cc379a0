"""BDPS's agents in compiled code: groups by the selector's memory, actions by role and group.

Roles are chosen between calls, where a period begins. Rows are M = C x N, as in `acting`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from partage.kernels import compiled
from partage.kernels.acting import Bank, Body, apply_bank, apply_body, apply_cell
from partage.kernels.choices import Noise, choose
from partage.kernels.gemm import padded_width
from partage.kernels.pointwise import F


class Routed(NamedTuple):
    """Networks among which rows may move; the sharing of their banks lists every row's own."""

    body: Body
    head: Bank
    h: Float32[np.ndarray, "M H"]  # changes


class Memory(NamedTuple):
    """A GRU and its states."""

    inputs: Bank
    hidden: Bank
    h: Float32[np.ndarray, "M H"]  # changes


class Selector(NamedTuple):
    """The group selector: what its memory is fed for every count of players, and its values."""

    fed: Float32[np.ndarray, "R EK 3H"]
    numbers: Int64[np.ndarray, "E"]  # of the counts, sorted
    place_values: Int64[np.ndarray, "K"]
    memory: Memory
    value: Bank
    noise: Noise  # of the episode's choices of groups
    given: Int64[np.ndarray, "R P M"]  # or groups that are given; of no choices: they are chosen
    period: int  # steps between two choices


class Reader(NamedTuple):
    """The role selector's memory of the advantages of a period, and what it reads."""

    memory: Memory
    unit: Float32[np.ndarray, "R"]
    of_actions: bool  # all actions' advantages, or that of the one taken
    of_sum: bool  # of Q^U + Q^V, or of Q^U


class ByRoles(NamedTuple):
    """BDPS's agents within an episode."""

    ids: int  # N where agents show an id, else 0
    u: Routed
    v: Routed
    selector: Selector
    reader: Reader
    noise: Noise
    last: Int64[np.ndarray, "M"]  # changes; -1: none yet
    role: Int64[np.ndarray, "R M"]  # changes, where a period begins
    group: Int64[np.ndarray, "R M"]  # changes
    roles: Int64[np.ndarray, "R B T N"]  # written down at each instant
    groups: Int64[np.ndarray, "R B T N"]
    role_noise: Float32[np.ndarray, "R P M K"]  # of each period's roles; of no periods: the mean


@compiled
def _apply_memory(x, memory):
    """Move a GRU's states on by these rows."""
    after = np.empty(memory.h.shape, np.float32)
    apply_cell(x, memory.h, memory.inputs, memory.hidden, after)
    memory.h[:] = after


@compiled
def _apply_routed(x, nothing, net):
    """Move the networks' states on, and return everyone's values."""
    after = np.empty(net.h.shape, np.float32)
    apply_body(x, nothing, net.h, net.body, after)
    net.h[:] = after
    values = np.empty((len(x), padded_width(net.head.weight.shape[3])), np.float32)
    apply_bank(after, nothing, net.head, values)
    return values


@compiled
def _feed(selector, role, alive):
    """Return what the group selector's memory is fed: by one's role and how many play each."""
    copies, agents = alive.shape
    runs, kinds = len(role), len(selector.place_values)
    fed = np.empty((copies * agents, selector.fed.shape[2]), np.float32)
    for c in range(copies):
        r, first = c * runs // copies, c * agents
        number = 0
        for n in range(agents):
            if alive[c, n]:
                number += selector.place_values[role.reshape(-1)[first + n]]
        place = np.searchsorted(selector.numbers, number)
        for n in range(agents):
            fed[first + n] = selector.fed[r, place * kinds + role.reshape(-1)[first + n]]
    return fed


@compiled
def _choose_groups(actor, buffers, t):
    """Move the group selector's memory on, and choose groups if it is time.

    The dead keep theirs.
    """
    selector, alive = actor.selector, buffers.alive
    _apply_memory(_feed(selector, actor.role, alive), selector.memory)
    if t % selector.period:
        return
    h, group = selector.memory.h, actor.group.reshape(-1)
    values = np.empty((len(h), padded_width(selector.value.weight.shape[3])), np.float32)
    apply_bank(h, np.full(len(h), -1), selector.value, values)
    options = np.ones((*alive.shape, selector.value.weight.shape[3]), np.bool_)
    chosen, choice = np.empty(alive.shape, np.int64), t // selector.period
    choose(values, options, selector.noise, choice, chosen)
    of_run = actor.group.shape[1]
    for m in range(len(group)):
        if t == 0 or alive.reshape(-1)[m]:
            group[m] = chosen.reshape(-1)[m]
            if selector.given.shape[1]:
                group[m] = selector.given[m // of_run, choice, m % of_run]


@compiled
def _inputs(actor, buffers, more):
    """Return observations, last actions and ids side by side, with room for so many numbers."""
    copies, agents, width = buffers.obs.shape
    actions = buffers.avail_actions.shape[2]
    x = np.zeros((copies * agents, width + actions + actor.ids + more), np.float32)
    for m in range(len(x)):
        x[m, :width] = buffers.obs[m // agents, m % agents]
        if actor.last[m] >= 0:
            x[m, width + actor.last[m]] = F(1)
        if actor.ids:
            x[m, width + actions + m % agents] = F(1)
    return x


@compiled
def _read_advantages(actor, q_u, q, avail):
    """Show the role selector's memory how much worse than the best each action is."""
    reader, agents = actor.reader, avail.shape[1]
    of_run = len(q) // len(reader.unit)
    of = q if reader.of_sum else q_u
    x = np.zeros((len(q), avail.shape[2] if reader.of_actions else 1), np.float32)
    for m in range(len(q)):
        row, allowed, unit = of[m], avail[m // agents, m % agents], reader.unit[m // of_run]
        top, there = row[0], False
        for a in range(len(allowed)):
            if allowed[a] and (not there or row[a] > top):
                top, there = row[a], True
        for a in range(len(allowed)):
            if allowed[a] and (reader.of_actions or a == actor.last[m]):
                x[m, a if reader.of_actions else 0] = (top - row[a]) / unit
    _apply_memory(x, reader.memory)


@compiled
def act_by_roles(actor, buffers, t, actions):
    """Choose groups where it is time, then actions by role and group; write both down."""
    _choose_groups(actor, buffers, t)
    rows, units = actor.u.h.shape
    nothing, x = np.full(rows, -1), _inputs(actor, buffers, units)
    q_u = _apply_routed(x, nothing, actor.u)
    x[:, x.shape[1] - units :] = actor.u.h
    q = q_u + _apply_routed(x, nothing, actor.v)  # eq. 6
    choose(q, buffers.avail_actions, actor.noise, t, actions)
    actor.last[:] = actions.reshape(-1)
    _read_advantages(actor, q_u, q, buffers.avail_actions)
    runs, copies, agents = len(actor.role), actor.roles.shape[1], actor.roles.shape[3]
    actor.roles[:, :, t] = actor.role.reshape(runs, copies, agents)
    actor.groups[:, :, t] = actor.group.reshape(runs, copies, agents)
