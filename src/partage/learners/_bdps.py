"""BDPS's networks, and how they act: roles first, then groups, then actions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, device, nn
from torch.nn import functional

from partage.learners._bdps_selectors import GroupSelector, RoleSelector
from partage.nn.mixer import Mixer
from partage.nn.networks import RoutedQ
from partage.rl.exploration import Exploration, ExplorationNoise, choose
from partage.rl.noise import generators, normal
from partage.rl.rollout import Choice
from partage.sims.contract import Spec, TimeStep, stream

if TYPE_CHECKING:
    from partage.learners.bdps import Settings


class Networks(nn.Module):
    """Role networks, group networks, the group selector, and a mixer for each of the two kinds of
    values.
    """

    def __init__(self, spec: Spec, s: "Settings", seeds: Sequence[int]) -> None:
        super().__init__()
        self.spec, self.settings = spec, s
        n, inputs = (
            spec.n_agents,
            spec.obs_dim + spec.n_actions + (spec.n_agents if s.sharing == "id" else 0),
        )
        g = generators([stream(seed, "networks") for seed in seeds])
        self.mixer = Mixer(g, n, spec.state_dim, s.mixer, s.hyper)
        self.roles = RoutedQ(g, s.roles, inputs, spec.n_actions, s.hidden)
        if s.levels == "both":
            self.groups = RoutedQ(g, s.groups, inputs + s.hidden, spec.n_actions, s.hidden)
            self.selector = GroupSelector(g, n, s.roles, s.groups, s.hidden)
            self.group_mixer = Mixer(g, n, spec.state_dim, s.mixer, s.hyper)

    def inputs(
        self, obs: Float32[Tensor, "R B T N O"], last: Int64[Tensor, "R B T N"]
    ) -> Float32[Tensor, "R T M F"]:
        """Observation, last action (-1: none yet) and agent's id, side by side."""
        parts = [obs, functional.one_hot(last + 1, self.spec.n_actions + 1)[..., 1:].float()]
        if self.settings.sharing == "id":
            parts.append(
                torch.eye(self.spec.n_agents, device=obs.device).expand(*obs.shape[:4], -1)
            )
        return torch.cat(parts, -1).transpose(1, 2).flatten(2, 3)

    def values(
        self,
        x: Tensor,
        h_u: Tensor,
        h_v: Tensor,
        roles: Int64[Tensor, "R T M"],
        groups: Int64[Tensor, "R T M"],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Q^U and Q^V at every instant ``[R, T, M, A]``, and the hidden states of both levels ``[R,
        T, M, H]``.
        """
        q_u, h_u = self.roles(x, h_u, roles)
        if self.settings.levels == "individual":
            return q_u, torch.zeros_like(q_u), h_u, h_u
        told = h_u.detach() if self.settings.hidden_state == "detached" else h_u
        q_v, h_v = self.groups(torch.cat((x, told), -1), h_v, groups)
        return q_u, q_v, h_u, h_v


class Memory(NamedTuple):
    h_u: Float32[
        Tensor, "R M H"
    ]  # hidden states: of the roles' networks, the groups', and of the two selectors
    h_v: Float32[Tensor, "R M H"]
    h_advantage: Float32[Tensor, "R M H"]
    h_selector: Float32[Tensor, "R M H"]
    table: Tensor | None  # the group selector's attention
    roles: Int64[Tensor, "R M"]
    groups: Int64[Tensor, "R M"]
    last_action: Int64[Tensor, "R B N"]
    dice: ExplorationNoise | None  # None: greedy
    group_dice: ExplorationNoise | None
    noise: Float32[Tensor, "R P M K"] | None  # of the roles; None: the mean
    t: int


class Actor:
    """Chooses roles, groups and actions, in this order."""

    def __init__(
        self,
        nets: Networks,
        selector: RoleSelector,
        exploration: Exploration,
        seeds: Sequence[int],
        where: device,
    ) -> None:
        self.nets, self.selector, self.exploration, self.where = nets, selector, exploration, where
        self.generators = generators([stream(seed, "roles") for seed in seeds])

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        s, (n, actions, *_), horizon = self.nets.settings, self.nets.spec, self.nets.spec.horizon
        runs, rows, periods = len(self.generators), copies * n, -(-horizon // s.period)
        zero = torch.zeros(runs, rows, s.hidden, device=self.where)
        nothing = torch.zeros(runs, s.period, rows, self.selector.width, device=self.where)
        nobody = torch.zeros(runs, rows, dtype=torch.int64, device=self.where)
        both, last = s.levels == "both", torch.full((runs, copies, n), -1, device=self.where)
        dice = group_dice = noise = None
        if explore:
            dice = self.exploration.episode_noise(horizon, copies, n, actions)
            group_dice = (
                self.exploration.episode_noise(-(-periods // s.every), copies, n, s.groups)
                if both
                else None
            )
        if explore or s.test_roles == "drawn":
            source = (
                self.generators if explore else generators([0] * runs)
            )  # testing must not move the noise
            noise = normal(source, periods, rows, s.roles).to(self.where)
        table = self.nets.selector.attention() if both else None
        heard = self.selector.read(nothing)
        return Memory(
            zero, zero, heard, zero, table, nobody, nobody, last, dice, group_dice, noise, 0
        )

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        alive, avail = step.alive.to(self.where), step.avail_actions.to(self.where)
        q_u, q_v, memory = self.think(step.obs.to(self.where), alive, memory)
        q = (q_u + q_v).unflatten(1, alive.shape[1:])
        actions = choose(q, avail, memory.dice, memory.t)
        notes = {"roles": memory.roles, "groups": memory.groups}
        choice = Choice(
            actions, {k: v.unflatten(1, alive.shape[1:]).cpu() for k, v in notes.items()}
        )
        return choice, self.hear(q_u, q_v, avail, actions.to(self.where), memory)

    def think(
        self, obs: Tensor, alive: Bool[Tensor, "R B N"], memory: Memory
    ) -> tuple[Tensor, Tensor, Memory]:
        """Q^U and Q^V ``[R, M, A]`` of this instant, with the roles and groups that hold from it
        on.
        """
        s, m, living = self.nets.settings, memory, alive.flatten(1)
        free = living if m.t else torch.ones_like(living)
        if m.t % s.period == 0:
            noise = None if m.noise is None else m.noise[:, m.t // s.period]
            roles = torch.where(free, self.selector.roles(m.h_advantage, noise), m.roles)
            m = m._replace(roles=roles, h_advantage=torch.zeros_like(m.h_advantage))
        if m.table is not None:
            roles = m.roles.unflatten(1, alive.shape[1:])[:, None]
            states = self.nets.selector.states(m.table, roles, alive[:, None], m.h_selector)
            m = m._replace(h_selector=states[:, 0])
            if m.t % (s.period * s.every) == 0:
                values = self.nets.selector.values(
                    states.unflatten(2, alive.shape[1:]).transpose(1, 2)
                )[:, :, 0]
                chosen = choose(
                    values,
                    torch.ones_like(values, dtype=torch.bool),
                    m.group_dice,
                    m.t // s.period // s.every,
                )
                m = m._replace(groups=torch.where(free, chosen.flatten(1).to(self.where), m.groups))
        x = self.nets.inputs(obs[:, :, None], m.last_action[:, :, None])
        q_u, q_v, h_u, h_v = self.nets.values(x, m.h_u, m.h_v, m.roles[:, None], m.groups[:, None])
        return q_u[:, 0], q_v[:, 0], m._replace(h_u=h_u[:, 0], h_v=h_v[:, 0])

    def hear(
        self, q_u: Tensor, q_v: Tensor, avail: Tensor, actions: Tensor, memory: Memory
    ) -> Memory:
        """Take note of what was done and of its advantage."""
        gap = advantage(self.nets.settings, q_u, q_v, avail.flatten(1, 2), actions.flatten(1))
        heard = self.selector.read(gap[:, None], memory.h_advantage)
        return memory._replace(h_advantage=heard, last_action=actions, t=memory.t + 1)


def advantage(
    s: "Settings", q_u: Tensor, q_v: Tensor, avail: Tensor, actions: Tensor
) -> Float32[Tensor, "*X W"]:
    """A = max Q - Q >= 0   (BDPS §3.1.1), 0 for what is not available."""
    q = q_u if s.advantage_of == "role" else q_u + q_v
    best = q.masked_fill(~avail, -torch.inf).amax(-1, keepdim=True)
    gap = (best - q).masked_fill(~avail, 0.0)
    return gap if s.advantage == "actions" else gap.gather(-1, actions[..., None])
