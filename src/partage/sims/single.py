"""Simulators that know one copy only, such as the public packages: what they must offer, and
`Singles` of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partage.errors import UserError
from partage.sims.buffers import Buffers


class Instant(NamedTuple):
    """One instant of one copy, as its simulator tells it. The clock is not its business."""

    obs: Float32[np.ndarray, "N O"]
    state: Float32[np.ndarray, "S"]
    reward: Sequence[float]  # one per agent, for the step that led here
    gain: float  # what that step adds to the score
    terminated: bool  # the task ended here
    avail_actions: Bool[np.ndarray, "N A"] | None = None  # None: all
    alive: Bool[np.ndarray, "N"] | None = None  # None: all
    feature: float = 0.0  # see `TimeStep`


@runtime_checkable
class Single(Protocol):
    """One copy of a task."""

    def reset(self, seed: int | None) -> Instant:
        """Start an episode; a seed starts the simulator's generator anew, None lets it run on."""
        ...

    def step(self, actions: Sequence[int]) -> Instant: ...

    def save(self) -> bytes:
        """All that `load` needs to go on exactly, the generator included. (In a `Pool`, where every
        episode has a seed of its own, a simulator that cannot gives nothing: b"".)"""
        ...

    def load(self, saved: bytes) -> None: ...
    def close(self) -> None: ...


class Singles:
    """A `Sim` of one simulator per copy, moved one after the other. A copy's key seeds it before
    its first episode.
    """

    def __init__(self, singles: Sequence[Single]) -> None:
        self._singles = list(singles)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        for copy in np.flatnonzero(where).tolist():
            seed = int(buffers.key[copy]) if buffers.counter[copy] == 0 else None
            buffers.counter[copy] += 1
            write(buffers, copy, self._singles[copy].reset(seed))

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        for copy in np.flatnonzero(buffers.live).tolist():
            instant = self._singles[copy].step(actions[copy].tolist())
            write(buffers, copy, instant)
            buffers.reward[copy] = instant.reward
            buffers.score[copy] += np.float32(instant.gain)
            buffers.terminated[copy] = instant.terminated
            buffers.feature[copy] = instant.feature

    def save(self) -> dict[str, Any]:
        return {"singles": [single.save() for single in self._singles]}

    def load(self, state: Mapping[str, Any]) -> None:
        saved = state.get("singles", [])
        if len(saved) != len(self._singles):
            raise UserError(f"The saved simulators are {len(saved)}, expected {len(self._singles)}: load with the same "
                          "engine, number of runs and copies.")  # fmt: skip
        for single, content in zip(self._singles, saved, strict=True):
            single.load(content)

    def close(self) -> None:
        for single in self._singles:
            single.close()


def write(buffers: Buffers, copy: int, instant: Instant) -> None:
    """Show what the copy's simulator told."""
    buffers.obs[copy] = instant.obs
    buffers.state[copy] = instant.state
    buffers.avail_actions[copy] = True if instant.avail_actions is None else instant.avail_actions
    buffers.alive[copy] = True if instant.alive is None else instant.alive
