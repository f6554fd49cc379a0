"""`Pool`: a `Sim` of one-copy simulators in worker processes, all moving at once.

Each episode has a seed of its own, made of the copy's key and the episode's number, so it does not
matter which process plays it or what that process played before. A worker that crashes, raises or
does not answer in time is replaced, and the episodes it was playing are void (see `TimeStep.void`):
they are never recorded, and the next one begins.

Workers are in sessions of their own, with a TMPDIR of their own, and end with the trainer: a
watchdog (`watchdog.py`) kills them with all they have started and removes the folder, whatever
ended the trainer.
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

from partage.config.cores import available_cores
from partage.errors import UserError
from partage.sims.buffers import INSTANT_FIELDS, Buffers
from partage.sims.contract import Spec, stream
from partage.sims.single import Single, saved_singles
from partage.sims.workers.processes import Worker, WorkerProcesses
from partage.sims.workers.worker import ADVANCE, BEGIN, REST, Job, Sizes

ATTEMPTS = 3  # failures of a worker, with no episode finished in between, that are too many


def shared_memory(size: int) -> int:
    """Return the descriptor of so many bytes of memory that other processes can map.

    The memory is gone when nobody maps it any more.
    """
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("partage")
    else:
        with tempfile.TemporaryFile() as file:
            memory = os.dup(file.fileno())
    os.ftruncate(memory, size)
    return memory


class Pool:
    """A `Sim` of `copies` simulators in `workers` processes.

    By default (None) there is a worker for each core, at most one for each copy. `build(copy)`
    makes the simulator of a copy, in the worker: it must pickle, from a module that can be imported
    (``partage.sims``, an installed package, the folders of ``sys.path``) and, to start fast, loads
    no torch. A worker may take `begin_within` seconds to start an episode of a copy, its
    simulator's start included, and `step_within` for a step; worker k waits k * `stagger` seconds
    before it builds its first. Nothing is started before it is needed.

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
        self._made_of = (build, spec, copies, workers, begin_within, step_within, stagger)
        sizes = Sizes(copies, spec.n_agents, spec.n_actions, spec.obs_dim, spec.state_dim)
        memory = shared_memory(sizes.bytes)
        self._arrays = sizes.share(mmap(memory, sizes.bytes))
        count = min(workers or available_cores(), copies)
        self._workers: list[Worker] = []
        for k in range(count):
            its_copies = range(copies * k // count, copies * (k + 1) // count)
            self._workers.append(Worker(Job(build, its_copies, sizes, k * stagger), memory))
        self._seconds = {BEGIN: begin_within, ADVANCE: step_within}  # a copy may take
        self._processes: WorkerProcesses | None = None  # once they are needed
        self._playing = np.zeros(copies, bool)  # an episode is under way in the copy's simulator
        self._close = weakref.finalize(self, os.close, memory)

    def begin(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        """Start an episode in the copies marked, and another where that fails."""
        finished = where & self._playing
        for each in self._workers:
            if finished[each.copies].any():
                each.failures = 0
        self._playing[where] = False
        while (todo := where & ~self._playing).any():
            buffers.counter[todo] += 1
            for copy in np.flatnonzero(todo).tolist():
                key, number = int(buffers.key[copy]), int(buffers.counter[copy])
                self._arrays.seed[copy] = stream(key, "episode", number)
            self._move(BEGIN, todo)
        self._write_observations(buffers, where)

    def advance(self, buffers: Buffers, actions: Int64[np.ndarray, "C N"]) -> None:
        """Move the live copies by a step; episodes of a worker that fails are void."""
        live = buffers.live & self._playing
        self._arrays.actions[live] = actions[live]
        self._move(ADVANCE, live)
        moved = live & self._playing
        self._write_observations(buffers, moved)
        buffers.reward[moved] = self._arrays.reward[moved]
        buffers.score[moved] += self._arrays.gain[moved]
        buffers.feature[moved] = self._arrays.feature[moved]
        buffers.terminated[moved] = self._arrays.terminated[moved]
        void = buffers.live & ~self._playing
        buffers.reward[void] = 0
        buffers.feature[void] = 0
        buffers.terminated[void] = True
        buffers.truncated[void] = True

    def _write_observations(self, buffers: Buffers, where: Bool[np.ndarray, "C"]) -> None:
        for name in INSTANT_FIELDS:
            getattr(buffers, name)[where] = getattr(self._arrays, name)[where]

    def _move(self, what: int, where: Bool[np.ndarray, "C"]) -> None:
        """Move all marked copies at once; those of a worker that fails play no longer."""
        self._arrays.todo[:] = np.where(where, what, REST)
        orders: dict[Worker, tuple] = {}
        most_copies = 0
        for each in self._workers:
            copies = int(where[each.copies].sum())
            if copies:
                orders[each] = ("go",)
                most_copies = max(most_copies, copies)
        for each in self._ask(orders, self._seconds[what] * most_copies):
            self._playing[each.copies] |= where[each.copies]

    def _ask(self, orders: Mapping[Worker, tuple], within: float) -> dict[Worker, Any]:
        """Give orders, wait for all answers and return them.

        Workers that fail are replaced, and are not among the answers.
        """
        if not orders:
            return {}
        processes = self._processes or self._start_processes()
        pending: dict[Any, Worker] = {}  # by their connection
        answers: dict[Worker, Any] = {}
        failures: dict[Worker, str] = {}
        for each, order in orders.items():
            if each.order(processes, *order):
                pending[each.connection] = each
            else:
                failures[each] = "the process had ended"
        deadline = time.monotonic() + within
        while pending and (ready := wait(list(pending), max(0.0, deadline - time.monotonic()))):
            for connection in ready:
                each = pending.pop(connection)
                answer = each.answer()
                if answer.succeeded:
                    answers[each] = answer.content
                else:
                    failures[each] = answer.content
        failures |= dict.fromkeys(pending.values(), f"no answer within {within:g} s")
        for each, why in failures.items():
            self._replace(each, processes, why)
        return answers

    def _start_processes(self) -> WorkerProcesses:
        self._processes = processes = WorkerProcesses(self._workers)
        close_memory = self._close

        def close_all() -> None:
            processes.close()
            close_memory()

        self._close = weakref.finalize(self, close_all)
        return processes

    def _replace(self, each: Worker, processes: WorkerProcesses, why: str) -> None:
        """Stop a worker that has failed; its next order starts a new process."""
        each.stop(processes)
        each.failures += 1
        self._playing[each.copies] = False
        if each.failures >= ATTEMPTS:
            self.close()
            raise UserError(
                f"The simulator of copies {each.copies.start} to {each.copies.stop - 1} failed "
                f"{ATTEMPTS} times without finishing an episode; the last time: {why}."
            )
        print(
            f"partage: a simulator failed and is started again ({why}).",
            file=sys.stderr,
            flush=True,
        )

    def save(self) -> dict[str, Any]:
        """Return what the simulators of the episodes under way save; b"" for the others."""
        orders: dict[Worker, tuple] = {}
        for each in self._workers:
            copies = [copy for copy in each.copies if self._playing[copy]]
            if copies:
                orders[each] = ("save", copies)
        saved: dict[int, bytes] = {}
        for by_copy in self._ask(orders, self._seconds[BEGIN]).values():
            saved |= by_copy
        return {"singles": [saved.get(copy, b"") for copy in range(len(self._playing))]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Have the simulators of episodes that were under way go on."""
        saved = saved_singles(state, len(self._playing))
        orders: dict[Worker, tuple] = {}
        for each in self._workers:
            contents = {copy: saved[copy] for copy in each.copies if saved[copy]}
            if contents:
                orders[each] = ("load", contents)
        self._playing[:] = False
        answers = self._ask(orders, self._seconds[BEGIN] * len(self._playing))
        refusals = [refusal for refusal in answers.values() if refusal]
        if refusals:
            raise UserError(refusals[0])
        for each in answers:
            _, contents = orders[each]
            self._playing[list(contents)] = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a copy is made of: a pool of its own, and the episodes under way.

        Raises `UserError` where these cannot be saved, as those of StarCraft II.
        """
        if not self._close.alive:
            raise UserError("A closed pool of simulators cannot be copied: copy it before.")
        state = self.save()
        for copy in np.flatnonzero(self._playing).tolist():
            if not state["singles"][copy]:
                raise UserError(
                    f"The episode of copy {copy} is in a simulator that cannot be saved, so it "
                    f"cannot be copied: copy an environment before its first reset."
                )
        return Pool, self._made_of, state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.load(state)

    def close(self) -> None:
        """End the workers; a closed pool starts no more."""
        self._close()
