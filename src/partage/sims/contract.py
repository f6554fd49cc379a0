"""The contract that every simulator meets: `Spec`, `TimeStep`, `Env`.

Axes, in this order everywhere: R runs (seeds trained side by side), B environment copies, T time, N
agents, A actions, then features. An `Env` holds R x B copies of one task; a run's copies depend on
that run's seed only.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from partage.sims.spec import Spec

__all__ = ["Engine", "Env", "Spec", "TimeLimit", "TimeStep", "stream"]

Engine = Literal["batched", "package"]
TimeLimit = Literal["terminal", "truncation"]


class TimeStep(NamedTuple):
    """One instant of all copies. Reward and flags belong to the transition that led here.

    The tensors may be views of the simulator's own buffers: they hold until the next `step` or
    `reset`.
    """

    obs: Float32[Tensor, "R B N O"]
    state: Float32[Tensor, "R B S"]
    avail_actions: Bool[Tensor, "R B N A"]
    alive: Bool[Tensor, "R B N"]
    reward: Float32[Tensor, "R B N"]
    # the task ended here: nothing follows
    terminated: Bool[Tensor, "R B"]
    # the clock ended it here: the value of what would follow still counts
    truncated: Bool[Tensor, "R B"]
    # the task's own measure of the episode so far: battle won, goals, food share
    score: Float32[Tensor, "R B"]
    # what a customised policy distance compares (MPD §1.2): on SMAC the reward for kills; else 0
    feature: Float32[Tensor, "R B"]
    clock: Int64[Tensor, "R B"]  # steps taken in this episode: 0 at its first instant

    @property
    def ended(self) -> Bool[Tensor, "R B"]:
        """Return which episodes end at this instant, for either reason."""
        return self.terminated | self.truncated

    @property
    def void(self) -> Bool[Tensor, "R B"]:
        """Return which episodes are not to be counted: their simulator broke down.

        Both flags at once say so (see `sims.workers.pool`).
        """
        return self.terminated & self.truncated


@runtime_checkable
class Env(Protocol):
    """R x B copies of one task.

    A copy is idle before its first `reset` and after its episode has ended: `step` ignores its
    action, leaves its observation and flags as they are and gives reward and feature 0, until
    `reset` starts its next episode.
    """

    spec: Spec
    runs: int
    copies: int

    def reset(self, where: Bool[Tensor, "R B"] | None = None) -> TimeStep:
        """Start a new episode in the copies marked (all when None); the others are left alone."""
        ...

    def step(self, actions: Int64[Tensor, "R B N"]) -> TimeStep:
        """Move every copy that is not idle by one step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs to go on exactly from here."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> TimeStep:
        """Go on from a saved state, and return the instant at which it was saved."""
        ...

    def close(self) -> None:
        """End the simulators."""
        ...


def stream(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for one named use of a run's seed: ``stream(3, "env", 0)``.

    Different names give unrelated streams.
    """
    path = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "little") >> 1
