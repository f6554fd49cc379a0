"""A bank of GRUs over time: `torch.nn.GRU`'s equations, with R runs and G sets side by side.

On the CPU one compiled call walks through all instants. At each, every set multiplies the rows that
go through it, 64 at a time, and a row's gates stay in the cache from their products to the new
state. Which set a row goes through may change from instant to instant (`partage.nn.routing`);
usually it does not, and each set has its own rows in the order of time. Sums are taken row after
row, so a run's bits depend neither on its pack nor on zeros behind its last row. On other devices
it is the library's GRU, set by set.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.kernels.gemm import BLOCK, LANES
from partage.kernels.gru import walk_backward, walk_forward
from partage.nn.bank import Bank, Rows, within
from partage.sharing.assignment import Assignment, pick


class Order(NamedTuple):
    """Where L sorted rows come from and go through. Stretches are numbered k = group * sets + set."""

    before: (
        np.ndarray
    )  # [L]: the sorted row one instant earlier; in the first instant -1 less the row of `first`
    bounds: np.ndarray  # [T, K, 2]: where the rows of stretch k at instant t begin and end
    sets: int  # among which the rows of a group may move


class GRUWeights(NamedTuple):
    """GRUs in four columns, (new from h, reset, update, new from x): h feeds the first three of
    them, x the last three.

    Units and inputs are filled up with zeros to whole registers, which leaves zeros in the states
    there.
    """

    wx: Float32[Tensor, "K I 3H"] | None  # None: the rows are what it would give
    wh: Float32[Tensor, "K H 3H"]
    bias: Float32[Tensor, "K 4H"]

    @classmethod
    def of(cls, wx: Tensor, bx: Tensor, wh: Tensor, bh: Tensor) -> "GRUWeights":
        """From weights ``[K, I, 3H]`` and biases ``[K, 3H]`` in torch's order: reset, update, new."""
        hidden = wh.shape[1]
        wh, bh = wh.roll(hidden, -1), bh.roll(hidden, -1)
        bias = functional.pad(bx, (hidden, 0)) + functional.pad(bh, (0, hidden))
        if more := -hidden % LANES:
            wx, wh, bias = (
                _wider(y, hidden) for y in (wx, functional.pad(wh, (0, 0, 0, more)), bias)
            )
        return cls(functional.pad(wx, (0, 0, 0, -wx.shape[1] % LANES)), wh, bias)


def _wider(columns: Tensor, hidden: int) -> Tensor:
    """Columns of so many units, each column filled up to whole registers."""
    return functional.pad(columns.unflatten(-1, (-1, hidden)), (0, -hidden % LANES)).flatten(-2)


class GRU(nn.Module):
    """``h_t = GRU(x_t, h_{t-1})`` over the time axis of rows, gates in torch's order: reset,
    update, new.
    """

    def __init__(self, generators: list[Generator], sets: int, inputs: int, hidden: int) -> None:
        super().__init__()
        init = within(hidden**-0.5)  # torch.nn.GRU's own default
        self.inputs = Bank(generators, sets, inputs, 3 * hidden, init)
        self.hidden = Bank(generators, sets, hidden, 3 * hidden, init)

    def select(self, index: Assignment) -> GRUWeights:
        """The cells that each agent goes through; they hold until the next update."""
        return GRUWeights.of(
            *(
                pick(p, index).flatten(0, 1)
                for b in (self.inputs, self.hidden)
                for p in (b.weight, b.bias)
            )
        )

    def forward(
        self, rows: Rows, h: Float32[Tensor, "R G M H"], index: Assignment
    ) -> Float32[Tensor, "R G T M H"]:
        """The hidden states after each instant; `h` is the one before the first."""
        return run_gru(rows, h, self.select(index))


def run_gru(
    rows: Rows, h: Float32[Tensor, "R G M H"], cell: GRUWeights
) -> Float32[Tensor, "R G T M H"]:
    """`GRU.forward` with what its `select` returned; without `wx` the rows are the gates' own
    inputs.
    """
    shape = rows.shape[:4]
    if rows.device.type == "cpu":
        order = _regular(shape[0] * shape[1], *shape[2:])
        return run_gru_sorted(rows.flatten(0, 3), h.flatten(0, 2), cell, order).unflatten(0, shape)
    return by_library(rows.flatten(0, 1), h.flatten(0, 1), cell).unflatten(0, shape[:2])


