"""BDPS's role selector: a recurrent auto-encoder of advantages whose code is the role.

Rows are ``[R, M]``, M = copies x agents; K is the number of roles.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Generator, Tensor, nn

from partage.nn.bank import Bank
from partage.nn.dense import Layer
from partage.nn.gru import GRU, unroll
from partage.nn.networks import MLP
from partage.rl.losses import total
from partage.sharing import assignment

CodeKind = Literal["softmax", "gaussian", "categorical", "random"]
DECAY = 0.99  # of the running variance of advantages, an update
DRAWS = 32  # codes of a row that the measures are taken over
SMALLEST = 1e-7  # distance of a uniform number from 0 and 1


class Code(NamedTuple):
    """What z_U is drawn from."""

    mean: Float32[Tensor, "R M K"]  # of a categorical code the logits
    log_variance: Float32[Tensor, "R M K"] | None  # of a categorical code None


class Periods(NamedTuple):
    """One period of each of so many episodes, and the noise of the codes that are made of it."""

    advantages: Float32[Tensor, "R T M W"]  # in units of their running standard deviation
    counts: Bool[Tensor, "R M"]  # the rows that are learned from
    noise: Float32[Tensor, "R M K"]  # standard normal


class RoleSelector(nn.Module):
    """U: a sequence of advantages -> GRU -> a random code of K numbers   (BDPS §3.1.1).

    The role is the code's largest coordinate. The decoder unrolls a GRU from the code to the
    sequence, and shows it the code at every step. Kinds of code:

    * ``softmax``: Gaussian; the decoder reads its softmax   (eq. 3 and 7, App. F)
    * ``gaussian``: the decoder reads the code itself   (eq. 3 and 7)
    * ``categorical``: logits with Gumbel noise, whose softmax the decoder reads
    * ``random``: pure noise, and nothing is learned

    Advantages are read in units of their running standard deviation (with `scaled`), without which
    no weight of the divergence fits two tasks   [A23].
    """

    def __init__(
        self,
        generators: list[Generator],
        roles: int,
        width: int,
        hidden: int,
        code: CodeKind = "softmax",
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.code, self.scaled = code, scaled
        self.width, self.hidden, self.codes = width, hidden, roles
        self.everyone = assignment.full(len(generators), 1)
        self.reader = GRU(generators, 1, width, hidden)
        outputs = roles if code == "categorical" else 2 * roles
        self.encoder = MLP(generators, 1, [hidden, hidden, outputs])
        self.decoder = MLP(generators, 1, [roles, hidden, hidden])
        self.writer = GRU(generators, 1, roles, hidden)
        self.advantage = Bank(generators, 1, hidden, width)
        # the running variance is the quotient of these two: no bias towards where it began
        self.variance = nn.Buffer(torch.zeros(len(generators)))
        self.weight = nn.Buffer(torch.zeros(len(generators)))
        if code == "random":
            self.requires_grad_(False)

    @property
    def scale(self) -> Float32[Tensor, "R"]:
        """Return the unit of each run's advantages; 1 before any were met."""
        known = self.weight > 0
        variance = torch.where(known, self.variance / self.weight.clamp(min=1e-12), 1.0)
        return torch.where(variance > 0, variance, 1.0).sqrt()

    @torch.no_grad()
    def observe(
        self,
        advantages: Float32[Tensor, "R T M W"],
        counts: Bool[Tensor, "R T M W"],
        active: Bool[Tensor, "R"],
    ) -> None:
        """Move the running variance of each active run towards that of the entries that count."""
        if not self.scaled:
            return
        number = counts.sum((1, 2, 3)).clamp(min=1)
        mean = _sum_of_run(advantages * counts) / number
        deviation = (advantages - mean[:, None, None, None]) * counts
        variance = _sum_of_run(deviation.square()) / number
        for kept, new in ((self.variance, variance), (self.weight, torch.ones_like(variance))):
            kept.copy_(torch.where(active, DECAY * kept + (1 - DECAY) * new, kept))

    def in_units(self, advantages: Float32[Tensor, "R *X"]) -> Float32[Tensor, "R *X"]:
        """Return advantages in units of the running standard deviation."""
        if not self.scaled:
            return advantages
        return advantages / self.scale.view(-1, *[1] * (advantages.dim() - 1))

    def read(
        self, advantages: Float32[Tensor, "R T M W"], h: Float32[Tensor, "R M H"] | None = None
    ) -> Float32[Tensor, "R M H"]:
        """Return the state after a sequence (h_{t-1} of §3.1.1), from zero or from `h` on.

        `advantages` are `in_units`.
        """
        if h is None:
            h = advantages.new_zeros(advantages.shape[0], advantages.shape[2], self.hidden)
        return self.reader(advantages[:, None], h[:, None], self.everyone)[:, 0, -1]

    def encode(self, h: Float32[Tensor, "R M H"]) -> Code:
        """Return the code of what was read."""
        if self.code == "random":
            nothing = h.new_zeros(*h.shape[:2], self.codes)
            return Code(nothing, nothing)
        encoded = self.encoder(h[:, None, None], self.everyone)[:, 0, 0]
        if self.code == "categorical":
            return Code(encoded, None)
        return Code(*encoded.chunk(2, -1))

    def roles(
        self, h: Float32[Tensor, "R M H"], noise: Float32[Tensor, "R M K"] | None
    ) -> Int64[Tensor, "R M"]:
        """Return the largest coordinate of a code drawn with standard normal noise   (BDPS eq. 3).

        Without noise (None), that of the mean.
        """
        mean, log_variance = self.encode(h)
        return mean.argmax(-1) if noise is None else draw(mean, log_variance, noise).argmax(-1)

    def losses(
        self,
        advantages: Float32[Tensor, "R T M W"],
        code: Code,
        noise: Float32[Tensor, "R M K"],
    ) -> tuple[Float32[Tensor, "R M"], Float32[Tensor, "R M"], Float32[Tensor, "R T M W"]]:
        """Return the reconstruction's squared error and the divergence from the prior   (eq. 7).

        The error is the mean over the sequence, whose code is given; the prior is N(0, I), of a
        categorical code the uniform one. `advantages` are `in_units`; the reconstruction is
        returned as well.
        """
        z = draw(*code, noise)
        shown = z if self.code == "gaussian" else z.softmax(-1)
        states = self._unrolled(shown[:, None, None], advantages.shape[1])
        reconstruction = self.advantage(states, self.everyone)[:, 0]
        error = (reconstruction - advantages).square().mean((1, 3))
        return error, divergence(*code), reconstruction

    def _unrolled(
        self, shown: Float32[Tensor, "R 1 1 M K"], time: int
    ) -> Float32[Tensor, "R 1 T M H"]:
        """Return the decoder's states, which is shown the same at every step."""
        start = self.decoder(shown, self.everyone)[:, 0, 0]
        inputs = self.writer.inputs
        no_bias = torch.zeros_like(inputs.bias).unsqueeze(2)  # it is the cell's
        fed = Layer(inputs.weight, no_bias, self.everyone)(shown)[:, 0, 0]
        cell = self.writer.select(self.everyone)._replace(wx=None)
        return unroll(fed, start, cell, time)[:, None]

    @torch.no_grad()
    def measures(
        self,
        code: Code,
        counts: Bool[Tensor, "R M"],
        noise: Float32[Tensor, "R D M K"],
    ) -> dict[str, Float32[Tensor, "R"]]:
        """Return what the roles say of the sequences that count, from D draws of each one's code.

        ``kl`` and ``information`` (between role and sequence) in nats, the latter without the bias
        of so few draws and never above the former but by chance; ``informed``, its share of the
        most there can be, ln K; ``noise``, the share of drawn roles that differ from the mean's;
        ``frequency/<role>``.
        """
        mean, log_variance = code
        k = mean.shape[-1]
        variance = None if log_variance is None else log_variance[:, None]
        drawn = draw(mean[:, None], variance, noise).argmax(-1)  # [R, D, M]
        share = nn.functional.one_hot(drawn, k).float().mean(1)  # [R, M, K]
        weight = counts / counts.sum(1, keepdim=True).clamp(min=1)  # [R, M]
        frequency = (share * weight[..., None]).sum(1)
        bias = (k - 1) / (2 * noise.shape[1])  # of an entropy, from D draws
        within = (entropy(share) * weight).sum(1) + bias
        differs = (drawn != mean.argmax(-1)[:, None]).float().mean(1)
        information = entropy(frequency) - within
        found = {
            "kl": (divergence(mean, log_variance) * weight).sum(1),
            "information": information,
            "informed": information / math.log(k),
            "noise": (differs * weight).sum(1),
        }
        for role in range(k):
            found[f"frequency/{role}"] = frequency[:, role]
        return found


