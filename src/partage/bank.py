"""A layer is a bank of parameter sets; the assignment says which agent goes through which.

Inside a network, features lie in *rows*: ``[R, G, T, M, F]`` for R runs, G groups of agents and T instants. With one
set there is one group and its M = B * N rows are all agents' copies (a plain linear layer); with more, each agent is
its own group, M = B, and its set's weights are picked for it. Time lies before the copies so that padding behind the
longest episode sits at the end of every sum over rows and cannot change it.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float32, Int64, Num
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage import assignment
from partage.assignment import Assignment
from partage.pointwise import offset_, offset_backward

Rows = Float32[Tensor, "R G T M F"]
Init = Callable[[Tensor, Tensor, Generator], None]  # fills weight [I, O] and bias [O] in place


def torch_linear(weight: Tensor, bias: Tensor, generator: Generator) -> None:
    """torch.nn.Linear's own default: uniform within 1 / sqrt(inputs), weights and bias."""
    bound = 1 / math.sqrt(weight.shape[0])
    weight.uniform_(-bound, bound, generator=generator)
    bias.uniform_(-bound, bound, generator=generator)


def orthogonal(gain: float, noise: float = 0.0) -> Init:
    """Orthogonal weights of this gain, zero bias, then Gaussian noise of this standard deviation on both."""

    def init(weight: Tensor, bias: Tensor, generator: Generator) -> None:
        nn.init.orthogonal_(weight, gain, generator=generator)
        bias.zero_()
        if noise:
            weight += noise * torch.randn(weight.shape, generator=generator)
            bias += noise * torch.randn(bias.shape, generator=generator)

    return init


def to_rows(x: Num[Tensor, "R B T N F"], sets: int) -> Num[Tensor, "R G T M F"]:
    """Lay features out for banks of this many sets."""
    if sets == 1:
        return x.transpose(1, 2).flatten(2, 3).unsqueeze(1)
    return x.permute(0, 3, 2, 1, 4)


def from_rows(rows: Rows, n_agents: int) -> Float32[Tensor, "R B T N F"]:
    """The inverse of `to_rows`."""
    if rows.shape[1] == 1:
        return rows.squeeze(1).unflatten(2, (-1, n_agents)).transpose(1, 2)
    return rows.permute(0, 3, 2, 1, 4)


def pick(parameter: Float32[Tensor, "R S *P"], index: Assignment) -> Float32[Tensor, "R G *P"]:
    """Each agent's own set (all of them, untouched, where there is one set or agent n uses set n)."""
    runs, sets = parameter.shape[:2]
    if sets == 1 or (sets == index.shape[1] and torch.equal(index, _own(runs, sets))):
        return parameter
    return parameter[torch.arange(runs, device=parameter.device)[:, None], index.to(parameter.device)]


@functools.cache
def _places(rows: int, places: int, entries: int, where: torch.device) -> Int64[Tensor, "1 M"]:
    """The first table entry of each row, where rows go through `places` in turn."""
    return (torch.arange(rows, device=where) % places * entries)[None]


@functools.cache
def _own(runs: int, sets: int) -> Tensor:
    return assignment.none(runs, sets)


def product(a: Float32[Tensor, "K M I"], b: Float32[Tensor, "K I O"]) -> Float32[Tensor, "K M O"]:
    """`torch.bmm`, except that a column gets a second, empty one.

    One matrix times one column takes another route through the library than a batch of them, and rounds differently:
    the same run would not be the same in another pack.
    """
    if b.shape[-1] == 1:
        return torch.bmm(a, functional.pad(b, (0, 1)))[..., :1].contiguous()
    return torch.bmm(a, b)


class Affine(torch.autograd.Function):
    """``x [K, M, I] @ weight [K, I, O] + table[at]``, ReLU if asked: the bias of each row is looked up in a table."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, table: Tensor, at: Tensor, relu: bool) -> Tensor:
        y = product(x, weight)
        offset_(y, table, at, relu)
        ctx.save_for_backward(x, weight, at, y)
        ctx.relu, ctx.entries = relu, table.shape[1]
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, at, y = ctx.saved_tensors
        grad, d_table = offset_backward(grad_outputs[0].contiguous(), y, ctx.entries, at, ctx.relu)
        dx = product(grad, weight.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return dx, product(x.transpose(1, 2), grad), d_table, None, None


class Bank(nn.Module):
    """S affine maps side by side for each of R runs: ``weight [R, S, I, O]``, ``bias [R, S, O]``.

    Inputs that are one-hot are not multiplied but looked up. ``one_hot=A`` says that the last A inputs are, and
    `forward` takes their index. ``agent_id=N`` adds a one-hot agent id, which is a private bias: ``bias [R, N, O]``.
    Each run's parameters are drawn from its own generator, set after set, so they do not depend on the pack.
    """

    def __init__(
        self,
        generators: Sequence[Generator],
        sets: int,
        inputs: int,
        outputs: int,
        init: Init = torch_linear,
        one_hot: int = 0,
        agent_id: int = 0,
    ) -> None:
        super().__init__()
        if agent_id and sets != 1:
            raise ValueError(f"an agent id goes with 1 shared set of weights, not {sets}")
        self.dense = inputs
        weight = torch.empty(len(generators), sets, inputs + one_hot + agent_id, outputs)
        bias = torch.empty(len(generators), sets, outputs)
        for r, generator in enumerate(generators):
            for s in range(sets):
                init(weight[r, s], bias[r, s], generator)
        if agent_id:
            weight, ids = weight.split([inputs + one_hot, agent_id], 2)
            bias = bias + ids.squeeze(1)
        self.weight, self.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias)

    def forward(
        self, rows: Rows, index: Assignment, hot: Int64[Tensor, "R G T M"] | None = None, relu: bool = False
    ) -> Float32[Tensor, "R G T M O"]:
        """`hot` is the position of the one in the one-hot inputs of each row (-1: they are all zero)."""
        weight = pick(self.weight, index)
        shared = self.bias.shape[1] == self.weight.shape[1]
        table = (pick(self.bias, index) if shared else self.bias).unsqueeze(2)  # [R, P groups or agents, 1, O]
        if hot is not None:
            looked_up = weight[:, :, self.dense :]
            weight = weight[:, :, : self.dense]
            table = table + functional.pad(looked_up, (0, 0, 1, 0))  # entry 0: no one anywhere
        groups, places, entries = rows.shape[1], *table.shape[1:3]
        at = _places(rows.shape[2] * rows.shape[3], places // groups, entries, rows.device)
        if hot is not None:
            at = at + (hot.flatten(2).flatten(0, 1) + 1)
        x, table = rows.flatten(2, 3).flatten(0, 1), table.flatten(1, 2).unflatten(1, (groups, -1)).flatten(0, 1)
        return Affine.apply(x, weight.flatten(0, 1), table, at, relu).view(*rows.shape[:4], -1)  # type: ignore[union-attr]

    @torch.no_grad()
    def copy(self, run: int, source: int, target: int) -> None:
        """Set `target` of one run becomes what set `source` is now."""
        self.weight[run, target] = self.weight[run, source]
        self.bias[run, target] = self.bias[run, source]
