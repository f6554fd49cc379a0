"""A worker process of a `Pool`: it moves the simulators of some copies when it is asked to.

``python -m partage.sims.workers.worker SOCKET MEMORY`` (two inherited file descriptors). What the
copies observe, and their actions and seeds, lie in shared memory; orders and answers go through the
socket. Loads no torch.
"""

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from mmap import mmap
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from partage.errors import UserError
from partage.sims.single import Instant, Single, write_observation

REST, BEGIN, ADVANCE = 0, 1, 2  # what a copy is to do
CACHE_LINE = 64  # bytes
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class SharedArrays(NamedTuple):
    """Arrays in shared memory, one row per copy."""

    obs: np.ndarray  # float32 [C, N, O]
    state: np.ndarray  # float32 [C, S]
    avail_actions: np.ndarray  # bool [C, N, A]
    alive: np.ndarray  # bool [C, N]
    reward: np.ndarray  # float32 [C, N]
    gain: np.ndarray  # float32 [C]
    feature: np.ndarray  # float32 [C]
    terminated: np.ndarray  # bool [C]
    actions: np.ndarray  # int64 [C, N]
    seed: np.ndarray  # int64 [C]
    todo: np.ndarray  # uint8 [C]: REST, BEGIN or ADVANCE


class Sizes(NamedTuple):
    """What the shapes of `SharedArrays` follow from."""

    copies: int
    n_agents: int
    n_actions: int
    obs_dim: int
    state_dim: int

    def arrays(self) -> dict[str, tuple[Any, tuple[int, ...]]]:
        """Return the type and shape of each array, by its name."""
        copies, agents = self.copies, self.n_agents
        return {
            "obs": (np.float32, (copies, agents, self.obs_dim)),
            "state": (np.float32, (copies, self.state_dim)),
            "avail_actions": (np.bool_, (copies, agents, self.n_actions)),
            "alive": (np.bool_, (copies, agents)),
            "reward": (np.float32, (copies, agents)),
            "gain": (np.float32, (copies,)),
            "feature": (np.float32, (copies,)),
            "terminated": (np.bool_, (copies,)),
            "actions": (np.int64, (copies, agents)),
            "seed": (np.int64, (copies,)),
            "todo": (np.uint8, (copies,)),
        }

    def share(self, memory: Any) -> SharedArrays:
        """Return the arrays in that memory, each on cache lines of its own."""
        arrays: dict[str, np.ndarray] = {}
        offset = 0
        for name, (kind, shape) in self.arrays().items():
            arrays[name] = np.ndarray(shape, kind, memory, offset)
            offset += whole_lines(arrays[name].nbytes)
        return SharedArrays(**arrays)

    @property
    def bytes(self) -> int:
        """Return how much memory the arrays take."""
        total = 0
        for kind, shape in self.arrays().values():
            total += whole_lines(np.dtype(kind).itemsize * int(np.prod(shape)))
        return total


def whole_lines(size: int) -> int:
    """Return a number of bytes, rounded up to whole cache lines."""
    return -(-size // CACHE_LINE) * CACHE_LINE


class Job(NamedTuple):
    """What a worker gets first."""

    build: Callable[[int], Single]  # make the simulator of that copy
    copies: range  # the worker's
    sizes: Sizes
    delay: float  # seconds before the first simulator is built


class Simulators:
    """The simulators of a worker's copies, each built when it is first needed."""

    def __init__(self, job: Job, arrays: SharedArrays) -> None:
        self._job, self._arrays = job, arrays
        self._singles: dict[int, Single] = {}

    def single(self, copy: int) -> Single:
        """Return the simulator of a copy."""
        if copy not in self._singles:
            if not self._singles:
                time.sleep(self._job.delay)
            self._singles[copy] = self._job.build(copy)
        return self._singles[copy]

    def go(self) -> None:
        """Move each copy as `todo` says."""
        arrays = self._arrays
        for copy in self._job.copies:
            if arrays.todo[copy] == BEGIN:
                self._write(copy, self.single(copy).reset(int(arrays.seed[copy])))
            elif arrays.todo[copy] == ADVANCE:
                self._write(copy, self._singles[copy].step(arrays.actions[copy].tolist()))

    def _write(self, copy: int, instant: Instant) -> None:
        write_observation(self._arrays, copy, instant)
        self._arrays.reward[copy] = instant.reward
        self._arrays.gain[copy] = instant.gain
        self._arrays.feature[copy] = instant.feature
        self._arrays.terminated[copy] = instant.terminated

    def save(self, copies: list[int]) -> dict[int, bytes]:
        """Return what the simulators of these copies save."""
        return {copy: self._singles[copy].save() for copy in copies}

    def load(self, saved: dict[int, bytes]) -> str:
        """Have the simulators of these copies go on from what they saved.

        Returns why one refuses it, "" where none does.
        """
        try:
            for copy, content in saved.items():
                self.single(copy).load(content)
        except UserError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """End all simulators."""
        for single in self._singles.values():
            single.close()


def die_with_parent() -> None:
    """Have Linux kill this process when the trainer is gone.

    Elsewhere the watchdog and the closed socket do.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(socket: int, memory: int) -> None:
    """Obey until the socket closes. An error is reported, and ends the process."""
    die_with_parent()
    connection = Connection(socket)
    job: Job = pickle.loads(connection.recv_bytes())
    arrays = job.sizes.share(mmap(memory, job.sizes.bytes))
    simulators = Simulators(job, arrays)
    try:
        while True:
            order, *arguments = pickle.loads(connection.recv_bytes())
            connection.send((True, getattr(simulators, order)(*arguments)))
    except (EOFError, ConnectionError):
        simulators.close()
    except Exception as error:
        traceback.print_exc()
        connection.send((False, "".join(traceback.format_exception_only(error)).strip()))
        os._exit(1)  # a simulator in disorder may not let go


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
