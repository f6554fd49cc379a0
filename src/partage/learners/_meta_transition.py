"""How unlike what happens to agents is: distances of their meta-transitions   (HetDPS App. G).

A meta-transition is what an agent's own state and act lead to: its next state, its next observation
and its reward. A conditional auto-encoder codes (agent, state, act) so that they are told; the
distance of two agents is that of their codes of the same state and act, averaged over all that
anybody met   (eq. 3 to 5).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor

from partage.distances import codes, distance
from partage.learners._transitions import Transitions

HIDDEN, KL = 64, 0.01  # units of a code's layers; weight of its divergence   (MADPS, MPD) [D1]


class Measured(NamedTuple):
    """What is known of R runs' agents after a measurement."""

    distance: Float32[Tensor, "R N N"]
    divergence: Float32[Tensor, "R"]  # of the codes from the prior, in nats: 0 says nothing


def measure(
    transitions: Transitions, generators: Sequence[Generator], own: slice, decoder_id: bool
) -> Measured:
    """Return how far apart the runs' agents are, by a code drawn and learned for the purpose.

    `own` are the entries of an observation that are an agent's own state.
    """
    known, predicted, valid = transitions  # [R, N, M, ..]
    runs, n, count = known.shape[:3]
    width = predicted.shape[-1] - 1  # of an observation
    x = torch.cat((known[..., :width][..., own], known[..., width:]), -1).flatten(1, 2)
    # as many rewards as observed numbers: so they count   (App. G)
    rewards = predicted[..., -1:].expand(*predicted.shape[:-1], width)
    target = torch.cat((predicted[..., :-1], rewards), -1).flatten(1, 2)
    ids = torch.eye(n).expand(runs, n, n).repeat_interleave(count, 1)
    seen = torch.cat((x, ids), -1) if decoder_id else x
    given, valid = torch.cat((ids, x), -1), valid.flatten(1)
    code = codes.fit(given, seen, target, valid, generators, HIDDEN, KL)

    def everyone(part: slice) -> Float32[Tensor, "R C N N"]:
        return torch.eye(n).expand(runs, x[0, part].shape[0], n, n)

    found = distance.measure(["wasserstein"], code, x, valid, everyone)
    return Measured(found["wasserstein"], _divergence(*code.encode(given), valid))


def _divergence(
    mean: Float32[Tensor, "R S Z"], log_var: Float32[Tensor, "R S Z"], valid: Bool[Tensor, "R S"]
) -> Float32[Tensor, "R"]:
    """Return the mean divergence of codes from the prior N(0, I), in nats."""
    nats = (mean.square() + log_var.exp() - 1 - log_var).sum(-1) / 2
    return nats.masked_fill(~valid, 0.0).double().sum(1).div(valid.sum(1)).float()
