"""A layer is a bank of parameter sets; the assignment says which agent goes through which.

Inside a network, features lie in *rows*: ``[R, G, T, M, F]`` for R runs, G groups of agents and T instants. With one
set there is one group and its M = B * N rows are all agents' copies (a plain linear layer); with more, each agent is
its own group, M = B, and its set's weights are picked for it. Time lies before the copies so that padding behind the
longest episode sits at the end of every sum over rows and cannot change it.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64, Num
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage import assignment
from partage.assignment import Assignment
from partage.pointwise import offset_, offset_backward

Rows = Float32[Tensor, "R G T M F"]
Init = Callable[[Tensor, Tensor, Generator], None]  # fills weight [I, O] and bias [O] in place


def within(bound: float) -> Init:
    """Uniform between -bound and bound, weights and bias."""

    def init(weight: Tensor, bias: Tensor, generator: Generator) -> None:
        weight.uniform_(-bound, bound, generator=generator)
        bias.uniform_(-bound, bound, generator=generator)

    return init


def torch_linear(weight: Tensor, bias: Tensor, generator: Generator) -> None:
    """torch.nn.Linear's own default: uniform within 1 / sqrt(inputs)."""
    within(1 / math.sqrt(weight.shape[0]))(weight, bias, generator)


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
    places = (index + torch.arange(runs)[:, None] * sets).flatten().to(parameter.device)
    return parameter.flatten(0, 1).index_select(0, places).unflatten(0, index.shape)


@functools.cache
def _places(rows: int, places: int, entries: int, where: torch.device) -> Int64[Tensor, "1 M"]:
    """The first table entry of each row, where rows go through `places` in turn."""
    return (torch.arange(rows, device=where) % places * entries)[None]


@functools.cache
def _own(runs: int, sets: int) -> Tensor:
    return assignment.none(runs, sets)


BLOCK = 192  # rows; the library sums over as many in one sweep (on Intel 384), and splits longer sums by their length


def product_over_rows(
    x: Float32[Tensor, "K M I"], y: Float32[Tensor, "K M O"], total: Float32[Tensor, "K I O"] | None = None
) -> Float32[Tensor, "K I O"]:
    """``x^T y``, added to `total` in place where there is one; the rows are summed block by block from the first.

    Rows of zeros behind the last change nothing then, to the last bit: a batch may be padded to any length.
    """
    first = 0
    if total is None:
        total, first = torch.bmm(x[:, :BLOCK].transpose(1, 2), y[:, :BLOCK]), BLOCK
    for start in range(first, x.shape[1], BLOCK):
        total.baddbmm_(x[:, start : start + BLOCK].transpose(1, 2), y[:, start : start + BLOCK])
    return total


