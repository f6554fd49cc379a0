"""A bank of GRUs' compiled walk through time, for torch's gradients (CPU)."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from partage.kernels.gemm import BLOCK
from partage.kernels.gru import (
    Cells,
    Gradients,
    Order,
    TransposedCells,
    Walk,
    walk_backward,
    walk_forward,
)


class Tensors(NamedTuple):
    """The tensors of a `Walk`."""

    x: Float32[Tensor, "X I"]
    fed: Int64[Tensor, "N"]
    first: Float32[Tensor, "F H"]
    gates: Float32[Tensor, "L 4H"]
    states: Float32[Tensor, "L H"]

    def arrays(self) -> Walk:
        """Return them as the compiled functions take them."""
        return Walk(*(tensor.detach().contiguous().numpy() for tensor in self))


def walk_through_time(
    x: Float32[Tensor, "X I"],
    fed: Int64[Tensor, "N"],  # N = L, or 0 where it is not read
    first: Float32[Tensor, "F H"],
    wx: Float32[Tensor, "C J G3"],
    wh: Float32[Tensor, "C H G3"],
    bias: Float32[Tensor, "C G4"],
    order: Order,
) -> Float32[Tensor, "L H"]:
    """Return the states after sorted rows; with J = 0 `x` is the table ``[E, 3H]`` of `Walk`.

    Nothing is kept where nobody asks for gradients.
    """
    if torch.is_grad_enabled():
        return WalkThroughTime.apply(x, fed, first, wx, wh, bias, order)  # type: ignore[return-value]
    walk = _new_walk(x, fed, first, len(order.before), keep_gates=False)
    return _walk(walk, wx, wh, bias, order, keep_gates=False).states


class WalkThroughTime(torch.autograd.Function):
    """`walk_through_time` for torch's gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        fed: Tensor,
        first: Tensor,
        wx: Tensor,
        wh: Tensor,
        bias: Tensor,
        order: Order,
    ) -> Float32[Tensor, "L H"]:
        """Return the states after sorted rows."""
        walk = _new_walk(x, fed, first, len(order.before), keep_gates=True)
        walk = _walk(walk, wx, wh, bias, order, keep_gates=True)
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
        # rows of a table are added to
        dx = walk.x.new_empty(walk.x.shape) if wx.shape[1] else walk.x.new_zeros(walk.x.shape)
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
        return dx, None, d_first, d_wx, d_wh, d_bias.float(), None


def _new_walk(x: Tensor, fed: Tensor, first: Tensor, rows: int, keep_gates: bool) -> Tensors:
    """Return a walk that is yet to be made; gates of one block unless all are kept."""
    hidden = first.shape[1]
    gates = x.new_empty(rows if keep_gates else BLOCK, 4 * hidden)
    return Tensors(x, fed, first, gates, x.new_empty(rows, hidden))


def _walk(
    walk: Tensors, wx: Tensor, wh: Tensor, bias: Tensor, order: Order, keep_gates: bool
) -> Tensors:
    """Fill in the states of a walk, and its gates."""
    cells = Cells(*(y.detach().contiguous().numpy() for y in (wx, wh, bias)))
    walk_forward(walk.arrays(), cells, order, keep_gates)
    return walk