def draw(
    mean: Float32[Tensor, "... K"],
    log_variance: Float32[Tensor, "... K"] | None,
    noise: Float32[Tensor, "... K"],
) -> Float32[Tensor, "... K"]:
    """Return z = mu + sigma * noise (BDPS eq. 3); for logits, logits and Gumbel noise.

    The Gumbel numbers are made of the same standard normal ones, by their quantiles.
    """
    if log_variance is not None:
        return mean + (0.5 * log_variance).exp() * noise
    uniform = torch.special.ndtr(noise).clamp(SMALLEST, 1 - SMALLEST)
    return mean - (-uniform.log()).log()


def divergence(
    mean: Float32[Tensor, "*X K"], log_variance: Float32[Tensor, "*X K"] | None
) -> Float32[Tensor, "*X"]:
    """Return KL(q || prior) in nats: from N(0, I), or of logits (None) from the uniform."""
    if log_variance is None:
        log_p = mean.log_softmax(-1)
        return (log_p.exp() * (log_p + torch.tensor(float(mean.shape[-1])).log())).sum(-1)
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def entropy(p: Float32[Tensor, "*X K"]) -> Float32[Tensor, "*X"]:
    """Return the entropy of probabilities in nats."""
    return -torch.xlogy(p, p).sum(-1)


def explained(
    x: Float32[Tensor, "R T M W"],
    reconstruction: Float32[Tensor, "R T M W"],
    counts: Bool[Tensor, "R M"],
) -> Float32[Tensor, "R"]:
    """Return R^2: the share of the rows' variance that a reconstruction explains."""
    weight = counts[:, None, :, None].expand_as(x) / counts.sum(1).clamp(min=1)[:, None, None, None]
    each = x.shape[1] * x.shape[3]
    mean = (x * weight).sum((1, 2, 3)) / each
    variance = ((x - mean[:, None, None, None]).square() * weight).sum((1, 2, 3))
    error = ((x - reconstruction).square() * weight).sum((1, 2, 3))
    return 1 - error / variance.clamp(min=1e-12)


def _sum_of_run(x: Float32[Tensor, "R T M W"]) -> Float32[Tensor, "R"]:
    """Return each run's sum, in an order that padding behind episodes cannot change."""
    return total(x.sum((2, 3))[:, None])
