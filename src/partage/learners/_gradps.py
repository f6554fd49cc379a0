"""GradPS's neurons: what agents ask of each, how much of that cancels out, and who is split off.

What an agent *asks* of a neuron is the neuron's output times the loss's gradient by it, summed over
the instants at which the agent lives: by Euler's theorem the part of the agent's gradient along the
neuron's own weights and bias. It is signed: more of it, or less.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.learners._clustering import spectral
from partage.nn.bank import Bank, to_rows
from partage.sharing import assignment

FUTILE = 0.2  # efficiency below which a curve calls a neuron futile   (GradPS)
NEARER = 5e-4  # a step by which clones that are to be one come together   (ours: the rate)
ALIKE = 1e-3  # mean distance to their mean at which they are one again   (ours)

Asked = Float[Tensor, "W N O"]  # of one run's neurons, by its agents, in W intervals


def efficiency(asked: Asked, columns: Int64[Tensor, "N O"]) -> Float[Tensor, "W O"]:
    """Return how much of what is asked of a neuron does not cancel out, of 1   (0 / 0: 1).

    Of a neuron that all agents share it is ``|sum of g| / sum of |g|``   (GradPS); where it has
    clones, the sum over these stands above the line.

    >>> asked = torch.tensor([[[1.0], [2.0], [-1.0], [-2.0]]])
    >>> shared, split = torch.tensor([[0], [0], [0], [0]]), torch.tensor([[0], [0], [1], [1]])
    >>> efficiency(asked, shared).item(), efficiency(asked, split).item()
    (0.0, 1.0)
    """
    clones = range(int(columns.max()) + 1)
    kept = sum((asked * (columns == k)).sum(1).abs() for k in clones)
    whole = asked.abs().sum(1)
    return torch.where(whole > 0, kept / whole, 1.0)


def conflict(asked: Float[Tensor, "W N"]) -> Float[Tensor, "N N"]:
    """Return how much any two agents take from each other at one neuron, over all intervals.

    >>> conflict(torch.tensor([[1.0, 2.0, -1.0]])).tolist()
    [[0.0, 0.0, 2.0], [0.0, 0.0, 2.0], [2.0, 2.0, 0.0]]
    """
    one, other = asked[:, :, None], asked[:, None]
    return (one.abs() + other.abs() - (one + other).abs()).sum(0)


def affinity(conflicts: Float[Tensor, "N N"]) -> Float[Tensor, "N N"]:
    """Return how near any two agents are: ``exp(-C^2 / 2 s^2)``, s the median of conflicts."""
    scale = median(conflicts[conflicts > 0])
    return (-conflicts.square() / (2 * scale**2)).exp()


def median(x: Float[Tensor, "K"]) -> float:
    """Return the median: of an even number the mean of the middle two."""
    return float(torch.quantile(x.double(), 0.5))


def split(asked: Float[Tensor, "W N"], clones: int) -> list[int] | None:
    """Return which clone each agent takes; None where no two of them are in conflict."""
    conflicts = conflict(asked)
    if not (conflicts > 0).any():
        return None
    return assignment.by(spectral(affinity(conflicts), clones))[0].tolist()


class Watched:
    """What agents ask of each neuron in one backward pass: a `Watch` of their encoder."""

    def __init__(self, alive: Bool[Tensor, "R B T1 N"]) -> None:
        agents = alive.shape[3]
        self.alive = to_rows(alive[..., None], agents)  # [R, N, T1, B, 1]
        self.asked: Float32[Tensor, "R N O"] | None = None

    def __call__(self, encoded: Tensor, places: Int64[Tensor, "L"] | None) -> None:
        """Have the sums made when the gradient by these rows is there."""
        y = encoded.detach().reshape(-1, encoded.shape[-1])
        encoded.register_hook(lambda gradient: self._add_up(y, gradient, places))

    def _add_up(
        self, y: Float32[Tensor, "L O"], gradient: Tensor, places: Int64[Tensor, "L"] | None
    ) -> None:
        """Sum up agent by agent, in an order that does not hang on the pack."""
        runs, agents, time, copies, _ = self.alive.shape
        living, lengths = self.alive.flatten(), [time * copies] * (runs * agents)
        if places is not None:
            living = living[places]
            of_agent = places // (time * copies)
            lengths = of_agent.bincount(minlength=runs * agents).tolist()
        products = y * gradient.reshape(y.shape) * living[:, None]
        sums = [of_agent.sum(0) for of_agent in products.split(lengths)]
        self.asked = torch.stack(sums).unflatten(0, (runs, agents))


class Rules(NamedTuple):
    """When a neuron is given clones, and when they are one again."""

    clones: int
    window: int  # intervals
    futile: float
    threshold: Literal["absolute", "relative"]
    restore: float  # probability, of a layer whose neurons all have clones


class Neurons(nn.Module):
    """What is remembered of R runs' neurons; what is decided is decided run by run, on the CPU."""

    asked: Float32[Tensor, "R N O"]  # in the interval under way
    before: Float64[Tensor, "R W N O"]  # in those before, the last one last
    intervals: Float64[Tensor, "R"]  # that have ended
    age: Float64[Tensor, "R O"]  # of a neuron, in intervals, since it was given or lost its clones
    cloned: Float64[Tensor, "R O"]  # 1: it has clones
    closing: Float64[Tensor, "R O"]  # 1: they are to be one again
    futile: Float64[Tensor, "R"]  # share of neurons, when the last interval ended

    def __init__(self, rules: Rules, runs: int, agents: int, neurons: int) -> None:
        super().__init__()
        self.rules = rules
        self.register_buffer("asked", torch.zeros(runs, agents, neurons))
        before = torch.zeros(runs, rules.window, agents, neurons, dtype=torch.float64)
        self.register_buffer("before", before)
        for name in ("intervals", "futile"):
            self.register_buffer(name, torch.zeros(runs, dtype=torch.float64))
        for name in ("age", "cloned", "closing"):
            self.register_buffer(name, torch.zeros(runs, neurons, dtype=torch.float64))

    def note(self, asked: Float32[Tensor, "R N O"], counts: Bool[Tensor, "R"]) -> None:
        """Add what was asked in an update of the runs that count."""
        counts = counts[:, None, None] & asked.isfinite()
        self.asked += torch.where(counts, asked, 0.0)

    def known(self, run: int) -> Float64[Tensor, "W N O"]:
        """Return what was asked of a run's neurons in the intervals that are remembered."""
        count = min(int(self.intervals[run]), self.rules.window)
        return self.before[run, self.rules.window - count :]

    def end_interval(self, run: int, columns: Int64[Tensor, "N O"]) -> None:
        """Remember the interval under way instead of the first, and begin another one."""
        self.before[run] = torch.cat((self.before[run, 1:], self.asked[run, None].double().cpu()))
        self.asked[run] = 0
        self.intervals[run] += 1
        mean = efficiency(self.known(run), columns).mean(0)
        self.futile[run] = (mean < FUTILE).double().mean()

    def measures(self) -> dict[str, Float32[Tensor, "R"]]:
        """Return the share of neurons that have clones, and of those that are futile.

        Of futile ones nothing is known before an interval has ended.
        """
        found = {"cloned": self.cloned.mean(1)}
        if (self.intervals > 0).all():
            found["futile"] = self.futile
        return {name: x.float().to(self.asked.device) for name, x in found.items()}

    def to_open(self, run: int, columns: Int64[Tensor, "N O"]) -> Bool[Tensor, "O"]:
        """Return the neurons whose efficiency is too low, of those that are old enough."""
        rules = self.rules
        ready = (self.cloned[run] == 0) & (self.age[run] > rules.window) & (rules.clones > 1)
        mean = efficiency(self.known(run), columns).mean(0)
        limit = rules.futile
        if rules.threshold == "relative":
            limit = rules.futile * float(mean[ready].mean())
        return ready & (mean < limit)

    def open(self, run: int, columns: Int64[Tensor, "N O"]) -> Bool[Tensor, "O"]:
        """Give clones to the neurons that need them: choose in place; return which."""
        opened = torch.zeros_like(self.age[run], dtype=torch.bool)
        for neuron in self.to_open(run, columns).nonzero().flatten().tolist():
            labels = split(self.known(run)[:, :, neuron], self.rules.clones)
            if labels is not None:
                columns[:, neuron] = torch.tensor(labels)
                opened[neuron] = True
        self.cloned[run, opened], self.age[run, opened] = 1, 0
        return opened

    def close(
        self, run: int, columns: Int64[Tensor, "N O"], apart: Float[Tensor, "O"]
    ) -> Bool[Tensor, "O"]:
        """Make one what is to be and is alike by now: choose in place; return which neurons."""
        closed = (self.closing[run] == 1) & (apart < ALIKE)
        columns[:, closed] = 0
        for x in (self.cloned, self.closing, self.age):
            x[run, closed] = 0
        return closed

    def begin_closing(self, run: int, variance: Float[Tensor, "O"], generator: Generator) -> None:
        """Now and then have clones come together again: those that differ least for their age."""
        open_ones = (self.cloned[run] == 1) & (self.closing[run] == 0)
        chance = self.rules.restore * float(open_ones.double().mean())
        if torch.rand((), generator=generator) < chance:
            slowly = (variance / self.age[run].clamp(min=1)).masked_fill(~open_ones, torch.inf)
            self.closing[run, int(slowly.argmin())] = 1


