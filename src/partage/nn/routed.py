"""Whole agents' networks among which rows may move at any instant (`partage.nn.routing`)."""

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn

from partage.kernels import acting
from partage.nn.bank import Bank
from partage.nn.dense import apply_layers_sorted
from partage.nn.gru import GRU, GRUWeights, run_gru_sorted
from partage.nn.products import behind_own
from partage.nn.recurrence import walk
from partage.nn.routing import Routes
from partage.sharing import assignment
from partage.sharing.assignment import Assignment


class RoutedQ(nn.Module):
    """S whole agents' networks FC ReLU, GRU, FC, among which rows may move at any instant.

    A row's hidden state stays its own: the next network goes on from it.
    """

    def __init__(
        self, generators: list[Generator], sets: int, inputs: int, n_actions: int, hidden: int
    ) -> None:
        super().__init__()
        self.sets = sets
        self.encoder = Bank(generators, sets, inputs, hidden)
        self.memory = GRU(generators, sets, hidden, hidden)
        self.head = Bank(generators, sets, hidden, n_actions)

    def in_place(self, used: Assignment) -> tuple[acting.Body, acting.Bank]:
        """Return body and head for compiled acting, for rows ``[R, M]`` that use these sets."""
        banks = self.encoder, self.memory.inputs, self.memory.hidden
        return acting.Body(*(bank.in_place(used) for bank in banks)), self.head.in_place(used)

    def forward(
        self,
        x: Float32[Tensor, "*L F"],
        h: Float32[Tensor, "R M H"],
        way: Routes | None,
        sharing: Int64[Tensor, "R *K"],
    ) -> tuple[Float32[Tensor, "*L A"], Float32[Tensor, "*L H"]]:
        """Return action values and hidden states of rows sorted this way (CPU).

        `sharing` is the set of each run's stretches ``[R, K]``. No gradient goes to `h`, the states
        before the first instant. Without a way, do as `go_through_own`.
        """
        if way is None:
            return self.go_through_own(x, h, sharing)
        encoder = self.encoder.select(sharing, relu=True)
        encoded = apply_layers_sorted(x, way.bounds, [encoder])
        everyone = assignment.none(len(sharing), self.sets)
        cells = torch.arange(len(sharing))[:, None] * self.sets + sharing
        order = way.order._replace(cells=cells.flatten().numpy())
        first, memory = h.detach().flatten(0, 1), self.memory.select(everyone)
        assert isinstance(memory, GRUWeights)  # as on the CPU
        states = run_gru_sorted(encoded, first, memory, order)
        return apply_layers_sorted(states, way.bounds, [self.head.select(sharing)]), states

    def go_through_own(
        self,
        x: Float32[Tensor, "R T M F"],
        h: Float32[Tensor, "R M H"],
        index: Int64[Tensor, "R T M"],
    ) -> tuple[Float32[Tensor, "R T M A"], Float32[Tensor, "R T M H"]]:
        """Do as `forward` on any device: bring every row through its set.

        Rows are in their own order; of a negative set what comes means nothing.
        """
        own = (index[..., None] == torch.arange(self.sets, device=index.device)).float()
        encoded = behind_own(x, own, *self.encoder.sets()).relu()
        from_x = behind_own(encoded, own, *self.memory.inputs.sets())
        states = walk(from_x, h.detach(), *self.memory.hidden.sets(), own)
        return behind_own(states, own, *self.head.sets()), states
