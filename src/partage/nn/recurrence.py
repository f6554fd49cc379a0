"""Recurrence on a card: all sets' GRUs side by side, an instant two or three kernels.

At an instant the hidden states of all stretches are multiplied in one batched product, and the
gates are one fused kernel of the library's (what `torch.nn.GRUCell` calls there); backward there is
a product and a kernel too, and the weights' gradients are summed at the end (see `products`).
Where rows go through one of several sets, a row stands at its own set's place in a wider one, whose
other places are zeros, and the sets' weights lie one below the other. Nothing waits for the card,
and nothing is added in an order that could change.
On the CPU the same is said in plain operations, for tests.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from partage.nn.products import beside, multiplied, summed_products

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
    weights ``[K, S, H, 3H]``, biases ``[K, S, 3H]``; `own` ``[T, K, M, S]`` is one at the set of
    each row and zero elsewhere, where there are several.
    """

    @staticmethod
    def forward(
        ctx: Any, from_x: Tensor, first: Tensor, weight: Tensor, bias: Tensor, own: Tensor | None
    ) -> Float32[Tensor, "T K M H"]:
        """Return the states after every instant."""
        h, states, kept, side_by_side = first.contiguous(), [], [], weight.flatten(1, 2)
        for t, from_h in enumerate(_biases(from_x, bias, own)):
            # what is multiplied is added to the biases where they lie
            from_h.baddbmm_(h if own is None else beside(h, own[t]), side_by_side)
            flat, all_h = from_x[t].flatten(0, 1), from_h.flatten(0, 1)
            new, of_gates = gates(flat, all_h, h.flatten(0, 1))
            h = new.view(h.shape)
            states.append(h)
            kept.append(of_gates)
        out = torch.stack(states) if len(states) > 1 else h[None]
        ctx.kept, ctx.own = kept, own
        ctx.save_for_backward(first, weight, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        first, weight, states = ctx.saved_tensors
        time, stretches, rows, hidden = states.shape
        d_states, own = grad_outputs[0].contiguous(), ctx.own
        back = weight.transpose(2, 3).flatten(1, 2)  # [K, S * 3H, H]
        d_h, d_from_x, d_from_h = d_states[-1], [], []
        for t in reversed(range(time)):
            d_x, d_all, d_own = gate_gradients(d_h.reshape(-1, hidden), ctx.kept[t])
            d_all = d_all.view(stretches, rows, -1)
            d_all = d_all if own is None else beside(d_all, own[t])
            d_h = d_own.view(stretches, rows, hidden)
            if t:
                d_h = d_h + d_states[t - 1]
            d_h.baddbmm_(d_all, back)
            d_from_x.append(d_x.view(stretches, rows, -1))
            d_from_h.append(d_all)
        of_all = torch.stack(d_from_h[::-1])  # [T, K, M, S * 3H]
        before = torch.cat((first[None], states[:-1]))
        d_weight = summed_products(before, of_all, 0)
        d_weight = d_weight.unflatten(-1, (weight.shape[1], -1)).transpose(1, 2)
        d_bias = of_all.sum((0, 2)).unflatten(-1, (weight.shape[1], -1))
        return torch.stack(d_from_x[::-1]), d_h, d_weight, d_bias, None


def _biases(
    from_x: Float32[Tensor, "T K M G"], bias: Float32[Tensor, "K S G"], own: Tensor | None
) -> Float32[Tensor, "T K M G"]:
    """Return the biases of every row at every instant, in memory of their own."""
    if own is None:
        spread = bias.expand(len(from_x), *bias.shape).expand_as(from_x)
        return spread.clone(memory_format=torch.contiguous_format)
    return own @ bias


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
        from_x = x if self.wx is None else multiplied(x, self.wx)
        from_x = from_x + self.bx[:, None, None]
        return walk(from_x, h, self.wh[:, None], self.bh[:, None])


def walk(
    from_x: Float32[Tensor, "K T M G"],
    first: Float32[Tensor, "K M H"],
    weight: Float32[Tensor, "K S H G"],
    bias: Float32[Tensor, "K S G"],
    own: Float32[Tensor, "K T M S"] | None = None,
) -> Float32[Tensor, "K T M H"]:
    """Return the states after every instant, given what the inputs bring to the gates (G = 3H).

    Gates stand in torch's order. `own` is one at the set of each row at each instant and zero at
    all others; None: there is one set.
    """
    by_time = None if own is None else own.transpose(0, 1).contiguous()
    fed = from_x.transpose(0, 1).contiguous()
    states: Any = Recurrence.apply(fed, first, weight, bias, by_time)
    return states.transpose(0, 1)
