"""A layer is a bank of parameter sets; the assignment says which agent goes through which.

Inside a network, features lie in *rows*: ``[R, G, T, M, F]`` for R runs, G groups of agents and T instants. With one
set there is one group and its M = N * B rows are all agents' copies (a plain linear layer); with more, each agent is
its own group, M = B, and its set's weights are picked for it. Time lies before the copies so that padding behind the
longest episode sits at the end of every sum over rows and cannot change it.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float32
from torch import Generator, Tensor, nn

from partage.assignment import Assignment

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


def to_rows(x: Float32[Tensor, "R B T N F"], sets: int) -> Rows:
    """Lay features out for banks of this many sets."""
    if sets == 1:
        return x.permute(0, 2, 3, 1, 4).flatten(2, 3).unsqueeze(1)
    return x.permute(0, 3, 2, 1, 4)


def from_rows(rows: Rows, n_agents: int) -> Float32[Tensor, "R B T N F"]:
    """The inverse of `to_rows`."""
    if rows.shape[1] == 1:
        return rows.squeeze(1).unflatten(2, (n_agents, -1)).permute(0, 3, 1, 2, 4)
    return rows.permute(0, 3, 2, 1, 4)


def pick(parameter: Float32[Tensor, "R S *P"], assignment: Assignment) -> Float32[Tensor, "R G *P"]:
    """Each agent's own set (all of them, untouched, where there is one set or agent n uses set n)."""
    runs, sets = parameter.shape[:2]
    if sets == 1 or (sets == assignment.shape[1] and torch.equal(assignment, _own(runs, sets))):
        return parameter
    index = assignment.to(parameter.device)
    return parameter[torch.arange(runs, device=parameter.device)[:, None], index]


def _own(runs: int, sets: int) -> Tensor:
    return torch.arange(sets).expand(runs, sets)


class Bank(nn.Module):
    """S affine maps side by side for each of R runs: ``weight [R, S, I, O]``, ``bias [R, S, O]``.

    ``private_bias=N`` gives N agents a bias each over shared weights: a one-hot agent id in the input is just that.
    Each run's parameters are drawn from its own generator, set after set, so they do not depend on the pack.
    """

    def __init__(
        self,
        generators: Sequence[Generator],
        sets: int,
        inputs: int,
        outputs: int,
        init: Init = torch_linear,
        private_bias: int | None = None,
    ) -> None:
        super().__init__()
        if private_bias and sets != 1:
            raise ValueError(f"a private bias goes with 1 shared set of weights, not {sets}")
        runs, ids = len(generators), private_bias or 0
        weight, bias = torch.empty(runs, sets, inputs + ids, outputs), torch.empty(runs, sets, outputs)
        for r, generator in enumerate(generators):
            for s in range(sets):
                init(weight[r, s], bias[r, s], generator)
        if ids:  # the id's rows of the weight matrix are added to the bias, each agent its own
            weight, bias = weight[:, :, :inputs].contiguous(), bias + weight[:, 0, inputs:]
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, rows: Rows, assignment: Assignment) -> Rows:
        weight, bias = pick(self.weight, assignment), self.bias
        x = rows.flatten(2, 3)
        if bias.shape[1] != self.weight.shape[1]:
            y = (x @ weight).view(*rows.shape[:3], bias.shape[1], -1, weight.shape[-1])
            return (y + bias[:, None, None, :, None]).flatten(3, 4)
        bias = pick(bias, assignment)
        y = torch.baddbmm(bias.flatten(0, 1).unsqueeze(1), x.flatten(0, 1), weight.flatten(0, 1))
        return y.view(*rows.shape[:4], -1)

    @torch.no_grad()
    def copy(self, run: int, source: int, target: int) -> None:
        """Set `target` of one run becomes what set `source` is now."""
        self.weight[run, target] = self.weight[run, source]
        self.bias[run, target] = self.bias[run, source]