@torch.no_grad()
def differences(layer: Bank) -> tuple[Float32[Tensor, "R O"], Float32[Tensor, "R O"]]:
    """Return how far apart each neuron's clones' weights are: mean variance, and mean distance."""
    away = layer.weight.detach().cpu()
    away = away - away.mean(1, keepdim=True)
    return away.square().mean((1, 2)), away.abs().mean((1, 2))


def copy_first(opened: Bool[Tensor, "R O"], sets: Float32[Tensor, "R K *P"]) -> None:
    """Make all clones of these neurons what the first is, in place."""
    sets.copy_(torch.where(_of_neurons(opened, sets), sets[:, :1], sets))


def average(closed: Bool[Tensor, "R O"], sets: Float32[Tensor, "R K *P"]) -> None:
    """Make all clones of these neurons their mean, in place."""
    sets.copy_(torch.where(_of_neurons(closed, sets), sets.mean(1, keepdim=True), sets))


@torch.no_grad()
def draw_together(bank: Bank, closing: Bool[Tensor, "R O"]) -> None:
    """Take a step of these neurons' clones to their mean, by the L1 distance to it."""
    for sets in (bank.weight, bank.bias):
        mean = sets.mean(1, keepdim=True)
        nearer = mean + functional.softshrink(sets - mean, NEARER)
        sets.copy_(torch.where(_of_neurons(closing, sets), nearer, sets))


def _of_neurons(which: Bool[Tensor, "R O"], sets: Float32[Tensor, "R K *P"]) -> Tensor:
    """Return marks of neurons so that they fit parameters of sets, on their device."""
    between = [1] * (sets.dim() - 2)
    return which.view(len(which), *between, which.shape[1]).to(sets.device)
