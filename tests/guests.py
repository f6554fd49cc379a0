"""Somebody else's runs for tests: a variant that takes them, sacred folders, and the import."""

import json
from pathlib import Path

import pandas as pd
import pytest
from small import FILES, checkout

from partage.__main__ import main
from partage.config import plan
from partage.config.plan import Request
from partage.config.recipe import run_dir
from partage.runs import record

GUEST = """
[theirs]
learner = "imported"
label = "QMIX, EPyMARL"
colour = "#009E73"
"""


def checkout_with_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small checkout, its first figure with a guest and over steps."""
    checkout(tmp_path)
    sheets = tmp_path / "src/partage/config/sheets"
    (sheets / "algorithms.toml").write_text(
        FILES["src/partage/config/sheets/algorithms.toml"] + GUEST
    )
    text = FILES["src/partage/config/sheets/figures.toml"].replace('"updates"', '"env_steps"')
    text = text.replace(
        'algorithms = ["alpha", "beta"]', 'algorithms = ["alpha", "beta", "theirs"]'
    )
    (sheets / "figures.toml").write_text(
        text.replace('than = ["alpha"]', 'than = ["alpha", "theirs"]')
    )
    monkeypatch.setattr(plan, "PACKAGE", tmp_path / "src/partage")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wrapped(value: float) -> dict:
    """A numpy number as sacred's jsonpickle writes it."""
    return {"dtype": "float64", "py/object": "numpy.float64", "value": value}


def sacred(
    folder: Path, seed: int, steps: int = 1000, new: bool = True, status="COMPLETED", **config
) -> Path:
    """One run as `FileStorageObserver` leaves it: EPyMARL's with metrics.json, PyMARL's with
    info.json alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    at = list(range(0, steps + 1, 100))
    values = [wrapped(seed + step / steps) if step % 200 else seed + step / steps for step in at]
    env = {"key": "lbforaging:Foraging-8x8", "time_limit": 50, "seed": seed}
    settings = {
        "name": "qmix",
        "env": "gymma",
        "env_args": env,
        "lr": 0.0005,
        "seed": seed,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "run.json").write_text(
        json.dumps({"status": status, "start_time": "2024-01-01T00:00:00"})
    )
    if new:
        series = {
            name: {"steps": at, "timestamps": [], "values": values}
            for name in ("return_mean", "loss")
        }
        (folder / "metrics.json").write_text(json.dumps(series))
        (folder / "info.json").write_text("{}")
    else:
        (folder / "info.json").write_text(
            json.dumps({"return_mean": values, "return_mean_T": at, "episode": at})
        )
    return folder


def three(root: Path, **more) -> Path:
    for seed in (7, 3, 11):
        sacred(root / "sacred/qmix" / str(seed), seed, **more)
    return root / "sacred"


def brought(here: Path, source: Path, *more: str) -> int:
    return main(["import", str(source), "theirs", "toy/a", "--scale", "lab", *more])


def imported() -> tuple[pd.DataFrame, dict]:
    """The curve that was brought, and what its record says of where it comes from."""
    request = Request(scale="lab")
    recipe = plan.load().recipes_of("theirs", "toy/a", request)[0]
    curve, made = record.read(run_dir(request.root, recipe))
    return curve, made["imported"]
