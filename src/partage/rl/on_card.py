"""Collecting on a card: the loops of `rollout` without a question to the card, to be captured.

Nothing here depends on what happened: episodes are played to the horizon, and copies that have
ended idle. What is returned keeps its memory, and holds until the next call.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from partage.rl.experience import Choice, Rollout, blank, change_tensors, device_of
from partage.rl.graphs import Part, from_host
from partage.sims.contract import Env, TimeStep

KEPT = 16  # collectors, so that what was captured is captured once


def blank_by_time(env: Env, time: int) -> Rollout:
    """Return a rollout that is yet to be filled in, in memory instant after instant.

    So what is written of an instant lies together, and many fields are copied at once.
    """
    out = change_tensors(blank(env, time), lambda _, x: x.movedim(2, 0).clone().movedim(0, 2))
    if env.spec.state_is_obs:
        return out._replace(state=out.obs.flatten(-2))
    return out


def write_what_is_seen(out: Rollout, t: int, step: TimeStep) -> None:
    """Write what is seen at instant t."""
    numbers = ["obs"] if out.state.data_ptr() == out.obs.data_ptr() else ["obs", "state"]
    for names in (numbers, ["avail_actions", "alive"]):
        _copy([getattr(out, name)[:, :, t] for name in names], [getattr(step, n) for n in names])


def write_what_came(out: Rollout, t: int, choice: Choice, step: TimeStep, filled: Tensor) -> None:
    """Write what was chosen at instant t, and what came of it."""
    for name, note in choice.notes.items():
        if name not in out.notes:
            time = out.filled.shape[2]
            memory = note.new_zeros(time, *note.shape)
            out.notes[name] = memory.movedim(0, 2)
    numbers = ["reward", "score", "feature"]
    _copy([getattr(out, n)[:, :, t] for n in numbers], [getattr(step, n) for n in numbers])
    flags = ["terminated", "truncated"]
    places = [getattr(out, n)[:, :, t] for n in [*flags, "filled"]]
    _copy(places, [*(getattr(step, n) for n in flags), filled])
    whole = {"actions": out.actions, **out.notes}
    chosen = {"actions": choice.actions, **choice.notes}
    _copy([x[:, :, t] for x in whole.values()], [chosen[name] for name in whole])


def _copy(places: list[Tensor], values: list[Tensor]) -> None:
    """Copy tensors of one kind to their places, all in one launch where they lie alike."""
    torch._foreach_copy_(places, values)  # pyright: ignore[reportPrivateImportUsage]


def plays(policy: Any, part: Part[Rollout]) -> None:
    """Note which part a policy draws noise in; what it drew ahead for another it has not drawn."""
    if getattr(policy, "collecting", None) is not part:
        take_back(policy)
        policy.collecting = part


def draw_ahead(policy: Any) -> None:
    """Draw the noise of what a policy collects next, while the card computes.

    For the end of an update: the host would only wait. Whoever saves a policy's generators calls
    `take_back` before.
    """
    part = getattr(policy, "collecting", None)
    if part is not None:
        part.draw_ahead()


def take_back(policy: Any) -> None:
    """Put a policy's generators back to where they would be without `draw_ahead`."""
    part = getattr(policy, "collecting", None)
    if part is not None:
        part.take_back()


class Episodes:
    """Whole episodes of an environment on a card."""

    def __init__(self, env: Env, policy: Any, explore: bool) -> None:
        self.env, self.policy, self.explore = env, policy, explore
        self.where = torch.ones(env.runs, dtype=torch.bool)
        # in tests a policy draws from generators that begin anew
        captured = explore and getattr(policy, "captured", False)
        self.part = Part(self._play, device_of(env), captured)

    def collect(self, where: Bool[Tensor, "R"]) -> Rollout:
        """Play one whole episode in every copy of the runs marked; the others stay idle."""
        self.where = where
        if self.explore:
            plays(self.policy, self.part)
        return self.part()._replace(took_part=where)

    def _play(self) -> Rollout:
        env, policy, horizon = self.env, self.policy, self.env.spec.horizon
        out, where = blank_by_time(env, horizon), from_host(lambda: self.where)
        live = where[:, None].expand(env.runs, env.copies).clone()
        step, memory = env.reset(live), policy.initial(env.copies, self.explore)
        for t in range(horizon):
            write_what_is_seen(out, t, step)
            choice, memory = policy(step, memory, self.explore)
            step = env.step(choice.actions)
            write_what_came(out, t, choice, step, live)
            live = live & ~step.ended
        write_what_is_seen(out, horizon, step)
        out.terminated.logical_and_(out.filled)  # a copy keeps its flags while it idles
        out.truncated.logical_and_(out.filled)
        return out


class Segments:
    """Segments of an environment on a card, by a policy whose noise is drawn ahead."""

    def __init__(self, env: Any, policy: Any, time: int) -> None:
        self.env, self.policy, self.time = env, policy, time
        self.where = torch.ones(env.runs, dtype=torch.bool)
        self.part = Part(self._play, device_of(env), getattr(policy, "captured", False))

    def collect(self, where: Bool[Tensor, "R"] | None) -> Rollout:
        """Play on from where all copies are; nothing is filled of runs that are not marked."""
        self.where = torch.ones(self.env.runs, dtype=torch.bool) if where is None else where
        plays(self.policy, self.part)
        return self.part()._replace(took_part=self.where)

    def _play(self) -> Rollout:
        env, out = self.env, blank_by_time(self.env, self.time)
        counts = from_host(lambda: self.where)[:, None].expand(env.runs, env.copies).clone()
        final_obs, step = torch.zeros_like(out.obs[:, :, :-1]), env.now
        memory = self.policy.ahead(env.copies, self.time)
        for t in range(self.time):
            write_what_is_seen(out, t, step)
            choice, memory = self.policy(step, memory, True)
            step = env.step(choice.actions)
            write_what_came(out, t, choice, step, counts)
            final_obs[:, :, t] = step.obs * step.truncated[..., None, None]
            step = env.reset(step.ended)
        write_what_is_seen(out, self.time, step)
        return out._replace(final_obs=final_obs, terminated=out.terminated & out.filled)


@lru_cache(maxsize=KEPT)
def episodes(env: Env, policy: Any, explore: bool) -> Episodes:
    """Return what collects whole episodes, the same for the same."""
    return Episodes(env, policy, explore)


@lru_cache(maxsize=KEPT)
def segments(env: Env, policy: Any, time: int) -> Segments:
    """Return what collects segments, the same for the same."""
    return Segments(env, policy, time)
