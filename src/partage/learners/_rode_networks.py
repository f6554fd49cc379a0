"""RODE's networks, with the settings that make them, and how clusters of actions become roles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from partage.learners import _off_policy
from partage.learners._off_policy import MixedNetworks, masked_mean, previous_actions
from partage.nn.bank import Bank, from_rows, to_rows
from partage.nn.mixer import Mixer
from partage.nn.networks import MLP, Recurrent, fixed_sharing
from partage.nn.state import hold
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

FEWEST_ROLES = 3  # and how many there are before the clustering   (RODE)
REPEATED = 2  # roles that stand twice where fewer than three are left   (RODE)
Fill = Literal["pair", "three"]


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of RODE's networks, and of how they act."""

    interval: int = 5  # steps between two choices of roles   (RODE)
    clusters: int = 5  # of actions   (RODE: n_role_clusters, 3 or 5)
    latent: int = 20  # numbers that represent an action   (RODE)
    state_latent: int = 32  # numbers that represent the observation before it   (RODE)
    # what stands for actions until they are clustered: ones, or what is learned   (RODE: ones) [R2]
    representations: Literal["ones", "learned"] = "ones"
    # fewer than three roles left: the first two again (a, b, a, b), or up to three (a, b, a)
    fill: Fill = "pair"  # RODE [R3]
    # of the next observation and of the reward: one each, of `state_latent` units, or one together
    decoders: Literal["two", "one"] = "two"  # RODE [R4]


class Networks(MixedNetworks):
    """Bodies and heads for roles and actions, and what the clustering fixed: the roles."""

    assignment: Assignment  # of the bodies
    z: Float32[Tensor, "R A Z"]  # representations of the actions
    role_z: Float32[Tensor, "R K Z"]  # their means by role
    allowed: Bool[Tensor, "R K A"]  # the actions of each role
    exists: Bool[Tensor, "R K"]  # the roles that the clustering made

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        s, runs, n, actions = settings, len(seeds), spec.n_agents, spec.n_actions
        self.roles, self.latent = most_roles(s), s.latent
        share = fixed_sharing(s.sharing, runs, n)
        self.everyone = assignment.full(runs, n)
        hold(self, assignment=share.assignment)
        g = generators([stream(seed, "networks") for seed in seeds])
        self.body = Recurrent(g, share, spec.obs_dim, actions, s.hidden)
        self.role_body = Recurrent(g, share, spec.obs_dim, actions, s.hidden)
        self.heads = Bank(g, 1, s.hidden, self.roles * s.latent)  # a map of each role side by side
        self.role_head = MLP(g, 1, [s.hidden, 2 * s.hidden, s.latent])
        self.mixer = Mixer(g, n, spec.state_dim, s.mixer, s.hyper)
        self.role_mixer = Mixer(g, n, spec.state_dim, s.mixer, s.hyper)
        ones = float(s.representations == "ones")
        self.register_buffer("z", torch.full((runs, actions, s.latent), ones))
        self.register_buffer("role_z", torch.ones(runs, self.roles, s.latent))
        self.register_buffer("allowed", torch.ones(runs, self.roles, actions, dtype=torch.bool))
        self.register_buffer("exists", (torch.arange(self.roles) < FEWEST_ROLES).repeat(runs, 1))

    def action_values(
        self, rows: Float32[Tensor, "R G T M H"], roles: Int64[Tensor, "R B T N"]
    ) -> Float32[Tensor, "R B T N A"]:
        """Return the value of every action by the head of each agent's role.

        `rows` are the states of `body`; the role's own actions are not singled out here.
        """
        heads = from_rows(self.heads(rows, self.everyone), roles.shape[3])
        by_role = heads.unflatten(-1, (self.roles, -1))  # [R, B, T, N, K, Z]
        index = roles[..., None, None].expand(*roles.shape, 1, self.latent)
        query = by_role.gather(4, index).squeeze(4)
        return (query[..., None, :] * self.z[:, None, None, None]).sum(-1)

    def role_values(self, states: Float32[Tensor, "R B T N H"]) -> Float32[Tensor, "R B T N K"]:
        """Return the value of every role in these states of `role_body`."""
        query = from_rows(self.role_head(to_rows(states, 1), self.everyone), states.shape[3])
        values = (query[..., None, :] * self.role_z[:, None, None, None]).sum(-1)
        return values.masked_fill(~self.exists[:, None, None, None], -1e9)

    def states(
        self, obs: Float32[Tensor, "R B T1 N O"], actions: Int64[Tensor, "R B T N"]
    ) -> tuple[Tensor, Tensor]:
        """Return the states of `body` and of `role_body` along whole episodes, as rows."""
        last, empty = previous_actions(actions), self.body.initial_for(obs)
        body, role_body = self.body.select(self.assignment), self.role_body.select(self.assignment)
        return body(obs, last, empty), role_body(obs, last, empty)


