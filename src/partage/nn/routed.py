"""Whole agents' networks among which rows may move at any instant (`partage.nn.routing`)."""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.nn.bank import Bank, with_places
from partage.nn.dense import Layer, apply_layers_sorted
from partage.nn.gru import GRU, run_gru_sorted
from partage.nn.routing import Routes
from partage.sharing import assignment
from partage.sharing.assignment import Assignment


class Inputs(NamedTuple):
    """What a network reads of an agent, in the order of its weights."""

    obs: int
    n_actions: int  # places of the last action
    agent_id: int  # N where there is a one-hot agent id, else 0
    beside: int = 0  # what else comes in, behind these

    @property
    def total(self) -> int:
        """How many numbers they are, one-hot ones included."""
        return sum(self)

    def places(self, last_action: Int64[Tensor, "*X N"]) -> Int64[Tensor, "*X N"]:
        """Return one place for both the last action (-1: none yet) and the agent's id."""
        if not self.agent_id:
            return last_action
        ids = torch.arange(self.agent_id, device=last_action.device)
        return last_action + ids * (1 + self.n_actions)

    def one_hot(self, places: Int64[Tensor, "*X"]) -> Float32[Tensor, "*X P"]:
        """Return what such places stand for: the last action and the id, one-hot."""
        entry = places + 1
        # no action falls into the first column, which is cut off
        action = functional.one_hot(entry % (1 + self.n_actions), 1 + self.n_actions)[..., 1:]
        if not self.agent_id:
            return action.float()
        own = functional.one_hot(entry // (1 + self.n_actions), self.agent_id)
        return torch.cat((action, own), -1).float()


class RoutedQ(nn.Module):
    """S whole agents' networks FC ReLU, GRU, FC, among which rows may move at any instant.

    A row's hidden state stays its own: the next network goes on from it.
    """

    def __init__(self, generators: list[Generator], sets: int, inputs: Inputs, hidden: int) -> None:
        super().__init__()
        self.sets, self.inputs = sets, inputs
        self.encoder = Bank(generators, sets, inputs.total, hidden)
        self.memory = GRU(generators, sets, hidden, hidden)
        self.head = Bank(generators, sets, hidden, inputs.n_actions)

    def forward(
        self,
        x: Float32[Tensor, "*L I"],
        places: Int64[Tensor, "*L"],
        h: Float32[Tensor, "R M H"],
        way: Routes | None,
        sharing: Int64[Tensor, "R *K"],
    ) -> tuple[Float32[Tensor, "*L A"], Float32[Tensor, "*L H"]]:
        """Return action values and hidden states of rows sorted this way (CPU).

        They hold what is not one-hot, `places` what is (`Inputs`); `sharing` is the set of each
        run's stretches ``[R, K]``. No gradient goes to `h`, the states before the first instant.
        Without a way, do as `compute_all_and_select`.
        """
        if way is None:
            return self.compute_all_and_select(x, h, sharing)
        encoded = apply_layers_sorted(x, way.bounds, [self._encoder(sharing)], places)
        everyone = assignment.none(len(sharing), self.sets)
        cells = torch.arange(len(sharing))[:, None] * self.sets + sharing
        order = way.order._replace(cells=cells.flatten().numpy())
        first = h.detach().flatten(0, 1)
        states = run_gru_sorted(encoded, first, self.memory.select(everyone), order)
        return apply_layers_sorted(states, way.bounds, [self.head.select(sharing)]), states

    def _encoder(self, sharing: Assignment) -> Layer:
        """Return the first layer, whose one-hot inputs are looked up in its table of biases."""
        obs, actions, ids, beside = self.encoder.weight.split(list(self.inputs), 2)
        table = self.encoder.bias.unsqueeze(2)
        if self.inputs.agent_id:
            table = table + ids
        table = with_places(table, actions)
        return Layer(torch.cat((obs, beside), 2), table, sharing, table.shape[2], True)

    def compute_all_and_select(
        self,
        x: Float32[Tensor, "R T M F"],
        h: Float32[Tensor, "R M H"],
        index: Int64[Tensor, "R T M"],
    ) -> tuple[Float32[Tensor, "R T M A"], Float32[Tensor, "R T M H"]]:
        """Do as `forward` on any device: bring every row through all sets, and select.

        Rows are in their own order and hold one-hot inputs as such; a negative set is set 0.
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
    all_sets = torch.einsum("rmi,rsio->rsmo", rows, bank.weight) + bank.bias[:, :, None]
    place = used[:, None, :, None].expand(-1, -1, -1, all_sets.shape[-1])
    return all_sets.gather(1, place).squeeze(1)
