"""What Kaleidoscope does besides learning masks: its coefficient follows the loss; resets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor, nn

from partage.errors import UserError
from partage.nn.bank import Bank
from partage.nn.masks import LearnedMask, redraw
from partage.rl.noise import generators
from partage.sharing import assignment
from partage.sharing.assignment import Assignment
from partage.sims.contract import Spec, stream

KEPT = 100  # values of a history that means are taken of   (Kaleidoscope)


@dataclass(frozen=True)
class Settings:
    """The settings of masks that are learned."""

    # whose masks are apart. agent: each agent's (the paper; its code on MPE); type: those of each
    # type that the task names (its code on SMACv2); one: nobody's, one mask for all; none: there
    # are no masks: the baselines on the same network
    masks: Literal["agent", "type", "one", "none"] = "agent"
    # the diversity loss in units of the other one, by means over the last 100 updates
    diversity: float = 0.5  # Kaleidoscope: 0.5 on MPE, 5 on SMACv2
    reset_every: int = 200_000  # env steps   (Kaleidoscope on MPE; SMACv2: 1,000,000)
    reset_share: float = 0.1  # of what all masks cut   (Kaleidoscope on MPE; SMACv2: 0.2)
    # env steps of a run, in whose last interval nothing is reset   (Kaleidoscope: t_max); 0: it is
    # not known, and resets never end
    budget: int = 0


def check(s: Settings, sharing: str, spec: Spec) -> None:
    """Raise `UserError` where there can be no such masks, or no reset that is asked for."""
    if s.masks != "none" and sharing not in ("full", "id"):
        raise UserError(
            "Masks are of one network that all share: sharing is full, or id with an id in the "
            f"input, not {sharing!r}."
        )
    if s.masks == "agent" and spec.n_agents == 1:
        raise UserError(
            "Masks of each agent tell several agents apart, but this task has one: masks are one "
            "or none."
        )
    if s.masks == "type" and len(set(spec.types)) < 2:
        raise UserError(
            "Masks by type tell agents of several types apart, but this task names "
            f"{len(set(spec.types))}: masks are agent, one or none."
        )
    resets = s.masks != "none" and s.reset_share > 0
    if resets and s.budget and 2 * s.reset_every >= s.budget:
        raise UserError(
            f"Masks are reset after an interval and before the last one, but two intervals of "
            f"{s.reset_every:,} env steps (reset_every) do not fit a run of {s.budget:,} (budget): "
            "choose a shorter one, or reset_share = 0."
        )


def who_has_which(masks: str, spec: Spec, runs: int) -> Assignment:
    """Return which of the masks each agent goes through."""
    if masks == "agent":
        return assignment.none(runs, spec.n_agents)
    if masks == "type":
        return assignment.by(spec.types, runs)
    return assignment.full(runs, spec.n_agents)


def mask(layers: Sequence[Bank], sets: int, seeds: Sequence[int], fixable: bool = False) -> None:
    """Give each of these layers so many masks, which are drawn after all weights."""
    draws = generators([stream(seed, "sets") for seed in seeds])
    for bank in layers:
        bank.derivation = LearnedMask(bank, sets, draws, fixable)


class Upkeep(nn.Module):
    """The histories and resets of R runs: those of a run that has ended stay as they are."""

    losses: Float64[Tensor, "R KEPT"]
    differences: Float64[Tensor, "R KEPT"]
    count: Float64[Tensor, "R"]  # updates so far
    last: Float64[Tensor, "R"]  # env steps at the last reset
    steps: Float64[Tensor, "R"]  # env steps so far, of learners that count none

    def __init__(self, settings: Settings, seeds: Sequence[int]) -> None:
        super().__init__()
        self.settings, runs = settings, len(seeds)
        self.draws = generators([stream(seed, "resets") for seed in seeds])
        for name, shape in {"losses": (runs, KEPT), "differences": (runs, KEPT)}.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        for name in ("count", "last", "steps"):
            self.register_buffer(name, torch.zeros(runs, dtype=torch.float64))

    @torch.no_grad()
    def coefficient(
        self,
        loss: Float32[Tensor, "R"],
        difference: Float32[Tensor, "R"],
        active: Bool[Tensor, "R"],
    ) -> Float32[Tensor, "R"]:
        """Take in an update's losses; return what the diversity loss is multiplied by.

        ``|c mean(loss) / mean(difference)|``, or c where masks never differed.
        """
        place = torch.arange(KEPT, device=active.device) == (self.count % KEPT)[:, None]
        new = place & active[:, None]
        for history, value in ((self.losses, loss), (self.differences, difference)):
            history.copy_(torch.where(new, value[:, None].double(), history))
        self.count += active
        c, of_both = self.settings.diversity, self.losses.sum(1) / self.differences.sum(1)
        found = torch.where(self.differences.sum(1) == 0, c, (c * of_both).abs())
        return found.float()

    def due(self, steps: Tensor) -> Bool[Tensor, "R"]:
        """Return which runs are to be reset after so many env steps, and note that they are."""
        s = self.settings
        due = steps - self.last > s.reset_every
        if s.budget:
            due &= s.budget - steps > s.reset_every
        return due & (s.reset_share > 0)

    def reset(self, layers: Sequence[Bank], steps: Tensor, active: Bool[Tensor, "R"]) -> None:
        """Draw anew some of what all masks cut, in the runs that are due."""
        due = self.due(steps) & active
        self.last.copy_(torch.where(due, steps.double(), self.last))
        draws = {run: self.draws[run] for run in due.nonzero().flatten().tolist()}
        for bank in layers if draws else ():
            redraw(bank, self.settings.reset_share, draws)
