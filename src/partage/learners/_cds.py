"""CDS's networks: a head of each agent beside a shared one, and predictors of observations."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn

from partage.learners._off_policy import MixedNetworks, Settings, previous_actions
from partage.nn.bank import Bank, from_rows, to_rows
from partage.nn.dense import Layer, apply_layers
from partage.nn.mixer import Mixer
from partage.nn.networks import FixedSharing, Recurrent, SelectedRecurrent
from partage.nn.state import hold
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream


class SelectedDiverse(NamedTuple):
    """The networks that each agent goes through, until the next update."""

    body: SelectedRecurrent
    head: Layer  # shared by all
    own: Layer  # each agent's

    def parts(
        self,
        obs: Float32[Tensor, "R B T N O"],
        last_action: Int64[Tensor, "R B T N"],
        h: Float32[Tensor, "R B N H"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return shared and own values ``[R, B, T, N, A]``, and the states behind them.

        The states are ``[R, B, T, N, H]``.
        """
        n, rows = obs.shape[3], self.body(obs, last_action, h)
        states = from_rows(rows, n)
        return from_rows(self.head(rows), n), from_rows(self.own(to_rows(states, n)), n), states

    def __call__(self, obs: Tensor, last_action: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return action values, and the hidden state after the last instant."""
        shared, own, states = self.parts(obs, last_action, h)
        return shared + own, states[:, :, -1]


class Diverse(nn.Module):
    """An agent's values: a head shared by all plus one of its own on the same recurrent body."""

    def __init__(
        self, generators: list[Generator], share: FixedSharing, spec: Spec, hidden: int
    ) -> None:
        super().__init__()
        self.body = Recurrent(generators, share, spec.obs_dim, spec.n_actions, hidden)
        self.head = Bank(generators, 1, hidden, spec.n_actions)
        self.own = Bank(generators, spec.n_agents, hidden, spec.n_actions)

    def initial(self, copies: int, n_agents: int) -> Float32[Tensor, "R B N H"]:
        """Return an empty memory for every agent of so many copies."""
        return self.body.initial(copies, n_agents)

    def initial_for(self, obs: Float32[Tensor, "R B T N O"]) -> Float32[Tensor, "R B N H"]:
        """Return an empty memory for every agent and copy that these observations show."""
        return self.body.initial_for(obs)

    def select(self, index: Assignment) -> SelectedDiverse:
        """Return the networks that each agent goes through; `index` is of the shared ones."""
        own = self.own.select(assignment.none(*index.shape))
        return SelectedDiverse(self.body.select(index), self.head.select(index), own)

    def by_all_heads(self, states: Float32[Tensor, "R B T N H"]) -> Float32[Tensor, "R B T N J A"]:
        """Return the own values by every agent's head on every agent's states."""
        values = torch.einsum("rbtnh,rjha->rbtnja", states, self.own.weight)
        return values + self.own.bias[:, None, None, None]


class Networks(MixedNetworks):
    """The agents' networks and the mixer."""

    assignment: Assignment

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        g = generators([stream(seed, "networks") for seed in seeds])
        hold(self, assignment=assignment.full(len(seeds), spec.n_agents))
        ids = spec.n_agents if settings.sharing == "id" else 0
        self.agent = Diverse(g, FixedSharing(1, ids, self.assignment), spec, settings.hidden)
        self.mixer = Mixer(g, spec.n_agents, spec.state_dim, settings.mixer, settings.hyper)

    def parts(
        self, obs: Float32[Tensor, "R B T1 N O"], actions: Int64[Tensor, "R B T N"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return shared values, own values and states at every instant of whole episodes."""
        agent, empty = self.agent.select(self.assignment), self.agent.initial_for(obs)
        return agent.parts(obs, previous_actions(actions), empty)

    def q(self, obs: Tensor, actions: Tensor) -> Float32[Tensor, "R B T1 N A"]:
        """Return action values at every instant of whole episodes with these actions."""
        shared, own, _ = self.parts(obs, actions)
        return shared + own


class Predictor(nn.Module):
    """Predicts the next observation from (h, o, a), knowing the agent's id or not."""

    def __init__(
        self, generators: list[Generator], spec: Spec, hidden: int, units: int, agent_id: int
    ) -> None:
        super().__init__()
        self.everyone = assignment.full(len(generators), spec.n_agents)
        actions, known = spec.n_actions, hidden + spec.obs_dim
        self.first = Bank(generators, 1, known, units, one_hot=actions, agent_id=agent_id)
        self.second = Bank(generators, 1, units, units, agent_id=agent_id)
        self.last = Bank(generators, 1, units, spec.obs_dim)

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


class Predictors(nn.Module):
    """A predictor that does not know who it is, and one that does."""

    def __init__(self, generators: list[Generator], spec: Spec, hidden: int, units: int) -> None:
        super().__init__()
        self.without_id = Predictor(generators, spec, hidden, units, 0)
        self.with_id = Predictor(generators, spec, hidden, units, spec.n_agents)
