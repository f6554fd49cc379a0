"""How BDPS acts: roles first, then groups, then actions. Rows are as in `_bdps_networks`."""

import copy
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.kernels.roles import ByRoles
from partage.learners._bdps_in_place import by_roles, choose_roles
from partage.learners._bdps_memory import Memory
from partage.learners._bdps_networks import Networks, advantage
from partage.learners._bdps_roles import RoleSelector
from partage.rl.exploration import Exploration, ExplorationNoise, choose
from partage.rl.noise import generators, normal, uniform
from partage.rl.rollout import Choice
from partage.sims.contract import TimeStep, stream


class Actor:
    """Chooses roles, groups and actions, in this order.

    In tests roles are drawn or those of the mean (`test_roles`), and groups are the selector's
    choice or given (`test_groups`): one for all, or drawn at random.
    """

    captured = True  # on a card: acting asks it for nothing

    def __init__(
        self,
        nets: Networks,
        selector: RoleSelector,
        exploration: Exploration,
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        self.nets, self.selector, self.exploration = nets, selector, exploration
        self.device = device
        self.generators = generators([stream(seed, "roles") for seed in seeds])
        self.test_roles = nets.settings.test_roles
        self.test_groups: int | Literal["chosen", "random"] = "chosen"

    def in_tests(
        self,
        roles: Literal["mean", "drawn"] | None = None,
        groups: int | Literal["chosen", "random"] = "chosen",
    ) -> "Actor":
        """Return the same actor, which takes its roles and groups in tests as said here."""
        other = copy.copy(self)
        other.test_roles, other.test_groups = roles or self.test_roles, groups
        return other

    @torch.no_grad()
    def initial(self, copies: int, explore: bool) -> Memory:
        """Return the memory of episodes that begin, with their exploration noise."""
        s, n = self.nets.settings, self.nets.spec.n_agents
        runs, rows = len(self.generators), copies * n
        zero = torch.zeros(runs, rows, s.hidden, device=self.device)
        nobody = torch.zeros(runs, rows, dtype=torch.int64, device=self.device)
        no_advantages = torch.zeros(runs, s.period, rows, self.selector.width, device=self.device)
        action_noise = group_noise = None
        if explore:
            action_noise, group_noise = self._exploration_noise(copies)
        return Memory(
            h_u=zero,
            h_v=zero,
            h_advantage=self.selector.read(no_advantages),
            h_selector=zero,
            advantages=(),
            played=(),
            attention=self.nets.selector.attention() if s.levels == "both" else None,
            roles=nobody,
            groups=nobody,
            last_action=torch.full((runs, copies, n), -1, device=self.device),
            action_noise=action_noise,
            group_noise=group_noise,
            role_noise=self._role_noise(rows, explore),
            given_groups=None if explore else self._given_groups(rows),
            t=0,
        )

    @property
    def period(self) -> int:
        """Steps between two choices of roles."""
        return self.nets.settings.period

    @torch.no_grad()
    def in_place(self, copies: int, time: int, explore: bool) -> ByRoles | None:
        """Return what acts in episodes that begin, with their noise; Python chooses the roles."""
        if self.device.type != "cpu" or self.nets.settings.levels != "both":
            return None
        memory = self.initial(copies, explore)
        return by_roles(self.nets, self.selector, memory, copies, time)

    @torch.no_grad()
    def begin_period(self, actor: ByRoles, step: TimeStep, t: int) -> None:
        """Choose the roles of the period that begins at instant t."""
        choose_roles(self.selector, actor, step, t, self.period)

    def _exploration_noise(self, copies: int) -> tuple[ExplorationNoise, ExplorationNoise | None]:
        """Draw the noise of an episode's actions, and of its choices of groups."""
        s, spec = self.nets.settings, self.nets.spec
        actions = self.exploration.episode_noise(
            spec.horizon, copies, spec.n_agents, spec.n_actions
        )
        if s.levels == "individual":
            return actions, None
        choices = self._choices_of_groups()
        return actions, self.exploration.episode_noise(choices, copies, spec.n_agents, s.groups)

    def _choices_of_groups(self) -> int:
        """Return how often groups are chosen in the longest episode."""
        s = self.nets.settings
        return _rounded_up(_rounded_up(self.nets.spec.horizon, s.period), s.every)

    def _given_groups(self, rows: int) -> Int64[Tensor, "R P M"] | None:
        """Return everybody's group at every choice of a test; None: the selector chooses."""
        if self.test_groups == "chosen":
            return None
        runs, choices = len(self.generators), self._choices_of_groups()
        if self.test_groups == "random":
            drawn = uniform(generators([1] * runs), choices, rows) * self.nets.settings.groups
            return drawn.long().to(self.device)
        shape = runs, choices, rows
        return torch.full(shape, self.test_groups, dtype=torch.int64, device=self.device)

    def _role_noise(self, rows: int, explore: bool) -> Tensor | None:
        """Draw the noise of each period's roles   (eq. 3); None: the mean's are chosen."""
        s = self.nets.settings
        if not explore and self.test_roles == "mean":
            return None
        # testing must not move the noise of training
        source = self.generators if explore else generators([0] * len(self.generators))
        periods = _rounded_up(self.nets.spec.horizon, s.period)
        return normal(source, periods, rows, s.roles).to(self.device)

    @torch.no_grad()
    def __call__(self, step: TimeStep, memory: Memory, explore: bool) -> tuple[Choice, Memory]:
        """Choose everyone's role, group and action."""
        alive, avail = step.alive.to(self.device), step.avail_actions.to(self.device)
        q_u, q_v, memory = self.think(step.obs.to(self.device), alive, memory)
        copies_and_agents = alive.shape[1:]
        q = (q_u + q_v).unflatten(1, copies_and_agents)  # eq. 6
        actions = choose(q, avail, memory.action_noise, memory.t)
        notes = {
            "roles": memory.roles.unflatten(1, copies_and_agents).to(step.obs.device),
            "groups": memory.groups.unflatten(1, copies_and_agents).to(step.obs.device),
        }
        memory = self.remember(q_u, q_v, avail, actions.to(self.device), memory)
        return Choice(actions, notes), memory

    def think(
        self, obs: Float32[Tensor, "R B N O"], alive: Bool[Tensor, "R B N"], memory: Memory
    ) -> tuple[Float32[Tensor, "R M A"], Float32[Tensor, "R M A"], Memory]:
        """Return Q^U and Q^V of this instant, and the roles and groups that hold from it on."""
        memory = self._choose_roles(alive, memory)
        if memory.attention is not None:
            memory = self._choose_groups(alive, memory.attention, memory)
        m = memory
        rows = self.nets.rows(
            obs[:, :, None], m.last_action[:, :, None], m.roles[:, None], m.groups[:, None]
        )
        q_u, q_v, h_u, h_v = self.nets.values(rows, m.h_u, m.h_v)
        h_u, h_v = rows.in_order(h_u)[:, 0], rows.in_order(h_v)[:, 0]
        return q_u[:, 0], q_v[:, 0], m._replace(h_u=h_u, h_v=h_v)

    def _choose_roles(self, alive: Bool[Tensor, "R B N"], m: Memory) -> Memory:
        """Return the memory with new roles where a period begins; the dead keep theirs."""
        s = self.nets.settings
        if m.t % s.period != 0:
            return m
        noise = None if m.role_noise is None else m.role_noise[:, m.t // s.period]
        chosen = self.selector.roles(self._read(m), noise)
        roles = torch.where(self._may_change(alive, m), chosen, m.roles)
        return m._replace(roles=roles, advantages=())

    def _read(self, m: Memory) -> Float32[Tensor, "R M H"]:
        """Return the role selector's state after the last period."""
        if not m.advantages:
            return m.h_advantage
        return self.selector.read(self.selector.in_units(torch.stack(m.advantages, 1)))

    def _choose_groups(self, alive: Bool[Tensor, "R B N"], attention: Tensor, m: Memory) -> Memory:
        """Return the memory with new groups where T_V has passed."""
        s, selector = self.nets.settings, self.nets.selector
        copies_and_agents = alive.shape[1:]
        played = (*m.played, (m.roles.unflatten(1, copies_and_agents), alive))
        if m.t % s.group_period != 0:
            return m._replace(played=played)
        entry = selector.entries(*(torch.stack(x, 1) for x in zip(*played, strict=True)))
        last = selector.states(attention, entry.flatten(2), m.h_selector)[:, -1:]
        m = m._replace(h_selector=last[:, 0], played=())
        by_agent = last.unflatten(2, copies_and_agents).transpose(1, 2)  # [R, B, 1, N, H]
        choice = m.t // s.period // s.every  # its number within the episode
        if m.given_groups is not None:
            chosen = m.given_groups[:, choice]
        else:
            values = selector.values(by_agent)[:, :, 0]
            everything = torch.ones_like(values, dtype=torch.bool)
            chosen = choose(values, everything, m.group_noise, choice).flatten(1).to(self.device)
        return m._replace(groups=torch.where(self._may_change(alive, m), chosen, m.groups))

    def _may_change(self, alive: Bool[Tensor, "R B N"], m: Memory) -> Bool[Tensor, "R M"]:
        """Return whose role and group may change: the living's; at the start everyone's."""
        living = alive.flatten(1)
        return living if m.t else torch.ones_like(living)

    def remember(
        self, q_u: Tensor, q_v: Tensor, avail: Tensor, actions: Tensor, memory: Memory
    ) -> Memory:
        """Return the memory after these actions, with their advantage."""
        taken = advantage(self.nets.settings, q_u, q_v, avail.flatten(1, 2), actions.flatten(1))
        advantages = (*memory.advantages, taken)
        return memory._replace(advantages=advantages, last_action=actions, t=memory.t + 1)


def _rounded_up(steps: int, period: int) -> int:
    """Return how many periods cover these steps."""
    return -(-steps // period)


def ways_of_testing(actor: Actor) -> dict[str, Actor]:
    """Return the actor in the other ways in which each test is played, by name.

    With the roles of the mean, or with drawn ones where those are the usual; and, if the settings
    ask for it, with groups that are given: all in one, each in turn, and at random.
    """
    s, ways = actor.nets.settings, {}
    if s.code != "random":
        other = "mean" if s.test_roles == "drawn" else "drawn"
        ways[f"roles_{other}"] = actor.in_tests(roles=other)
    if s.test_groups:
        for group in range(s.groups):
            ways[f"group_{group}"] = actor.in_tests(groups=group)
        ways["groups_random"] = actor.in_tests(groups="random")
    return ways


def group_gain(scores: Mapping[str, Float32[Tensor, "R"]]) -> dict[str, Float32[Tensor, "R"]]:
    """Return how much better the selector's own groups are than the best that were given.

    Groups carry something only where it is above zero. Nothing where none were given.
    """
    given = [score for way, score in scores.items() if way.startswith("group")]
    return {"group_gain": scores[""] - torch.stack(given).amax(0)} if given else {}
