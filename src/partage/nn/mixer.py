"""QMIX's mixer: the agents' values become the team's, monotonically in each of them.

One pass over memory forward and one backward, where torch would take a dozen each. Rows are
(instant, copy) pairs: M of them, N agents, E units of the hidden layer.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float32
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.kernels.mixing import Mixing, mix_gradients, mix_rows
from partage.nn.bank import Bank, to_rows
from partage.sharing import assignment

Four = tuple[Tensor, Tensor, Tensor, Tensor]


class Mixer(nn.Module):
    """QMIX's monotonic mixer: Q_tot = |W2(s)| ELU(|W1(s)| q + b1(s)) + V(s)   (PyMARL's sizes).

    The four hypernetworks' first layers read the same state, so they are one bank.
    """

    def __init__(
        self, generators: Sequence[Generator], n_agents: int, state_dim: int, embed: int, hyper: int
    ) -> None:
        super().__init__()
        self.n_agents, self.embed, self.hyper = n_agents, embed, hyper
        self.first = Bank(generators, 1, state_dim, 2 * hyper + 2 * embed)
        self.w1 = Bank(generators, 1, hyper, embed * n_agents)
        self.w2 = Bank(generators, 1, hyper, embed)
        self.v = Bank(generators, 1, embed, 1)

    def forward(
        self, q: Float32[Tensor, "R B T N"], state: Float32[Tensor, "R B T S"]
    ) -> Float32[Tensor, "R B T"]:
        """Return the team's value of each instant, given the agents' own and the state."""
        everyone = assignment.full(q.shape[0], self.n_agents)
        first = self.first(to_rows(state[:, :, :, None], 1), everyone)  # [R, 1, T, B, ...]
        for_w1, for_w2, b1, for_v = first.split(
            [self.hyper, self.hyper, self.embed, self.embed], -1
        )
        w1 = self.w1(functional.relu(for_w1), everyone).view(-1, self.n_agents, self.embed)
        w2 = self.w2(functional.relu(for_w2), everyone).view(-1, self.embed)
        v = self.v(functional.relu(for_v), everyone).squeeze(1).squeeze(-1)
        rows = q.transpose(1, 2).reshape(-1, self.n_agents)
        mixed = Mix.apply(rows, w1, b1.reshape(-1, self.embed), w2).view(v.shape)  # type: ignore[union-attr]
        return (mixed + v).transpose(1, 2)


class Mix(torch.autograd.Function):
    """``|w2| . ELU(|w1| q + b1)`` for q ``[M, N]``, w1 ``[M, N, E]``, b1 and w2 ``[M, E]``: [M]."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor) -> Tensor:
        """Return the mixed values."""
        _check(q, w1, b1, w2)
        total, hidden = (mix if q.device.type == "cpu" else mix_torch)(q, w1, b1, w2)
        ctx.save_for_backward(q, w1, b1, w2, hidden)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Four:
        """Return the gradients of what `forward` was given."""
        q, w1, b1, w2, hidden = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        if q.device.type != "cpu":
            return mix_gradients_torch(grad, q, w1, w2, hidden)
        gradients = (
            torch.empty_like(q),
            torch.empty_like(w1),
            torch.empty_like(w2),
            torch.empty_like(w2),
        )
        inputs = _mixing(q, w1, b1, w2)
        mix_gradients(grad.numpy(), inputs, hidden.numpy(), _mixing(*gradients))
        return gradients


def _check(q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor) -> None:
    """Raise `ValueError` where the values and what the state made do not fit each other."""
    rows, units = w2.shape
    if w1.shape != (*q.shape, units) or b1.shape != (rows, units) or len(q) != rows:
        raise ValueError(
            f"the mixer takes as many rows of agents' values as of states, but they are "
            f"{list(q.shape)}, with weights {list(w1.shape)}, {list(b1.shape)} and "
            f"{list(w2.shape)}"
        )
    if q.dtype != torch.float32:
        raise ValueError(f"the mixer takes float32 values, not {q.dtype}")


def _mixing(q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor) -> Mixing:
    """Return tensors as the compiled functions take them."""
    return Mixing(q.detach().numpy(), w1.detach().numpy(), b1.detach().numpy(), w2.detach().numpy())


def mix(
    q: Float32[Tensor, "M N"],
    w1: Float32[Tensor, "M N E"],
    b1: Float32[Tensor, "M E"],
    w2: Float32[Tensor, "M E"],
) -> tuple[Float32[Tensor, "M"], Float32[Tensor, "M E"]]:
    """Return the mixed values and the hidden layer behind its ELU (CPU)."""
    total, hidden = q.new_empty(len(q)), torch.empty_like(w2)
    mix_rows(_mixing(q, w1, b1, w2), total.numpy(), hidden.numpy())
    return total, hidden


def mix_torch(
    q: Float32[Tensor, "M N"],
    w1: Float32[Tensor, "M N E"],
    b1: Float32[Tensor, "M E"],
    w2: Float32[Tensor, "M E"],
) -> tuple[Float32[Tensor, "M"], Float32[Tensor, "M E"]]:
    """Do as `mix` in torch's own operations, on any device."""
    hidden = functional.elu((q[..., None] * w1.abs()).sum(1) + b1)
    return (hidden * w2.abs()).sum(-1), hidden


def mix_gradients_torch(
    grad: Float32[Tensor, "M"],
    q: Float32[Tensor, "M N"],
    w1: Float32[Tensor, "M N E"],
    w2: Float32[Tensor, "M E"],
    hidden: Float32[Tensor, "M E"],
) -> Four:
    """Return the gradients of q, w1, b1 and w2, on any device."""
    d_b1 = grad[:, None] * w2.abs() * torch.where(hidden > 0, 1.0, hidden + 1)
    d_w1 = q[..., None] * d_b1[:, None] * w1.sign()
    d_q = (w1.abs() * d_b1[:, None]).sum(-1)
    return d_q, d_w1, d_b1, grad[:, None] * hidden * w2.sign()
