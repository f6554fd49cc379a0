"""What PPO learns from in an update, and the equal parts that an epoch takes it in."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.nn.pointwise import log_softmax
from partage.rl.noise import generators
from partage.rl.rollout import Rollout
from partage.sims.contract import stream


class Batch(NamedTuple):
    """Sequences of T instants (of segments, each instant is one by itself: T = 1)."""

    obs: Float32[Tensor, "R B T N O"]
    state: Float32[Tensor, "R B T S"]  # S = 0 where critics do not see it
    avail_actions: Bool[Tensor, "R B T N A"]
    actions: Int64[Tensor, "R B T N"]
    acting: Bool[Tensor, "R B T N"]  # whose acts count
    valued: Bool[Tensor, "R B T N"]  # whose values count
    # of the acts, and the critic's values in its own units, before the first epoch
    log_probability: Float32[Tensor, "R B T N"]
    value: Float32[Tensor, "R B T N"]
    advantage: Float32[Tensor, "R B T N"]
    target: Float32[Tensor, "R B T N"]  # of the critic, in its units


def by_instant(batch: Batch) -> Batch:
    """Return every instant of every copy as a sequence by itself, ``[R, B * T, 1, ...]``."""
    return Batch(*(x.flatten(1, 2).unsqueeze(2) for x in batch))


class Minibatches:
    """Draws each run's sequences in an order of its own, with all agents of each."""

    def __init__(self, seeds: Sequence[int], count: int) -> None:
        self.count = count
        self.generators = generators([stream(seed, "minibatches") for seed in seeds])

    def __call__(self, batch: Batch) -> Iterator[Batch]:
        """Yield the parts of one epoch. One part is the batch as it is: nothing is drawn."""
        if self.count == 1:
            yield batch
            return
        runs, sequences = batch.actions.shape[:2]
        orders = [torch.randperm(sequences, generator=g) for g in self.generators]
        first = torch.arange(runs)[:, None] * sequences  # of each run
        places = (torch.stack(orders) + first).to(batch.actions.device)
        for chosen in places.chunk(self.count, 1):
            yield Batch(*(_choose(x, chosen) for x in batch))


def _choose(x: Tensor, places: Int64[Tensor, "R M"]) -> Tensor:
    """Return the sequences at these places of all runs' laid end to end, ``[R, M, ...]``."""
    rows = x.flatten(0, 1).flatten(1)  # one run of numbers each: copied whole
    return rows.index_select(0, places.flatten()).view(*places.shape, *x.shape[2:])


def log_policy(
    logits: Float32[Tensor, "R B T N A"], avail: Bool[Tensor, "R B T N A"]
) -> Float32[Tensor, "R B T N A"]:
    """Return the logarithms of the probabilities of what is available."""
    return log_softmax(logits.masked_fill(~avail, -1e9))


def of_actions(x: Float32[Tensor, "R B T N A"], actions: Tensor) -> Float32[Tensor, "R B T N"]:
    """Return what belongs to the actions that were chosen."""
    return x.gather(-1, actions[..., None]).squeeze(-1)


def on_device(rollout: Rollout, device: torch.device) -> Rollout:
    """Return a rollout on a device."""
    parts = {name: x for name, x in rollout._asdict().items() if isinstance(x, Tensor)}
    return rollout._replace(**{name: x.to(device) for name, x in parts.items()})
