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

from partage.kernels.gemm import BLOCK, padded_width
from partage.kernels.gru import (
    Cells,
    Gradients,
    Order,
    TransposedCells,
    Walk,
    walk_backward,
    walk_forward,
)
from partage.nn.bank import Bank, Rows, within
from partage.sharing.assignment import Assignment, pick


class GRUWeights(NamedTuple):
    """GRUs in four columns (new from h, reset, update, new from x): h feeds the first three, x the
    last three.

    Units and inputs are padded with zeros to whole registers, which leaves zeros in the states
    there.
    """

    wx: Float32[Tensor, "K I 3H"] | None  # None: the rows are what it would give
    wh: Float32[Tensor, "K H 3H"]
    bias: Float32[Tensor, "K 4H"]

    @classmethod
    def of(cls, wx: Tensor, bx: Tensor, wh: Tensor, bh: Tensor) -> "GRUWeights":
        """Return them from weights ``[K, I, 3H]`` and biases ``[K, 3H]`` in torch's order.

        That order is: reset, update, new.
        """
        hidden = wh.shape[1]
        wh, bh = wh.roll(hidden, -1), bh.roll(hidden, -1)
        bias = functional.pad(bx, (hidden, 0)) + functional.pad(bh, (0, hidden))
        if more := padded_width(hidden) - hidden:
            wh = functional.pad(wh, (0, 0, 0, more))
            wx, wh, bias = (_pad_columns(y, hidden) for y in (wx, wh, bias))
        inputs = wx.shape[1]
        return cls(functional.pad(wx, (0, 0, 0, padded_width(inputs) - inputs)), wh, bias)


def _pad_columns(columns: Tensor, hidden: int) -> Tensor:
    """Pad each column of so many units to whole registers."""
    more = padded_width(hidden) - hidden
    return functional.pad(columns.unflatten(-1, (-1, hidden)), (0, more)).flatten(-2)


class GRU(nn.Module):
    """``h_t = GRU(x_t, h_{t-1})`` over the time axis of rows; gates stand in torch's order."""

    def __init__(self, generators: list[Generator], sets: int, inputs: int, hidden: int) -> None:
        super().__init__()
        init = within(hidden**-0.5)  # torch.nn.GRU's own default
        self.inputs = Bank(generators, sets, inputs, 3 * hidden, init)
        self.hidden = Bank(generators, sets, hidden, 3 * hidden, init)

    def select(self, index: Assignment) -> GRUWeights:
        """Return the cells that each agent goes through; they hold until the next update."""
        banks = self.inputs.sets(), self.hidden.sets()
        weights = [pick(bank.weight, index).flatten(0, 1) for bank in banks]
        biases = [pick(bank.bias, index).flatten(0, 1) for bank in banks]
        return GRUWeights.of(weights[0], biases[0], weights[1], biases[1])

    def forward(
        self, rows: Rows, h: Float32[Tensor, "R G M H"], index: Assignment
    ) -> Float32[Tensor, "R G T M H"]:
        """Return the hidden states after each instant; `h` is the one before the first."""
        return run_gru(rows, h, self.select(index))


def run_gru(
    rows: Rows, h: Float32[Tensor, "R G M H"], cell: GRUWeights
) -> Float32[Tensor, "R G T M H"]:
    """Do as `GRU.forward` with what its `select` returned.

    Without `wx` the rows are the gates' own inputs. A run's one cell serves all its groups. Raises
    `ValueError` for shapes that do not fit.
    """
    runs, groups, time, rows_at_once, _ = rows.shape
    cell = _cell_of_each_group(cell, runs, groups)
    if rows.device.type != "cpu":
        states = run_gru_torch(rows.flatten(0, 1), h.flatten(0, 1), cell)
        return states.unflatten(0, (runs, groups))
    order = _order_of_fixed_sets(runs * groups, time, rows_at_once)
    states = run_gru_sorted(rows.flatten(0, 3), h.flatten(0, 2), cell, order)
    return states.unflatten(0, rows.shape[:4])


def _cell_of_each_group(cell: GRUWeights, runs: int, groups: int) -> GRUWeights:
    """Return the cells of R * G groups, where there may be one for all groups of a run."""
    if len(cell.wh) == runs * groups:
        return cell
    if len(cell.wh) != runs:
        raise ValueError(
            f"rows of {runs} runs and {groups} groups go through a cell for each of the "
            f"{runs * groups}, or one a run, but there are {len(cell.wh)}"
        )
    wx = None if cell.wx is None else cell.wx.repeat_interleave(groups, 0)
    return GRUWeights(
        wx, cell.wh.repeat_interleave(groups, 0), cell.bias.repeat_interleave(groups, 0)
    )


@lru_cache(maxsize=64)
def _order_of_fixed_sets(stretches: int, time: int, rows: int) -> Order:
    """Return the order of ``[K, T, M]``: stretches that have and keep M rows at each instant."""
    ends = rows * np.arange(1, stretches * time + 1).reshape(stretches, time).T
    before = np.arange(stretches * time * rows).reshape(stretches, time, rows) - rows
    before[:, 0] = -1 - np.arange(stretches * rows).reshape(stretches, rows)
    return Order(before.reshape(-1), np.stack((ends - rows, ends), -1), 1)


def run_gru_torch(
    x: Float32[Tensor, "K T M I"], h: Float32[Tensor, "K M H"], cell: GRUWeights
) -> Float32[Tensor, "K T M H"]:
    """Do as `run_gru` with the library's GRU of each set, on any device."""
    hidden, wide = h.shape[-1], cell.wh.shape[1]
    x, h = _padded(x, h, cell)
    wx = torch.eye(3 * wide, device=x.device).expand(len(x), -1, -1) if cell.wx is None else cell.wx
    wh = cell.wh.roll(-wide, -1)
    bx, bh = cell.bias[:, wide:], functional.pad(cell.bias[:, :wide], (2 * wide, 0))
    states = []
    for k in range(len(x)):
        weights = [wx[k].T, wh[k].T, bx[k], bh[k]]
        # with biases, 1 layer, no dropout, not training, one direction, copies not first
        states.append(torch.gru(x[k], h[k, None], weights, True, 1, 0.0, False, False, False)[0])
    return torch.stack(states)[..., :hidden]


