"""`Pool`: a `Sim` of one-copy simulators in worker processes, all moving at once.

Each episode has a seed of its own, made of the copy's key and the episode's number, so it does not
matter which process plays it or what that process played before. A worker that crashes, raises or
does not answer in time is replaced, and the episodes it was playing are void (see `TimeStep.void`):
they are never recorded, and the next one begins.

Workers are in sessions of their own, with a TMPDIR of their own, and end with the trainer: a guard
(`guard.py`) kills them with all they have started and removes the folder, whatever ended the
trainer.
"""

import os
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from mmap import mmap
from multiprocessing.connection import wait
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from partage.errors import UserError
from partage.sims.buffers import INSTANT_FIELDS, Buffers
from partage.sims.contract import Spec, stream
from partage.sims.single import Single
from partage.sims.workers.processes import Crew, Worker
from partage.sims.workers.worker import ADVANCE, BEGIN, REST, Job, Sizes

ATTEMPTS = 3  # failures of a worker, with no episode finished in between, that are too many


def cores() -> int:
    """Those this process may use: a scheduler gives some of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(size: int) -> int:
    """The descriptor of so many bytes of memory that other processes can map, and that is gone when
    nobody does.
    """
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("partage")
    else:
        with tempfile.TemporaryFile() as file:
            memory = os.dup(file.fileno())
    os.ftruncate(memory, size)
    return memory


class Pool:
    """A `Sim` of `copies` simulators in `workers` processes (None: one for each core, at most one
    for each copy).

    `build(copy)` makes the simulator of a copy, in the worker: it must pickle, from a module that
    can be imported (``partage.sims``, an installed package, the folders of ``sys.path``) and, to
    start fast, loads no torch. A worker may take `begin_within` seconds to start an episode of a
    copy, its simulator's start included, and `step_within` for a step; worker k waits k * `stagger`
    seconds before it builds its first. Nothing is started before it is needed.

    Raises `UserError` where a worker fails `ATTEMPTS` times without a finished episode in between.
    """

    def __init__(
        self,
        build: Callable[[int], Single],
        spec: Spec,
        copies: int,
        workers: int | None = None,
        begin_within: float = 300.0,
        step_within: float = 60.0,
        stagger: float = 0.0,
    ) -> None:
        sizes = Sizes(copies, spec.n_agents, spec.n_actions, spec.obs_dim, spec.state_dim)
        memory = shared(sizes.bytes)
        self._board = sizes.board(mmap(memory, sizes.bytes))
        count = min(workers or cores(), copies)
        edges = [copies * k // count for k in range(count + 1)]
        self._workers = [
            Worker(Job(build, range(edges[k], edges[k + 1]), sizes, k * stagger), memory)
            for k in range(count)
        ]
        self._within = {BEGIN: begin_within, ADVANCE: step_within}
        self._crew: Crew | None = None  # once it is needed
        self._playing = np.zeros(copies, bool)  # an episode is under way in the copy's simulator
        self._close = weakref.finalize(self, os.close, memory)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        for each in self._workers:
            if (where & self._playing)[each.copies].any():  # it has come to the end of an episode
                each.failures = 0
        self._playing[where] = False
        while (todo := where & ~self._playing).any():
            buffers.counter[todo] += 1
            for copy in np.flatnonzero(todo).tolist():
                self._board.seed[copy] = stream(
                    int(buffers.key[copy]), "episode", int(buffers.counter[copy])
                )
            self._move(BEGIN, todo)
        self._observe(buffers, where)

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        live = buffers.live & self._playing
        self._board.actions[live] = actions[live]
        self._move(ADVANCE, live)
        done, board = live & self._playing, self._board
        self._observe(buffers, done)
        buffers.reward[done] = board.reward[done]
        buffers.score[done] += board.gain[done]
        buffers.feature[done] = board.feature[done]
        buffers.terminated[done] = board.terminated[done]
        void = buffers.live & ~self._playing
        buffers.reward[void] = buffers.feature[void] = 0
        buffers.terminated[void] = buffers.truncated[void] = True

    def _observe(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        for name in INSTANT_FIELDS:
            getattr(buffers, name)[where] = getattr(self._board, name)[where]

    def _move(self, what: int, where: Bool[np.ndarray, "C"]) -> None:
        """All marked copies at once; what is not playing afterwards was lost."""
        self._board.todo[:] = np.where(where, what, REST)
        asked = [each for each in self._workers if where[each.copies].any()]
        most = max((int(where[each.copies].sum()) for each in asked), default=0)
        for each in self._ask({each: ("go",) for each in asked}, self._within[what] * most):
            self._playing[each.copies] |= where[each.copies]

    def _ask(self, orders: Mapping[Worker, tuple], within: float) -> dict[Worker, Any]:
        """Give orders and wait for all answers; workers that fail are replaced, and are not in the
        answers.
        """
        crew = self._crew = self._crew or self._gather()
        pending = {
            each.connection: each for each, order in orders.items() if each.order(crew, *order)
        }
        wrong = {each: "the process had ended" for each in orders if each not in pending.values()}
        found, until = {}, time.monotonic() + within
        while pending and (ready := wait(list(pending), max(0.0, until - time.monotonic()))):
            for connection in ready:
                each = pending.pop(connection)
                well, what = each.answer()
                (found if well else wrong)[each] = what
        wrong |= dict.fromkeys(pending.values(), f"no answer within {within:g} s")
        for each, why in wrong.items():
            self._replace(each, crew, why)
        return found

    def _gather(self) -> Crew:
        crew = Crew(self._workers)
        memory = self._close
        self._close = weakref.finalize(self, lambda: (crew.close(), memory()))
        return crew

    def _replace(self, each: Worker, crew: Crew, why: str) -> None:
        """Its next order starts a new process."""
        each.stop(crew)
        each.failures += 1
        self._playing[each.copies] = False
        if each.failures >= ATTEMPTS:
            self.close()
            raise UserError(f"The simulator of copies {each.copies.start} to {each.copies.stop - 1} failed {ATTEMPTS} "
                          f"times without finishing an episode; the last time: {why}.")  # fmt: skip
        print(
            f"partage: a simulator failed and is started again ({why}).",
            file=sys.stderr,
            flush=True,
        )

    def save(self) -> dict[str, Any]:
        """What the simulators of the episodes under way save; b"" for the others."""
        playing = {
            each: [copy for copy in each.copies if self._playing[copy]] for each in self._workers
        }
        orders = {each: ("save", copies) for each, copies in playing.items() if copies}
        saved = {
            copy: content
            for of in self._ask(orders, self._within[BEGIN]).values()
            for copy, content in of.items()
        }
        return {"singles": [saved.get(copy, b"") for copy in range(len(self._playing))]}

    def load(self, state: Mapping[str, Any]) -> None:
        saved = state.get("singles", [])
        if len(saved) != len(self._playing):
            raise UserError(f"The saved simulators are {len(saved)}, expected {len(self._playing)}: load with the same "
                          "engine, number of runs and copies.")  # fmt: skip
        contents = {
            each: {copy: saved[copy] for copy in each.copies if saved[copy]}
            for each in self._workers
        }
        orders = {each: ("load", content) for each, content in contents.items() if content}
        self._playing[:] = False
        for each in self._ask(orders, self._within[BEGIN] * len(self._playing)):
            self._playing[list(contents[each])] = True

    def close(self) -> None:
        """End the workers; a closed pool starts no more."""
        self._close()