class Effects(nn.Module):
    """Represents actions by what they do: they predict the next observation and the reward."""

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        s, g = settings, generators([stream(seed, "effects") for seed in seeds])
        self.spec, self.everyone = spec, assignment.full(len(seeds), 1)
        self.action = MLP(g, 1, [spec.n_actions, s.hidden, s.latent])
        seen = spec.obs_dim + spec.n_agents * spec.n_actions
        self.before = MLP(g, 1, [seen, s.hidden, s.state_latent])
        known, hidden = s.state_latent + s.latent, s.state_latent
        self.reward = None
        if s.decoders == "one":
            self.after = MLP(g, 1, [known, s.hidden, spec.obs_dim + 1])
        else:
            self.after = MLP(g, 1, [known, hidden, spec.obs_dim])
            self.reward = MLP(g, 1, [known, hidden, 1])

    def represent(self) -> Float32[Tensor, "R A Z"]:
        """Return the representation of every action."""
        one_hot = torch.eye(self.spec.n_actions, device=next(self.parameters()).device)
        rows = one_hot.expand(len(self.everyone), 1, 1, -1, -1)
        return self.action(rows, self.everyone)[:, 0, 0]

    def loss(self, batch: dict[str, Tensor], weight: float) -> Float32[Tensor, "R"]:
        """Return the norm of the observation's error plus `weight` x the reward's squared error.

        It is the mean over agents (the dead count zero) and real transitions.
        """
        predicted = self._predict(batch)
        obs_error = (predicted[..., :-1] - batch["obs"][:, :, 1:]).square().sum(-1)
        reward_error = (predicted[..., -1] - batch["team_reward"][..., None]).square()
        error = obs_error.clamp(min=1e-12).sqrt() + weight * reward_error
        by_transition = (error * batch["alive"][:, :, :-1]).mean(-1)
        return masked_mean(by_transition, batch["filled"])

    def _predict(self, batch: dict[str, Tensor]) -> Float32[Tensor, "R B T N _"]:
        """Return the next observation and, last, the reward, predicted for each agent.

        Known are its observation, the others' actions, and the representation of its own.
        """
        n, obs = self.spec.n_agents, batch["obs"][:, :, :-1]
        actions = functional.one_hot(batch["actions"], self.spec.n_actions).float()
        not_oneself = (1 - torch.eye(n, device=obs.device))[..., None]
        others = (actions[:, :, :, None] * not_oneself).flatten(4)  # [R, B, T, N, N * A]
        seen = torch.cat((obs, others), -1).transpose(1, 2).flatten(2, 3)
        z = torch.einsum("rbtna,raz->rtbnz", actions, self.represent()).flatten(2, 3)
        before = self.before(seen[:, None], self.everyone)
        known = torch.cat((before, z[:, None]), -1)
        after = self.after(known, self.everyone)
        if self.reward is not None:
            after = torch.cat((after, self.reward(known, self.everyone)), -1)
        return from_rows(after, n)


def most_roles(s: Settings) -> int:
    """Return how many roles there can be: one of each cluster, or those that are filled up to."""
    return max(s.clusters, 2 * REPEATED if s.fill == "pair" else FEWEST_ROLES)


def role_actions(labels: Sequence[int], basic: int, fill: Fill = "pair") -> list[list[int]]:
    """Return the actions of each role: a cluster and action 0; at least three roles.

    `labels` are the actions' clusters. No cluster is action 0 alone. With SMAC's `basic` actions (0
    no-op, 1 stop), a cluster needs two others; with three it has all basic ones. If one or two are
    left, the first and the second (or the first once more) are added: a, b, a, b, or a, a, a.

    >>> role_actions([0, 1, 1, 2, 2, 2], 0)
    [[0, 1, 2], [0, 3, 4, 5], [0, 1, 2], [0, 3, 4, 5]]
    >>> role_actions([0, 1, 1, 2, 2, 2], 0, fill="three")
    [[0, 1, 2], [0, 3, 4, 5], [0, 1, 2]]
    """
    first_other, needed = (2, 2) if basic else (1, 1)
    roles = []
    for label in sorted(set(labels)):
        cluster = [action for action, its_label in enumerate(labels) if its_label == label]
        others = [action for action in cluster if action >= first_other]
        if len(others) >= needed:
            added = range(basic) if len(others) > 2 else ()
            roles.append(sorted({0, *cluster, *added}))
    if not roles:
        roles = [list(range(len(labels)))]
    return _filled_up(roles, fill)


def _filled_up(roles: list[list[int]], fill: Fill) -> list[list[int]]:
    """Return at least three roles, some of them twice where there are fewer."""
    if len(roles) >= FEWEST_ROLES:
        return roles
    added = REPEATED if fill == "pair" else FEWEST_ROLES - len(roles)
    return [*roles, *(roles[i % len(roles)] for i in range(added))]
