"""QMIX's mixer: the agents' values become the team's, monotonically in each of them.

On the CPU its hypernetworks and the mixing are one call forward and one backward: 64 rows go
through all of it while they are in the cache. Rows are (instant, copy) pairs: M of them in each of
R runs, N agents, S numbers of a state, U units of a hypernetwork, E of the mixer's hidden layer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.errors import UserError
from partage.kernels.gemm import BLOCK, padded_width
from partage.kernels.mixing import Hyper, Kept, Rows, mix_gradients, mix_rows
from partage.nn.bank import Bank


class Hypernetworks(NamedTuple):
    """The weights and biases of R runs; F = 2U + 2E: for w1, for w2, b1 itself, for v."""

    first: Float32[Tensor, "R S F"]
    first_bias: Float32[Tensor, "R F"]
    w1: Float32[Tensor, "R U NE"]
    w1_bias: Float32[Tensor, "R NE"]
    w2: Float32[Tensor, "R U E"]
    w2_bias: Float32[Tensor, "R E"]
    v: Float32[Tensor, "R E"]
    v_bias: Float32[Tensor, "R"]

    @property
    def parts(self) -> list[int]:
        """Return how many columns of the first layers go where."""
        units, embed = self.w2.shape[1:]
        return [units, units, embed, embed]

    def padded(self) -> "Hypernetworks":
        """Return the same with units of whole registers, those that are added without effect."""
        units, embed = self.w2.shape[1:]
        more, beside = padded_width(units) - units, padded_width(embed) - embed
        if not more and not beside:
            return self

        def columns_of_agents(x: Tensor) -> Tensor:
            return functional.pad(x.unflatten(-1, (-1, embed)), (0, beside)).flatten(-2)

        def columns_of_first(x: Tensor) -> Tensor:
            pairs = zip(x.split(self.parts, -1), [more, more, beside, beside], strict=True)
            return torch.cat([functional.pad(part, (0, width)) for part, width in pairs], -1)

        return Hypernetworks(
            columns_of_first(self.first),
            columns_of_first(self.first_bias),
            functional.pad(columns_of_agents(self.w1), (0, 0, 0, more)),
            columns_of_agents(self.w1_bias),
            functional.pad(self.w2, (0, beside, 0, more)),
            functional.pad(self.w2_bias, (0, beside)),
            functional.pad(self.v, (0, beside)),
            self.v_bias,
        )


class Mixer(nn.Module):
    """QMIX's monotonic mixer: Q_tot = |W2(s)| ELU(|W1(s)| q + b1(s)) + V(s)   (PyMARL's sizes).

    The four hypernetworks' first layers read the same state, so they are one bank.
    """

    def __init__(
        self, generators: Sequence[Generator], n_agents: int, state_dim: int, embed: int, hyper: int
    ) -> None:
        super().__init__()
        if state_dim < 1:
            raise UserError(
                "QMIX's mixer weighs agents' values by the environment's state, but this task has "
                "none (state_dim is 0)."
            )
        self.n_agents = n_agents
        self.first = Bank(generators, 1, state_dim, 2 * hyper + 2 * embed)
        self.w1 = Bank(generators, 1, hyper, embed * n_agents)
        self.w2 = Bank(generators, 1, hyper, embed)
        self.v = Bank(generators, 1, embed, 1)

    def hypernetworks(self) -> Hypernetworks:
        """Return the parameters as `mix` takes them."""
        banks = self.first, self.w1, self.w2
        first, w1, w2 = ((bank.weight.squeeze(1), bank.bias.squeeze(1)) for bank in banks)
        return Hypernetworks(*first, *w1, *w2, self.v.weight.flatten(1), self.v.bias.flatten())

    def forward(
        self,
        q: Float32[Tensor, "R B T N"],
        state: Float32[Tensor, "R B T S"],
        real: Bool[Tensor, "R B T"] | None = None,
    ) -> Float32[Tensor, "R B T"]:
        """Return the team's value of each instant, given the agents' own and the state.

        The state is data: no gradient goes back to it. On the CPU instants that are not `real`
        (None: all are) may be left out, and are then worth zero.
        """
        copies = q.shape[1]
        rows, states = (x.transpose(1, 2).flatten(1, 2) for x in (q, state))
        if q.device.type != "cpu":
            total = mix_torch(rows, states, self.hypernetworks())
        elif real is None or real.all():
            total = mix(rows, states, self.hypernetworks())
        else:
            total = mix_real(rows, states, self.hypernetworks(), real.transpose(1, 2).flatten(1))
        return total.unflatten(1, (-1, copies)).transpose(1, 2)


def mix(
    q: Float32[Tensor, "R M N"], state: Float32[Tensor, "R M S"], nets: Hypernetworks
) -> Float32[Tensor, "R M"]:
    """Return the mixed values (CPU); raises `ValueError` for shapes that do not fit."""
    _check(q, state, nets)
    q, state, nets = q.contiguous(), state.contiguous(), nets.padded()
    if torch.is_grad_enabled():
        return Mix.apply(q, state, *nets)  # type: ignore[return-value]
    return _mixed(q, state, nets, min(q.shape[1], BLOCK))[0]


def mix_real(
    q: Float32[Tensor, "R M N"],
    state: Float32[Tensor, "R M S"],
    nets: Hypernetworks,
    real: Bool[Tensor, "R M"],
) -> Float32[Tensor, "R M"]:
    """Do as `mix` with the real rows alone, as many of each run as the run with most has (CPU)."""
    most = int(real.sum(1).max())
    place = (~real).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]  # the real ones first
    run = torch.arange(len(q))[:, None]
    total = mix(q[run, place], state[run, place], nets)
    return torch.zeros_like(q[..., 0]).scatter(1, place, total)


def _check(q: Tensor, state: Tensor, nets: Hypernetworks) -> None:
    """Raise `ValueError` where values, states and hypernetworks do not fit each other."""
    fit = q.shape[:2] == state.shape[:2] and state.shape[2] == nets.first.shape[1]
    if not fit or len(q) != len(nets.first) or q.shape[2] * nets.parts[-1] != nets.w1.shape[2]:
        raise ValueError(
            f"the mixer takes as many rows of agents' values as of states, but they are "
            f"{list(q.shape)} and {list(state.shape)}, for hypernetworks of states "
            f"{list(nets.first.shape)} and of agents {list(nets.w1.shape)}"
        )
    if q.dtype != torch.float32 or state.dtype != torch.float32:
        raise ValueError(f"the mixer takes float32 values, not {q.dtype} and {state.dtype}")
    if state.requires_grad:
        raise ValueError("the mixer gives states no gradients, but this one asks for them")


def _mixed(q: Tensor, state: Tensor, nets: Hypernetworks, keep: int) -> tuple[Tensor, ...]:
    """Return the mixed values, and what so many rows of each run leave for the gradients."""
    runs, count, _ = q.shape
    widths = nets.first.shape[2], nets.w1.shape[2], nets.w2.shape[2], nets.w2.shape[2]
    kept = [q.new_empty(runs, keep, width) for width in widths]
    total = q.new_empty(runs, count)
    hyper = Hyper(*_arrays(x.contiguous() for x in nets))
    mix_rows(Rows(*_arrays((q, state))), hyper, Kept(*_arrays(kept)), total.numpy())
    return total, *kept


class Mix(torch.autograd.Function):
    """`mix` for torch's gradients."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, state: Tensor, *nets: Tensor) -> Float32[Tensor, "R M"]:
        """Return the mixed values."""
        total, *kept = _mixed(q, state, Hypernetworks(*nets), q.shape[1])
        ctx.save_for_backward(q, state, *nets, *kept)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `forward` was given."""
        q, state, *saved = ctx.saved_tensors
        nets, kept = Hypernetworks(*saved[:8]), saved[8:]
        d_q = torch.empty_like(q)
        # the biases' in float64
        kinds = [torch.float64 if x.dim() < 3 else torch.float32 for x in nets]
        gradients = [torch.zeros_like(x, dtype=kind) for x, kind in zip(nets, kinds, strict=True)]
        transposed = tuple(_arrays(x.transpose(1, 2).contiguous() for x in (nets.w1, nets.w2)))
        mix_gradients(
            grad_outputs[0].contiguous().numpy(),
            Rows(*_arrays((q, state))),
            Hyper(*_arrays(nets)),
            Kept(*_arrays(kept)),
            transposed,
            d_q.numpy(),
            Hyper(*_arrays(gradients)),
        )
        return d_q, None, *(x.float() for x in gradients)


def _arrays(tensors: Any) -> list[Any]:
    """Return NumPy's views of tensors."""
    return [x.detach().numpy() for x in tensors]


def mix_torch(
    q: Float32[Tensor, "R M N"], state: Float32[Tensor, "R M S"], nets: Hypernetworks
) -> Float32[Tensor, "R M"]:
    """Do as `mix` in torch's own operations, on any device."""
    first = state @ nets.first + nets.first_bias[:, None]
    for_w1, for_w2, b1, for_v = first.split(nets.parts, -1)
    w1 = (for_w1.relu() @ nets.w1 + nets.w1_bias[:, None]).unflatten(-1, (q.shape[2], -1)).abs()
    w2 = (for_w2.relu() @ nets.w2 + nets.w2_bias[:, None]).abs()
    hidden = functional.elu((q[..., None] * w1).sum(2) + b1)
    value = (for_v.relu() * nets.v[:, None]).sum(-1) + nets.v_bias[:, None]
    return (hidden * w2).sum(-1) + value
