"""A worker process of a `Pool`: the simulators of some copies, moved one after the other when told
to.

``python -m partage.sims.workers.worker SOCKET MEMORY`` (two inherited file descriptors). What the
copies show, and their actions and seeds, lie in shared memory; orders and answers go through the
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

from partage.sims.single import Instant, Single

REST, BEGIN, ADVANCE = 0, 1, 2  # what a copy is to do


class Board(NamedTuple):
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
    todo: np.ndarray  # uint8 [C]


class Sizes(NamedTuple):
    """What the board's shapes follow from."""

    copies: int
    n_agents: int
    n_actions: int
    obs_dim: int
    state_dim: int

    def arrays(self) -> list[tuple[Any, tuple[int, ...]]]:
        """Type and shape of each array, in the board's order."""
        c, n, a, o, s = self
        f, b, i = np.float32, np.bool_, np.int64
        return [(f, (c, n, o)), (f, (c, s)), (b, (c, n, a)), (b, (c, n)), (f, (c, n)), (f, (c,)), (f, (c,)),
                (b, (c,)), (i, (c, n)), (i, (c,)), (np.uint8, (c,))]  # fmt: skip

    def board(self, memory: Any) -> Board:
        """The arrays, each on cache lines of its own."""
        made, offset = [], 0
        for kind, shape in self.arrays():
            made.append(np.ndarray(shape, kind, memory, offset))
            offset += -(-made[-1].nbytes // 64) * 64
        return Board(*made)

    @property
    def bytes(self) -> int:
        return sum(
            -(-np.dtype(kind).itemsize * int(np.prod(shape)) // 64) * 64
            for kind, shape in self.arrays()
        )


class Job(NamedTuple):
    """What a worker is told first."""

    build: Callable[[int], Single]  # the simulator of that copy
    copies: range  # its own
    sizes: Sizes
    wait: float  # seconds before the first simulator is built


def observe(board: Board, copy: int, instant: Instant) -> None:
    board.obs[copy] = instant.obs
    board.state[copy] = instant.state
    board.avail_actions[copy] = True if instant.avail_actions is None else instant.avail_actions
    board.alive[copy] = True if instant.alive is None else instant.alive
    board.reward[copy] = instant.reward
    board.gain[copy] = instant.gain
    board.feature[copy] = instant.feature
    board.terminated[copy] = instant.terminated


class Copies:
    """The simulators of a worker's copies, each built when it is first needed."""

    def __init__(self, job: Job, board: Board) -> None:
        self._job, self._board, self._singles = job, board, dict[int, Single]()

    def single(self, copy: int) -> Single:
        if copy not in self._singles:
            if not self._singles:
                time.sleep(self._job.wait)
            self._singles[copy] = self._job.build(copy)
        return self._singles[copy]

    def go(self) -> None:
        """Move each copy as the board says."""
        board = self._board
        for copy in self._job.copies:
            if board.todo[copy] == BEGIN:
                observe(board, copy, self.single(copy).reset(int(board.seed[copy])))
            elif board.todo[copy] == ADVANCE:
                observe(board, copy, self._singles[copy].step(board.actions[copy].tolist()))

    def save(self, copies: list[int]) -> dict[int, bytes]:
        return {copy: self._singles[copy].save() for copy in copies}

    def load(self, saved: dict[int, bytes]) -> None:
        for copy, content in saved.items():
            self.single(copy).load(content)

    def close(self) -> None:
        for single in self._singles.values():
            single.close()


def die_with_parent() -> None:
    """Have Linux kill this process when the trainer is gone; elsewhere the guard and the closed
    socket do.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def serve(socket: int, memory: int) -> None:
    """Obey until the socket closes. An error is told, and ends the process."""
    die_with_parent()
    connection = Connection(socket)
    job: Job = pickle.loads(connection.recv_bytes())
    copies = Copies(job, job.sizes.board(mmap(memory, job.sizes.bytes)))
    try:
        while True:
            order, *what = pickle.loads(connection.recv_bytes())
            connection.send((True, getattr(copies, order)(*what)))
    except (EOFError, ConnectionError):
        copies.close()
    except Exception as error:
        traceback.print_exc()
        connection.send((False, "".join(traceback.format_exception_only(error)).strip()))
        os._exit(1)  # a simulator in disorder may not let go


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
