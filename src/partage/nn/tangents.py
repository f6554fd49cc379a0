"""How much of what one set learns reaches another: the cosine of their parameters' tangents.

``J_n`` is the derivative of agent n's weights and biases, laid end to end, by what is trained; two
agents share ``<J_i, J_j> / (|J_i| |J_j|)``: 1 where they go through one set, 0 where their sets
have nothing in common. Inner products add over layers: a layer gives those and a network divides.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from partage.nn.bank import Bank, Sets
from partage.nn.derived import Derivation, Met, Products, in_common
from partage.nn.pointwise import add_up
from partage.sharing.overlap import cosine


def overlap(networks: nn.Module, sets: int) -> Float32[Tensor, "R S S"]:
    """Return how much any two of so many sets share of all banks of these networks.

    A bank may have one set, which all share, as many, or as many derived ones. Ids of agents count
    where there are as many sets as agents. Raises `ValueError` for a bank of another number.
    """
    return cosine(add_up(products(bank, sets) for bank in banks(networks)))


def banks(networks: nn.Module) -> Iterator[Bank]:
    """Yield the banks of networks; those that a derivation computes with are its own."""
    if isinstance(networks, Bank):
        yield networks
        return
    for child in networks.children():
        yield from banks(child)


@torch.no_grad()
def products(bank: Bank, sets: int) -> Products:
    """Return the inner products of the tangents of a bank's sets."""
    met, outputs = _met(bank, sets), bank.bias.shape[2]
    if isinstance(bank.derivation, Derivation):
        count = bank.derivation.count
        found = bank.derivation.products(Sets(bank.weight, bank.bias), met)
    else:
        count = bank.weight.shape[1]
        found = ((in_common(met) + 1) * outputs).expand(len(bank.bias), -1, -1)
        if count > 1:
            found = found * torch.eye(sets, device=met.device)
    if count not in (1, sets):
        raise ValueError(f"a bank has {count} sets, but {sets} are compared")
    return found


def _met(bank: Bank, sets: int) -> Met:
    """Return which inputs of a bank the agent of each set has: of ids its own alone."""
    shared, ids = bank.inputs + bank.one_hot, bank.agent_id
    met = torch.zeros(sets, shared + ids, device=bank.bias.device)
    met[:, :shared] = 1
    if ids == sets:
        met[:, shared:] = torch.eye(sets)
    return met
