"""Joint environment steps per CPU-second: the batched simulators, and the packages they are held
to, in one run.

``PYTHONPATH=src python benchmarks/environments.py`` prints a table. A joint step moves all agents
of one copy and writes their observations, the state and the rewards; resets are included, drawing
random actions is not. Time is the process's CPU time (`time.process_time`), so other work on the
machine counts less; each number is the median of the repeats. A package runs one copy by its own
interface, without this suite's adapter (which would slow it by a fifth to a third).
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from partage.envs import load, make
from partage.sims.contract import Engine, Env
from partage.sims.foraging.tasks import named as foraging_task
from partage.sims.particles.tasks import named as particles_task

UNIT = "joint steps / CPU-s"
REPEATS = 7


class Case(NamedTuple):
    task: str
    engine: Engine
    copies: int
    episodes: int  # full-length episodes a repeat takes
    target: float | None


CASES = [
    Case("mpe/15a_3c", "batched", 1024, 6, 500_000),
    Case("mpe/15a_3c", "package", 1, 6, None),
    Case("mpe/30a_3c", "batched", 1024, 6, None),
    Case("mpe/30a_3c", "package", 1, 3, None),
    Case("mpe/simple_spread_v3", "batched", 1024, 12, None),
    Case("mpe/simple_spread_v3", "package", 1, 24, None),
    Case("lbf/15x15-4p-5f-v2", "batched", 1024, 12, 400_000),
    Case("lbf/15x15-4p-5f-v2", "package", 1, 24, None),
]


def machine() -> str:
    """The processor's name, cores, and how many threads the simulators use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return f"{name}, {os.cpu_count()} cores, 1 thread used, Python {platform.python_version()}"


def mpe_package(name: str, actions: torch.Tensor) -> None:
    """Play mpe2 by PettingZoo's parallel interface."""
    env = sys.modules[load("mpe").__module__].parallel(particles_task(name))
    env.reset()
    for chosen in actions[:, 0, 0].tolist():
        if not env.agents:
            env.reset()
        env.step(dict(zip(env.possible_agents, chosen, strict=True)))


def lbf_package(name: str, actions: torch.Tensor) -> None:
    """Play lbforaging by Gymnasium's interface."""
    env = sys.modules[load("lbf").__module__].simulator(foraging_task(name))
    done = True
    for chosen in actions[:, 0, 0].tolist():
        if done:
            env.reset()
        done = env.step(chosen)[2]


def batched(env: Env, actions: torch.Tensor) -> None:
    """Play through the actions, starting the next episode in each copy that has ended."""
    step = env.reset()
    for chosen in actions:
        if step.ended.any():
            step = env.reset(step.ended)
        step = env.step(chosen)


def repeated(case: Case, repeats: int) -> list[float]:
    """Each repeat's speed, after one that compiles and warms up."""
    env = make(case.task, [0], case.copies)
    family, _, name = case.task.partition("/")
    generator = torch.Generator().manual_seed(0)
    shape = (case.episodes * env.spec.horizon, 1, case.copies, env.spec.n_agents)
    actions = torch.randint(env.spec.n_actions, shape, generator=generator)
    packages: dict[str, Callable[[str, torch.Tensor], None]] = {
        "mpe": mpe_package,
        "lbf": lbf_package,
    }
    speeds = []
    for _ in range(repeats + 1):
        start = time.process_time()
        if case.engine == "batched":
            batched(env, actions)
        else:
            packages[family](name, actions)
        speeds.append(shape[0] * case.copies / (time.process_time() - start))
    return speeds[1:]


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """One row per number: what, value, unit, target (a least value, or None), note.

    `quick` only shows that the cases with a target run (its numbers mean nothing).
    """
    rows: list[dict[str, Any]] = []
    torch.set_num_threads(1)
    ours: dict[str, float] = {}
    cases = (
        [case._replace(copies=2, episodes=1) for case in CASES if case.target] if quick else CASES
    )
    for case in cases:
        speeds = repeated(case, 1 if quick else REPEATS)
        value = statistics.median(speeds)
        reach = f"{min(speeds):,.0f} to {max(speeds):,.0f}"
        note = f"{case.copies} copies, median of {len(speeds)}, {reach}"
        rows.append(row(f"{case.task}, {case.engine}", value, UNIT, case.target, note))
        if case.engine == "batched":
            ours[case.task] = value
        else:
            rows.append(
                row(
                    f"{case.task}, batched over package",
                    ours[case.task] / value,
                    "times",
                    None,
                    "same run",
                )
            )
    return rows


def row(what: str, value: float, unit: str, target: float | None, note: str) -> dict[str, Any]:
    return {"what": what, "value": value, "unit": unit, "target": target, "note": note}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as markdown."""
    lines = ["| what | value | unit | target | note |", "|---|---:|---|---:|---|"]
    for entry in rows:
        target = "" if entry["target"] is None else f"≥ {entry['target']:,.0f}"
        lines.append(
            f"| {entry['what']} | {entry['value']:,.0f} | {entry['unit']} | {target} "
            f"| {entry['note']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(machine(), end="\n\n")
    print(table(measure()))
