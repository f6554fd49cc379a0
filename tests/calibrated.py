"""A calibration that nobody measured, for tests of what is made of one."""

import dataclasses

from partage.config.calibration import Calibration, Measured, Played
from partage.runs import calibrate

SMALL = Played(
    agents=2, actions=6, obs=10, state=20, horizon=50, length=40.0, longest=50.0,
    engine="batched", step_seconds=1e-5, step_bytes=200.0,
)  # fmt: skip
LARGE = dataclasses.replace(SMALL, agents=8, obs=40, state=100, step_bytes=3000.0)
QMIX = {"sharing": "id", "copies": 1, "hidden": 64, "batch": 32, "buffer": 5000}
CELL = Measured(
    algorithm="qmix", learner="qmix", task="toy/small", settings=QMIX, runs=5,
    step_seconds=1e-4, update_seconds=2e-2, test_seconds=2e-5, event_seconds=0.0,
    working_bytes=3e7, kept_bytes=1e6,
)  # fmt: skip


def made(*cells: Measured) -> Calibration:
    """A calibration of two tasks that were never played, and cells that were never trained."""
    return dataclasses.replace(
        calibrate.nothing(),
        whole=True,
        base_bytes=400_000_000,
        start_seconds=3.0,
        tasks={"toy/small": SMALL, "toy/large": LARGE},
        cells=list(cells) or [CELL],
    )


def calibration_of(task: str, learner: str) -> Calibration:
    """A calibration of one task, and of one learner without settings on it."""
    cell = dataclasses.replace(CELL, task=task, learner=learner, settings={})
    return dataclasses.replace(made(cell), tasks={task: SMALL})
