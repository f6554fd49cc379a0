"""Run any simulator as an `Env`: `Batched`; and `Kernel`, a compiled simulator of all copies.

A simulator holds its rules only. What every environment shares is here: the axes [R, B, ...], idle
copies, the clock and what its end is called, saving and going on.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from partage.errors import UserError, one_of
from partage.sims.buffers import Buffers
from partage.sims.contract import Spec, TimeLimit, TimeStep, stream
from partage.sims.copying import by_name, owned
from partage.sims.in_place import Game, address, begin_step, clear, end_step
from partage.sims.saved_arrays import load_arrays, save_arrays

# Attributes of `Batched` that are the buffers' memory once more.
OTHER_NAMES = ("_step", "game")


@runtime_checkable
class Sim(Protocol):
    """The rules of all copies."""

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        """Start an episode in the copies marked, and write what they observe."""
        ...

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        """Move the live copies by a step, and write what they observe and earn."""
        ...

    def save(self) -> dict[str, Any]:
        """Return all that `load` needs to go on exactly."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; raises `UserError` for one of another simulator."""
        ...

    def close(self) -> None:
        """End what the simulator has started."""
        ...


class Kernel(NamedTuple):
    """A `Sim` of two compiled functions."""

    rules: Any  # the task's constants: a NamedTuple of numbers and arrays
    world: Any  # what changes: a NamedTuple of arrays [C, ...], one row per copy
    start: Callable[..., None]  # (rules, world, buffers, where)
    move: Callable[..., None]  # (rules, world, buffers, actions)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        """Start an episode in the copies marked."""
        self.start(self.rules, self.world, buffers, where)

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        """Move the live copies by a step."""
        self.move(self.rules, self.world, buffers, actions)

    def save(self) -> dict[str, Any]:
        """Return copies of the world's arrays."""
        return save_arrays(self.world)

    def load(self, state: Mapping[str, Any]) -> None:
        """Write a saved world back in place."""
        load_arrays(self.world, state)

    def close(self) -> None:
        """Do nothing: arrays need no end."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of; compiled functions go by their names."""
        return kernel_again, (self.rules, self.world, by_name(self.start), by_name(self.move))


def kernel_again(rules: Any, world: Any, start: Any, move: Any) -> Kernel:
    """Return the kernel whose parts `Kernel.__reduce__` named, over arrays that it may write."""
    return Kernel(rules, owned(world), start(), move())


def idle_buffers(spec: Spec, seeds: Sequence[int], copies: int) -> Buffers:
    """Return the buffers of R x B idle copies, each with the key of its own generator."""
    count, n = len(seeds) * copies, spec.n_agents
    obs = np.zeros((count, n, spec.obs_dim), np.float32)
    keys = []
    for seed in seeds:
        keys += [stream(seed, "copy", copy) for copy in range(copies)]
    return Buffers(
        obs=obs,
        state=np.zeros((count, spec.state_dim), np.float32),
        avail_actions=np.ones((count, n, spec.n_actions), bool),
        alive=np.ones((count, n), bool),
        reward=np.zeros((count, n), np.float32),
        terminated=np.zeros(count, bool),
        truncated=np.zeros(count, bool),
        score=np.zeros(count, np.float32),
        feature=np.zeros(count, np.float32),
        clock=np.zeros(count, np.int64),
        live=np.zeros(count, bool),
        key=np.array(keys, np.uint64),
        counter=np.zeros(count, np.uint64),
    )


