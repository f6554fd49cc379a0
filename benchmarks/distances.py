"""Seconds for one measurement of policy distance: a code learned and every pair measured, at the
paper's sizes.
"""

import statistics
import time
from typing import Any

import torch

from benchmarks.report import number
from partage import learners
from partage.distances import distance
from partage.distances.distance import Experience
from partage.rl.noise import generators
from partage.runs.train import prepare
from partage.sims.contract import Spec

# Agents, and what 100 updates of 8 copies x 5 steps give   (MPD §3.2)
SIZES = {"15 agents, 60,000 observations": 15, "30 agents, 120,000 observations": 30}


def once(n_agents: int, count: int) -> float:
    """CPU-seconds of one measurement of separate actors (one run)."""
    spec = Spec(n_agents, 5, 15, 1, 50, False)
    policies = learners.make("a2c", spec, {"sharing": "none"}, [0])
    obs = torch.randn(1, count, spec.obs_dim, generator=torch.Generator().manual_seed(0))

    def query(part: slice) -> torch.Tensor:
        everyone = obs[:, part, None, None].expand(-1, -1, 1, n_agents, -1)
        return policies.probabilities(everyone, everyone)[:, :, 0]

    own = query(slice(None))[:, :, 0]
    start = time.process_time()
    experience = Experience(obs, own, own, torch.ones(1, count, dtype=torch.bool))
    code = distance.learn(experience, generators([0]))
    distance.measure(["wasserstein"], code, obs, experience.valid, query)
    return time.process_time() - start


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """All rows; `quick` only shows that every line runs (its numbers mean nothing)."""
    prepare("cpu")
    rows = []
    for name, n_agents in SIZES.items():
        count = 256 if quick else n_agents * 4000
        seconds = [once(n_agents, count) for _ in range(1 if quick else 3)]
        note = f"median of {len(seconds)}, {number(min(seconds))} to {number(max(seconds))}"
        limit = "at most 20" if n_agents == 30 else ""
        what = f"One measurement of policy distance, {name}"
        rows.append(
            {
                "what": what,
                "value": statistics.median(seconds),
                "unit": "CPU-s",
                "target": None,
                "note": note,
            }
            | ({"peer": f"limit: {limit}"} if limit else {})
        )
    return rows
