"""QMIX's monotonic mixing of the agents' values, given what its hypernetworks made of the state.

One pass over memory forward and one backward, where torch would take a dozen each. Rows are
(instant, copy) pairs.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from partage.kernels.mixing import mix_gradients, mix_rows


class Mix(torch.autograd.Function):
    """``|w2| . ELU(|w1| q + b1)`` for q ``[M, N]``, w1 ``[M, N, E]``, b1 and w2 ``[M, E]``; the
    result is ``[M]``.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor) -> Tensor:
        total, hidden = mix(q, w1, b1, w2)
        ctx.save_for_backward(q, w1, w2, hidden)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        q, w1, w2, hidden = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        if q.device.type != "cpu":
            d_b1 = grad[:, None] * w2.abs() * torch.where(hidden > 0, 1.0, hidden + 1)
            d_w1 = q[..., None] * d_b1[:, None] * w1.sign()
            return (
                (w1.abs() * d_b1[:, None]).sum(-1),
                d_w1,
                d_b1,
                grad[:, None] * hidden * w2.sign(),
            )
        out = [torch.empty_like(x) for x in (q, w1, w2, w2)]
        mix_gradients(*(x.numpy() for x in (grad, q, w1, w2, hidden, *out)))
        return tuple(out)


def mix(q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor) -> tuple[Tensor, Tensor]:
    """The mixed values ``[M]`` and the hidden layer ``[M, E]`` after its ELU."""
    if q.device.type != "cpu":
        hidden = functional.elu((q[..., None] * w1.abs()).sum(1) + b1)
        return (hidden * w2.abs()).sum(-1), hidden
    total, hidden = q.new_empty(len(q)), torch.empty_like(w2)
    mix_rows(*(x.detach().numpy() for x in (q, w1, b1, w2, total, hidden)))
    return total, hidden
