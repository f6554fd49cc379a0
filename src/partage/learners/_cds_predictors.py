"""CDS's predictors of the next observation, which know whose it is or do not, and their training.

**As published** (`descend_passes`): each predictor has an Adam and a gradient norm of its own, and
starts with Xavier's uniform weights and zero biases; its loss is the squared error summed over the
observation, the mean over a minibatch's rows, of the dead too.

**As this suite had it** (`descend_drawn`): both have one Adam and one norm and start as torch's
default; the error is the mean over the observation and over the living, on minibatches of
transitions of all agents, drawn with replacement.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor, nn

from partage.learners._passes import Minibatch, descend, shuffled
from partage.nn.bank import Bank, Init
from partage.nn.dense import apply_layers
from partage.nn.optimiser import Optimiser
from partage.rl.replay import sample_transitions
from partage.sharing import assignment
from partage.sims.contract import Spec


def xavier_init(weight: Tensor, bias: Tensor, generator: Generator) -> None:
    """Initialise weights uniformly within sqrt(6 / (inputs + outputs)), biases at zero   (CDS)."""
    bound = math.sqrt(6 / sum(weight.shape))
    weight.uniform_(-bound, bound, generator=generator)
    bias.zero_()


class Known(NamedTuple):
    """What predictors learn from: whole episodes of a batch, and the states before them."""

    earlier: Float32[Tensor, "R B T N H"]  # zeros at the start
    obs: Float32[Tensor, "R B T1 N O"]
    actions: Int64[Tensor, "R B T N"]
    alive: Bool[Tensor, "R B T1 N"]
    filled: Bool[Tensor, "R B T"]

    def first(self, episodes: int) -> "Known":
        """Return so many of the episodes."""
        return Known(*(x[:, :episodes] for x in self))


class Predictor(nn.Module):
    """Predicts the next observation from (h, o, a), knowing the agent's id or not."""

    def __init__(
        self,
        generators: Sequence[Generator],
        spec: Spec,
        sizes: tuple[int, int],
        init: Init,
        agent_id: int,
    ) -> None:
        super().__init__()
        hidden, units = sizes
        self.everyone = assignment.full(len(generators), spec.n_agents)
        actions, known = spec.n_actions, hidden + spec.obs_dim
        self.first = Bank(generators, 1, known, units, init, one_hot=actions, agent_id=agent_id)
        self.second = Bank(generators, 1, units, units, init, agent_id=agent_id)
        self.last = Bank(generators, 1, units, spec.obs_dim, init)

    def errors(
        self,
        known: Float32[Tensor, "R K N _"],
        actions: Int64[Tensor, "R K N"],
        later: Float32[Tensor, "R K N O"],
    ) -> Float32[Tensor, "R K N"]:
        """Return the squared error summed over the observation (less a constant, -log p)."""
        rows, action_rows = known.flatten(1, 2)[:, None, None], actions.flatten(1)[:, None, None]
        first = self.first.select(self.everyone, relu=True)
        second = self.second.select(self.everyone, relu=True)
        layers = [first, second, self.last.select(self.everyone)]
        predicted = apply_layers(rows, layers, action_rows)[:, 0, 0]
        return (predicted.unflatten(1, actions.shape[1:]) - later).square().sum(-1)

    def errors_of_rows(self, known: Known, rows: Minibatch) -> Float32[Tensor, "R K"]:
        """Return the same of rows of agents in any order, whose ids are looked up as actions are.

        A table of biases has an entry for each agent and place of the one, in this order.
        """
        who = rows.agent * bool(self.first.agent_id)
        first = self.first.select(self.everyone, relu=True)
        second = self.second.select(self.everyone, relu=True)
        of_action = who * first.entries + rows.of_agents(known.actions)
        of_id = who - 1  # place -1 is the first entry
        x = torch.cat((rows.of_agents(known.earlier), rows.of_agents(known.obs)), -1)
        x = first._replace(entries=first.table.shape[2])(x[:, None, None], of_action[:, None, None])
        second = second._replace(entries=second.table.shape[2])
        layers = [second, self.last.select(self.everyone)]
        predicted = apply_layers(x, layers, of_id[:, None, None])[:, 0, 0]
        return (predicted - rows.of_agents(known.obs, later=1)).square().sum(-1)


class Predictors(nn.Module):
    """A predictor that does not know who it is, and one that does.

    `sizes` are the units of the agents' state and of the predictors' layers.
    """

    def __init__(
        self, generators: Sequence[Generator], spec: Spec, sizes: tuple[int, int], init: Init
    ) -> None:
        super().__init__()
        self.without_id = Predictor(generators, spec, sizes, init, 0)
        self.with_id = Predictor(generators, spec, sizes, init, spec.n_agents)


class Passes(NamedTuple):
    """How predictors are trained as published."""

    epochs: int  # passes through the rows
    size: int  # rows of a minibatch
    generators: Sequence[Generator]


def descend_passes(
    trained: tuple[tuple[Predictor, Optimiser], tuple[Predictor, Optimiser]],
    known: Known,
    passes: Passes,
    active: Bool[Tensor, "R"],
) -> Float32[Tensor, "R"]:
    """Take each predictor's steps through the rows; return the last pass's mean error.

    It is summed over the predictors, and a mean over the observation.
    """

    def step(rows: Minibatch, stepping: Bool[Tensor, "R"]) -> tuple[Tensor, ...]:
        losses = []
        for predictor, optimiser in trained:
            loss = rows.mean(predictor.errors_of_rows(known, rows))
            optimiser.step(loss, stepping)
            losses.append(loss)
        return tuple(losses)

    agents, errors = known.actions.shape[3], []
    for _ in range(passes.epochs):
        minibatches = shuffled(known.filled, agents, passes.size, passes.generators)
        errors = descend(minibatches, active, step)
    return torch.stack(errors).sum(0) / known.obs.shape[-1]


def descend_drawn(
    predictors: Predictors,
    optimiser: Optimiser,
    known: Known,
    noise: Float32[Tensor, "R C K"],
    active: Bool[Tensor, "R"],
) -> Float32[Tensor, "R"]:
    """Take a step of both predictors on each of C minibatches; return the last one's loss."""
    loss = torch.zeros(active.shape, device=active.device)
    for minibatch_noise in noise.unbind(1):
        r, b, t = sample_transitions(known.filled, minibatch_noise)
        before = torch.cat((known.earlier[r, b, t], known.obs[r, b, t]), -1)
        actions, later = known.actions[r, b, t], known.obs[r, b, t + 1]
        without_id = predictors.without_id.errors(before, actions, later)
        with_id = predictors.with_id.errors(before, actions, later)
        alive = known.alive[r, b, t]
        error = ((without_id + with_id) * alive).sum((1, 2)) / alive.sum((1, 2)).clamp(min=1)
        loss = error / later.shape[-1]
        optimiser.step(loss, active)
    return loss.detach()
