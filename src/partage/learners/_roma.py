"""ROMA's networks: roles drawn from Gaussians, policies generated from them, and what shapes roles.

A policy's last layer is a sum of 16 + 1 layers side by side, weighed by features of the role (the
first by 1): what a generator linear in these features gives, without a matrix for each row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log, pi
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional

from partage.learners import _off_policy
from partage.learners._off_policy import MixedNetworks, previous_actions
from partage.nn.bank import Bank, from_rows, to_rows, within
from partage.nn.mixer import Mixer
from partage.nn.networks import Recurrent, SelectedRecurrent, fixed_sharing
from partage.nn.pointwise import elementwise
from partage.nn.state import hold
from partage.rl.noise import generators
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

TWICE_PI = log(2 * pi)
UNLIKELY = 13.9  # what is added to a log-likelihood, which counts from -2 x this on   (ROMA)


@dataclass(frozen=True)
class Settings(_off_policy.Settings):
    """The settings of ROMA's networks."""

    role: int = 3  # numbers of a role   (ROMA)
    units: int = 16  # of the layers between   (ROMA)
    floor: float = 1e-4  # least variance of a role   (ROMA; MMM2: 0.002)


class Gaussian(NamedTuple):
    """Independent normal distributions of a role's Z numbers."""

    mean: Float32[Tensor, "*X Z"]
    variance: Float32[Tensor, "*X Z"]

    def sample(self, noise: Float32[Tensor, "*X Z"]) -> Float32[Tensor, "*X Z"]:
        """Return samples, given standard normal numbers."""
        return self.mean + self.variance.sqrt() * noise


class Along(NamedTuple):
    """What networks say along whole episodes."""

    states: Float32[Tensor, "R B T1 N H"]
    roles: Gaussian  # [R, B, T1, N, Z]


