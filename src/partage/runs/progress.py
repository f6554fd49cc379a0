"""How far a run is: a bar on a terminal, plain lines elsewhere, a line in the run's lock, logs."""

import contextlib
import itertools
import sys
import time

from tqdm import tqdm

from partage.config.recipe import Recipe
from partage.runs.holding import Held
from partage.runs.live_logs import Logs
from partage.runs.metrics import Metrics

PLAIN_EVERY = 30.0  # seconds between two lines where there is no terminal
TELL_EVERY = 10.0  # seconds between two lines in the lock


class Progress:
    """A run's progress on standard error or output, in its lock and in logs, in its context.

    `metrics` are those that training begins with, or goes on from; `live` names the logs.
    """

    def __init__(self, recipe: Recipe, held: Held, metrics: Metrics, live: str = "") -> None:
        self.name = f"{recipe.algorithm} {recipe.task} seeds {held.run_dir.name}"
        self.total = recipe.steps * len(recipe.seeds)
        self.recipe, self.held = recipe.hash, held
        self.began_at = self.done = self._done(metrics)
        self.logs = Logs(held.run_dir, live)
        self.logs.grow(metrics.points)
        self.bar = tqdm(
            total=self.total,
            desc=self.name,
            unit="step",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
        )
        self.began = self.printed = self.told = time.monotonic()
        self.has_pace = False

    def __enter__(self) -> "Progress":
        self._tell()
        return self

    def show(self, metrics: Metrics) -> None:
        """Move the bar on or print a line, where it is time for one; tell, and log."""
        self.done = done = self._done(metrics)
        self.logs.grow(metrics.points)
        if not self.has_pace:  # the first update compiles, for minutes: the pace is of those behind
            self.has_pace, self.began, self.began_at = True, time.monotonic(), done
        if time.monotonic() - self.told >= TELL_EVERY:
            self._tell()
        if not self.bar.disable:
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.printed >= PLAIN_EVERY or done == self.total:
            self.printed = time.monotonic()
            with contextlib.suppress(OSError):  # the log's disk may be full: training goes on
                print(self._line(done, metrics), flush=True)

    def _done(self, metrics: Metrics) -> int:
        """Return how many steps are done, of all seeds together."""
        return min(int(metrics.env_steps.sum()), self.total)

    def _line(self, done: int, metrics: Metrics) -> str:
        line = f"{self.name}: {100 * done / self.total:.0f} % of {self.total:,} env steps"
        recent = list(itertools.chain.from_iterable(metrics.recent_returns))
        if recent:
            line += f", recent return {sum(recent) / len(recent):.2f}"
        return line

    def _tell(self, ended: bool = False) -> None:
        """Write into the lock what `partage status` reads."""
        self.told = time.monotonic()
        said = {
            "recipe": self.recipe,
            "steps": self.done,
            "total": self.total,
            "began_at": self.began_at,
            "seconds": round(self.told - self.began, 3),
            "at": round(time.time(), 3),
            "ended": ended,
        }
        self.held.tell(said)

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        self.logs.close()
        self._tell(ended=True)
