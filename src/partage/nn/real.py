"""Agents' networks along episodes of different lengths, over real instants alone (CPU).

Zeros behind the end of an episode add nothing to any sum, so no bit of what is learned tells
whether they were left out.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional

from partage.kernels.gru import Order
from partage.nn.bank import from_rows, to_rows
from partage.nn.dense import apply_layers_sorted
from partage.nn.gru import GRUWeights, cell_of_each_group, run_gru_sorted
from partage.nn.networks import SelectedQ
from partage.nn.routing import InOrder


class RealRows(NamedTuple):
    """Which of the rows ``[R, G, T, M]`` are real, and how they follow one another."""

    places: Int64[Tensor, "L"]
    bounds: Int64[np.ndarray, "K1"]  # where the rows of each of K = R * G groups begin and end
    order: Order


def real_instants(filled: Bool[Tensor, "R B T"]) -> Bool[Tensor, "R B T1"]:
    """Return the instants of episodes with these transitions: one more, and the first in any."""
    return functional.pad(filled, (1, 0), value=True)


def real_rows(real: Bool[Tensor, "R G T M"], cells: int) -> RealRows:
    """Return the rows that are real, among them all of the first instant.

    There is a cell of a GRU for each group, or one a run.
    """
    runs, groups, time, rows = real.shape
    mask = real.reshape(runs * groups, time, rows).numpy()
    place = np.cumsum(mask.reshape(-1)).reshape(mask.shape) - 1
    before = np.empty_like(place)
    before[:, 1:] = place[:, :-1]
    before[:, 0] = -1 - np.arange(runs * groups * rows).reshape(-1, rows)
    ends = np.cumsum(mask.sum(2).reshape(-1)).reshape(-1, time)
    begins = ends - mask.sum(2)
    order = Order(
        before[mask],
        np.ascontiguousarray(np.stack((begins.T, ends.T), -1)),
        1,
        np.array(cell_of_each_group(cells, runs, groups)),
    )
    places = torch.from_numpy(np.flatnonzero(mask))
    return RealRows(places, np.concatenate((begins[:, 0], ends[-1:, -1])), order)


def real_values(
    agent: SelectedQ,
    obs: Float32[Tensor, "R B T1 N O"],
    last_action: Int64[Tensor, "R B T1 N"],
    h: Float32[Tensor, "R B N H"],
    real: Bool[Tensor, "R B T1"],
) -> Float32[Tensor, "R B T1 N A"]:
    """Do as `SelectedQ` at real instants; elsewhere values are zeros."""
    body, n_agents = agent.body, obs.shape[3]
    everyone = real[..., None, None].expand(*obs.shape[:4], 1)
    mask = to_rows(everyone, body.sets).squeeze(-1)
    rows = real_rows(mask, len(body.memory.wh))
    x, hot, first = (
        to_rows(y, body.sets).flatten(0, 3) for y in (obs, last_action[..., None], h[:, :, None])
    )
    hot = hot.squeeze(-1)[rows.places]
    encoded = apply_layers_sorted(x[rows.places], rows.bounds, [body.encoder], hot)
    if body.watch is not None:
        body.watch(encoded, rows.places)
    assert isinstance(body.memory, GRUWeights)  # as on the CPU
    states = run_gru_sorted(encoded, first, body.memory, rows.order)
    values = apply_layers_sorted(states, rows.bounds, agent.head)
    everywhere: Any = InOrder.apply(values, rows.places, mask.numel())
    return from_rows(everywhere.unflatten(0, mask.shape), n_agents)
