"""Networks that two or more learners use, made of banks."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from jaxtyping import Float32, Int64
from torch import Generator, Tensor, nn

from partage.kernels import acting
from partage.nn.bank import Bank, Init, Rows, from_rows, linear_init, to_rows
from partage.nn.dense import Layer, apply_layers
from partage.nn.gru import GRU, GRUWeights, run_gru
from partage.nn.recurrence import CardCells
from partage.sharing import assignment
from partage.sharing.assignment import Assignment

Sharing = Literal["full", "id", "none"]
# sees what the encoder gives: rows [R, G, T, M, H]; or sorted ones [L, H], and their places there
Watch = Callable[[Tensor, Tensor | None], None]


class FixedSharing(NamedTuple):
    """A sharing that does not change in training."""

    sets: int  # that a bank holds
    agent_id: int  # N where the input has a one-hot agent id, else 0
    assignment: Assignment


def fixed_sharing(sharing: Sharing, runs: int, n_agents: int) -> FixedSharing:
    """Return the sharing of this name.

    ``full``: one set; ``id``: one set and a one-hot agent id in the input; ``none``: a set for
    every agent.
    """
    if sharing == "none":
        return FixedSharing(n_agents, 0, assignment.none(runs, n_agents))
    agent_id = n_agents if sharing == "id" else 0
    return FixedSharing(1, agent_id, assignment.full(runs, n_agents))


class MLP(nn.Module):
    """Banks with ReLU between them (and after the last where `end` is True).

    `first` and `last` initialise the first layer and the last where these are not as the others.
    """

    def __init__(
        self,
        generators: Sequence[Generator],
        sets: int,
        sizes: Sequence[int],
        init: Init = linear_init,
        agent_id: int = 0,
        end: bool = False,
        first: Init | None = None,
        last: Init | None = None,
    ) -> None:
        super().__init__()
        self.end = end
        inits = [first or init, *[init] * (len(sizes) - 2)]
        inits[-1] = last or inits[-1]
        ids = [agent_id, *[0] * (len(sizes) - 2)]
        self.banks = nn.ModuleList(
            Bank(generators, sets, inputs, outputs, each, agent_id=of_layer)
            for (inputs, outputs), each, of_layer in zip(pairwise(sizes), inits, ids, strict=True)
        )

    def select(self, index: Assignment) -> list[Layer]:
        """Return the layers that each agent goes through; they hold until the next update."""
        last = None if self.end else self.banks[-1]
        return [bank.select(index, relu=bank is not last) for bank in self.banks]  # type: ignore[operator]

    def in_place(self, index: Assignment) -> tuple[acting.Bank, ...]:
        """Return the same for compiled acting: views of the parameters."""
        return tuple(bank.in_place(index) for bank in self.banks)  # type: ignore[operator]

    def forward(self, rows: Rows, index: Assignment) -> Float32[Tensor, "R G T M O"]:
        """Return each agent's rows behind its networks."""
        return apply_layers(rows, self.select(index))


