"""LDSA's networks: codes of subtasks, policies that are generated from them, and who takes which.

A choice is a one-hot ``[.., K]`` over subtasks. In training it is a sample, and its gradient that
of the softmax it was drawn by (straight through); in tests it is the likeliest subtask.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor, nn
from torch.nn import functional

from partage.learners import _off_policy
from partage.learners._off_policy import MixedNetworks, masked_mean
from partage.learners.qmix import along_episodes
from partage.nn.bank import Bank, Init, Sets, within
from partage.nn.dense import Layer
from partage.nn.derived import Met, Products, in_common
from partage.nn.generated import combined
from partage.nn.mixer import Mixer
from partage.nn.networks import MLP, Recurrent, SelectedQ, fixed_sharing
from partage.nn.pointwise import elementwise, log_softmax
from partage.nn.state import hold
from partage.rl.losses import total
from partage.rl.noise import generators, uniform
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream


class Subtasks(nn.Module):
    """A head for each of K subtasks, linear in its code: a derivation, without a gradient by it.

    A code ``tanh(W2 relu(W1 one-hot))`` so learns from who chooses the subtask alone   (LDSA).
    """

    def __init__(self, generators: list[Generator], count: int, width: int, head: Bank) -> None:
        super().__init__()
        self.count = count
        self.code = MLP(generators, 1, [count, width, width])
        blocks = Bank(generators, width, head.inputs, head.bias.shape[2], _like_linear(width))
        self.weight_blocks, self.bias_blocks = blocks.weight, blocks.bias

    def codes(self) -> Float32[Tensor, "R K E"]:
        """Return the code of every subtask."""
        everyone = assignment.full(len(self.weight_blocks), 1)
        one_hot = torch.eye(self.count, device=self.weight_blocks.device)
        made = self.code(one_hot.expand(len(everyone), 1, 1, -1, -1), everyone)
        return elementwise(torch.tanh, made[:, 0, 0])

    def forward(self, base: Sets) -> Sets:
        codes = self.codes().detach()
        weight = combined(codes, self.weight_blocks, base.weight)
        return Sets(weight, combined(codes, self.bias_blocks, base.bias))

    @torch.no_grad()
    def products(self, base: Sets, met: Met) -> Products:
        """Return those by constant and blocks."""
        codes = self.codes()
        return (in_common(met) + 1) * base.bias.shape[2] * (1 + codes @ codes.transpose(1, 2))


class Along(NamedTuple):
    """What networks say along whole episodes."""

    preferences: Float32[Tensor, "R B T1 N K"]  # for subtasks, before any softmax
    values: Float32[Tensor, "R B T1 N KA"]  # of actions, by each subtask's policy


class Selected(NamedTuple):
    """The networks until the next update: both give what they say, and their last state."""

    chooser: SelectedQ  # preferences
    actor: SelectedQ  # values


class Networks(MixedNetworks):
    """A body and an embedding for choosing, a body and heads for acting, and the mixer."""

    assignment: Assignment  # of both bodies: all agents share them

    def __init__(
        self,
        spec: Spec,
        settings: _off_policy.Settings,
        seeds: Sequence[int],
        subtasks: int,
        width: int,  # of codes and of agents' embeddings
    ) -> None:
        super().__init__()
        s, g = settings, generators([stream(seed, "networks") for seed in seeds])
        share = fixed_sharing(s.sharing, len(seeds), spec.n_agents)
        hold(self, assignment=share.assignment)
        self.body = Recurrent(g, share, spec.obs_dim, spec.n_actions, s.hidden)
        self.choosing_body = Recurrent(g, share, spec.obs_dim, spec.n_actions, s.hidden)
        self.embedding = Bank(g, 1, s.hidden, width)
        self.head = Bank(g, 1, s.hidden, spec.n_actions, _like_linear(width))
        self.head.derivation = Subtasks(g, subtasks, width, self.head)
        self.mixer = Mixer(g, spec.n_agents, spec.state_dim, s.mixer, s.hyper)

    @property
    def subtasks(self) -> Subtasks:
        """Codes and heads of the subtasks."""
        assert isinstance(self.head.derivation, Subtasks)
        return self.head.derivation

    def select(self) -> Selected:
        """Return the networks that agents go through; they hold until the next update."""
        index, codes = self.assignment, self.subtasks.codes()
        by_code = _layer(codes.transpose(1, 2), codes.new_zeros(codes.shape[:2]), index)
        chooser = self.embedding.select(index), by_code
        weight, bias = self.head.sets()
        side_by_side = weight.transpose(1, 2).flatten(2)  # [R, H, K * A]
        heads = _layer(side_by_side, bias.flatten(1), index)
        bodies = self.choosing_body.select(index), self.body.select(index)
        return Selected(SelectedQ(bodies[0], chooser), SelectedQ(bodies[1], (heads,)))

    def along(
        self, obs: Tensor, actions: Tensor, filled: Bool[Tensor, "R B T"] | None = None
    ) -> Along:
        """Return preferences and values at every instant of whole episodes with these actions."""
        h, selected = self.body.initial_for(obs), self.select()
        preferences, values = (along_episodes(x, h, obs, actions, filled) for x in selected)
        return Along(preferences.contiguous(), values)


def _like_linear(inputs: int) -> Init:
    """Return the initialiser of a linear map of so many inputs."""
    return within(inputs**-0.5)


def _layer(
    weight: Float32[Tensor, "R I O"], bias: Float32[Tensor, "R O"], index: Assignment
) -> Layer:
    """Return a layer that everybody goes through."""
    return Layer(weight[:, None].contiguous(), bias[:, None, None], index)


def gumbel(draws: Sequence[Generator], *shape: int) -> Float32[Tensor, "R ..."]:
    """Draw Gumbel noise of this shape for each run: what is largest with it is a sample."""
    least = torch.finfo(torch.float32).tiny  # uniform numbers may be 0
    return elementwise(lambda u: -(-u.clamp(min=least).log()).log(), uniform(draws, *shape))


def choose_subtask(
    preferences: Float32[Tensor, "*X K"], noise: Float32[Tensor, "*X K"] | None
) -> Float32[Tensor, "*X K"]:
    """Return who takes which subtask, one-hot; the likeliest one where there is no noise."""
    count = preferences.shape[-1]
    if noise is None:
        return functional.one_hot(preferences.argmax(-1), count).float()
    noisy = preferences + noise
    soft = noisy.softmax(-1)
    return functional.one_hot(noisy.argmax(-1), count) + (soft - soft.detach())


def of_chosen(
    values: Float32[Tensor, "*X KA"], choice: Float32[Tensor, "*X K"]
) -> Float32[Tensor, "*X A"]:
    """Return the values of the chosen subtask's policy: a sum of which all else is zero."""
    return (choice[..., None] * values.unflatten(-1, (choice.shape[-1], -1))).sum(-2)


def distance(codes: Float32[Tensor, "R K E"]) -> Float32[Tensor, "R"]:
    """Return the mean squared distance of two subtasks' codes; its gradient moves one at a time."""
    count = codes.shape[1]
    apart = codes[:, :, None] - codes.detach()[:, None]
    return total(apart.square().sum(-1)) / (count * (count - 1))


def change(
    preferences: Float32[Tensor, "R B T1 N K"], filled: Bool[Tensor, "R B T"]
) -> Float32[Tensor, "R"]:
    """Return the cross entropy of an agent's subtasks at an instant by those one step later.

    It is the mean over agents and pairs of instants at which somebody acts; what came first has no
    gradient.
    """
    before = preferences[:, :, :-1].detach().softmax(-1)
    crossed = -(before * log_softmax(preferences[:, :, 1:])).sum(-1).mean(-1)
    return masked_mean(crossed, functional.pad(filled[:, :, 1:], (0, 1)))
