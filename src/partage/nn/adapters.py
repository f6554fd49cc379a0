"""Adapters: each set is the base with something small of its own; or columns of several bases."""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Generator, Tensor, nn

from partage.nn.bank import Bank, Sets
from partage.nn.derived import Met, Products, draw, in_common, multiply, spread, uniform


class Scale(nn.Module):
    """``W diag(gain)`` and ``gain bias + shift`` of each set   (FiLM): the base itself at first."""

    def __init__(self, bank: Bank, sets: int) -> None:
        super().__init__()
        runs, _, _, outputs = bank.weight.shape
        self.count = sets
        self.gain = nn.Parameter(bank.weight.new_ones(runs, sets, outputs))
        self.shift = nn.Parameter(bank.weight.new_zeros(runs, sets, outputs))

    def forward(self, base: Sets) -> Sets:
        weight, bias = spread(base.weight, self.count), spread(base.bias, self.count)
        return Sets(weight * self.gain[:, :, None], self.gain * bias + self.shift)

    @torch.no_grad()
    def products(self, base: Sets, met: Met) -> Products:
        """Return those of weights and biases by the base; gain and shift are each set's alone."""
        by_base = (in_common(met) + 1) * (self.gain @ self.gain.transpose(1, 2))
        columns = (met @ base.weight[:, 0].square()) + base.bias.square()  # [R, S, O]
        return by_base + torch.diag_embed(columns.sum(2) + base.bias.shape[2])


class LowRank(nn.Module):
    """``W + A B^T`` with factors of each set, the base itself at first   (LoRA: A begins at 0)."""

    def __init__(
        self, bank: Bank, sets: int, generators: Sequence[Generator], rank: int = 8
    ) -> None:
        super().__init__()
        runs, _, inputs, outputs = bank.weight.shape
        self.count = sets
        self.left = nn.Parameter(bank.weight.new_zeros(runs, sets, inputs, rank))
        right = draw(generators, sets, outputs, rank, fill=uniform(-(rank**-0.5), rank**-0.5))
        self.right = nn.Parameter(right)

    def forward(self, base: Sets) -> Sets:
        offset = multiply(self.left, self.right.transpose(2, 3))
        return Sets(spread(base.weight, self.count) + offset, spread(base.bias, self.count))

    @torch.no_grad()
    def products(self, base: Sets, met: Met) -> Products:
        """Return how many weights and biases two agents have; the factors are each set's alone."""
        left = (self.left.square().sum(3) * met).sum(2)
        right = self.right.square().sum((2, 3))
        own = met.sum(1) * right + base.bias.shape[2] * left
        return (in_common(met) + 1) * base.bias.shape[2] + torch.diag_embed(own)


class Shared(nn.Module):
    """The base for every set, as it is; what the bank has of each set is that set's own."""

    def __init__(self, sets: int) -> None:
        super().__init__()
        self.count = sets

    def forward(self, base: Sets) -> Sets:
        parts = [x if x.shape[1] > 1 else spread(x, self.count).contiguous() for x in base]
        return Sets(*parts)

    def products(self, base: Sets, met: Met) -> Products:
        """Return how many weights and biases two agents have that are not each set's own."""
        outputs, alone = base.bias.shape[2], torch.eye(self.count, device=met.device)
        weights = in_common(met) * outputs * (alone if base.weight.shape[1] > 1 else 1)
        biases = outputs * (alone if base.bias.shape[1] > 1 else torch.ones_like(alone))
        return (weights + biases).expand(len(base.bias), -1, -1)


def own_biases(bank: Bank, sets: int) -> None:
    """Give each set of a bank a bias of its own, all equal at first; its weight all share."""
    bank.bias = nn.Parameter(bank.bias.detach().repeat(1, sets, 1))
    bank.derivation = Shared(sets)


def own_sets(bank: Bank, sets: int) -> None:
    """Make a bank one of so many sets, all equal at first; they share nothing."""
    bank.weight = nn.Parameter(bank.weight.detach().repeat(1, sets, 1, 1))
    bank.bias = nn.Parameter(bank.bias.detach().repeat(1, sets, 1))


def gather_by_ones(x: Tensor, dim: int, index: Int64[Tensor, "..."]) -> Tensor:
    """Do as `torch.gather` where there is little to choose from.

    Its gradient is added up place by place, on a card in another order each time.
    """
    choices = x.split(1, dim)
    return torch.stack([each * (index == k) for k, each in enumerate(choices)]).sum(0)


class Columns(nn.Module):
    """Each output neuron from a set of its own choice: an assignment ``[R, N, O]``   (GradPS).

    The base has K sets, and agent n's output o is that of set ``columns[r, n, o]``. An assignment
    ``[R, N]`` is the case in which all neurons of an agent choose alike.
    """

    columns: Int64[Tensor, "R N O"]

    def __init__(self, columns: Int64[Tensor, "R N O"]) -> None:
        super().__init__()
        self.count = columns.shape[1]
        self.register_buffer("columns", columns)

    def forward(self, base: Sets) -> Sets:
        place = self.columns[:, :, None].expand(-1, -1, base.weight.shape[2], -1)
        look_up = torch.gather if base.weight.device.type == "cpu" else gather_by_ones
        return Sets(look_up(base.weight, 1, place), look_up(base.bias, 1, self.columns))

    def products(self, base: Sets, met: Met) -> Products:
        """Return the weights and biases that two agents take from one set."""
        alike = (self.columns[:, :, None] == self.columns[:, None]).float().sum(3)
        return (in_common(met) + 1) * alike