class Networks(MixedNetworks):
    """A body, roles, heads by features of roles, what roles are judged by, and the mixer."""

    assignment: Assignment  # all agents share all of it

    def __init__(self, spec: Spec, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        s, g = settings, generators([stream(seed, "networks") for seed in seeds])
        share = fixed_sharing(s.sharing, len(seeds), spec.n_agents)
        hold(self, assignment=share.assignment)
        self.floor = s.floor
        # banks that also see the last action and, where the settings say so, who the agent is
        seen = partial(Bank, one_hot=spec.n_actions, agent_id=share.agent_id)
        self.body = Recurrent(g, share, spec.obs_dim, spec.n_actions, s.hidden)
        self.role = seen(g, 1, spec.obs_dim, s.units)
        self.role_end = Bank(g, 1, s.units, 2 * s.role)
        self.features = Bank(g, 1, s.role, s.units)
        self.head = Bank(g, 1, s.hidden, (s.units + 1) * spec.n_actions, within(s.units**-0.5))
        # tells roles by what was remembered, and how unlike two of them are
        self.guess = seen(g, 1, spec.obs_dim + s.hidden, s.units)
        self.guess_end = Bank(g, 1, s.units, 2 * s.role)
        self.unlike = Bank(g, 1, 2 * s.role, s.units)
        self.unlike_end = Bank(g, 1, s.units, 1)
        self.mixer = Mixer(g, spec.n_agents, spec.state_dim, s.mixer, s.hyper)

    def along(self, obs: Float32[Tensor, "R B T1 N O"], actions: Int64[Tensor, "R B T N"]) -> Along:
        """Return states and roles at every instant of whole episodes with these actions."""
        last, h = previous_actions(actions), self.body.initial_for(obs)
        rows = self.body.select(self.assignment)(obs, last, h)
        return Along(from_rows(rows, obs.shape[3]), self.roles(obs, last))

    def roles(self, obs: Float32[Tensor, "R B T N O"], last: Int64[Tensor, "R B T N"]) -> Gaussian:
        """Return how roles are distributed where this is observed."""
        return self._gaussian(self.role, self.role_end, obs, last)

    def guessed(self, obs: Tensor, last: Tensor, states: Float32[Tensor, "R B T N H"]) -> Gaussian:
        """Return the same, guessed by what was remembered before as well."""
        before = torch.cat((torch.zeros_like(states[:, :, :1]), states[:, :, :-1]), 2)
        return self._gaussian(
            self.guess, self.guess_end, torch.cat((obs, before.detach()), -1), last
        )

    def _gaussian(self, first: Bank, second: Bank, seen: Tensor, last: Tensor) -> Gaussian:
        hot = to_rows(last[..., None], 1).squeeze(-1)
        y = between(first(to_rows(seen, 1), self.assignment, hot))
        mean, spread = from_rows(second(y, self.assignment), seen.shape[3]).chunk(2, -1)
        return Gaussian(mean, elementwise(torch.exp, spread).clamp(min=self.floor))

    def shares(self, roles: Float32[Tensor, "R B T N Z"]) -> Float32[Tensor, "R B T N U1"]:
        """Return how much of each of the layers side by side a role's policy has; the first: 1."""
        y = between(self.features(to_rows(roles, 1), self.assignment))
        return functional.pad(from_rows(y, roles.shape[3]), (1, 0), value=1.0)

    def values(
        self, states: Float32[Tensor, "R B T N H"], roles: Float32[Tensor, "R B T N Z"]
    ) -> Float32[Tensor, "R B T N A"]:
        """Return action values by the policies of these roles."""
        shares = self.shares(roles)
        heads = from_rows(self.head(to_rows(states, 1), self.assignment), states.shape[3])
        parts = heads.unflatten(-1, (shares.shape[-1], -1)).unbind(-2)
        q = parts[0]
        for part, share in zip(parts[1:], shares.unbind(-1)[1:], strict=True):
            q = q + share[..., None] * part  # one after the other: one order in any pack
        return q

    def unlikeness(self, roles: Float32[Tensor, "R B T N Z"]) -> Float32[Tensor, "R B T N N"]:
        """Return how unlike any two agents' roles are, each with itself too."""
        n = roles.shape[3]
        one, other = roles[:, :, :, :, None], roles[:, :, :, None]
        pairs = torch.cat(torch.broadcast_tensors(one, other), -1).flatten(3, 4)
        y = between(self.unlike(to_rows(pairs, 1), self.assignment))
        found = from_rows(self.unlike_end(y, self.assignment), n * n)
        return found.squeeze(-1).abs().unflatten(-1, (n, n))


def select(nets: Networks) -> SelectedRecurrent:
    """Return the body that agents go through; it holds until the next update."""
    return nets.body.select(nets.assignment)


def between(x: Float32[Tensor, "*X U"]) -> Float32[Tensor, "*X U"]:
    """Return what lies between two layers: each row normalised, and a leaky ReLU."""
    return functional.leaky_relu(functional.layer_norm(x, x.shape[-1:]))


def identifiable(
    roles: Gaussian, guessed: Gaussian, of_entropy: float, of_guess: float
) -> Float32[Tensor, "*X"]:
    """Return the loss that has roles be certain, and known by what was remembered.

    ``ln(1 + exp(w_h H[p] + w_kl KL(p || q)))``, H and KL summed over a role's numbers.
    """
    logs, guess_logs = (elementwise(torch.log, x.variance) for x in (roles, guessed))
    entropy = (0.5 * (1 + TWICE_PI + logs)).sum(-1)
    away = (roles.mean - guessed.mean).square()
    ratio = (roles.variance + away) / guessed.variance
    divergence = (0.5 * (ratio - 1 + guess_logs - logs)).sum(-1)
    return elementwise(functional.softplus, of_entropy * entropy + of_guess * divergence)


def likeness(roles: Gaussian, drawn: Float32[Tensor, "*X N Z"]) -> Float32[Tensor, "*X N N"]:
    """Return how likely agent i is to have agent j's role: a log-likelihood, raised and cut off."""
    mean, variance = (x[..., :, None, :] for x in roles)
    away = (drawn[..., None, :, :] - mean).square()
    logs = elementwise(torch.log, roles.variance)[..., :, None, :]
    likelihood = -0.5 * (TWICE_PI + logs + away / variance)
    return (likelihood + UNLIKELY).clamp(min=-UNLIKELY).mean(-1)


def specialised(
    alike: Float32[Tensor, "*X N N"], unlike: Float32[Tensor, "*X N N"], soft: float
) -> Float32[Tensor, "*X"]:
    """Return the loss that has two agents' roles be alike or unlike, and few unlike.

    Both are first brought to 0 to 1 over the pairs of a team.
    """
    m, d = (_from_zero_to_one(x.flatten(-2)) for x in (alike, unlike))
    return (d - soft * (m + d).clamp(max=1.0)).mean(-1)


def _from_zero_to_one(x: Float32[Tensor, "*X P"]) -> Float32[Tensor, "*X P"]:
    least, most = x.min(-1, keepdim=True).values, x.max(-1, keepdim=True).values
    return (x - least) / (most - least + 1e-12)
