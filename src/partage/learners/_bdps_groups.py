"""BDPS's group selector: graph attention over the roles of all, and a memory.

Rows are ``[R, M]``, M = copies x agents.
"""

from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.kernels.gru import Order
from partage.kernels.histories import distinct_histories
from partage.learners._periods import PeriodValues, gather_time
from partage.nn.bank import Bank, from_rows, to_rows
from partage.nn.gru import GRU, GRUWeights, run_gru, run_gru_sorted
from partage.nn.networks import MLP
from partage.nn.pointwise import elementwise
from partage.nn.recurrence import CardCells
from partage.rl.losses import total
from partage.sharing import assignment

Features = Literal["own", "attention"]
SHORT = 256  # entries of a table that is multiplied rather than looked up


class GroupSelector(nn.Module):
    """V: roles -> graph attention over the living -> GRU -> each group's value   (BDPS §3.2.1).

    An agent's features are those of its role. So what attention over all living agents gives
    depends only on how many of them play each role: it is computed once for every such count, each
    role weighted by its number of players, and looked up. The paper's sum over agents (eq. 4-5) is
    the same sum, its equal terms taken together.

    With the features "attention" that is all: eq. 4-5 as printed. There an agent's own role cancels
    out wherever its scores have one sign, and all agents whose scores have that sign are told the
    same (docs/fidelity.md). With "own" the agent's own transformed features W x_i are added to each
    head's sum   [A24].
    """

    def __init__(
        self,
        generators: list[Generator],
        n_agents: int,
        roles: int,
        groups: int,
        hidden: int,
        features: Features = "own",
    ) -> None:
        super().__init__()
        self.n_agents, self.roles, self.hidden = n_agents, roles, hidden
        self.adds_own = features == "own"
        self.everyone = assignment.full(len(generators), 1)
        # a count of players is a number with a digit for each role, the first the lowest
        place_values = (n_agents + 1) ** torch.arange(roles)
        counts = [c for c in product(range(n_agents + 1), repeat=roles) if sum(c) <= n_agents]
        counts.sort(key=lambda digits: digits[::-1])  # in the order of their numbers
        players = torch.tensor(counts)
        # they follow from the task: moved to the device, and not saved
        self.place_values = nn.Buffer(place_values, persistent=False)
        self.counts = nn.Buffer(players, persistent=False)  # [E, K]: players of each role
        self.numbers = nn.Buffer((players * place_values).sum(1), persistent=False)
        self.features = MLP(generators, 1, [roles, hidden], end=True)
        self.heads = Bank(generators, 1, hidden, roles * hidden)  # W of each of k heads
        self.score = Bank(generators, 1, hidden, 2 * roles)  # a^T [W x_i || W x_j], of each head
        self.out = MLP(generators, 1, [roles * hidden, 2 * hidden, hidden])
        self.memory = GRU(generators, 1, hidden, hidden)
        self.value = Bank(generators, 1, hidden, groups)

    def attention(self) -> Float32[Tensor, "R EK G"]:
        """Return what the GRU's gates are fed, for every count of living players and every role."""
        k, runs = self.roles, len(self.everyone)
        one_hot = torch.eye(k, device=self.value.weight.device).expand(runs, 1, 1, k, k)
        x = self.features(one_hot, self.everyone)
        wx = self.heads(x, self.everyone).reshape(runs, k, k, self.hidden)  # [R, role, head, H]
        alpha = self._attention_weights(x)
        # eq. 5, its sum over agents taken by roles: [R, E, i, head, H]
        by_role = [alpha[:, :, :, j, :, None] * wx[:, None, None, j] for j in range(k)]
        mixed = torch.as_tensor(sum(by_role))
        if self.adds_own:
            mixed = mixed + wx[:, None]
        rows = elementwise(functional.elu, mixed.flatten(3)).flatten(1, 2)
        fed = self.out(rows[:, None, None], self.everyone).relu()
        return torch.matmul(fed, self.memory.inputs.weight[:, :, None])[:, 0, 0]

    def _attention_weights(
        self, features: Float32[Tensor, "R 1 1 K H"]
    ) -> Float32[Tensor, "R E K K K"]:
        """Return alpha of role i for all players of role j, for every count and head   (eq. 4).

        Axes are [R, E, i, j, head].
        """
        k, runs = self.roles, len(self.everyone)
        scores = self.score(features, self.everyone).reshape(runs, k, 2, k)
        of_i, of_j = scores.unbind(2)
        e = functional.leaky_relu(of_i[:, :, None] + of_j[:, None], 0.2)  # [R, i, j, head]
        players = self.counts[None, :, None, :, None]
        weight = players * (e - e.amax(2, keepdim=True)).exp()[:, None]
        return weight / weight.sum(3, keepdim=True).clamp(min=1e-12)

    def entries(
        self, roles: Int64[Tensor, "R T B N"], alive: Bool[Tensor, "R T B N"]
    ) -> Int64[Tensor, "R T B N"]:
        """Return where each agent finds its own in the `attention` of all runs, end to end."""
        players = (functional.one_hot(roles, self.roles) * alive[..., None]).sum(3)
        number = (players * self.place_values).sum(-1)
        place = torch.searchsorted(self.numbers, number)
        count = len(self.numbers)
        place = place + torch.arange(len(roles), device=roles.device)[:, None, None] * count
        return place[..., None] * self.roles + roles

    def states(
        self,
        attention: Float32[Tensor, "R EK G"],
        entry: Int64[Tensor, "R T M"],
        h: Float32[Tensor, "R M H"],
    ) -> Float32[Tensor, "R T M H"]:
        """Return the GRU's states at every instant; `h` is the one before the first."""
        fed = look_up(attention, entry)
        return run_gru(fed[:, None], h[:, None], self._cell())[:, 0]

    def states_of_histories(
        self, attention: Float32[Tensor, "R EK G"], histories: "Histories"
    ) -> Float32[Tensor, "L H"]:
        """Return the GRU's states along histories, from zero on."""
        table, cell = attention.flatten(0, 1), self._cell()
        if histories.order is None:
            entry = histories.fed
            zero = table.new_zeros(len(entry), entry.shape[2], self.hidden)
            return self.states(attention, entry, zero).flatten(0, 2)
        began = int((histories.order.before < 0).sum())
        zero = table.new_zeros(began, self.hidden)
        assert isinstance(cell, GRUWeights)  # as on the CPU
        return run_gru_sorted(table, zero, cell, histories.order, histories.fed)

    def _cell(self) -> GRUWeights | CardCells:
        """Return the GRU less its inputs' weights, which are in `attention` already."""
        return self.memory.select(self.everyone)._replace(wx=None)

    def values(self, states: Float32[Tensor, "R B T N H"]) -> Float32[Tensor, "R B T N V"]:
        """Return the value of each group to agents in these states."""
        return from_rows(self.value(to_rows(states, 1), self.everyone), states.shape[3])


