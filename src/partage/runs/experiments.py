"""Which of somebody's runs are the seeds of one experiment: asked for, finished, and alike.

Two runs are alike where their configurations agree in all that changes what is computed
(`partage.runs.alike`). Who imports can say of more settings that they do not (``--ignore``) and can
pick among experiments (``--where``): every refusal here has a way on.
"""

import json
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from partage.errors import UserError
from partage.runs import alike, foreign

Point = tuple[int, int, int, str, float]  # a row of `record.COLUMNS`

COMPLETED = "COMPLETED"  # sacred's word; also of runs in formats that know no other
# A run may have ended well under these: PyMARL ends its process before sacred writes that it did.
PERHAPS = ("RUNNING", "QUEUED")
# Settings that tell experiments apart best, where several differ
TELLING = ("name", "env", "env_args.map_name", "env_args.key", "environment", "task", "algorithm")


class Measured(NamedTuple):
    """What a run measured of what is wanted, the names of all it measured, and its files."""

    points: list[Point]
    names: list[str]
    facts: dict[str, Any]


class Run(NamedTuple):
    """One run of somebody else's: its curve is read when it is wanted."""

    place: str  # a folder, or a file and a place in it
    seed: int  # theirs
    config: dict[str, Any]  # flat: a nested name's parts are joined by dots
    status: str
    read: Callable[[Collection[str]], Measured]  # of the metrics with these names


class Choice(NamedTuple):
    """The runs that are the seeds of one experiment, and a sentence part for each left out."""

    runs: list[Run]
    left_out: list[str]


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the names of nested objects joined by dots.

    >>> flat({"lr": 1, "env_args": {"map_name": "3m"}})
    {'lr': 1, 'env_args.map_name': '3m'}
    """
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{name}.{inner}": each for inner, each in flat(value).items()}
        else:
            found[name] = value
    return found


def choose(
    source: object,
    runs: Sequence[Run],
    where: Mapping[str, str],
    ignore: Collection[str],
    reaches_the_end: Callable[[Run], bool],
) -> Choice:
    """Return the runs with the values of `where` that have not failed, in the order of their seeds.

    Where no run is completed, those of the status `PERHAPS` count that reach the end. Raises
    `UserError` where no run has such a value, all have failed, the others are of several
    experiments, or two have one seed.
    """
    asked = list(runs)
    for key, text in where.items():
        asked = _with(source, asked, key, text)
    for key in ignore:
        if not any(key in run.config for run in runs):
            raise UserError(f"No run in {source} has a setting {key!r}, which --ignore names.")
    none_completed = all(run.status != COMPLETED for run in asked)
    kept: list[Run] = []
    left_out: list[str] = []
    for run in asked:
        perhaps = run.status in PERHAPS and none_completed
        if run.status == COMPLETED or (perhaps and reaches_the_end(run)):
            kept.append(run)
        else:
            left_out.append(f"{run.place} ({run.status})")
    if not kept:
        raise UserError(f"No run in {source} ended well: {', '.join(left_out)}.")
    _check_alike(source, kept, frozenset(ignore))
    _check_seeds(source, kept)
    return Choice(sorted(kept, key=lambda run: run.seed), left_out)


def _with(source: object, runs: list[Run], key: str, text: str) -> list[Run]:
    """Return the runs whose setting `key` is `text`, as JSON or as a plain word."""
    found = [run for run in runs if _is(run.config.get(key), text)]
    if not found:
        values = sorted({_shown(run.config.get(key)) for run in runs})
        raise UserError(
            f"No run in {source} has {key}={text}: its values are {', '.join(values[:20])}."
        )
    return found


def _is(value: Any, text: str) -> bool:
    if text == _shown(value):
        return True
    try:
        return alike.canonical(json.loads(text)) == alike.canonical(value)
    except (ValueError, RecursionError):
        return False


def _check_alike(source: object, runs: list[Run], ignore: frozenset[str]) -> None:
    """Raise `UserError` where configurations differ in more than what belongs to a seed."""
    configs = [alike.comparable(run.config, run.seed, ignore) for run in runs]
    keys: set[str] = set()
    for config in configs:
        keys |= config.keys()
    for key in sorted(keys, key=lambda key: (key not in TELLING, key)):
        groups: dict[str, list[Run]] = {}
        for run, config in zip(runs, configs, strict=True):
            groups.setdefault(config.get(key, "null"), []).append(run)
        if len(groups) > 1:
            raise UserError(_several(source, key, list(groups.values())))


def _several(source: object, key: str, groups: list[list[Run]]) -> str:
    """Return the sentence that names the experiments by the setting they differ in."""
    groups.sort(key=len)
    values = [_shown(group[0].config.get(key)) for group in groups]
    if len(groups) == 2:
        differ = f"{values[0]} in one and {values[1]} in the other"
    else:
        differ = ", ".join(values[:10])
    members = "; ".join(_members(group) for group in groups[:10])
    option = shlex.quote(f"{key}={values[-1]}")
    return (
        f"{source} does not hold runs of one experiment: {key} is {differ} ({members}). Import "
        f"each as a variant of its own, choosing with --where {option}; or, if {key} does not "
        f"change what is computed, say --ignore {key}."
    )


def _members(group: list[Run]) -> str:
    """Return how many runs a group has, and the first of them."""
    places = ", ".join(run.place for run in group[:3])
    more = ", ..." if len(group) > 3 else ""
    return f"{len(group)} runs: {places}{more}" if len(group) > 1 else f"1 run: {places}"


def _check_seeds(source: object, runs: list[Run]) -> None:
    first: dict[int, Run] = {}
    for run in runs:
        if run.seed in first:
            other = first[run.seed]
            raise UserError(
                f"Two runs in {source} have the same seed, {run.seed}: {other.place} and "
                f"{run.place}; move one of them away{_told_apart(other, run)}."
            )
        first[run.seed] = run


def _told_apart(one: Run, other: Run) -> str:
    """Return the option that picks one of two runs, where a setting tells them apart."""
    for key in sorted(one.config.keys() & other.config.keys()):
        if alike.canonical(one.config[key]) != alike.canonical(other.config[key]):
            option = shlex.quote(f"{key}={_shown(one.config[key])}")
            return f", or choose with --where {option}"
    return ""


def _shown(value: Any) -> str:
    """Return a setting's value as ``--where`` takes it, or short where it is long."""
    text = value if isinstance(value, str) else alike.canonical(value)
    return text if len(text) <= 60 else foreign.short(text)


def seed_of(config: Mapping[str, Any], place: object) -> int:
    """Return the seed of a configuration. Raises `UserError` where it is no whole number."""
    try:
        return foreign.whole(config.get("seed"))
    except ValueError as error:
        raise UserError(
            f"{place} should have a whole number as its seed, but {error}: without the seed a run "
            f"cannot be told from another."
        ) from error