class Affine(torch.autograd.Function):
    """``x [K, M, I] @ weight [K, I, O] + table[at]``, ReLU if asked: the bias of each row is looked up in a table."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, table: Tensor, at: Tensor, relu: bool) -> Tensor:
        y = affine(x, weight, table, at, relu)  # autograd is off in here
        ctx.save_for_backward(x, weight, at, y)
        ctx.relu, ctx.entries = relu, table.shape[1]
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, at, y = ctx.saved_tensors
        grad, d_table = offset_backward(grad_outputs[0].contiguous(), y, ctx.entries, at, ctx.relu)
        dx = torch.bmm(grad, weight.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return dx, product_over_rows(x, grad), d_table, None, None


def affine(x: Tensor, weight: Tensor, table: Tensor, at: Tensor, relu: bool) -> Float32[Tensor, "K M O"]:
    """`Affine`, without its bookkeeping where no gradient is wanted."""
    if torch.is_grad_enabled():
        return Affine.apply(x, weight, table, at, relu)  # type: ignore[return-value]
    y = torch.bmm(x, weight)
    offset_(y, table, at, relu)
    return y


class Picked(NamedTuple):
    """A bank's parameters as the groups of one assignment go through them; they hold until the next update.

    Zeros fill inputs and outputs up to Q and P, multiples of four. The library multiplies a matrix by other steps, and
    rounds differently, where its rows do not begin on 16 bytes: in a batch of matrices that would depend on the place,
    and the same run would not be the same in another pack, or behind another padding.
    """

    weight: Float32[Tensor, "K Q P"]  # K = R * G
    table: Float32[Tensor, "K E P"]  # biases: of each agent of the group, each with every one-hot input added
    outputs: int  # O
    agents: int  # in turn along a group's rows
    entries: int  # of an agent in the table

    def __call__(
        self, rows: Rows, hot: Int64[Tensor, "R G T M"] | None = None, relu: bool = False
    ) -> Float32[Tensor, "R G T M O"]:
        """`hot` is the position of the one in the one-hot inputs of each row (-1: they are all zero)."""
        shape = rows.shape
        at = _places(shape[2] * shape[3], self.agents, self.entries, rows.device)
        if hot is not None:
            at = at + (hot.reshape(len(self.weight), -1) + 1)
        x = rows.reshape(len(self.weight), -1, shape[-1])
        if fill := self.weight.shape[1] - shape[-1]:
            x = functional.pad(x, (0, fill))
        return (
            affine(x, self.weight, self.table, at, relu)[..., : self.outputs]
            .unflatten(0, shape[:2])
            .unflatten(2, shape[2:4])
        )


class Bank(nn.Module):
    """S affine maps side by side for each of R runs: ``weight [R, S, I, O]``, ``bias [R, S, O]``.

    The last inputs may be one-hot: they are not multiplied but looked up. ``one_hot=A`` announces A inputs whose index
    `forward` takes; ``agent_id=N`` an id of the agent, which amounts to a private bias.
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
        self.parts = [inputs, one_hot, agent_id]
        weight = torch.empty(len(generators), sets, sum(self.parts), outputs)
        bias = torch.empty(len(generators), sets, outputs)
        for r, generator in enumerate(generators):
            for s in range(sets):
                init(weight[r, s], bias[r, s], generator)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def picked(self, index: Assignment) -> Picked:
        """The sets that each agent goes through."""
        dense = pick(self.weight, index)
        table = pick(self.bias, index).unsqueeze(2)  # [R, G, 1, O]
        if self.parts[1:] != [0, 0]:  # a split costs its gradient a copy of everything
            dense, one_hot, ids = dense.split(self.parts, 2)
            if ids.shape[2]:
                table = table + ids.transpose(1, 2)  # [R, N, 1, O]
            if one_hot.shape[2]:
                table = table + functional.pad(one_hot, (0, 0, 1, 0))  # [.., .., 1 + A, O]; entry 0: no one anywhere
        agents, entries, outputs = table.shape[1] // dense.shape[1], table.shape[2], table.shape[-1]
        dense = dense.flatten(0, 1)
        table = table.reshape(len(dense), -1, outputs)
        fill, below = -outputs % 4, -dense.shape[1] % 4
        if fill or below:
            dense, table = functional.pad(dense, (0, fill, 0, below)), functional.pad(table, (0, fill))
        return Picked(dense, table, outputs, agents, entries)

    def parameters_of_rows(self) -> tuple[Float32[Tensor, "R S I O"], Float32[Tensor, "R S E O"]]:
        """Weights of dense inputs, and biases: of each agent in turn where there is an id. (One-hot: `picked`.)"""
        if not self.parts[2]:
            return self.weight, self.bias.unsqueeze(2)
        dense, _, ids = self.weight.split(self.parts, 2)
        return dense.contiguous(), self.bias.unsqueeze(2) + ids

    def forward(
        self, rows: Rows, index: Assignment, hot: Int64[Tensor, "R G T M"] | None = None, relu: bool = False
    ) -> Float32[Tensor, "R G T M O"]:
        """Each agent's rows through its set."""
        return self.picked(index)(rows, hot, relu)
