"""A bank of GRUs over time: `torch.nn.GRU`'s equations, with R runs and G sets side by side.

On the CPU one compiled call walks through all instants. At each, every set multiplies the rows that
go through it, 64 at a time, and a row's gates stay in the cache from their products to the new
state. Which set a row goes through may change from instant to instant (`partage.nn.routing`);
usually it does not, and each set has its own rows in the order of time. Sums are taken row after
row, so a run's bits depend neither on its pack nor on zeros behind its last row. On other devices
it is `partage.nn.recurrence`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.kernels.gemm import padded_width
from partage.kernels.gru import Order
from partage.nn.bank import Bank, Rows, within
from partage.nn.recurrence import CardCells
from partage.nn.walk import walk_through_time
from partage.sharing.assignment import Assignment, pick


class GRUWeights(NamedTuple):
    """GRUs in four columns (new from h, reset, update, new from x): h feeds the first three, x the
    last three.

    Units and inputs are padded with zeros to whole registers, which leaves zeros in the states
    there.
    """

    wx: Float32[Tensor, "C I 3H"] | None  # None: the rows are what it would give
    wh: Float32[Tensor, "C H 3H"]
    bias: Float32[Tensor, "C 4H"]

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

    def select(self, index: Assignment) -> "GRUWeights | CardCells":
        """Return the cells that each agent goes through; they hold until the next update."""
        banks = self.inputs.sets(), self.hidden.sets()
        wx, wh = (pick(bank.weight, index).flatten(0, 1) for bank in banks)
        bx, bh = (pick(bank.bias, index).flatten(0, 1) for bank in banks)
        on_cpu = wx.device.type == "cpu"
        return GRUWeights.of(wx, bx, wh, bh) if on_cpu else CardCells(wx, bx, wh, bh)

    def forward(
        self, rows: Rows, h: Float32[Tensor, "R G M H"], index: Assignment
    ) -> Float32[Tensor, "R G T M H"]:
        """Return the hidden states after each instant; `h` is the one before the first."""
        return run_gru(rows, h, self.select(index))


def run_gru(
    rows: Rows, h: Float32[Tensor, "R G M H"], cell: GRUWeights | CardCells
) -> Float32[Tensor, "R G T M H"]:
    """Do as `GRU.forward` with what its `select` returned.

    Without `wx` the rows are the gates' own inputs. A run's one cell serves all its groups. Raises
    `ValueError` for shapes that do not fit.
    """
    runs, groups, time, rows_at_once, _ = rows.shape
    if isinstance(cell, CardCells):
        each = cell if len(cell.wh) == runs * groups else cell.each(groups)
        return each(rows.flatten(0, 1), h.flatten(0, 1)).unflatten(0, (runs, groups))
    cells = cell_of_each_group(len(cell.wh), runs, groups)
    order = _order_of_fixed_sets(tuple(cells), time, rows_at_once)
    states = run_gru_sorted(rows.flatten(0, 3), h.flatten(0, 2), cell, order)
    return states.unflatten(0, rows.shape[:4])


def unroll(
    fed: Float32[Tensor, "R M G"],
    h: Float32[Tensor, "R M H"],
    cell: GRUWeights | CardCells,
    time: int,
) -> Float32[Tensor, "R T M H"]:
    """Return the states at so many instants of rows whose gates are fed the same at every one.

    A run has one cell, without `wx`.
    """
    runs, rows = fed.shape[:2]
    if isinstance(cell, CardCells):
        return run_gru(fed[:, None, None].expand(-1, 1, time, -1, -1), h[:, None], cell)[:, 0]
    order = _order_of_fixed_sets(tuple(range(runs)), time, rows)
    entry = torch.arange(runs * rows).view(runs, 1, rows).expand(-1, time, -1).flatten()
    states = run_gru_sorted(fed.flatten(0, 1), h.flatten(0, 1), cell, order, entry)
    return states.unflatten(0, (runs, time, rows))


def cell_of_each_group(cells: int, runs: int, groups: int) -> list[int]:
    """Return the cell of each of R * G groups: its own, or its run's one."""
    if cells == runs * groups:
        return list(range(cells))
    if cells != runs:
        raise ValueError(
            f"rows of {runs} runs and {groups} groups go through a cell for each of the "
            f"{runs * groups}, or one a run, but there are {cells}"
        )
    return [run for run in range(runs) for _ in range(groups)]


