"""Whole agents' networks among which rows may move at any instant (`partage.nn.routing`)."""

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn

from partage.kernels import acting
from partage.nn.bank import Bank
from partage.nn.dense import apply_layers_sorted
from partage.nn.gru import GRU, run_gru_sorted
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
        first = h.detach().flatten(0, 1)
        states = run_gru_sorted(encoded, first, self.memory.select(everyone), order)
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
        values, states, h, index = [], [], h.detach(), index.clamp(min=0)
        for t in range(x.shape[1]):
            used = index[:, t]
            encoded = _select_of_all(self.encoder, x[:, t], used).relu()
            from_x = _select_of_all(self.memory.inputs, encoded, used)
            from_h = _select_of_all(self.memory.hidden, h, used)
            (xr, xz, xn), (hr, hz, hn) = from_x.chunk(3, -1), from_h.chunk(3, -1)
            h = torch.lerp((xn + (xr + hr).sigmoid() * hn).tanh(), h, (xz + hz).sigmoid())
            states.append(h)
            values.append(_select_of_all(self.head, h, used))
        return torch.stack(values, 1), torch.stack(states, 1)


def _select_of_all(
    bank: Bank, rows: Float32[Tensor, "R M I"], used: Int64[Tensor, "R M"]
) -> Float32[Tensor, "R M O"]:
    """Return rows behind the set that each of them uses."""
    weight, bias = bank.sets()
    all_sets = torch.einsum("rmi,rsio->rsmo", rows, weight) + bias[:, :, None]
    place = used[:, None, :, None].expand(-1, -1, -1, all_sets.shape[-1])
    return all_sets.gather(1, place).squeeze(1)
