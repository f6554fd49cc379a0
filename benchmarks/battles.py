"""Joint environment steps per CPU-second of the StarCraft battles, by random legal play.

``PYTHONPATH=src python -m benchmarks.battles`` prints a table. A joint step is eight game loops of
one copy and writes observations, available actions, state and rewards; resets are included,
choosing actions is not.
"""

import statistics
import time
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt64

from benchmarks.environments import UNIT, machine, row, table
from partage.sims.batch import Batched
from partage.sims.compilation import compiled
from partage.sims.random_numbers import integer
from partage.sims.skirmish.data import find_map
from partage.sims.skirmish.simulator import Options, make_kernel

COPIES, STEPS, REPEATS = 1024, 40, 3
TARGETS = {
    "5m_vs_6m": 80_000,
    "MMM2": 20_000,
    "corridor": 10_000,
    "bane_vs_bane": 5_000,
    "27m_vs_30m": 4_000,
    "2c_vs_64zg": 3_000,
    "3s_vs_5z": None,
    "6h_vs_8z": None,
    "3s5z_vs_3s6z": None,
}


@compiled
def choose(
    available: Bool[np.ndarray, "C N A"],
    chosen: Int64[np.ndarray, "C N"],
    key: UInt64[np.ndarray, "C"],
    counter: UInt64[np.ndarray, "C"],
) -> None:
    """Any available action for each agent."""
    for copy in range(len(available)):
        for agent in range(available.shape[1]):
            left = integer(key, counter, copy, 0, available[copy, agent].sum() - 1)
            for action in range(available.shape[2]):
                left -= available[copy, agent, action]
                if left < 0:
                    chosen[copy, agent] = action
                    break


def repeated(name: str, copies: int, steps: int, repeats: int) -> list[float]:
    """Each repeat's speed, after one that compiles and comes to where battles of all ages are under
    way.
    """
    found = find_map(name)
    env = Batched(found.spec, lambda n: make_kernel(found, Options(), n), [0], copies, "terminal")
    chosen = np.zeros((copies, found.n_agents), np.int64)
    key, counter = np.arange(copies, dtype=np.uint64), np.zeros(copies, np.uint64)
    step, speeds = env.reset(), []
    for _ in range(repeats + 1):
        used = 0.0
        for _ in range(steps):
            start = time.process_time()
            if step.ended.any():
                step = env.reset(step.ended)
            used += time.process_time() - start
            choose(step.avail_actions[0].numpy(), chosen, key, counter)
            start = time.process_time()
            step = env.step(torch.from_numpy(chosen)[None])
            used += time.process_time() - start
        speeds.append(steps * copies / used)
    return speeds[1:]


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """One row per map; `quick` only shows that it runs."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name, target in list(TARGETS.items())[: 1 if quick else None]:
        copies, steps, repeats = (2, 5, 1) if quick else (COPIES, STEPS, REPEATS)
        speeds = repeated(name, copies, steps, repeats)
        note = f"{copies} copies, median of {len(speeds)}, {min(speeds):,.0f} to {max(speeds):,.0f}"
        rows.append(row(f"smac/{name}, batched", statistics.median(speeds), UNIT, target, note))
    return rows


if __name__ == "__main__":
    print(machine(), end="\n\n")
    print(table(measure()))
