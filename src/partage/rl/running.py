"""Running means and deviations of what runs get, by which rewards and values are scaled.

Each run has its own, over all its agents together whoever shares with whom; in double precision,
and a run that has ended keeps its own.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from partage.nn.per_run import Each, along
from partage.rl.losses import total

RewardScale = Literal["raw", "scaled", "standardised"]
LEAST_WEIGHT, LEAST_VARIANCE = 1e-5, 1e-2  # of value statistics   (on-policy)
FIRST_COUNT = 1e-4  # how much the first guess of a mean 0 and a variance 1 weighs   (EPyMARL)


class ValueNorm:
    """Normalises values by the returns' first and second moments, which forget   (on-policy).

    One that is not `on` leaves them as they are.
    """

    def __init__(self, runs: int, decay: float, on: bool, device: torch.device) -> None:
        self.decay, self.on = decay, on
        # of each run: the weight of what was seen, and the weighted mean and mean square
        self.moments = torch.zeros(runs, 3, dtype=torch.float64, device=device)

    def update(self, x: Float32[Tensor, "R B T N"], counts: Bool[Tensor, "R B T N"]) -> None:
        """Take in the returns that count, once a batch."""
        number = counts.sum((1, 2, 3))
        mean, square = (_sum(y, counts) / number.clamp(min=1) for y in (x, x.double().square()))
        seen = torch.stack((torch.ones_like(mean), mean, square), 1)
        moved = self.decay * self.moments + (1 - self.decay) * seen
        self.moments = torch.where(number[:, None] > 0, moved, self.moments)

    def _mean_and_deviation(self) -> tuple[Float32[Tensor, "R 1 1 1"], Float32[Tensor, "R 1 1 1"]]:
        """Return what returns are normalised by."""
        weight, mean, square = self.moments[:, :, None, None, None].unbind(1)
        weight = weight.clamp(min=LEAST_WEIGHT)
        mean, square = mean / weight, square / weight
        variance = (square - mean.square()).clamp(min=LEAST_VARIANCE)
        return mean.float(), variance.sqrt().float()

    def normalise(self, x: Float32[Tensor, "R B T N"]) -> Float32[Tensor, "R B T N"]:
        """Return returns in the critic's units."""
        if not self.on:
            return x
        mean, deviation = self._mean_and_deviation()
        return (x - mean) / deviation

    def denormalise(self, x: Float32[Tensor, "R B T N"]) -> Float32[Tensor, "R B T N"]:
        """Return the critic's values in the returns' units."""
        if not self.on:
            return x
        mean, deviation = self._mean_and_deviation()
        return x * deviation + mean


class RewardNorm:
    """Scales rewards by what was seen of them, in transitions that are filled.

    ``scaled``: over the deviation of the discounted rewards so far   (PureJaxRL). ``standardised``:
    less the mean, over the deviation of the rewards, so that a reward of 0 may cost   (EPyMARL).
    """

    def __init__(
        self, shape: Sequence[int], kind: RewardScale, gamma: Each[float], device: torch.device
    ) -> None:
        runs, copies, n_agents = shape
        self.kind, self.gamma = kind, gamma
        # of each run: count, mean and variance
        first = torch.tensor([FIRST_COUNT, 0.0, 1.0], dtype=torch.float64, device=device)
        self.moments = first.repeat(runs, 1)
        # discounted, of the episode under way   (PureJaxRL)
        self.so_far = torch.zeros(runs, copies, n_agents, device=device)

    def __call__(
        self,
        reward: Float32[Tensor, "R B T N"],
        ended: Bool[Tensor, "R B T"],
        filled: Bool[Tensor, "R B T"],
    ) -> Float32[Tensor, "R B T N"]:
        """Return the rewards as they are learned from, having taken them in."""
        if self.kind == "raw":
            return reward
        seen = self._discounted(reward, ended, filled) if self.kind == "scaled" else reward
        self._merge(seen, filled[..., None].expand_as(seen))
        _, mean, variance = self.moments.float()[:, :, None, None, None].unbind(1)
        less = 0.0 if self.kind == "scaled" else mean
        return (reward - less) / (variance + 1e-8).sqrt()

    def _discounted(self, reward: Tensor, ended: Tensor, filled: Tensor) -> Tensor:
        """Return each episode's discounted rewards so far."""
        active = filled.flatten(1).any(1)[:, None, None]
        now = self.so_far
        sums = torch.empty_like(reward)
        for t in range(reward.shape[2]):
            sums[:, :, t] = now = along(self.gamma, now) * now + reward[:, :, t]
            now = now.masked_fill(ended[:, :, t, None], 0.0)
        self.so_far = torch.where(active, now, self.so_far)
        return sums

    def _merge(self, x: Float32[Tensor, "R B T N"], counts: Bool[Tensor, "R B T N"]) -> None:
        """Take in what counts   (Welford's rule, the batch's variance unbiased)."""
        count, mean, variance = self.moments.unbind(1)
        more = counts.sum((1, 2, 3)).double()
        its_mean = _sum(x, counts) / more.clamp(min=1)
        error = (x.double() - its_mean[:, None, None, None]).square()
        its_variance = _sum(error, counts) / (more - 1).clamp(min=1)
        both, apart = count + more, its_mean - mean
        squares = variance * count + its_variance * more + apart.square() * count * more / both
        moved = torch.stack((both, mean + apart * more / both, squares / both), 1)
        self.moments = torch.where(more[:, None] > 0, moved, self.moments)


def _sum(x: Tensor, counts: Bool[Tensor, "R B T N"]) -> Float64[Tensor, "R"]:
    """Return each run's sum of what counts."""
    return total((x.double() * counts).sum(3))
