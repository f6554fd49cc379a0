"""Playing without Python between the steps: a compiled policy in a compiled simulator.

`rollout` says what playing is, step by step, and plays so where a simulator or a policy needs
Python (packages, games, GPUs). To the last bit both collect the same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeGuard

import torch
from jaxtyping import Bool
from torch import Tensor

from partage.kernels import playing
from partage.kernels.policies import Actor
from partage.kernels.roles import ByRoles
from partage.sims.batch import Batched
from partage.sims.contract import Env, TimeStep
from partage.sims.in_place import Game

ENDS = ("obs", "state")  # what an episode ends on


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
        records, left, time = _records(out), live.flatten().numpy().copy(), 0
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
        if int(self.game.buffers.clock.max()) + out.filled.shape[2] >= self.game.horizon:
            out = with_room_for_ends(out)
        filled = counts.flatten().numpy()
        playing.play_segment(self.actor, self.game, _records(out), filled)
        return out if out.truncated.any() else out._replace(final_obs=None, final_state=None)


def with_room_for_ends(out: Any) -> Any:
    """Return a `Rollout` with room for what truncated episodes end on."""
    ends = {f"final_{name}": torch.zeros_like(getattr(out, name)[:, :, :-1]) for name in ENDS}
    return out._replace(**ends)


def in_place(env: Env, policy: Any, time: int, explore: bool) -> Playing | None:
    """Return how both play in compiled code; None where one of them needs Python."""
    if not _steps_as_compiled(env) or not _acts_as_compiled(policy):
        return None
    game = env.game
    actor = policy.in_place(env.copies, time, explore) if game else None
    if game is None or actor is None:
        return None
    period, begin = getattr(policy, "period", time), getattr(policy, "begin_period", None)
    return Playing(game, env.now, actor, period, begin)


def _steps_as_compiled(env: Env) -> TypeGuard[Batched]:
    """Return whether nobody has put other Python around a simulator's step, or in its place."""
    kind = type(env)
    return isinstance(env, Batched) and (kind.step, kind.reset) == (Batched.step, Batched.reset)


def _acts_as_compiled(policy: Any) -> TypeGuard[CompiledPolicy]:
    """Return whether what is compiled is what the policy does when it is called.

    A class that calls otherwise than the one which it has `in_place` from is played step by step.
    """
    kinds = type(policy).__mro__
    says = [kind for kind in kinds if "in_place" in vars(kind)]
    calls = [kind for kind in kinds if "__call__" in vars(kind)]
    return bool(says) and issubclass(says[0], calls[0])


def _records(out: Any) -> playing.Records:
    """Return a rollout's tensors as compiled code fills them: no ends where it has no room."""
    tensors = out._asdict()
    if out.final_obs is None:
        tensors |= {f"final_{name}": tensors[name][:0] for name in ENDS}
    return playing.Records._make(tensors[name].numpy() for name in playing.Records._fields)
