"""Recurrence on a card: all sets' GRUs side by side, an instant two or three kernels.

At an instant the hidden states of all stretches are multiplied in one batched product, and the
gates are one fused kernel of the library's (what `torch.nn.GRUCell` calls there); backward there is
a product and a kernel too, and the weights' gradients are one product over all instants at the end.
Where rows go through one of several sets, their weights stand side by side in the product, and each
row takes its own. Nothing waits for the card, and nothing is added in an order that could change.
On the CPU the same is said in plain operations, for tests.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

Two = tuple[Tensor, Tensor]


def gates(from_x: Tensor, from_h: Tensor, h: Tensor) -> Two:
    """Return the new state, and what `gate_gradients` needs.

    `from_x` and `from_h` are ``[L, 3H]`` in torch's order (reset, update, new), `h` is ``[L, H]``.
    """
    if h.device.type == "cuda":
        return torch.ops.aten._thnn_fused_gru_cell(from_x, from_h, h)
    (xr, xz, xn), (hr, hz, hn) = from_x.chunk(3, -1), from_h.chunk(3, -1)
    reset, update = (xr + hr).sigmoid(), (xz + hz).sigmoid()
    new = (xn + reset * hn).tanh()
    return torch.lerp(new, h, update), torch.cat((reset, update, new, h, hn), -1)


def gate_gradients(d_state: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of what `gates` was given."""
    if d_state.device.type == "cuda":
        return torch.ops.aten._thnn_fused_gru_cell_backward(d_state, kept, False)[:3]
    reset, update, new, h, hn = kept.chunk(5, -1)
    d_new = d_state * (1 - update) * (1 - new.square())
    d_update = d_state * (h - new) * update * (1 - update)
    d_reset = d_new * hn * reset * (1 - reset)
    from_x = torch.cat((d_reset, d_update, d_new), -1)
    return from_x, torch.cat((d_reset, d_update, d_new * reset), -1), d_state * update


class Recurrence(torch.autograd.Function):
    """The states after every instant, for torch's gradients.

    K stretches of M rows, S sets in each: from_x ``[T, K, M, 3H]``, first states ``[K, M, H]``,
    weights ``[K, H, S * 3H]``, biases ``[K, S * 3H]``; `used` ``[T, K, M]`` names the set of each
    row, where there are several.
    """

    @staticmethod
    def forward(
        ctx: Any, from_x: Tensor, first: Tensor, weight: Tensor, bias: Tensor, used: Tensor | None
    ) -> Float32[Tensor, "T K M H"]:
        """Return the states after every instant."""
        time, stretches, rows, width = from_x.shape
        h, states, kept = first.contiguous(), [], []
        places = None if used is None else _places(used, width)
        for t in range(time):
            from_h = torch.baddbmm(bias[:, None], h, weight)
            if places is not None:
                from_h = from_h.view(stretches, rows, -1, width).gather(2, places[t])
            flat, all_h = from_x[t].reshape(-1, width), from_h.reshape(-1, width)
            new, of_gates = gates(flat, all_h, h.reshape(-1, h.shape[-1]))
            h = new.view(h.shape)
            states.append(h)
            kept.append(of_gates)
        out = torch.stack(states)
        ctx.kept, ctx.used = kept, used
        ctx.save_for_backward(first, weight, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        first, weight, states = ctx.saved_tensors
        time, stretches, rows, hidden = states.shape
        d_states, width = grad_outputs[0].contiguous(), 3 * hidden
        masks = None if ctx.used is None else _masks(ctx.used, weight.shape[-1] // width)
        back, d_h = weight.transpose(1, 2), None
        d_from_x, d_from_h = [], []
        for t in reversed(range(time)):
            d_state = d_states[t] if d_h is None else d_states[t] + d_h
            d_x, d_all, d_own = gate_gradients(d_state.view(-1, hidden), ctx.kept[t])
            d_all = d_all.view(stretches, rows, 1, width)
            if masks is not None:
                d_all = d_all * masks[t]
            d_all = d_all.flatten(2)
            d_h = torch.baddbmm(d_own.view(stretches, rows, hidden), d_all, back)
            d_from_x.append(d_x.view(stretches, rows, width))
            d_from_h.append(d_all)
        of_all = torch.stack(d_from_h[::-1], 1).flatten(1, 2)  # [K, T * M, S * 3H]
        before = torch.cat((first[None], states[:-1])).transpose(0, 1).flatten(1, 2)
        d_weight = before.transpose(1, 2) @ of_all
        return torch.stack(d_from_x[::-1]), d_h, d_weight, of_all.sum(1), None


def _places(used: Int64[Tensor, "T K M"], width: int) -> Int64[Tensor, "T K M 1 W"]:
    """Return where each row finds its set's numbers among all sets'."""
    return used[..., None, None].expand(*used.shape, 1, width)


def _masks(used: Int64[Tensor, "T K M"], sets: int) -> Float32[Tensor, "T K M S 1"]:
    """Return which of all sets' numbers are each row's own."""
    return (used[..., None, None] == torch.arange(sets, device=used.device)[:, None]).float()


class CardCells(NamedTuple):
    """GRUs of K stretches, gates in torch's order (reset, update, new)."""

    wx: Float32[Tensor, "K I 3H"] | None  # None: the rows are what it would give
    bx: Float32[Tensor, "K 3H"]
    wh: Float32[Tensor, "K H 3H"]
    bh: Float32[Tensor, "K 3H"]

    def each(self, groups: int) -> "CardCells":
        """Return a cell for each of so many groups of a run, where there was one for all."""
        repeated = [None if x is None else x.repeat_interleave(groups, 0) for x in self]
        return CardCells(*repeated)  # type: ignore[arg-type]

    def __call__(
        self, x: Float32[Tensor, "K T M I"], h: Float32[Tensor, "K M H"]
    ) -> Float32[Tensor, "K T M H"]:
        """Return the states after each instant; `h` is the one before the first."""
        bias, rows = self.bx[:, None], x.flatten(1, 2)
        from_x = rows + bias if self.wx is None else torch.baddbmm(bias, rows, self.wx)
        return walk(from_x.unflatten(1, x.shape[1:3]), h, self.wh[:, None], self.bh[:, None])


def walk(
    from_x: Float32[Tensor, "K T M G"],
    first: Float32[Tensor, "K M H"],
    weight: Float32[Tensor, "K S H G"],
    bias: Float32[Tensor, "K S G"],
    used: Int64[Tensor, "K T M"] | None = None,
) -> Float32[Tensor, "K T M H"]:
    """Return the states after every instant, given what the inputs bring to the gates (G = 3H).

    Gates stand in torch's order. `used` names the set of each row at each instant; None: there is
    one set.
    """
    side_by_side = weight.transpose(1, 2).flatten(2)
    by_time = None if used is None else used.transpose(0, 1)
    states: Any = Recurrence.apply(
        from_x.transpose(0, 1).contiguous(), first, side_by_side, bias.flatten(1), by_time
    )
    return states.transpose(0, 1)