def look_up(
    tables: Float32[Tensor, "R E G"], entry: Int64[Tensor, "R T M"]
) -> Float32[Tensor, "R T M G"]:
    """Return entries of the runs' tables, numbered end to end; a run looks into its own.

    On a card the gradient of what is looked up is added up in any order. Where a table is short and
    a gradient is wanted, it is multiplied by ones and zeros there.
    """
    runs, entries = tables.shape[:2]
    if tables.device.type == "cpu" or not torch.is_grad_enabled() or entries > SHORT:
        found = tables.flatten(0, 1).index_select(0, entry.flatten())
        return found.unflatten(0, entry.shape)
    place = torch.arange(runs * entries, device=entry.device).view(runs, 1, entries)
    ones = entry.flatten(1)[..., None] == place
    return (ones.float() @ tables).unflatten(1, entry.shape[1:])


class Histories(NamedTuple):
    """What agents' memories have read: a row for all agents of a copy that have read the same.

    Roles change once a period, so at first few rows stand for many agents.
    """

    fed: Int64[Tensor, "L"]  # each row's entry in `attention`; without an order [R, T, M]
    order: Order | None  # None: each agent has its own row   (not on the CPU)
    row_of: Int64[Tensor, "R B T N"]  # each agent's row; behind an episode's end the last

    @classmethod
    def of(cls, entry: Int64[Tensor, "R T B N"], length: Int64[Tensor, "R B"]) -> "Histories":
        """Return the histories of so many entries of each episode, and the one behind them."""
        if entry.device.type != "cpu":
            row_of = torch.arange(entry.numel(), device=entry.device).view(entry.shape)
            return cls(entry.flatten(2), None, row_of.transpose(1, 2))
        found = distinct_histories(entry.contiguous().numpy(), length.contiguous().numpy())
        bounds, before, fed, row_of = found
        order = Order(before, bounds, 1, np.arange(len(entry)))
        return cls(torch.from_numpy(fed), order, torch.from_numpy(row_of).transpose(1, 2))


@torch.no_grad()
def decisions(
    online: PeriodValues, batch: dict[str, Tensor], period: int
) -> tuple[Float32[Tensor, "R B P N G"], Bool[Tensor, "R B P"]]:
    """Return the values of groups at the periods' starts, and where all agents live there."""
    length = batch["filled"].sum(2, keepdim=True)
    every_start = torch.arange(0, batch["filled"].shape[2], period, device=length.device)
    start = every_start.expand(*length.shape[:2], -1)
    alive = gather_time(batch["alive"], start).all(-1)
    return online.at(start), alive & (start < length)


class Effects(NamedTuple):
    """How the values of groups vary, over decisions that all agents live to take."""

    main: Float32[Tensor, "R"]  # root mean square of the groups' effect, equal for all agents
    interaction: Float32[Tensor, "R"]  # of what is left: that another group is better for another
    one_group: Float32[Tensor, "R"]  # share of decisions whose best group is everybody's


@torch.no_grad()
def effects(values: Float32[Tensor, "R B P N G"], counts: Bool[Tensor, "R B P"]) -> Effects:
    """Split values of groups into a mean, the agents' and the groups' effects, and interaction.

    Only the interaction lets agents choose different groups; `counts` says which decisions count.
    """
    centred = values - values.mean(-1, keepdim=True)  # without the mean and the agents' effects
    group = centred.mean(3, keepdim=True)
    best = values.argmax(-1)
    number = counts.sum((1, 2)).clamp(min=1)

    def average(x: Float32[Tensor, "R B P"]) -> Float32[Tensor, "R"]:
        return total(x * counts) / number

    return Effects(
        main=average(group.square().mean((3, 4))).sqrt(),
        interaction=average((centred - group).square().mean((3, 4))).sqrt(),
        one_group=average((best == best[..., :1]).all(-1).float()),
    )
