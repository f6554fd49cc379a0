"""How far a run is: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from pathlib import Path

from tqdm import tqdm

from partage.config.recipe import Recipe
from partage.runs.metrics import Metrics

PLAIN_EVERY = 30.0  # seconds between two lines where there is no terminal


class Progress:
    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.name = f"{recipe.algorithm} {recipe.task} seeds {folder.name}"
        self.total = recipe.steps * len(recipe.seeds)
        self.bar = tqdm(
            total=self.total,
            desc=self.name,
            unit="step",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
        )
        self.printed = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def show(self, meter: Metrics) -> None:
        done = min(int(meter.env_steps.sum()), self.total)
        if not self.bar.disable:
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.printed >= PLAIN_EVERY or done == self.total:
            self.printed = time.monotonic()
            recent = [x for run in meter.recent for x in run]
            shown = f", recent return {sum(recent) / len(recent):.2f}" if recent else ""
            with contextlib.suppress(
                OSError
            ):  # the log's disk may be full, and the training goes on
                print(
                    f"{self.name}: {100 * done / self.total:.0f} % of {self.total:,} env steps{shown}",
                    flush=True,
                )

    def __exit__(self, *_: object) -> None:
        self.bar.close()
