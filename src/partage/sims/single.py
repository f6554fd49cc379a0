"""Simulators of one copy only, such as the public packages: what they offer, and `Singles`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from partage.errors import UserError
from partage.sims.buffers import Buffers


class Instant(NamedTuple):
    """One instant of one copy, as its simulator sees it. The clock is not its business."""

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

    def step(self, actions: Sequence[int]) -> Instant:
        """Move by one step."""
        ...

    def save(self) -> bytes:
        """Return all that `load` needs to go on exactly, the generator included.

        A simulator that cannot returns b"": in a `Pool` every episode has a seed of its own, and
        such an episode is lost.
        """
        ...

    def load(self, saved: bytes) -> None:
        """Go on from what `save` returned."""
        ...

    def close(self) -> None:
        """End what the simulator has started."""
        ...


class Singles:
    """A `Sim` of one simulator per copy, moved one after the other.

    A copy's key seeds it before its first episode.
    """

    def __init__(self, singles: Sequence[Single]) -> None:
        self._singles = list(singles)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        """Start an episode in the copies marked."""
        for copy in np.flatnonzero(where).tolist():
            seed = int(buffers.key[copy]) if buffers.counter[copy] == 0 else None
            buffers.counter[copy] += 1
            write_observation(buffers, copy, self._singles[copy].reset(seed))

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        """Move the live copies by a step."""
        for copy in np.flatnonzero(buffers.live).tolist():
            instant = self._singles[copy].step(actions[copy].tolist())
            write_observation(buffers, copy, instant)
            buffers.reward[copy] = instant.reward
            buffers.score[copy] += np.float32(instant.gain)
            buffers.terminated[copy] = instant.terminated
            buffers.feature[copy] = instant.feature

    def save(self) -> dict[str, Any]:
        """Return what each simulator saves."""
        return {"singles": [single.save() for single in self._singles]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Have each simulator go on from what it saved."""
        saved = saved_singles(state, len(self._singles))
        for single, content in zip(self._singles, saved, strict=True):
            single.load(content)

    def close(self) -> None:
        """End all simulators."""
        for single in self._singles:
            single.close()


def saved_singles(state: Mapping[str, Any], copies: int) -> list[bytes]:
    """Return what the simulators of all copies saved.

    Raises `UserError` where it is not of that many copies.
    """
    saved = state.get("singles", [])
    if len(saved) != copies:
        raise UserError(
            f"The saved simulators are {len(saved)}, expected {copies}: load with the same "
            f"engine, number of runs and copies."
        )
    return saved


def write_observation(arrays: Any, copy: int, instant: Instant) -> None:
    """Write what a copy's agents observe into arrays with the fields of an instant, row `copy`."""
    arrays.obs[copy] = instant.obs
    arrays.state[copy] = instant.state
    arrays.avail_actions[copy] = True if instant.avail_actions is None else instant.avail_actions
    arrays.alive[copy] = True if instant.alive is None else instant.alive
