"""What is asked for: the options of the command line, the keys of Snakemake's ``--config``."""

import dataclasses
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partage.config import study
from partage.config.recipe import DEFAULTS, ENGINES, SCALES, options, results_root
from partage.config.types import expected, fits
from partage.errors import UserError, at_least, at_most, look_up, one_of

CSV, TENSORBOARD = "csv", "tensorboard"
LIVE = (CSV, TENSORBOARD)
MOST_SEEDS_PER_PACK, WHY = 100, "more side by side has not been tried"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be planned, made or shown, where, and how it is run."""

    scale: str = DEFAULTS["scale"]
    engine: str = DEFAULTS["engine"]
    figures: str = "all"  # or names with commas between
    seeds_per_run: int = 5  # trained side by side in one process; 1 suits a cluster of many nodes
    seed_count: int = 0  # how many of each run, counted from 0; 0: as many as tasks.toml has
    results: str = DEFAULTS["results"]
    device: str = "cpu"  # or cuda: each pack of runs gets a GPU
    runs_per_gpu: int = 1  # processes that share a GPU of this machine
    seeds_per_pack: int = MOST_SEEDS_PER_PACK  # of cells that a process trains side by side there
    job_hours: int = 24  # most time that a cluster's job is asked for: what its partition takes
    live: str = (
        ""  # logs that grow while runs train: csv, tensorboard, or both with a comma between
    )
    python: str = sys.executable  # what the workflow's jobs run `-m partage` with

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Request":
        """Return a request from names and values as given.

        Raises `UserError` for an unknown name, a value of another type, or one out of range.
        """
        kinds: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(Request)}
        for name, value in config.items():
            kind = look_up(kinds, "config key", name, "--config")
            if not fits(value, kind):
                raise UserError(f"--config {name} should be {expected(kind)}, but is {value!r}.")
        request = Request(**config)
        one_of("scale", request.scale, SCALES)
        one_of("engine", request.engine, ENGINES)
        one_of("device", request.device, ("cpu", "cuda"))
        at_least("seeds_per_run", request.seeds_per_run, 1)
        at_least("seed_count", request.seed_count, 0)
        at_least("runs_per_gpu", request.runs_per_gpu, 1)
        at_least("seeds_per_pack", request.seeds_per_pack, 1)
        at_most("seeds_per_pack", request.seeds_per_pack, MOST_SEEDS_PER_PACK, WHY)
        at_least("job_hours", request.job_hours, 1)
        read_live(request.live)
        if wrong := re.search(r"[^\w./+@=-]", request.results):
            raise UserError(
                f"results is a folder that a shell and Snakemake take as it stands: letters, "
                f"digits and . _ - / + @ =, but {request.results!r} has {wrong[0]!r}."
            )
        return request

    @property
    def root(self) -> Path:
        """Return the folder of this scale and engine."""
        return results_root(Path(self.results), self.scale, self.engine)

    @property
    def options(self) -> str:
        """Return the options of the command line that ask for the same, for advice.

        >>> Request(scale="lab", seeds_per_run=1).options
        ' --scale lab --seeds-per-run 1'
        """
        given = options(self.scale, self.engine, self.results)
        if self.seeds_per_run != Request.seeds_per_run:
            given += f" --seeds-per-run {self.seeds_per_run}"
        if self.seed_count:
            given += f" --seed-count {self.seed_count}"
        return given

    @property
    def workflow(self) -> str:
        """Return the command that makes all that is asked for, for advice."""
        config = f"scale={self.scale} engine={self.engine}"
        for name in ("results", "figures", "seeds_per_run", "seed_count"):
            value = getattr(self, name)
            if value != getattr(Request, name):
                config += f" {name}={value}"
        return study.snakemake(config)


def read_live(text: str) -> list[str]:
    """Return the live logs that are asked for. Raises `UserError` for one that there is not.

    >>> read_live("csv,tensorboard"), read_live("")
    (['csv', 'tensorboard'], [])
    """
    kinds = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for kind in kinds:
        one_of("live log", kind, LIVE)
    return kinds
