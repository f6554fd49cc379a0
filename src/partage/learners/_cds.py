"""CDS's networks: a head of each agent beside a shared one on the same recurrent body."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn

from partage.kernels import acting
from partage.learners._off_policy import MixedNetworks, Settings, previous_actions
from partage.nn.bank import Bank, from_rows, to_rows
from partage.nn.dense import Layer
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

    def in_place(self, index: Assignment) -> tuple[acting.Body, tuple[acting.Bank, ...]]:
        """Return body and heads for compiled acting: views of the parameters."""
        own = self.own.in_place(assignment.none(*index.shape))
        return self.body.in_place(index), (self.head.in_place(index), own)

    def by_all_heads(self, states: Float32[Tensor, "R B T N H"]) -> Float32[Tensor, "R B T N J A"]:
        """Return the own values by every agent's head on every agent's states."""
        side_by_side = self.own.weight.transpose(1, 2).flatten(2)[:, None]  # [R, 1, H, J * A]
        biases = self.own.bias.flatten(1)[:, None, None]
        runs, n_agents = len(biases), states.shape[3]
        heads = Layer(side_by_side, biases, assignment.full(runs, 1))
        values = from_rows(heads(to_rows(states, 1)), n_agents)
        return values.unflatten(-1, self.own.bias.shape[1:])


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
