"""BDPS's two selectors: which role an agent plays (a GRU-VAE), and which group its role joins
(graph attention).
"""

from itertools import product

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.nn.bank import Bank, from_rows, to_rows
from partage.nn.gru import GRU, run_gru
from partage.nn.networks import MLP
from partage.sharing import assignment


class RoleSelector(nn.Module):
    """U: a sequence of advantages -> GRU -> k-dimensional Gaussian; the role is the largest
    coordinate (BDPS §3.1.1).

    The decoder unrolls a GRU from the code to the sequence, and shows it the code at every step.
    Rows are ``[R, M]``, M copies x agents.
    """

    def __init__(self, generators: list[Generator], roles: int, width: int, hidden: int) -> None:
        super().__init__()
        self.width, self.hidden = width, hidden
        self.everyone = assignment.full(len(generators), 1)
        self.reader = GRU(generators, 1, width, hidden)
        self.encoder = MLP(generators, 1, [hidden, hidden, 2 * roles])
        self.decoder = MLP(generators, 1, [roles, hidden, hidden])
        self.writer = GRU(generators, 1, roles, hidden)
        self.advantage = Bank(generators, 1, hidden, width)

    def read(
        self, advantages: Float32[Tensor, "R T M W"], h: Float32[Tensor, "R M H"] | None = None
    ) -> Float32[Tensor, "R M H"]:
        """The hidden state after a sequence (h_{t-1} of §3.1.1), from zero or from `h` on."""
        if h is None:
            h = advantages.new_zeros(advantages.shape[0], advantages.shape[2], self.hidden)
        return self.reader(advantages[:, None], h[:, None], self.everyone)[:, 0, -1]

    def gaussian(
        self, h: Float32[Tensor, "R M H"]
    ) -> tuple[Float32[Tensor, "R M K"], Float32[Tensor, "R M K"]]:
        """Mean and log variance of z_U."""
        mean, log_var = self.encoder(h[:, None, None], self.everyone)[:, 0, 0].chunk(2, -1)
        return mean, log_var

    def roles(
        self, h: Float32[Tensor, "R M H"], noise: Float32[Tensor, "R M K"] | None
    ) -> Int64[Tensor, "R M"]:
        """argmax of z = mu + sigma * noise (None: of mu)   (BDPS eq. 3)."""
        mean, log_var = self.gaussian(h)
        return (mean if noise is None else mean + (0.5 * log_var).exp() * noise).argmax(-1)

    def losses(
        self,
        advantages: Float32[Tensor, "R T M W"],
        noise: Float32[Tensor, "R M K"],
    ) -> tuple[Float32[Tensor, "R M"], Float32[Tensor, "R M"]]:
        """Squared error of the reconstruction (mean over the sequence) and divergence from N(0, I)
        (BDPS eq. 7).
        """
        mean, log_var = self.gaussian(self.read(advantages))
        z = mean + (0.5 * log_var).exp() * noise
        start = self.decoder(z[:, None, None], self.everyone)[:, :, 0]
        again = z[:, None, None].expand(-1, 1, advantages.shape[1], -1, -1)
        states = self.writer(again, start, self.everyone)
        error = (self.advantage(states, self.everyone)[:, 0] - advantages).square().mean((1, 3))
        return error, 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)


class GroupSelector(nn.Module):
    """V: roles -> graph attention over the living agents -> GRU -> the value of each group (BDPS
    §3.2.1).

    An agent's features are those of its role. So what attention over all living agents gives
    depends only on how many of them play each role: it is computed once for every such count, each
    role weighted by its number of players, and looked up. The paper's sum over agents (eq. 4-5) is
    the same sum, its equal terms taken together.
    """

    def __init__(
        self, generators: list[Generator], n_agents: int, roles: int, groups: int, hidden: int
    ) -> None:
        super().__init__()
        self.n_agents, self.roles, self.hidden = n_agents, roles, hidden
        self.everyone = assignment.full(len(generators), 1)
        self.radix = (n_agents + 1) ** torch.arange(roles)
        counts = [c for c in product(range(n_agents + 1), repeat=roles) if sum(c) <= n_agents]
        self.counts = torch.tensor(
            sorted(counts, key=lambda c: c[::-1])
        )  # [E, K], in the order of their codes
        self.codes = (self.counts * self.radix).sum(1)
        self.features = MLP(generators, 1, [roles, hidden], end=True)
        self.heads = Bank(generators, 1, hidden, roles * hidden)  # W of each of k heads
        self.score = Bank(generators, 1, hidden, 2 * roles)  # a^T [W x_i || W x_j], of each head
        self.out = MLP(generators, 1, [roles * hidden, 2 * hidden, hidden])
        self.memory = GRU(generators, 1, hidden, hidden)
        self.value = Bank(generators, 1, hidden, groups)

    def attention(self) -> Float32[Tensor, "R EK G"]:
        """What the GRU's gates are fed, for every count of living players and every role."""
        k, runs = self.roles, len(self.everyone)
        one_hot = torch.eye(k, device=self.value.weight.device).expand(runs, 1, 1, k, k)
        x = self.features(one_hot, self.everyone)
        wx = self.heads(x, self.everyone).reshape(runs, k, k, self.hidden)  # [R, role, head, H]
        mine, other = self.score(x, self.everyone).reshape(runs, k, 2, k).unbind(2)
        e = functional.leaky_relu(
            mine[:, :, None] + other[:, None], 0.2
        )  # [R, role i, role j, head]   (eq. 4)
        players = self.counts.to(e.device)[None, :, None, :, None]
        weight = players * (e - e.amax(2, keepdim=True)).exp()[:, None]  # [R, E, i, j, head]
        alpha = weight / weight.sum(3, keepdim=True).clamp(min=1e-12)
        mixed = sum(
            alpha[:, :, :, j, :, None] * wx[:, None, None, j] for j in range(k)
        )  # [R, E, i, head, H]   (eq. 5)
        rows = functional.elu(torch.as_tensor(mixed).flatten(3)).flatten(1, 2)
        fed = self.out(rows[:, None, None], self.everyone).relu()
        return torch.matmul(fed, self.memory.inputs.weight[:, :, None])[:, 0, 0]

    def states(
        self,
        table: Float32[Tensor, "R EK G"],
        roles: Int64[Tensor, "R T B N"],
        alive: Bool[Tensor, "R T B N"],
        h: Float32[Tensor, "R M H"],
    ) -> Float32[Tensor, "R T M H"]:
        """The GRU's states at every instant, given `attention` and the state before the first."""
        players = functional.one_hot(roles, self.roles) * alive[..., None]
        code = (players.sum(3) * self.radix.to(roles.device)).sum(-1)
        entry = (
            torch.searchsorted(self.codes.to(roles.device), code)[..., None] * self.roles + roles
        )
        entry = (
            entry
            + torch.arange(len(entry), device=roles.device)[:, None, None, None] * table.shape[1]
        )
        rows = (
            table.flatten(0, 1)
            .index_select(0, entry.flatten())
            .unflatten(0, entry.shape)
            .flatten(2, 3)
        )
        cell = self.memory.select(self.everyone)._replace(wx=None)
        return run_gru(rows[:, None], h[:, None], cell)[:, 0]

    def values(self, states: Float32[Tensor, "R B T N H"]) -> Float32[Tensor, "R B T N V"]:
        """Of each group, to agents in these states."""
        return from_rows(self.value(to_rows(states, 1), self.everyone), states.shape[3])