class Batched:
    """`Env` of R x B copies of a simulator.

    `sim` builds it for that many copies. Where the spec says that the state is all agents'
    observations, they lie in the same memory.

    After pickle, cloudpickle or `copy.deepcopy` the copy goes on from the same state, by itself. A
    `TimeStep` that was copied along with it is not the copy's: take its `now`.
    """

    def __init__(
        self,
        spec: Spec,
        sim: Callable[[int], Sim],
        seeds: Sequence[int],
        copies: int,
        time_limit: TimeLimit,
    ) -> None:
        if not seeds or copies < 1:
            raise UserError(
                f"Expected at least one seed and one copy, got seeds {list(seeds)} and "
                f"{copies} copies."
            )
        one_of("time_limit", time_limit, get_args(TimeLimit))
        if spec.state_is_obs and spec.state_dim != spec.n_agents * spec.obs_dim:
            raise UserError(
                f"Expected a state of {spec.n_agents} x {spec.obs_dim} numbers, since it is all "
                f"observations, got state_dim={spec.state_dim}."
            )
        self.spec, self.runs, self.copies = spec, len(seeds), copies
        self._buffers = idle_buffers(spec, seeds, copies)
        self._sim = sim(len(seeds) * copies)
        self._terminal = time_limit == "terminal"  # what the clock's end is called
        self._name_memory()

    def _name_memory(self) -> None:
        """Give the buffers' memory its other names: the state, the instant, the game."""
        buffers = owned(self._buffers)
        if self.spec.state_is_obs:
            buffers = buffers._replace(state=buffers.obs.reshape(len(buffers.obs), -1))
        self._buffers = buffers
        views = {name: self._view(getattr(buffers, name)) for name in TimeStep._fields}
        self._step = TimeStep(**views)
        vars(self).pop("game", None)

    @cached_property
    def game(self) -> Game | None:
        """The simulator as compiled code plays it; None where it is not compiled."""
        sim, buffers = self._sim, self._buffers
        if not isinstance(sim, Kernel):
            return None
        actions = np.zeros((len(buffers.live), self.spec.n_agents), np.int64)
        start = address(sim.start, sim.rules, sim.world, buffers, buffers.live)
        move = address(sim.move, sim.rules, sim.world, buffers, actions)
        horizon, terminal = self.spec.horizon, self._terminal
        return Game(start, move, sim.rules, sim.world, buffers, horizon, terminal)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of (pickle, cloudpickle, `copy.deepcopy`).

        That is the buffers without their other names, which would come out with memory of their
        own.
        """
        return {name: value for name, value in vars(self).items() if name not in OTHER_NAMES}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._name_memory()

    @property
    def now(self) -> TimeStep:
        """Return the instant that all copies are at, as `reset` and `step` return it."""
        return self._step

    def _view(self, array: np.ndarray) -> Tensor:
        """Return ``[C, ...]`` as ``[R, B, ...]``, in the same memory."""
        return torch.from_numpy(array.reshape(self.runs, self.copies, *array.shape[1:]))

    def reset(self, where: Bool[Tensor, "R B"] | None = None) -> TimeStep:
        """Start a new episode in the copies marked (all when None)."""
        buffers = self._buffers
        if where is None:
            where = torch.ones(self.runs, self.copies, dtype=torch.bool)
        expected = (self.runs, self.copies)
        if not _is_tensor(where, expected):  # a mask of [B, R] would mark other copies
            raise UserError(
                f"Expected a mask of {list(expected)} copies to reset, got {_described(where)}."
            )
        chosen = where.bool().cpu().numpy().reshape(-1)
        clear(buffers, chosen)
        self._sim.begin(buffers, chosen)
        return self._step

    def step(self, actions: Int64[Tensor, "R B N"]) -> TimeStep:
        """Move every live copy by one step, and end the episodes whose time is up."""
        b, checked = self._buffers, self._checked(actions)
        begin_step(b.live, b.clock, b.reward, b.feature)
        self._sim.advance(b, checked)
        end_step(b.live, b.clock, b.terminated, b.truncated, self.spec.horizon, self._terminal)
        return self._step

    def _checked(self, actions: Int64[Tensor, "R B N"]) -> Int64[np.ndarray, "C N"]:
        """Return the actions, a row for each copy; those of idle copies may be anything."""
        expected = (self.runs, self.copies, self.spec.n_agents)
        if not _is_tensor(actions, expected) or actions.dtype != torch.int64:
            raise UserError(
                f"Expected a tensor of int64 actions of shape {expected}, got "
                f"{_described(actions)}."
            )
        by_copy = actions.detach().cpu().numpy().reshape(-1, self.spec.n_agents)
        by_copy = np.ascontiguousarray(by_copy)
        if self._exist(by_copy):
            return by_copy
        live = by_copy[self._buffers.live]
        if live.size and not self._exist(live):
            raise UserError(
                f"Expected actions in 0..{self.spec.n_actions - 1}, got {live.min()}..{live.max()}."
            )
        return by_copy

    def _exist(self, actions: Int64[np.ndarray, "C N"]) -> bool:
        return bool(actions.min() >= 0 and actions.max() < self.spec.n_actions)

    def state_dict(self) -> dict[str, Any]:
        """Return the buffers and the simulator's state, copied."""
        return {"buffers": save_arrays(self._buffers), "sim": self._sim.save()}

    def load_state_dict(self, state: Mapping[str, Any]) -> TimeStep:
        """Go on from a saved state, and return the instant at which it was saved."""
        self._sim.load(state["sim"])  # first: it refuses what another engine or task has saved
        load_arrays(self._buffers, state["buffers"])
        return self._step

    def close(self) -> None:
        """End the simulator."""
        self._sim.close()


def _is_tensor(value: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a value of somebody's is a tensor of that shape."""
    return isinstance(value, torch.Tensor) and tuple(value.shape) == shape


def _described(value: Any) -> str:
    """Return what a value of somebody's is, for a message."""
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return f"a {type(value).__name__}"
