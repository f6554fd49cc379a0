"""What is asked for: the options of the command line, the keys of Snakemake's ``--config``."""

import dataclasses
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partage import Refusal
from partage.recipe import ENGINES, SCALES, results_root
from partage.settings import unknown
from partage.sheets import get


@dataclasses.dataclass(frozen=True)
class Request:
    scale: str = "smoke"
    engine: str = ENGINES[0]
    figures: str = "all"  # or names with commas between
    seeds_per_run: int = 5  # seeds trained side by side in one process; 1 suits a cluster with many nodes
    results: str = "results"
    device: str = "cpu"  # or cuda: each run gets a GPU
    runs_per_gpu: int = 1  # processes that share a GPU of this machine
    python: str = sys.executable  # what the workflow's jobs run `-m partage` with

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Request":
        """From names and values as given, checked."""
        fields = {field.name: field.type for field in dataclasses.fields(Request)}
        for name, value in config.items():
            kind = get(fields, "config key", name, "--config")
            if type(value) is not kind:
                raise Refusal(f"--config {name} should be of type {kind.__name__}, but is {value!r}.")
        request = Request(**config)
        for what, value, known in (("scale", request.scale, SCALES), ("engine", request.engine, ENGINES),
            ("device", request.device, ("cpu", "cuda")),
        ):  # fmt: skip
            if value not in known:
                raise unknown(what, value, known)
        for name in ("seeds_per_run", "runs_per_gpu"):
            if getattr(request, name) < 1:
                raise Refusal(f"{name} is at least 1, but is {getattr(request, name)}.")
        if wrong := re.search(r"[^\w./+@=-]", request.results):
            raise Refusal(f"results is a folder that a shell and Snakemake take as it stands: letters, digits and "
                          f". _ - / + @ =, but {request.results!r} has {wrong[0]!r}.")  # fmt: skip
        return request

    @property
    def root(self) -> Path:
        return results_root(Path(self.results), self.scale, self.engine)
