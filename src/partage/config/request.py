"""What is asked for: the options of the command line, the keys of Snakemake's ``--config``."""

import dataclasses
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partage.config.recipe import ENGINES, SCALES, results_root
from partage.config.types import expected, fits
from partage.errors import UserError, at_least, look_up, one_of


@dataclasses.dataclass(frozen=True)
class Request:
    scale: str = "smoke"
    engine: str = ENGINES[0]
    figures: str = "all"  # or names with commas between
    seeds_per_run: int = (
        5  # seeds trained side by side in one process; 1 suits a cluster with many nodes
    )
    results: str = "results"
    device: str = "cpu"  # or cuda: each run gets a GPU
    runs_per_gpu: int = 1  # processes that share a GPU of this machine
    python: str = sys.executable  # what the workflow's jobs run `-m partage` with

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Request":
        """From names and values as given, checked."""
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
        at_least("runs_per_gpu", request.runs_per_gpu, 1)
        if wrong := re.search(r"[^\w./+@=-]", request.results):
            raise UserError(f"results is a folder that a shell and Snakemake take as it stands: letters, digits and "
                          f". _ - / + @ =, but {request.results!r} has {wrong[0]!r}.")  # fmt: skip
        return request

    @property
    def root(self) -> Path:
        return results_root(Path(self.results), self.scale, self.engine)
