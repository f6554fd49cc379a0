"""A bank of GRUs unrolled over time: `torch.nn.GRU`'s equations, with R runs and G sets side by side.

Time is walked in chunks that fit the cache: the input's projection and the gradient of every weight are products over
a whole chunk, and an instant costs one matrix product and one fused pointwise step. On the CPU the pointwise steps are
compiled by Numba; elsewhere the same lines run as torch operations.
"""

from typing import Any

import torch
from jaxtyping import Float32
from torch import Generator, Tensor, nn

from partage.assignment import Assignment
from partage.bank import Bank, Rows, pick, product_over_rows, within
from partage.pointwise import gru_backward, gru_forward


class GRU(nn.Module):
    """``h_t = GRU(x_t, h_{t-1})`` over the time axis of rows, gates in torch's order: reset, update, new."""

    def __init__(self, generators: list[Generator], sets: int, inputs: int, hidden: int) -> None:
        super().__init__()
        init = within(hidden**-0.5)  # torch.nn.GRU's own default
        self.inputs = Bank(generators, sets, inputs, 3 * hidden, init)
        self.hidden = Bank(generators, sets, hidden, 3 * hidden, init)

    def picked(self, index: Assignment) -> tuple[Tensor, ...]:
        """The parameters that each agent goes through; they hold until the next update."""
        return tuple(pick(p, index).flatten(0, 1) for b in (self.inputs, self.hidden) for p in (b.weight, b.bias))

    def forward(self, rows: Rows, h: Float32[Tensor, "R G M H"], index: Assignment) -> Float32[Tensor, "R G T M H"]:
        """The hidden states after each instant; `h` is the one before the first."""
        return unroll(rows, h, self.picked(index))


def unroll(rows: Rows, h: Float32[Tensor, "R G M H"], picked: tuple[Any, ...]) -> Float32[Tensor, "R G T M H"]:
    """`GRU.forward` with what its `picked` returned; without input weights the rows are the gates' own inputs."""
    x, h = rows.flatten(0, 1), h.flatten(0, 1)
    states = _Unrolled.apply(x, h, *picked) if torch.is_grad_enabled() else _forward(x, h, *picked)[-1][:, 1:]
    return states.unflatten(0, rows.shape[:2])  # type: ignore[union-attr]


def _forward(
    x: Tensor, h: Tensor, wx: Tensor | None, bx: Tensor, wh: Tensor, bh: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gate buffers from x and from h, and the states, the one before the first included."""
    k, time, rows, _ = x.shape
    hidden = h.shape[-1]
    from_x, from_h = (x.new_empty(k, time, rows, 3 * hidden) for _ in range(2))
    states = x.new_empty(k, time + 1, rows, hidden)
    states[:, 0] = h
    step = gru_forward(from_x, from_h, states, bx, bh)
    before, products = states.unbind(1), from_h.unbind(1)
    for chunk in _chunks(time, rows):
        if wx is None:
            from_x[:, chunk] = x[:, chunk]
        else:
            torch.bmm(x[:, chunk].flatten(1, 2), wx, out=from_x[:, chunk].flatten(1, 2))
        for t in range(chunk.start, chunk.stop):
            torch.bmm(before[t], wh, out=products[t])
            step(t)
    return from_x, from_h, states


class _Unrolled(torch.autograd.Function):
    """K = R * G independent GRUs. Gate buffers hold (reset, update, new) pre-activations, then what backward needs.

    Time is walked in chunks whose rows fit the processor's cache. Their length depends on the rows of one instant
    alone, so neither the pack nor the padding behind the episodes moves the sums' boundaries.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, wx: Tensor | None, bx: Tensor, wh: Tensor, bh: Tensor) -> Tensor:
        from_x, from_h, states = _forward(x, h, wx, bx, wh, bh)
        ctx.save_for_backward(x, from_x, from_h, states, wx, wh)
        return states[:, 1:]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad_outputs[0].contiguous()
        x, from_x, from_h, states, wx, wh = ctx.saved_tensors
        k, time, rows, hidden = grad.shape
        # Gradients before the gates, in four columns: (new through h, reset, update, new through x),
        # so that columns 0-2 belong to the product with h and columns 1-3 to the product with x.
        gates = x.new_empty(k, min(time, CHUNK_ROWS // rows + 1), rows, 4 * hidden)
        dh, dx = torch.zeros_like(states[:, 0]), x.new_empty(x.shape)  # not x's own strides: it is written in views
        d_wx, d_wh = None if wx is None else torch.zeros_like(wx), torch.zeros_like(wh)
        d_bias = torch.zeros(k, 4 * hidden, dtype=torch.float64, device=x.device)
        step = gru_backward(dh, grad, from_x, from_h, states, gates, d_bias)
        wx_back = None if wx is None else wx.transpose(1, 2).contiguous()
        wh_back = wh.roll(hidden, -1).transpose(1, 2).contiguous()
        by_h = gates[..., : 3 * hidden].unbind(1)
        for chunk in reversed(_chunks(time, rows)):
            for t in reversed(range(chunk.start, chunk.stop)):
                step(t, t - chunk.start)
                torch.baddbmm(dh, by_h[t - chunk.start], wh_back, out=dh)
            flat = gates[:, : chunk.stop - chunk.start].flatten(1, 2)
            by_x = flat[..., hidden:]
            product_over_rows(states[:, chunk].flatten(1, 2), flat[..., : 3 * hidden], d_wh)
            if wx_back is None:
                dx[:, chunk] = gates[:, : chunk.stop - chunk.start, :, hidden:]
            else:
                product_over_rows(x[:, chunk].flatten(1, 2), by_x, d_wx)
                torch.bmm(by_x, wx_back, out=dx[:, chunk].flatten(1, 2))
        d_bias = d_bias.float()
        return dx, dh, d_wx, d_bias[:, hidden:], d_wh.roll(-hidden, -1), d_bias[:, : 3 * hidden].roll(-hidden, -1)


CHUNK_ROWS = 1024  # rows of 64 units and their gates in half of a 2 MiB cache


def _chunks(time: int, rows: int) -> list[slice]:
    length = CHUNK_ROWS // rows + 1
    return [slice(start, min(start + length, time)) for start in range(0, time, length)]