@lru_cache(maxsize=64)
def _order_of_fixed_sets(cells: tuple[int, ...], time: int, rows: int) -> Order:
    """Return the order of ``[K, T, M]``: stretches that have and keep M rows at each instant."""
    stretches = len(cells)
    ends = rows * np.arange(1, stretches * time + 1).reshape(stretches, time).T
    before = np.arange(stretches * time * rows).reshape(stretches, time, rows) - rows
    before[:, 0] = -1 - np.arange(stretches * rows).reshape(stretches, rows)
    return Order(before.reshape(-1), np.stack((ends - rows, ends), -1), 1, np.array(cells))


def run_gru_torch(
    x: Float32[Tensor, "K T M I"], h: Float32[Tensor, "K M H"], cell: GRUWeights
) -> Float32[Tensor, "K T M H"]:
    """Do as `run_gru` in torch's own operations, on any device."""
    hidden, wide = h.shape[-1], cell.wh.shape[1]
    x, h = _padded(x, h, cell)
    wh = cell.wh.roll(-wide, -1)  # in torch's order
    bh = functional.pad(cell.bias[:, :wide], (2 * wide, 0))
    return CardCells(cell.wx, cell.bias[:, wide:], wh, bh)(x, h)[..., :hidden]


def run_gru_sorted(
    x: Float32[Tensor, "X I"],
    first: Float32[Tensor, "F H"],
    cell: GRUWeights,
    order: Order,
    fed: Int64[Tensor, "L"] | None = None,
) -> Float32[Tensor, "L H"]:
    """Return the states after sorted rows, from the rows of `first` on (CPU).

    Without the cell's `wx`, `x` are the gates' own inputs: each row's, or where `fed` names each
    row's entry a table ``[E, 3H]`` of them.
    """
    hidden, rows = first.shape[1], len(order.before)
    if fed is None:
        fed = torch.arange(rows if cell.wx is None else 0)
    _check_walk(x, fed, first, cell, order)
    x, first = _padded(x, first, cell)
    wx = cell.wh[:, :0] if cell.wx is None else cell.wx
    states = walk_through_time(x, fed, first, wx, cell.wh, cell.bias, order)
    # a slice costs its gradient a copy of everything, even of all columns
    return states if states.shape[1] == hidden else states[:, :hidden]


def _check_walk(x: Tensor, fed: Tensor, first: Tensor, cell: GRUWeights, order: Order) -> None:
    """Raise `ValueError` for what the compiled walk would read beyond its end."""
    wide, given, rows = cell.wh.shape[1], x.shape[1], len(order.before)
    if cell.wx is None:  # three columns of as many units as a state has
        in_table = len(fed) == rows and (not rows or (fed.min() >= 0 and fed.max() < len(x)))
        inputs_fit = given == 3 * first.shape[1] and bool(in_table)
    else:
        inputs_fit = given <= cell.wx.shape[1] and len(x) == rows
    fits = inputs_fit and padded_width(first.shape[1]) == wide
    began = int((order.bounds[0, :, 1] - order.bounds[0, :, 0]).sum()) if len(order.bounds) else 0
    cells_fit = len(order.cells) == order.bounds.shape[1] and order.cells.max() < len(cell.wh)
    if not fits or not cells_fit or began != len(first):
        raise ValueError(
            f"a GRU's rows {list(x.shape)} and first states {list(first.shape)} do not fit its "
            f"{len(cell.wh)} cells of {wide} units, or the order of {rows} rows in "
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