@lru_cache(maxsize=64)
def _regular(k: int, time: int, rows: int) -> Order:
    """The order of ``[K, T, M]``: every stretch has M rows at each instant, and keeps them."""
    ends = rows * np.arange(1, k * time + 1).reshape(k, time).T
    before = np.arange(k * time * rows).reshape(k, time, rows) - rows
    before[:, 0] = -1 - np.arange(k * rows).reshape(k, rows)
    return Order(before.reshape(-1), np.stack((ends - rows, ends), -1), 1)


def by_library(
    x: Float32[Tensor, "K T M I"], h: Float32[Tensor, "K M H"], cell: GRUWeights
) -> Float32[Tensor, "K T M H"]:
    """`torch.gru` of each set."""
    hidden, wide = h.shape[-1], cell.wh.shape[1]
    x, h = _filled(x, h, cell)
    wx = torch.eye(3 * wide, device=x.device).expand(len(x), -1, -1) if cell.wx is None else cell.wx
    wh, bx, bh = (
        cell.wh.roll(-wide, -1),
        cell.bias[:, wide:],
        functional.pad(cell.bias[:, :wide], (2 * wide, 0)),
    )
    states = [
        torch.gru(
            x[k], h[k, None], [wx[k].T, wh[k].T, bx[k], bh[k]], True, 1, 0.0, False, False, False
        )[0]
        for k in range(len(x))
    ]
    return torch.stack(states)[..., :hidden]


def run_gru_sorted(
    x: Float32[Tensor, "L I"], first: Float32[Tensor, "F H"], cell: GRUWeights, order: Order
) -> Float32[Tensor, "L H"]:
    """The states after sorted rows, from the rows of `first` on."""
    hidden = first.shape[1]
    x, first = _filled(x, first, cell)
    wx = cell.wh[:, :0] if cell.wx is None else cell.wx
    if torch.is_grad_enabled():
        states: Any = Walk.apply(x, first, wx, cell.wh, cell.bias, order)
    else:
        states = _walk(x, first, wx, cell.wh, cell.bias, order, keep=False)[0]
    return states[:, :hidden]


def _filled(x: Tensor, h: Tensor, cell: GRUWeights) -> tuple[Tensor, Tensor]:
    """Rows and states as wide as the cell."""
    hidden, more = h.shape[-1], cell.wh.shape[1] - h.shape[-1]
    if cell.wx is None:
        x = _wider(x, hidden) if more else x
    elif x.shape[-1] < cell.wx.shape[1]:
        x = functional.pad(x, (0, cell.wx.shape[1] - x.shape[-1]))
    return x, functional.pad(h, (0, more)) if more else h


class Walk(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, first: Tensor, wx: Tensor, wh: Tensor, bias: Tensor, order: Order
    ) -> Float32[Tensor, "L H"]:
        states, gates = _walk(x, first, wx, wh, bias, order, keep=True)
        ctx.save_for_backward(x, first, wx, wh, gates, states)
        ctx.order = order
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, first, wx, wh, gates, states = ctx.saved_tensors
        grad = grad_outputs[0].clone(
            memory_format=torch.contiguous_format
        )  # what later instants ask for is added
        dx, d_first, d_wx, d_wh = (
            x.new_empty(x.shape),
            *(y.new_zeros(y.shape) for y in (first, wx, wh)),
        )
        d_bias = wh.new_zeros(len(wh), 4 * wh.shape[1], dtype=torch.float64)
        back = (y.transpose(1, 2).contiguous() for y in (wx, wh))
        tensors = (
            x,
            first.contiguous(),
            *back,
            gates,
            states,
            grad,
            dx,
            d_first,
            d_wx,
            d_wh,
            d_bias,
        )
        walk_backward(*(y.numpy() for y in tensors), *ctx.order)
        return dx, d_first, d_wx, d_wh, d_bias.float(), None


def _walk(
    x: Tensor, first: Tensor, wx: Tensor, wh: Tensor, bias: Tensor, order: Order, keep: bool
) -> tuple[Tensor, Tensor]:
    """The states, and all that their gates were (of the last rows only unless it is kept)."""
    hidden = wh.shape[1]
    gates, states = x.new_empty(len(x) if keep else BLOCK, 4 * hidden), x.new_empty(len(x), hidden)
    tensors = (y.detach().contiguous().numpy() for y in (x, first, wx, wh, bias, gates, states))
    walk_forward(*tensors, *order, keep)
    return states, gates
