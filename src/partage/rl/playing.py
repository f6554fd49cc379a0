"""Playing without Python between the steps: a compiled policy in a compiled simulator.

`rollout` says what playing is, step by step, and plays so where a simulator or a policy needs
Python (packages, games, GPUs). To the last bit both collect the same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from partage.kernels import playing
from partage.kernels.policies import Actor
from partage.kernels.roles import ByRoles
from partage.sims.contract import Env, TimeStep
from partage.sims.in_place import Game

NEVER = torch.empty(0, 0, 0, 0, 0)  # final observations where no clock runs out


@runtime_checkable
class CompiledPolicy(Protocol):
    """A policy that acts in compiled code as well."""

    def in_place(self, copies: int, time: int, explore: bool) -> Actor | None:
        """Return what acts for `time` steps of episodes that begin, with its noise.

        Without a memory it may be any steps. None: it is not on the CPU.
        """
        ...


class Playing(NamedTuple):
    """A simulator, the instant that it is at, and what acts in it."""

    game: Game
    now: TimeStep
    actor: Actor
    # steps between two choices that need Python, and what makes them; None: there are none
    period: int
    begin_period: Callable[[Actor, TimeStep, int], None] | None

    def fill_episodes(self, out: Any, live: Bool[Tensor, "R B"]) -> int:
        """Play an episode in every copy marked into a `Rollout`; return the longest's steps."""
        records, left, time = _records(out, NEVER), live.flatten().numpy().copy(), 0
        for first in range(0, out.filled.shape[2], self.period):
            if self.begin_period is not None:
                self.begin_period(self.actor, self.now, first)
            last = min(first + self.period, out.filled.shape[2])
            time = playing.play_episodes(self.actor, self.game, records, left, first, last)
            if not left.any():
                break
        if isinstance(self.actor, ByRoles):
            notes = {"roles": self.actor.roles, "groups": self.actor.groups}
            out.notes.update({name: torch.from_numpy(note) for name, note in notes.items()})
        return time

    def fill_segment(self, out: Any, counts: Bool[Tensor, "R B"]) -> Any:
        """Return a `Rollout` filled with the next transitions of the copies that count."""
        final_obs = NEVER
        if int(self.game.buffers.clock.max()) + out.filled.shape[2] >= self.game.horizon:
            final_obs = torch.zeros_like(out.obs[:, :, :-1])
        filled = counts.flatten().numpy()
        playing.play_segment(self.actor, self.game, _records(out, final_obs), filled)
        return out._replace(final_obs=final_obs if out.truncated.any() else None)


def in_place(env: Env, policy: Any, time: int, explore: bool) -> Playing | None:
    """Return how both play in compiled code; None where one of them needs Python."""
    game, make_actor = getattr(env, "game", None), getattr(policy, "in_place", None)
    if game is None or make_actor is None:
        return None
    actor, now = make_actor(env.copies, time, explore), env.now  # type: ignore[attr-defined]
    if actor is None:
        return None
    period, begin = getattr(policy, "period", time), getattr(policy, "begin_period", None)
    return Playing(game, now, actor, period, begin)


def _records(out: Any, final_obs: Tensor) -> playing.Records:
    """Return a rollout's tensors as compiled code fills them."""
    tensors = [getattr(out, name) for name in playing.Records._fields[:-1]]
    return playing.Records._make(x.numpy() for x in [*tensors, final_obs])