class Recurrent(nn.Module):
    """The body of PyMARL's agent: FC(obs, last action, id) ReLU, GRU -> a state each instant."""

    def __init__(
        self,
        generators: list[Generator],
        sharing: FixedSharing,
        obs_dim: int,
        n_actions: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.sets, self.hidden = sharing.sets, hidden
        self.encoder = Bank(
            generators, self.sets, obs_dim, hidden, one_hot=n_actions, agent_id=sharing.agent_id
        )
        self.memory = GRU(generators, self.sets, hidden, hidden)

    def initial(self, copies: int, n_agents: int) -> Float32[Tensor, "R B N H"]:
        """Return an empty memory for every agent of so many copies."""
        bias = self.encoder.bias
        return bias.new_zeros(len(bias), copies, n_agents, self.hidden)

    def initial_for(self, obs: Float32[Tensor, "R B T N O"]) -> Float32[Tensor, "R B N H"]:
        """Return an empty memory for every agent and copy that these observations show."""
        _, copies, _, n_agents, _ = obs.shape
        return self.initial(copies, n_agents)

    def select(self, index: Assignment) -> "SelectedRecurrent":
        """Return the networks that each agent goes through; they hold until the next update."""
        return SelectedRecurrent(
            self.sets, self.encoder.select(index, relu=True), self.memory.select(index)
        )

    def in_place(self, index: Assignment) -> acting.Body:
        """Return the same for compiled acting: views of the parameters."""
        banks = self.encoder, self.memory.inputs, self.memory.hidden
        return acting.Body(*(bank.in_place(index) for bank in banks))


class SelectedRecurrent(NamedTuple):
    """`Recurrent` with the sets of an assignment."""

    sets: int
    encoder: Layer
    memory: GRUWeights | CardCells
    watch: Watch | None = None

    def __call__(
        self,
        obs: Float32[Tensor, "R B T N O"],
        last_action: Int64[Tensor, "R B T N"],  # -1: none yet
        h: Float32[Tensor, "R B N H"],
    ) -> Float32[Tensor, "R G T M H"]:
        """Return the states after every instant, as rows."""
        last = to_rows(last_action[..., None], self.sets).squeeze(-1)
        rows = self.encoder(to_rows(obs, self.sets), last)
        if self.watch is not None:
            self.watch(rows, None)
        return run_gru(rows, to_rows(h[:, :, None], self.sets)[:, :, 0], self.memory)


class RecurrentQ(nn.Module):
    """PyMARL's agent: `Recurrent`, then FC -> the value of each action.

    With more layers behind the memory there is ReLU between them   (Kaleidoscope's has three).
    """

    def __init__(
        self,
        generators: list[Generator],
        sharing: FixedSharing,
        obs_dim: int,
        n_actions: int,
        hidden: int,
        behind: int = 1,
    ) -> None:
        super().__init__()
        self.body = Recurrent(generators, sharing, obs_dim, n_actions, hidden)
        self.head: Bank | MLP
        if behind == 1:
            self.head = Bank(generators, sharing.sets, hidden, n_actions)
        else:
            self.head = MLP(generators, sharing.sets, [*[hidden] * behind, n_actions])

    def initial(self, copies: int, n_agents: int) -> Float32[Tensor, "R B N H"]:
        """Return an empty memory for every agent of so many copies."""
        return self.body.initial(copies, n_agents)

    def initial_for(self, obs: Float32[Tensor, "R B T N O"]) -> Float32[Tensor, "R B N H"]:
        """Return an empty memory for every agent and copy that these observations show."""
        return self.body.initial_for(obs)

    def select(self, index: Assignment) -> "SelectedQ":
        """Return the networks that each agent goes through; they hold until the next update."""
        selected = self.head.select(index)
        layers = (selected,) if isinstance(selected, Layer) else tuple(selected)
        return SelectedQ(self.body.select(index), layers)

    def in_place(self, index: Assignment) -> tuple[acting.Body, tuple[acting.Bank, ...]]:
        """Return the same for compiled acting, body and layers: views of the parameters."""
        banks = self.head.in_place(index)
        return self.body.in_place(index), (banks,) if isinstance(banks, acting.Bank) else banks

    def forward(
        self, obs: Tensor, last_action: Tensor, h: Tensor, index: Assignment
    ) -> tuple[Float32[Tensor, "R B T N A"], Float32[Tensor, "R B N H"]]:
        """Do as `SelectedQ` with the networks of this assignment."""
        return self.select(index)(obs, last_action, h)


class SelectedQ(NamedTuple):
    """`RecurrentQ` with the sets of an assignment."""

    body: SelectedRecurrent
    head: tuple[Layer, ...]

    def __call__(
        self, obs: Tensor, last_action: Tensor, h: Tensor
    ) -> tuple[Float32[Tensor, "R B T N A"], Float32[Tensor, "R B N H"]]:
        """Return action values, and the hidden state after the last instant.

        Arguments are `SelectedRecurrent`'s.
        """
        states = self.body(obs, last_action, h)
        q = from_rows(apply_layers(states, self.head), obs.shape[3])
        return q, from_rows(states[:, :, -1:], obs.shape[3])[:, :, 0]
