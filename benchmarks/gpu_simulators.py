"""``python -m benchmarks.gpu_simulators``: simulators on one GPU, against the CPU's and the clock.

Within about 75 seconds: whether they play what the CPU plays, whether a step waits for the card or
takes memory, whether a CUDA graph can hold it, and joint steps a second. Each part prints as it
goes; one that fails prints its traceback, and the others go on.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from partage import envs
from partage.sims.contract import TimeStep

BATTLE = "smac/5m_vs_6m"
TASKS = (
    "lbf/15x15-4p-5f-v2",
    "mpe/15a_3c",
    "mpe/15a_3c_shuffle",
    "mpe/simple_spread_v3",
    BATTLE,
    "smac/MMM2",
    "roll_call/4x4-8",
)
TIMED = (BATTLE, "lbf/15x15-4p-5f-v2", "mpe/15a_3c")
SWEPT = "lbf/15x15-4p-5f-v2"  # the task of which all sizes of blocks are timed
MANY, RUNS, FEW = 16_384, 20, 8  # copies of one run; runs, and copies of each
# copies of each of two runs, and steps that both devices play; as many copies as are timed in
# small, because battles are compiled for their number's padding (20 seconds each)
COMPARED, STEPS = RUNS * FEW // 2, 60
BLOCKS = (1, 2, 4, 8, 16, 32)  # threads that start together
TARGET = 20e6  # joint steps a second of battles

started = time.perf_counter()


def say(*words: object) -> None:
    """Print at once, with the seconds since the start."""
    print(f"{time.perf_counter() - started:6.1f} s |", *words, flush=True)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Go on after a failure, with its traceback printed."""
    try:
        yield
    except Exception:
        say(name, "FAILED")
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()


def legal(step: TimeStep, chances: Tensor) -> Tensor:
    """Return the available action with the highest chance of each agent."""
    return torch.where(step.avail_actions, chances, -1.0).argmax(-1)


def played(task: str, device: str) -> list[Tensor]:
    """Return what random legal play shows, each instant and each start after it, on the host."""
    made = envs.make(task, [0, 1], COMPARED, device=device)
    generator, step, seen = torch.Generator().manual_seed(7), made.reset(), []
    for _ in range(STEPS):
        chances = torch.rand(step.avail_actions.shape, generator=generator)
        step = made.step(legal(step, chances.to(step.obs.device)))
        seen += [x.cpu().clone() for x in step]
        step = made.reset(step.ended.clone())
    return seen


def differing(ours: list[Tensor], theirs: list[Tensor]) -> str:
    """Return in how many copies two lists of instants differ, by how much and from which step."""
    copies, most, first = torch.zeros(ours[0].shape[:2], dtype=torch.bool), 0.0, None
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if torch.equal(one, other):
            continue
        first = place // len(TimeStep._fields) if first is None else first
        copies |= (one != other).flatten(2).any(2) if one.dim() > 2 else one != other
        most = max(most, float((one.double() - other.double()).abs().max()))
    if first is None:
        return "equal to the bit"
    return (
        f"{int(copies.sum())} of {copies.numel()} copies differ, by {most:.3g}, from step {first}"
    )


