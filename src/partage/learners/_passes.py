"""Passes through a batch in minibatches of agents' rows: what one agent met at one step a row.

The public codes of CDS and EOI count so. Runs of a pack have different numbers of rows and so of
minibatches: the rest of a minibatch is masked, and a run without one does not step.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor

PADDING = -1  # the place of a row that does not exist


class Minibatch(NamedTuple):
    """K rows of each run: whose they are, and which of them count."""

    run: Int64[Tensor, "R 1"]
    copy: Int64[Tensor, "R K"]
    time: Int64[Tensor, "R K"]
    agent: Int64[Tensor, "R K"]
    real: Bool[Tensor, "R K"]  # neither padding of an episode nor behind the run's last row
    stepping: Bool[Tensor, "R"]  # the runs that have such a minibatch, with a real row in it

    def of_agents(self, x: Tensor, later: int = 0) -> Tensor:
        """Return these rows of ``x [R, B, T, N, ...]``, `later` instants on."""
        return x[self.run, self.copy, self.time + later, self.agent]

    def mean(self, x: Float32[Tensor, "R K"]) -> Float32[Tensor, "R"]:
        """Return each run's mean over its real rows (0: it has none)."""
        return (x * self.real).sum(1) / self.real.sum(1).clamp(min=1)


def shuffled(
    filled: Bool[Tensor, "R B T"], agents: int, size: int, generators: Sequence[Generator]
) -> list[Minibatch]:
    """Go once through all rows of each run's batch at random, `size` rows a minibatch.

    The batch is B episodes, each as long as the run's longest: padding has rows, which do not
    count. The last minibatch may be smaller   (CDS).
    """
    filled = filled.cpu()
    time = filled.shape[2]
    places = []
    for of_run, generator in zip(filled, generators, strict=True):
        copies, longest = len(of_run), int(of_run.sum(1).max())
        order = torch.randperm(copies * longest * agents, generator=generator)
        copy, within = order // (longest * agents), order % (longest * agents)
        places.append(copy * time * agents + within)
    counts = [-(-len(of_run) // size) for of_run in places]
    return _minibatches(filled, agents, places, counts, size)


def in_turn(filled: Bool[Tensor, "R B T"], agents: int, size: int) -> list[Minibatch]:
    """Go once through the real rows of each run's batch: by episode, step and agent.

    Of n rows there are (n - 1) // size whole minibatches; the rest is left out   (EOI).
    """
    filled = filled.cpu()
    places, counts = [], []
    for of_run in filled:
        transitions = of_run.flatten().nonzero()  # [transitions, 1]
        rows = (transitions * agents + torch.arange(agents)).flatten()
        places.append(rows)
        counts.append(max(len(rows) - 1, 0) // size)
    return _minibatches(filled, agents, places, counts, size)


def _minibatches(
    filled: Bool[Tensor, "R B T"],
    agents: int,
    places: Sequence[Int64[Tensor, "_"]],
    counts: Sequence[int],
    size: int,
) -> list[Minibatch]:
    """Return the runs' minibatches side by side, as many as the run with most has."""
    runs, _, time = filled.shape
    run, minibatches = torch.arange(runs)[:, None], []
    for first in range(0, max(counts) * size, size):
        place = torch.full((runs, size), PADDING)
        for r, of_run in enumerate(places):
            if first < counts[r] * size:
                rows = of_run[first : first + size]
                place[r, : len(rows)] = rows
        known = place.clamp(min=0)
        copy, within = known // (time * agents), known % (time * agents)
        t, agent = within // agents, within % agents
        real = (place != PADDING) & filled[run, copy, t]
        minibatches.append(Minibatch(run, copy, t, agent, real, real.any(1)))
    return minibatches


def descend(
    minibatches: Sequence[Minibatch],
    active: Bool[Tensor, "R"],
    step: Callable[[Minibatch, Bool[Tensor, "R"]], tuple[Float32[Tensor, "R"], ...]],
) -> list[Float32[Tensor, "R"]]:
    """Take a step on each minibatch; return both losses' means over a run's own steps.

    `step` gets the minibatch and the runs that step on it, and returns two losses.
    """
    count = torch.zeros(active.shape, device=active.device)
    sums = [torch.zeros_like(count), torch.zeros_like(count)]
    for minibatch in minibatches:
        minibatch = Minibatch(*(x.to(active.device) for x in minibatch))
        losses = step(minibatch, minibatch.stepping & active)
        count = count + minibatch.stepping
        for total, loss in zip(sums, losses, strict=True):
            total += loss.detach() * minibatch.stepping
    return [total / count.clamp(min=1) for total in sums]
