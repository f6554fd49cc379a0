"""`Batched`: the `Env` around any simulator, and `Kernel`: a compiled simulator of all copies at
once.

The simulator holds its rules only. What every environment shares is here: the axes [R, B, ...],
idle copies, the clock and what its end is called, saving and going on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from partage.errors import UserError
from partage.sims.buffers import Buffers
from partage.sims.contract import Spec, TimeLimit, TimeStep, stream


@runtime_checkable
class Sim(Protocol):
    """The rules of all copies: `begin` starts an episode where marked, `advance` moves the live
    copies by a step.
    """

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None: ...
    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None: ...
    def save(self) -> dict[str, Any]: ...
    def load(self, state: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class Kernel(NamedTuple):
    """A `Sim` of compiled functions: `rules` are the task's constants, `world` its arrays, one row
    per copy.
    """

    rules: Any  # NamedTuple of numbers and arrays
    world: Any  # NamedTuple of arrays [C, ...]
    start: Callable[..., None]  # (rules, world, buffers, where)
    move: Callable[..., None]  # (rules, world, buffers, actions)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        self.start(self.rules, self.world, buffers, where)

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        self.move(self.rules, self.world, buffers, actions)

    def save(self) -> dict[str, Any]:
        return save_arrays(self.world)

    def load(self, state: Mapping[str, Any]) -> None:
        load_arrays(self.world, state)

    def close(self) -> None:
        pass


def save_arrays(arrays: Any) -> dict[str, Any]:
    """Copies of a NamedTuple's arrays, as tensors (which `torch.load` reads back in its safe mode)."""
    return {name: torch.from_numpy(flat(array)).clone() for name, array in arrays._asdict().items()}


def load_arrays(arrays: Any, saved: Mapping[str, Any]) -> None:
    """Write saved copies back in place; nothing is written unless all of them fit."""
    for name, array in arrays._asdict().items():
        found, expected = (
            tuple(saved[name].shape) if name in saved else "nothing",
            flat(array).shape,
        )
        if found != expected:
            raise UserError(f"The saved simulator holds {found} for {name!r}, expected {expected}: save and load with "
                          "the same task, number of runs and copies.")  # fmt: skip
    for name, array in arrays._asdict().items():
        flat(array)[...] = saved[name].numpy()


def flat(array: np.ndarray) -> np.ndarray:
    """The array itself; one of records as their bytes, which torch can hold: one more axis, in the
    same memory.
    """
    return array.view(np.uint8).reshape(*array.shape, -1) if array.dtype.names else array


def idle_buffers(spec: Spec, seeds: Sequence[int], copies: int, state_is_obs: bool) -> Buffers:
    """The arrays of R x B idle copies, each with the key of its own generator."""
    count, n, a = len(seeds) * copies, spec.n_agents, spec.n_actions
    obs = np.zeros((count, n, spec.obs_dim), np.float32)
    return Buffers(
        obs=obs,
        state=obs.reshape(count, -1)
        if state_is_obs
        else np.zeros((count, spec.state_dim), np.float32),
        avail_actions=np.ones((count, n, a), bool),
        alive=np.ones((count, n), bool),
        reward=np.zeros((count, n), np.float32),
        terminated=np.zeros(count, bool),
        truncated=np.zeros(count, bool),
        score=np.zeros(count, np.float32),
        feature=np.zeros(count, np.float32),
        clock=np.zeros(count, np.int64),
        live=np.zeros(count, bool),
        key=np.array([stream(seed, "copy", b) for seed in seeds for b in range(copies)], np.uint64),
        counter=np.zeros(count, np.uint64),
    )


class Batched:
    """`Env` of R x B copies of `sim`. `state_is_obs`: the state is all agents' observations, in the
    same memory.
    """

    def __init__(
        self,
        spec: Spec,
        sim: Callable[[int], Sim],  # how to build the simulator for that many copies
        seeds: Sequence[int],
        copies: int,
        time_limit: TimeLimit,
        state_is_obs: bool = False,
    ) -> None:
        if not seeds or copies < 1:
            raise UserError(
                f"Expected at least one seed and one copy, got seeds {list(seeds)} and {copies} copies."
            )
        if time_limit not in get_args(TimeLimit):
            raise UserError(
                f"Expected time_limit to be one of {get_args(TimeLimit)}, got {time_limit!r}."
            )
        self.spec, self.runs, self.copies = spec, len(seeds), copies
        self._buffers = buffers = idle_buffers(spec, seeds, copies, state_is_obs)
        self._sim = sim(len(seeds) * copies)
        self._clock_flag = buffers.terminated if time_limit == "terminal" else buffers.truncated
        self._step = TimeStep(*(self._view(getattr(buffers, name)) for name in TimeStep._fields))

    def _view(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.reshape(self.runs, self.copies, *array.shape[1:]))

    def reset(self, where: Bool[Tensor, "R B"] | None = None) -> TimeStep:
        buffers = self._buffers
        chosen = (
            np.ones(len(buffers.live), bool)
            if where is None
            else where.bool().cpu().numpy().reshape(-1)
        )
        if chosen.shape != buffers.live.shape:
            raise UserError(
                f"Expected a mask of [{self.runs}, {self.copies}] copies to reset, got {chosen.size} entries."
            )
        for array in (
            buffers.reward,
            buffers.feature,
            buffers.terminated,
            buffers.truncated,
            buffers.score,
            buffers.clock,
        ):
            array[chosen] = 0
        buffers.live[chosen] = True
        self._sim.begin(buffers, chosen)
        return self._step

    def step(self, actions: Int64[Tensor, "R B N"]) -> TimeStep:
        buffers, live = self._buffers, self._buffers.live
        chosen = self._checked(actions)
        buffers.clock[live] += 1
        buffers.reward[~live] = 0
        buffers.feature[~live] = 0
        self._sim.advance(buffers, chosen)
        self._clock_flag |= live & ~buffers.terminated & (buffers.clock >= self.spec.horizon)
        live &= ~(buffers.terminated | buffers.truncated)
        return self._step

    def _checked(self, actions: Int64[Tensor, "R B N"]) -> Int64[np.ndarray, "C N"]:
        """The actions as rows, refused if a live copy's action is none of the task's."""
        expected = (self.runs, self.copies, self.spec.n_agents)
        if tuple(actions.shape) != expected or actions.dtype != torch.int64:
            raise UserError(
                f"Expected int64 actions of shape {expected}, got {actions.dtype} {tuple(actions.shape)}."
            )
        chosen = np.ascontiguousarray(actions.detach().cpu().numpy()).reshape(
            -1, self.spec.n_agents
        )
        if chosen.min() < 0 or chosen.max() >= self.spec.n_actions:
            live = chosen[self._buffers.live]
            if live.size and (live.min() < 0 or live.max() >= self.spec.n_actions):
                raise UserError(
                    f"Expected actions in 0..{self.spec.n_actions - 1}, got {live.min()}..{live.max()}."
                )
        return chosen

    def state_dict(self) -> dict[str, Any]:
        return {"buffers": save_arrays(self._buffers), "sim": self._sim.save()}

    def load_state_dict(self, state: Mapping[str, Any]) -> TimeStep:
        self._sim.load(state["sim"])  # first: it refuses what another engine or task has saved
        load_arrays(self._buffers, state["buffers"])
        return self._step

    def close(self) -> None:
        self._sim.close()
