"""Football: what observing costs, what a worker costs, and whether two workers are worth two.

A step's cost is CPU time. The bare engine is the package's own environment
(`gfootball.env.football_env`: raw observations, no wrappers) on the same games and actions; the
worker's share is its process's CPU time, in which the trainer's is not. The pool's gain is
wall-clock time, with as many workers as in the line, so it wants idle cores.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from partage.sims.batch import Batched
from partage.sims.football.match import Football, Maker, Options
from partage.sims.football.tasks import TASKS
from partage.sims.workers.pool import Pool

NAME = "academy_3_vs_1_with_keeper"
TASK = TASKS[NAME]
UNIT = "steps / CPU-s"


def spent(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def bare() -> Any:
    from gfootball.env import config, football_env

    Football(NAME, Options()).close()  # it names the scenario
    level = {"level": f"partage_{NAME}", "players": [f"agent:left_players={len(TASK.left)}"]}
    return football_env.FootballEnv(config.Config(level))


def engine(env: Any, actions: np.ndarray) -> None:
    """The package alone."""
    done = True
    for chosen in actions.tolist():
        if done:
            env.reset()
        done = env.step(chosen)[2]


def ours(football: Football, actions: np.ndarray) -> None:
    """A copy as a worker plays it."""
    done, seed = True, 0
    for chosen in actions.tolist():
        if done:
            seed += 1
            football.reset(seed)
        done = football.step(chosen).terminated


def observing(football: Football, times: int) -> None:
    """Only what this suite adds to a step: views, cones, observations, state and pay."""
    for _ in range(times):
        football._read_engine(football.view.facing)
        football._instant(football._reward(0), 0.0, False)


def pooled(workers: int, copies: int, steps: int) -> tuple[float, float]:
    """Joint steps per second of wall-clock time, and per CPU-second of the workers."""
    spec = TASK.spec
    env = Batched(
        spec,
        partial(Pool, Maker(NAME, Options()), spec, workers=workers),
        [0],
        copies,
        "truncation",
    )
    step = env.reset()
    generator = torch.Generator().manual_seed(0)
    processes = [each._process.pid for each in env._sim._workers]
    before, start = sum(map(cpu, processes)), time.perf_counter()
    for _ in range(steps):
        if step.ended.any():
            step = env.reset(step.ended)
        step = env.step(torch.randint(19, (1, copies, len(TASK.left)), generator=generator))
    wall, work = time.perf_counter() - start, sum(map(cpu, processes)) - before
    env.close()
    return copies * steps / wall, copies * steps / work


def cpu(process: int) -> float:
    """CPU seconds of a process so far (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """Rows for `benchmarks.report`; none where gfootball is not installed."""
    if importlib.util.find_spec("gfootball") is None:
        return []
    repeats, steps = (1, 20) if quick else (5, 600)
    football, env = Football(NAME, Options()), bare()
    actions = np.random.default_rng(0).integers(0, 19, (steps, len(TASK.left)))
    engine(env, actions[:50])
    ours(football, actions[:50])
    pairs = [
        (spent(partial(engine, env, actions)), spent(partial(ours, football, actions)))
        for _ in range(repeats)
    ]
    share = statistics.median(spent(partial(observing, football, steps)) for _ in range(repeats))
    theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    rounds = [(pooled(1, 2, steps // 2), pooled(2, 2, steps // 2)) for _ in range(repeats)]
    gain = statistics.median(two[0] / one[0] for one, two in rounds)
    worker = statistics.median(rate for (_, rate), _ in rounds)
    where = f"grf/{NAME}"
    return [
        row(f"{where}, the package alone", steps / theirs, UNIT),
        row(
            f"{where}, a copy with its cones",
            steps / mine,
            UNIT,
            ratio=ratio,
            ratio_to="the package alone",
        ),
        row(
            f"{where}, in a worker",
            worker,
            UNIT,
            0.85 * steps / theirs,
            note="target: 15 % below the package",
        ),
        row(
            f"{where}, observation and cones of 4 agents",
            100 * share / mine,
            "% of a step",
            most=5.0,
        ),
        row(
            f"{where}, 2 workers over 1", gain, "times, wall-clock", 1.7, note="needs 2 idle cores"
        ),
    ]


def row(
    what: str, value: float, unit: str, target: float | None = None, note: str = "", **more: Any
) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "target": target, "note": note} | more


if __name__ == "__main__":
    from benchmarks.report import table

    print(table(measure()))
