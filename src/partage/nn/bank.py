"""A layer is a bank of parameter sets; the assignment says which agent goes through which.

Inside a network, features lie in *rows*: ``[R, G, T, M, F]`` for R runs, G groups of agents and T
instants. With one set there is one group and its M = B * N rows are all agents' copies (a plain
linear layer); with more, each agent is its own group, M = B, and its set's weights are picked for
it. Time lies before the copies so that padding behind the longest episode sits at the end of every
sum over rows and cannot change it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.errors import UserError
from partage.kernels import acting
from partage.nn.dense import Layer
from partage.sharing import assignment
from partage.sharing.assignment import Assignment, pick

Rows = Float32[Tensor, "R G T M F"]
Init = Callable[[Tensor, Tensor, Generator], None]  # fills weight [I, O] and bias [O] in place


def within(bound: float) -> Init:
    """Return an initialiser: weights and bias uniform between -bound and bound."""

    def init(weight: Tensor, bias: Tensor, generator: Generator) -> None:
        weight.uniform_(-bound, bound, generator=generator)
        bias.uniform_(-bound, bound, generator=generator)

    return init


def linear_init(weight: Tensor, bias: Tensor, generator: Generator) -> None:
    """Initialise as torch.nn.Linear does by default: uniform within 1 / sqrt(inputs)."""
    within(1 / math.sqrt(weight.shape[0]))(weight, bias, generator)


def orthogonal_init(gain: float, noise: float = 0.0) -> Init:
    """Return an initialiser: orthogonal weights of this gain, zero bias.

    Gaussian noise of the standard deviation `noise` is added to both.
    """

    def init(weight: Tensor, bias: Tensor, generator: Generator) -> None:
        nn.init.orthogonal_(weight, gain, generator=generator)
        bias.zero_()
        if noise:
            weight += noise * torch.randn(weight.shape, generator=generator)
            bias += noise * torch.randn(bias.shape, generator=generator)

    return init


def make_sets_equal(banks: nn.Module) -> None:
    """Give all sets of each run the parameters of its first one, in place."""
    for parameter in banks.parameters():
        parameter.data[:] = parameter.data[:, :1].clone()


def to_rows(x: Shaped[Tensor, "R B T N F"], sets: int) -> Shaped[Tensor, "R G T M F"]:
    """Lay features out for banks of this many sets."""
    if sets == 1:
        return x.transpose(1, 2).flatten(2, 3).unsqueeze(1)
    return x.permute(0, 3, 2, 1, 4)


def from_rows(rows: Rows, n_agents: int) -> Float32[Tensor, "R B T N F"]:
    """Return features in their usual order again: the inverse of `to_rows`."""
    if rows.shape[1] == 1:
        return rows.squeeze(1).unflatten(2, (-1, n_agents)).transpose(1, 2)
    return rows.permute(0, 3, 2, 1, 4)


class Sets(NamedTuple):
    """S affine maps of each of R runs."""

    weight: Float32[Tensor, "R S I O"]
    bias: Float32[Tensor, "R S O"]


class Bank(nn.Module):
    """S affine maps side by side for each of R runs: ``weight [R, S, I, O]``, ``bias [R, S, O]``.

    With a `derivation` these are the base that all share, and the sets that agents go through are
    computed from it (`partage.nn.derived`).

    The last inputs may be one-hot: they are not multiplied but looked up. ``one_hot=A`` announces A
    inputs whose index `forward` takes; ``agent_id=N`` an id of the agent, which amounts to a
    private bias, in each set that the agent may use. Each run's parameters are drawn from its own
    generator, set after set, so they do not depend on the pack.
    """

    def __init__(
        self,
        generators: Sequence[Generator],
        sets: int,
        inputs: int,
        outputs: int,
        init: Init = linear_init,
        one_hot: int = 0,
        agent_id: int = 0,
    ) -> None:
        super().__init__()
        self.inputs, self.one_hot, self.agent_id = inputs, one_hot, agent_id
        weight = torch.empty(len(generators), sets, inputs + one_hot + agent_id, outputs)
        bias = torch.empty(len(generators), sets, outputs)
        for r, generator in enumerate(generators):
            for s in range(sets):
                init(weight[r, s], bias[r, s], generator)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.derivation: nn.Module | None = None

    def sets(self) -> Sets:
        """Return the sets that agents go through: the parameters, or what is derived from them."""
        base = Sets(self.weight, self.bias)
        return base if self.derivation is None else self.derivation(base)

    def select(self, index: Assignment, relu: bool = False) -> Layer:
        """Return the sets that each agent goes through; they hold until the next update."""
        sets = self.sets()
        if self.agent_id and sets.weight.shape[1] > 1:
            return self._select_by_agent(sets, index, relu)
        dense, table = sets.weight, sets.bias.unsqueeze(2)  # [R, S, 1, O]
        if self.one_hot or self.agent_id:  # a split costs its gradient a copy of everything
            dense, one_hot, ids = dense.split([self.inputs, self.one_hot, self.agent_id], 2)
            if self.agent_id:
                table = table + ids  # [R, 1, N, O]
            if self.one_hot:
                table = _with_places(table, one_hot)
            dense = dense.contiguous()  # once, not at every step that is acted
        return Layer(dense, table, index, 1 + self.one_hot, relu)

    @torch.no_grad()
    def in_place(self, index: Assignment) -> acting.Bank:
        """Return the same for compiled acting: views of parameters, on the CPU, or derived sets."""
        weight, bias = (x.detach().contiguous().numpy() for x in self.sets())
        return acting.Bank(weight, bias, index.numpy(), self.one_hot, self.agent_id)

    def _select_by_agent(self, sets: Sets, index: Assignment, relu: bool) -> Layer:
        """Do as `select` where each agent has an id in several sets: a set of each agent's own."""
        if index.shape[1] != self.agent_id:
            raise ValueError(
                f"a bank with ids of {self.agent_id} agents takes an assignment of as many, but "
                f"it has {index.shape[1]}"
            )
        parts = sets.weight.split([self.inputs, self.one_hot, self.agent_id], 2)
        dense, one_hot, ids = (pick(part, index) for part in parts)
        own_id = ids.diagonal(dim1=1, dim2=2).transpose(1, 2)  # [R, N, O]
        table = (pick(sets.bias, index) + own_id).unsqueeze(2)
        if self.one_hot:
            table = _with_places(table, one_hot)
        everyone_its_own = assignment.none(*index.shape)
        return Layer(dense.contiguous(), table, everyone_its_own, 1 + self.one_hot, relu)

    def forward(
        self,
        rows: Rows,
        index: Assignment,
        hot: Int64[Tensor, "R G T M"] | None = None,
        relu: bool = False,
    ) -> Float32[Tensor, "R G T M O"]:
        """Return each agent's rows behind its set."""
        return self.select(index, relu)(rows, hot)


def _with_places(
    table: Float32[Tensor, "R S N O"], one_hot: Float32[Tensor, "R S A O"]
) -> Float32[Tensor, "R S E O"]:
    """Return a table with an entry of each agent for every place of a one; the first: no one."""
    places = functional.pad(one_hot, (0, 0, 1, 0))  # [R, S, 1 + A, O]
    return (table.unsqueeze(3) + places.unsqueeze(2)).flatten(2, 3)


def refuse_derived(module: nn.Module) -> None:
    """Raise `UserError` where a set of these networks cannot be made a copy of another."""
    for bank in module.modules():
        if isinstance(bank, Bank) and bank.derivation is not None:
            raise UserError(
                f"Sets derived by {type(bank.derivation).__name__} from a base that all share "
                "cannot be fused, divided or copied: sharing that moves takes sets that are "
                "parameters of their own."
            )
