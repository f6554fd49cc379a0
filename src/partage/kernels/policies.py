"""What acts in compiled code: a NamedTuple, whose type says how.

C = R x B copies have M = C x N rows, as in `acting`.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from numba.extending import overload

from partage.kernels import compiled
from partage.kernels.acting import Bank, Body, apply_bank, apply_body
from partage.kernels.choices import Noise, best, choose
from partage.kernels.gemm import padded_width
from partage.kernels.mlp import relu
from partage.kernels.pointwise import categorical_rows
from partage.kernels.roles import ByRoles, act_by_roles


class ByValues(NamedTuple):
    """A recurrent agent, its values the sum of what its heads say of the states."""

    body: Body
    heads: tuple[Bank, ...]
    noise: Noise  # of whole episodes
    h: Float32[np.ndarray, "M H"]  # changes
    last: Int64[np.ndarray, "M"]  # changes; -1: none yet


class ByLayeredValues(NamedTuple):
    """A recurrent agent, its values what the layers behind the memory give in turn."""

    body: Body
    layers: tuple[Bank, ...]
    noise: Noise  # of whole episodes
    h: Float32[np.ndarray, "M H"]  # changes
    last: Int64[np.ndarray, "M"]  # changes; -1: none yet


class ByLogits(NamedTuple):
    """Layers with ReLU between them, from whose softmax actions are sampled."""

    layers: tuple[Bank, ...]
    level: Float32[np.ndarray, "R T B N"]  # uniform noise; of no instants: the most probable


class ByTurns(NamedTuple):
    """By values, but an agent whose turn it is takes the best action by layers of their own."""

    base: ByValues
    layers: tuple[Bank, ...]
    who: Int64[np.ndarray, "R T B"]  # the agent whose turn it is; N: nobody's


Actor = ByValues | ByLayeredValues | ByLogits | ByTurns | ByRoles


@compiled
def _act_by_values(actor, buffers, t, actions):
    """Take each agent's best action, or any available one where the noise says so."""
    rows = actions.size
    after = np.empty(actor.h.shape, np.float32)
    apply_body(buffers.obs.reshape(rows, -1), actor.last, actor.h, actor.body, after)
    width = padded_width(buffers.avail_actions.shape[2])
    values, more = np.empty((rows, width), np.float32), np.empty((rows, width), np.float32)
    apply_bank(after, actor.last, actor.heads[0], values)
    for n in range(1, len(actor.heads)):
        apply_bank(after, actor.last, actor.heads[n], more)
        values += more
    actor.h[:] = after
    choose(values, buffers.avail_actions, actor.noise, t, actions)
    actor.last[:] = actions.reshape(-1)


@compiled
def _act_by_layered_values(actor, buffers, t, actions):
    """Take each agent's best action, or any available one where the noise says so."""
    rows = actions.size
    after = np.empty(actor.h.shape, np.float32)
    apply_body(buffers.obs.reshape(rows, -1), actor.last, actor.h, actor.body, after)
    actor.h[:] = after
    values = _behind_layers(actor.layers, after)
    choose(values, buffers.avail_actions, actor.noise, t, actions)
    actor.last[:] = actions.reshape(-1)


@compiled
def _through_layers(layers, buffers):
    """Return what everyone observes behind layers ``[M, O]``, padded."""
    return _behind_layers(layers, buffers.obs.reshape(buffers.alive.size, -1))


@compiled
def _behind_layers(layers, x):
    """Return rows ``[M, I]`` behind layers ``[M, O]``, padded, with ReLU between them."""
    rows, nothing = len(x), np.full(len(x), -1)
    for n in range(len(layers)):
        y = np.empty((rows, padded_width(layers[n].weight.shape[3])), np.float32)
        apply_bank(x, nothing, layers[n], y)
        if n < len(layers) - 1:
            relu(y)
        x = y
    return x


@compiled
def _act_by_logits(actor, buffers, t, actions):
    """Take an action at the noise's level of the policy, or the most probable one."""
    logits, rows, runs = _through_layers(actor.layers, buffers), actions.size, len(actor.level)
    n_actions = buffers.avail_actions.shape[2]
    avail, chosen = buffers.avail_actions.reshape(rows, n_actions), actions.reshape(-1)
    explore = actor.level.shape[1] > 0
    for r in range(runs if explore else 0):
        a, b = r * rows // runs, (r + 1) * rows // runs
        level = actor.level[r, t].reshape(-1)
        categorical_rows(logits[a:b, :n_actions], avail[a:b], level, chosen[a:b])
    for m in range(rows):
        if not explore:
            chosen[m] = best(logits[m], avail[m])
        elif chosen[m] < 0:  # logits that are no numbers
            chosen[m] = np.argmax(avail[m])


@compiled
def _act_by_turns(actor, buffers, t, actions):
    """Act by values, but for the agents whose turn it is."""
    _act_by_values(actor.base, buffers, t, actions)
    runs, time = actor.who.shape[:2]
    for r in range(runs if time else 0):
        if (actor.who[r, t] < actions.shape[1]).any():
            _take_turns(actor, buffers, t, actions)
            break


@compiled
def _take_turns(actor, buffers, t, actions):
    """Let the agents whose turn it is take the best action by their layers."""
    values = _through_layers(actor.layers, buffers)
    agents, copies = actions.shape[1], actor.who.shape[2]
    for c in range(len(actions)):
        n = actor.who[c // copies, t, c % copies]
        if n < agents:
            actions[c, n] = best(values[c * agents + n], buffers.avail_actions[c, n])
            actor.base.last[c * agents + n] = actions[c, n]


def act(actor: Any, buffers: Any, t: int, actions: np.ndarray) -> None:
    """Write everyone's action ``[C, N]`` at instant t, by whatever acts."""


WAYS: dict[type, Any] = {
    ByValues: _act_by_values,
    ByLayeredValues: _act_by_layered_values,
    ByLogits: _act_by_logits,
    ByTurns: _act_by_turns,
    ByRoles: act_by_roles,
}


@overload(act)
def _act(actor, buffers, t, actions):
    by = WAYS[actor.instance_class]
    return lambda actor, buffers, t, actions: by(actor, buffers, t, actions)
