"""Whole agents' networks among which rows may move at any instant (`partage.nn.routing`)."""

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn

from partage.kernels import acting
from partage.nn.bank import Bank
from partage.nn.dense import apply_layers_sorted
from partage.nn.gru import GRU, GRUWeights, run_gru_sorted
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
        before the first instant. Without a way, do as `compute_all_and_select`.
        """
        if way is None:
            return self.compute_all_and_select(x, h, sharing)
        encoder = self.encoder.select(sharing, relu=True)
        encoded = apply_layers_sorted(x, way.bounds, [encoder])
        everyone = assignment.none(len(sharing), self.sets)
        cells = torch.arange(len(sharing))[:, None] * self.sets + sharing
        order = way.order._replace(cells=cells.flatten().numpy())
        first, memory = h.detach().flatten(0, 1), self.memory.select(everyone)
        assert isinstance(memory, GRUWeights)  # as on the CPU
        states = run_gru_sorted(encoded, first, memory, order)
        return apply_layers_sorted(states, way.bounds, [self.head.select(sharing)]), states

    def compute_all_and_select(
        self,
        x: Float32[Tensor, "R T M F"],
        h: Float32[Tensor, "R M H"],
        index: Int64[Tensor, "R T M"],
    ) -> tuple[Float32[Tensor, "R T M A"], Float32[Tensor, "R T M H"]]:
        """Do as `forward` on any device: bring every row through all sets, and select.

        Rows are in their own order; a negative set is set 0.
        """
        index = index.clamp(min=0)
        encoded = _select_of_all(self.encoder, x, index).relu()
        from_x = _select_of_all(self.memory.inputs, encoded, index)
        states = walk(from_x, h.detach(), *self.memory.hidden.sets(), index)
        return _select_of_all(self.head, states, index), states


def _select_of_all(
    bank: Bank, rows: Float32[Tensor, "R T M I"], used: Int64[Tensor, "R T M"]
) -> Float32[Tensor, "R T M O"]:
    """Return rows behind the set that each of them uses."""
    weight, biases = bank.sets()
    side_by_side = weight.transpose(1, 2).flatten(2)  # [R, I, S * O]
    bias = biases.flatten(1)[:, None]
    all_sets = torch.baddbmm(bias, rows.flatten(1, 2), side_by_side)
    all_sets = all_sets.unflatten(-1, (weight.shape[1], -1)).unflatten(1, rows.shape[1:3])
    own = used[..., None] == torch.arange(weight.shape[1], device=used.device)
    return all_sets.masked_fill(~own[..., None], 0.0).sum(3)
