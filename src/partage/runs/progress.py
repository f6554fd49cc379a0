"""How far a run is: a bar on a terminal, plain lines elsewhere."""

import contextlib
import itertools
import sys
import time
from pathlib import Path

from tqdm import tqdm

from partage.config.recipe import Recipe
from partage.runs.metrics import Metrics

PLAIN_EVERY = 30.0  # seconds between two lines where there is no terminal


class Progress:
    """A run's progress on standard error or output, while the context lasts."""

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

    def show(self, metrics: Metrics) -> None:
        """Move the bar on, or print a line when it is time for one."""
        done = min(int(metrics.env_steps.sum()), self.total)
        if not self.bar.disable:
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.printed >= PLAIN_EVERY or done == self.total:
            self.printed = time.monotonic()
            with contextlib.suppress(OSError):  # the log's disk may be full: training goes on
                print(self._line(done, metrics), flush=True)

    def _line(self, done: int, metrics: Metrics) -> str:
        line = f"{self.name}: {100 * done / self.total:.0f} % of {self.total:,} env steps"
        recent = list(itertools.chain.from_iterable(metrics.recent_returns))
        if recent:
            line += f", recent return {sum(recent) / len(recent):.2f}"
        return line

    def __exit__(self, *_: object) -> None:
        self.bar.close()
