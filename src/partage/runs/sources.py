"""Where others' results are read from, whatever is made of them: which runs, and which metrics.

A source is a folder of sacred runs (EPyMARL, PyMARL), a CSV file, or JSON as marl-eval reads it.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from partage.errors import UserError
from partage.runs import curve_table, marl_eval, sacred
from partage.runs.experiments import Run

OURS = ("test_return", "test_score", "test_length", "train_return")
# EPyMARL's and PyMARL's names (src/utils/logging.py, src/runners): means over test episodes, and
# training's own; what already has a name of ours keeps it
METRICS = {
    "test_return_mean": "test_return",
    "test_battle_won_mean": "test_score",
    "test_ep_length_mean": "test_length",
    "return_mean": "train_return",
    # EPyMARL's where rewards are each agent's own: the sum over agents
    "test_total_return_mean": "test_return",
    "total_return_mean": "train_return",
} | {name: name for name in OURS}


class Request(NamedTuple):
    """What is taken of a source, and under which names."""

    names: Sequence[str] = ()  # "theirs=ours" of metrics, before `METRICS`
    where: Sequence[str] = ()  # "setting=value": of these runs
    ignore: Sequence[str] = ()  # settings that do not tell experiments apart


def named(request: Request) -> dict[str, str]:
    """Return the metrics that were said to be ours: their name -> ours."""
    return _pairs(request.names, "--metric is written theirs=ours", "return=test_return")


def chosen_by(request: Request) -> dict[str, str]:
    """Return the settings that choose among runs."""
    return _pairs(request.where, "--where is written setting=value", "env_args.map_name=3m")


def read(
    source: Path, task: str, algorithm: str, request: Request
) -> tuple[list[Run], dict[str, str]]:
    """Return the runs of a source, their curves not read yet, and what their metrics are here."""
    runs, known = _read(source, task, algorithm, chosen_by(request))
    return runs, _metrics(known, named(request))


def _read(
    source: Path, task: str, algorithm: str, where: Mapping[str, str]
) -> tuple[list[Run], dict[str, str]]:
    if os.path.isdir(source):  # unlike Path's, it takes a folder without permission for none
        runs = sacred.runs(source)
        if runs:
            return runs, METRICS
    elif not os.path.exists(source):
        raise UserError(
            f"There is no file or folder {source}: a CSV file, a JSON file for marl-eval or a "
            f"folder of sacred runs is expected."
        )
    elif (source.parent / "config.json").is_file() and source.name in sacred.OF_A_RUN:
        raise UserError(f"{source} is one file of a sacred run: name the folder {source.parent}.")
    elif source.suffix.lower() != ".json":
        return curve_table.runs(source), METRICS
    runs = marl_eval.runs(source)
    if not runs:
        raise UserError(
            f"{source} holds no sacred run (a folder with config.json and metrics.json or "
            f"info.json) and no run in {marl_eval.EXPECTED}: name another, or a CSV file itself."
        )
    runs = marl_eval.narrowed(source, runs, task, algorithm, where)
    return runs, METRICS | marl_eval.METRICS


def _metrics(known: Mapping[str, str], explicit: Mapping[str, str]) -> dict[str, str]:
    """Return what each of their metrics is here; what was said beats what is known."""
    said = set(explicit.values())
    return {name: ours for name, ours in known.items() if ours not in said} | dict(explicit)


def check_single(who: str, curve: pd.DataFrame, theirs: Sequence[str]) -> None:
    """Raise `UserError` where one of our metrics has two values at one step."""
    seen: set[tuple[int, str]] = set()
    for step, ours in zip(curve["env_steps"], curve["metric"], strict=True):
        if (step, ours) in seen:
            raise UserError(
                f"{who} has two values at one step, {step:,}, for {ours}, from "
                f"{', '.join(theirs)}: each of ours is one of theirs, once a step; --metric "
                f"theirs={ours} says which."
            )
        seen.add((step, ours))


def _pairs(texts: Sequence[str], written: str, example: str) -> dict[str, str]:
    """Return what ``name=value`` options say."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UserError(f"{written}, as in {example}, but is {text!r}.")
        if pairs.setdefault(name, value) != value:
            raise UserError(f"{name!r} is said to be {pairs[name]!r} and {value!r}: say it once.")
    return pairs
