"""Bring others' results as a reference: drawn beside ours, in no statistic, whatever their budget.

Any number of seeds is taken, and runs that are shorter or longer than ours. What is written is as
what is fetched: a file of curves, and one that says where they come from, with its sum.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from partage import _io
from partage.config import names, references, schema
from partage.errors import UserError, one_of
from partage.runs import experiments, record, sources
from partage.runs.experiments import Run

CURVES = "curves.csv"


class Credit(NamedTuple):
    """What a figure says of curves that are brought: whose they are, and what differs."""

    name: str  # the reference's: a file's
    task: str  # of ours
    licence: str
    label: str = ""  # default: the name
    protocol: str = ""  # beyond seeds and steps, which are counted


def bring(source: Path, credit: Credit, results: Path, request: sources.Request) -> list[Path]:
    """Write a reference from `source`; return its files.

    Raises `UserError` where the licence or the source is missing or malformed, or runs differ in
    more than their seed.
    """
    names.check_name("a reference", credit.name)
    allowed = (*references.LICENCES, references.OWN)
    if not credit.licence:
        raise UserError(
            f"A reference is drawn with its licence: say --licence with one of "
            f"{', '.join(allowed)} ({references.OWN}: you made the runs)."
        )
    one_of("licence", credit.licence, allowed)
    said = {"label": credit.label, "protocol": credit.protocol, "source": source.name}
    schema.check_scalars(said, "A reference")
    if (references.SHIPPED / f"{credit.name}.toml").is_file():
        raise UserError(f"{credit.name} is a reference of ours: give yours another name.")
    runs, metrics = sources.read(source, credit.task, credit.name, request)
    where = sources.chosen_by(request)
    chosen = experiments.choose(source, runs, where, request.ignore, lambda run: True)
    curves = pd.concat([_curve(run, metrics) for run in chosen.runs], ignore_index=True)
    folder = results / references.FOLDER / credit.name
    content = curves.to_csv(index=False, lineterminator="\n").encode()
    _io.write(folder / CURVES, content)
    entry = _entry(source, credit, content, list(dict.fromkeys(curves["metric"])))
    _io.write(folder.with_name(f"{credit.name}.toml"), entry.encode())
    return [folder.with_name(f"{credit.name}.toml"), folder / CURVES]


def _curve(run: Run, metrics: Mapping[str, str]) -> pd.DataFrame:
    """Return all that a run measured of our metrics, under their names here."""
    measured = run.read(list(metrics))
    curve = pd.DataFrame(measured.points, columns=list(record.COLUMNS))
    who = f"Seed {run.seed}"
    if curve.empty:
        raise UserError(
            f"{who} ({run.place}) has none of the metrics {', '.join(metrics)}, but "
            f"{', '.join(measured.names) or 'nothing'}: say --metric theirs=ours."
        )
    theirs = sorted(set(curve["metric"]))
    curve = curve.assign(metric=[metrics[name] for name in curve["metric"]])
    sources.check_single(who, curve, theirs)
    return curve


def _entry(source: Path, credit: Credit, content: bytes, measured: Sequence[str]) -> str:
    """Return the reference's file, as `partage.config.references` reads it."""
    label = credit.label or credit.name
    lines = [
        f"title = {_text(f'{label} on {credit.task}, brought by `partage import --reference`')}",
        f"source = {_text(f'imported from {source.name or source}')}",
        f"licence = {_text(credit.licence)}",
        f"protocol = {_text(credit.protocol or 'their own seeds, budget and tests')}",
    ]
    for metric in measured:
        lines += [
            "",
            "[[curves]]",
            f"tasks = [{_text(credit.task)}]",
            f"metric = {_text(metric)}",
            f"label = {_text(label)}",
            'reader = "curves"',
            f"files = {_text(CURVES)}",
        ]
    lines += ["", "[files]", f'"{CURVES}" = "{hashlib.sha256(content).hexdigest()}"']
    return "\n".join(lines) + "\n"


def _text(words: str) -> str:
    """Return a text as TOML writes it, which is as JSON does."""
    return json.dumps(words.encode(errors="backslashreplace").decode(), ensure_ascii=False)