@contextmanager
def strict() -> Iterator[None]:
    """Have torch raise an error where the host would wait for the card."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def allocations() -> int:
    """Return how often torch has taken memory on the card."""
    return torch.cuda.memory_stats()["allocation.all.allocated"]


def waits_for_nothing(task: str) -> str:
    """Take steps and masked starts where waiting is an error, and count what memory they take."""
    made = envs.make(task, [0, 1], COMPARED, device="cuda")
    step = made.reset()
    actions, where = legal(step, torch.rand_like(step.avail_actions, dtype=torch.float)), step.ended
    made.step(actions), made.reset(where)
    torch.cuda.synchronize()
    before = allocations()
    with strict():
        for _ in range(10):
            made.step(actions)
            made.reset(where)
    return f"20 launches, no synchronisation, {allocations() - before} allocations"


def captured(do: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Return a CUDA graph of what was done once before."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        do()
    return graph


def replays(task: str) -> str:
    """Play a graph of a step and a masked start against the same step by step."""
    plain, held = (envs.make(task, [0, 1], COMPARED, device="cuda") for _ in range(2))
    chances = torch.rand(30, *plain.reset().avail_actions.shape, device="cuda")
    actions, where = torch.empty_like(chances[0, ..., 0], dtype=torch.int64), held.reset().ended
    held.load_state_dict(plain.state_dict())

    def turn() -> None:
        held.step(actions)
        torch.logical_or(held.now.terminated, held.now.truncated, out=where)
        held.reset(where)

    saved = held.state_dict()
    actions.zero_()
    turn()
    graph = captured(turn)
    held.load_state_dict(saved)
    step, wrong = plain.now, 0
    for drawn in chances:
        actions.copy_(legal(step, drawn))
        graph.replay()
        step = plain.step(actions)
        step = plain.reset(step.ended)
        wrong += not all(map(torch.equal, step, held.now))
    return f"{len(chances)} replays, {wrong} differ"


class Recorded:
    """Random legal play on the card, recorded: to be played again without choosing."""

    def __init__(self, task: str, seeds: int, copies: int) -> None:
        self.env: Any = envs.make(task, range(seeds), copies, device="cuda")
        self.horizon, step = self.env.spec.horizon, self.env.reset()
        self.actions, self.ended = [], []
        self.saved = self.env.state_dict()
        for _ in range(self.horizon):
            drawn = torch.rand(step.avail_actions.shape, device="cuda")
            self.actions.append(legal(step, drawn))
            self.ended.append(self.env.step(self.actions[-1]).ended)
            step = self.env.reset(self.ended[-1])

    def play(self) -> None:
        """Take all steps, each with its masked start."""
        for actions, ended in zip(self.actions, self.ended, strict=True):
            self.env.step(actions)
            self.env.reset(ended)

    def seconds(self, do: Callable[[], None], times: int = 3) -> tuple[float, float]:
        """Return the median seconds a step on the card's clock, and on the host's for launching."""
        card, host = [], []
        for _ in range(times):
            self.env.load_state_dict(self.saved)
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begun = time.perf_counter()
            first.record()
            do()
            last.record()
            host.append(time.perf_counter() - begun)
            torch.cuda.synchronize()
            card.append(first.elapsed_time(last) / 1000)
        return float(np.median(card)) / self.horizon, float(np.median(host)) / self.horizon


def speed(task: str, seeds: int, copies: int) -> None:
    """Print joint steps a second, by the number of threads that start together."""
    game, count = Recorded(task, seeds, copies), seeds * copies
    name, usual = f"{task} x {count}", game.env.card.shape
    plain, host = game.seconds(game.play)
    say(f"{name}: {plain * 1e6:.1f} us a step by launches, the host busy for {host * 1e6:.1f} us")
    for block in (usual(count, game.env.lanes)[1], *(BLOCKS if task == SWEPT else ())):
        if task == SWEPT:
            game.env.card.shape = lambda n, lanes, block=block: (-(-n // block), block)
        card, _ = game.seconds(captured(game.play).replay)
        rate = count / card
        note = f", target {TARGET / 1e6:.0f} M" if task == BATTLE and count == MANY else ""
        say(f"{name}: {card * 1e6:.1f} us a step in a graph, {rate / 1e6:.2f} M joint steps/s{note}"
            f" (blocks of {block})")  # fmt: skip


def launches(task: str) -> str:
    """Return what a launch takes of the host, as Numba does it and with arguments laid out once."""
    from numba.cuda import dispatcher

    made: Any = envs.make(task, [0, 1], COMPARED, device="cuda")
    made.reset()
    kernel, laid_out = next(iter(made._step.overloads.values())), []
    for kind, value in zip(kernel.argument_types, made._given_actions, strict=True):
        kernel._prepare_args(kind, value, 0, [], laid_out)
    stream = dispatcher.driver._to_core_stream(next(iter(made.card.streams.values())))
    blocks, block = made.card.shape(2 * COMPARED, made.lanes)
    code = kernel._codelibrary.get_cufunc().kernel

    def prepared() -> None:
        config = dispatcher.LaunchConfig(grid=blocks, block=block)
        dispatcher.launch(stream, config, code, *laid_out)

    def usual() -> None:
        made.card.launch(made._step, 2 * COMPARED, made._given_actions, made.lanes)

    seconds = []
    for do in (usual, prepared):
        do()
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(200):
            do()
        seconds.append((time.perf_counter() - begun) / 200)
        torch.cuda.synchronize()
    return f"{seconds[0] * 1e6:.1f} us a launch by Numba, {seconds[1] * 1e6:.1f} us laid out once"


def reference(task: str, path: Path) -> subprocess.Popen[bytes]:
    """Start a process that plays on the CPU meanwhile."""
    command = [sys.executable, "-m", "benchmarks.gpu_simulators", "--cpu", task, str(path)]
    return subprocess.Popen(command)


def compare(task: str, running: subprocess.Popen[bytes], path: Path) -> None:
    """Print whether the card plays what the CPU has played."""
    theirs = played(task, "cuda")
    if running.wait(timeout=60):
        raise RuntimeError(f"the CPU's process ended with {running.returncode}")
    say(f"{task}: {differing(torch.load(path, weights_only=True), theirs)}")


def compile_all() -> None:
    """Print what compiling takes, and the registers of a thread."""
    for task in TASKS:
        with part(f"compiling {task}"):
            begun = time.perf_counter()
            made: Any = envs.make(task, [0, 1], COMPARED, device="cuda")
            seconds = time.perf_counter() - begun
            registers = [each.get_regs_per_thread() for each in (made._restart, made._step)]
            say(f"{task}: compiled in {seconds:.1f} s, registers of a start and a step {registers}")


def everything() -> None:
    """Print all parts."""
    versions = f"torch {torch.__version__}, numba {numba.__version__}, numpy {np.__version__}"
    say(torch.cuda.get_device_name(), versions, "python", sys.version.split()[0])
    folder = Path(tempfile.mkdtemp())
    paths = {task: folder / f"{number}.pt" for number, task in enumerate(TASKS)}
    running = {task: reference(task, path) for task, path in paths.items()}
    compile_all()
    for task in TASKS:
        with part(f"waiting in {task}"):
            say(f"{task}: {waits_for_nothing(task)}")
        with part(f"graph of {task}"):
            say(f"{task}: {replays(task)}")
    for task in (BATTLE, "roll_call/4x4-8"):
        with part(f"launches of {task}"):
            say(f"{task}: {launches(task)}")
    for task in TASKS:
        with part(f"comparing {task}"):
            compare(task, running[task], paths[task])
    for task in TIMED:
        for seeds, copies in ((1, MANY), (RUNS, FEW)):
            with part(f"speed of {task}"):
                speed(task, seeds, copies)


def main() -> None:
    """Measure on the card, or be the CPU's process of it."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu_simulators", description=__doc__)
    parser.add_argument("--cpu", nargs=2, metavar=("TASK", "PATH"), help="play on the CPU alone")
    chosen = parser.parse_args().cpu
    if chosen:
        torch.set_num_threads(1)
        torch.save(played(chosen[0], "cpu"), chosen[1])
    elif torch.cuda.is_available():
        everything()
    else:
        print("torch finds no CUDA device on this machine: nothing is measured")


if __name__ == "__main__":
    main()
