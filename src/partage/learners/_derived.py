"""What learners with derived sets have in common: networks of full sharing, and what is derived.

Each agent has a set of its own, made of the base that all share. A learner is built as under full
sharing and, but for masks, begins as that would: codes are drawn from streams of their own.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from partage.errors import UserError
from partage.nn.adapters import LowRank, Scale, Shared, own_biases, own_sets
from partage.nn.bank import Bank
from partage.nn.generated import Hypernetwork, Spectrum
from partage.nn.masks import FixedMask, LearnedMask, check_keep, drawn_mask
from partage.rl.noise import generators
from partage.sims.contract import stream

# what an agent has of its own. bias: one in each layer; head: the last layer, equal at the start;
# film: a gain and a shift of each layer's outputs; random: a fixed mask of weights, drawn; mask:
# thresholds below which weights are cut; spectrum: thresholds of singular values; low-rank: an
# offset of each layer's weight; hypernetwork: a one-hot code, whose offset is linear in it
Derived = Literal["bias", "head", "film", "random", "mask", "spectrum", "low-rank", "hypernetwork"]


class Code(NamedTuple):
    """What each agent has of its own."""

    kind: Derived
    keep: float  # share of the weights that a random mask keeps
    rank: int  # of low-rank offsets


def derive(layers: Sequence[Bank], code: Code, n_agents: int, seeds: Sequence[int]) -> None:
    """Give each agent a set derived from each of these banks, a network's layers in order."""
    draws = generators([stream(seed, "sets") for seed in seeds])
    for bank in layers:
        if code.kind == "bias":
            own_biases(bank, n_agents)
        elif code.kind == "head" and bank is layers[-1]:
            own_sets(bank, n_agents)
        else:
            bank.derivation = _derivation(bank, code, n_agents, draws)


def _derivation(bank: Bank, code: Code, n_agents: int, draws: Sequence[Generator]) -> nn.Module:
    match code.kind:
        case "film":
            return Scale(bank, n_agents)
        case "random":
            inputs, outputs = bank.weight.shape[2:]
            kept = drawn_mask(draws, code.keep, n_agents, inputs, outputs)
            return FixedMask(kept, torch.ones_like(kept[:, :, 0]))
        case "mask":
            return LearnedMask(bank, n_agents, draws)
        case "spectrum":
            return Spectrum(bank, n_agents, draws)
        case "low-rank":
            return LowRank(bank, n_agents, draws, code.rank)
        case "hypernetwork":
            codes = torch.eye(n_agents)
            return Hypernetwork(bank, codes, draws, init=_zeros, learned=False)
        case _:
            return Shared(n_agents)


def _zeros(weight: Tensor, bias: Tensor, generator: Generator) -> None:
    """Begin with blocks that add nothing."""
    weight.zero_()
    bias.zero_()


def check(sharing: str, code: Code) -> None:
    """Raise `UserError` where sets cannot be derived so."""
    if sharing not in ("full", "id"):
        raise UserError(
            "Sets are derived from a base that all share: sharing is full, or id with an id in the "
            f"input, not {sharing!r}."
        )
    check_keep(code.keep)