def run_gru_sorted(
    x: Float32[Tensor, "L I"], first: Float32[Tensor, "F H"], cell: GRUWeights, order: Order
) -> Float32[Tensor, "L H"]:
    """Return the states after sorted rows, from the rows of `first` on (CPU)."""
    hidden = first.shape[1]
    _check_walk(x, first, cell, order)
    x, first = _padded(x, first, cell)
    wx = cell.wh[:, :0] if cell.wx is None else cell.wx
    if torch.is_grad_enabled():
        states: Any = WalkThroughTime.apply(x, first, wx, cell.wh, cell.bias, order)
    else:
        walk = _new_walk(x, first, cell.wh.shape[1], keep_gates=False)
        states = _walk(walk, wx, cell.wh, cell.bias, order, keep_gates=False).states
    return states[:, :hidden]


def _check_walk(x: Tensor, first: Tensor, cell: GRUWeights, order: Order) -> None:
    """Raise `ValueError` for what the compiled walk would read beyond its end."""
    wide, given = cell.wh.shape[1], x.shape[1]
    # rows without weights are three columns of as many units as a state has
    inputs_fit = given == 3 * first.shape[1] if cell.wx is None else given <= cell.wx.shape[1]
    fits = inputs_fit and padded_width(first.shape[1]) == wide and len(x) == len(order.before)
    began = int((order.bounds[0, :, 1] - order.bounds[0, :, 0]).sum()) if len(order.bounds) else 0
    if not fits or len(cell.wh) != order.bounds.shape[1] or began != len(first):
        raise ValueError(
            f"a GRU's rows {list(x.shape)} and first states {list(first.shape)} do not fit its "
            f"{len(cell.wh)} cells of {wide} units, or the order of {len(order.before)} rows in "
            f"{order.bounds.shape[1]} stretches"
        )
    floats = (x, first, *(y for y in cell if y is not None))
    if any(y.dtype != torch.float32 for y in floats):
        raise ValueError("a GRU takes float32 rows, states and weights")


def _padded(x: Tensor, h: Tensor, cell: GRUWeights) -> tuple[Tensor, Tensor]:
    """Pad rows and states to the cell's widths."""
    hidden, more = h.shape[-1], cell.wh.shape[1] - h.shape[-1]
    if cell.wx is None:
        x = _pad_columns(x, hidden) if more else x
    elif x.shape[-1] < cell.wx.shape[1]:
        x = functional.pad(x, (0, cell.wx.shape[1] - x.shape[-1]))
    return x, functional.pad(h, (0, more)) if more else h


class Tensors(NamedTuple):
    """The tensors of a `Walk`."""

    x: Float32[Tensor, "L I"]
    first: Float32[Tensor, "F H"]
    gates: Float32[Tensor, "L 4H"]
    states: Float32[Tensor, "L H"]

    def arrays(self) -> Walk:
        """Return them as the compiled functions take them."""
        return Walk(*(tensor.detach().contiguous().numpy() for tensor in self))


class WalkThroughTime(torch.autograd.Function):
    """`run_gru_sorted` for torch's gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, first: Tensor, wx: Tensor, wh: Tensor, bias: Tensor, order: Order
    ) -> Float32[Tensor, "L H"]:
        """Return the states after sorted rows."""
        walk = _walk(_new_walk(x, first, wh.shape[1], True), wx, wh, bias, order, True)
        ctx.save_for_backward(wx, wh, *walk)
        ctx.order = order
        return walk.states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        wx, wh, *tensors = ctx.saved_tensors
        walk = Tensors(*tensors)
        # a copy, as what later instants ask for is added to it
        d_states = grad_outputs[0].clone(memory_format=torch.contiguous_format)
        dx = walk.x.new_empty(walk.x.shape)
        d_first, d_wx, d_wh = (y.new_zeros(y.shape) for y in (walk.first, wx, wh))
        d_bias = wh.new_zeros(len(wh), 4 * wh.shape[1], dtype=torch.float64)
        gradients = Gradients(
            d_states=d_states.numpy(),
            dx=dx.numpy(),
            d_first=d_first.numpy(),
            d_wx=d_wx.numpy(),
            d_wh=d_wh.numpy(),
            d_bias=d_bias.numpy(),
        )
        cells = TransposedCells(
            wx=wx.transpose(1, 2).contiguous().numpy(), wh=wh.transpose(1, 2).contiguous().numpy()
        )
        walk_backward(walk.arrays(), cells, ctx.order, gradients)
        return dx, d_first, d_wx, d_wh, d_bias.float(), None


def _new_walk(x: Tensor, first: Tensor, hidden: int, keep_gates: bool) -> Tensors:
    """Return a walk that is yet to be made; gates of one block unless all are kept."""
    gates = x.new_empty(len(x) if keep_gates else BLOCK, 4 * hidden)
    return Tensors(x, first, gates, x.new_empty(len(x), hidden))


def _walk(
    walk: Tensors, wx: Tensor, wh: Tensor, bias: Tensor, order: Order, keep_gates: bool
) -> Tensors:
    """Fill in the states of a walk, and its gates."""
    cells = Cells(*(y.detach().contiguous().numpy() for y in (wx, wh, bias)))
    walk_forward(walk.arrays(), cells, order, keep_gates)
    return walk
