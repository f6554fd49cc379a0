"""Read the curves of a reference from its files, which are checked by their sums first."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from partage import _io
from partage.config import references
from partage.config.figures import Figure
from partage.config.references import Curve, Reference
from partage.errors import UserError
from partage.runs import curve_table, finals, foreign, marl_eval, sacred
from partage.runs.experiments import Run


class Seed(NamedTuple):
    """One seed of others, or the mean of several: its values in the order of their steps."""

    name: str
    env_steps: np.ndarray
    updates: np.ndarray  # all -1 where their number is not known
    values: np.ndarray


class Shown(NamedTuple):
    """One curve of others as a panel shows it."""

    task: str
    metric: str
    words: str  # whose it is, of how many seeds, up to which step
    about: str  # from where, under which licence, and what is not as in our runs
    seeds: list[Seed]


class Final(NamedTuple):
    """What a seed of others ended at: the mean of the last 15 % of its steps, as ours."""

    task: str
    metric: str
    curve: str
    seed: str
    value: float
    last_step: int
    source: str


def shown_in(figure: Figure, results: Path) -> list[Shown]:
    """Return what a figure shows of others: of the references whose files are here.

    Raises `UserError` where a file's sum is wrong or its content malformed.
    """
    here = [each for each in references.find(results).values() if each.is_here(results)]
    found: list[Shown] = []
    for reference, curve in references.drawn_in(figure, here):
        seeds = seeds_of(reference, curve, results)
        about = f"{reference.source}, licence {reference.licence}: {curve.protocol}"
        found.append(Shown(curve.task, curve.metric, words(curve, seeds), about, seeds))
    return found


def words(curve: Curve, seeds: list[Seed]) -> str:
    """Return whose a curve is, and of how many seeds and steps."""
    many = curve.mean_of * len(seeds)
    counted = f"{many} seeds (dashed: their mean)" if many > 1 else "1 seed"
    if curve.mean_of > 1:
        counted = f"mean of {many} seeds"
    last = max(int(seed.env_steps[-1]) for seed in seeds)
    return f"{curve.label}: {counted}, up to {last:,} steps"


def finals_of(reference: Reference, results: Path) -> list[Final]:
    """Return what each seed of a reference ended at."""
    found: list[Final] = []
    for curve in reference.curves:
        path = curve.files[0].rpartition("/")[0] or curve.files[0]
        source = f"{reference.source}:{path}, {reference.licence}"
        found += [
            Final(
                task=curve.task,
                metric=curve.metric,
                curve=curve.label,
                seed=f"mean of {curve.mean_of}" if curve.mean_of > 1 else seed.name,
                value=round(finals.final(seed.env_steps.astype(float), seed.values), 4),
                last_step=int(seed.env_steps[-1]),
                source=source,
            )
            for seed in seeds_of(reference, curve, results)
        ]
    return found


def seeds_of(reference: Reference, curve: Curve, results: Path) -> list[Seed]:
    """Return the seeds of a curve. Raises `UserError` where a sum or a file's content is wrong."""
    folder = reference.place(results)
    for path in curve.files:
        again = f"fetch it with `partage reference fetch {reference.name}`."
        check_sum(reference, path, _io.read_bytes(folder / path, again), str(folder / path))
    seeds = [_ordered(seed, curve.factor) for seed in READERS[curve.reader](folder, curve)]
    if not seeds:
        raise UserError(f"{folder} holds no {curve.metric} of {curve.label} on {curve.task}.")
    return sorted(seeds, key=lambda seed: (len(seed.name), seed.name))


def check_sum(reference: Reference, path: str, content: bytes, place: str) -> None:
    """Raise `UserError` unless a file of a reference is the one that its sum says."""
    found = hashlib.sha256(content).hexdigest()
    if found != reference.files[path]:
        raise UserError(
            f"{place} is not the file that {reference.name} names: its sha256 is {found}, but "
            f"{reference.files[path]} is expected; take it from {reference.source}."
        )


def _ordered(seed: Seed, factor: float) -> Seed:
    """Return a seed in the order of its steps, in our unit."""
    order = np.argsort(seed.env_steps, kind="stable")
    return Seed(seed.name, seed.env_steps[order], seed.updates[order], seed.values[order] * factor)


def _seed(name: str, steps: Any, values: Any, updates: Any = ()) -> Seed:
    at, counted = np.array(steps, np.int64), np.array(updates, np.int64)
    if not len(counted):
        counted = np.full(len(at), sacred.UNCOUNTED)
    return Seed(name, at, counted, np.array(values, float))


def _from_csv(folder: Path, curve: Curve) -> Iterator[Seed]:
    """Yield the seed, or the mean, in each file."""
    for path in curve.files:
        points = list(_fields(folder / path, str(curve.steps), curve.values))
        if points:
            yield _seed(Path(path).stem.removeprefix("seed_"), *zip(*points, strict=True))


def _fields(path: Path, steps: str, values: str) -> Iterator[tuple[int, float]]:
    """Yield each step of a CSV file with its value; a line that lacks either is passed over."""
    text = curve_table.text_of(path)
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in rows:
            for column in (steps, values):
                if column not in row:
                    raise UserError(f"{path} has no column {column!r}.")
            at, found = (row[steps] or "").strip(), (row[values] or "").strip()
            if at and found:
                yield foreign.whole_of_text(at), foreign.number_of_text(found)
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}, line {rows.line_num}: {error}.") from error


def _from_npy(folder: Path, curve: Curve) -> Iterator[Seed]:
    """Yield the seed in each file: an array of values, so many steps apart, the first at 0."""
    for path in curve.files:
        try:
            values = np.load(folder / path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{folder / path} is no array of NumPy's: {error}.") from error
        if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "fiu":
            raise UserError(f"{folder / path} should be an array of numbers, one after the other.")
        if not np.isfinite(values).all():
            raise UserError(f"{folder / path} holds a value that is no finite number.")
        if len(values):
            yield _seed(Path(path).stem, np.arange(len(values)) * int(curve.steps), values)


def _from_marl_eval(folder: Path, curve: Curve) -> Iterator[Seed]:
    for path in curve.files:
        for run in marl_eval.runs(folder / path):
            if all(run.config.get(key) == value for key, value in curve.where.items()):
                yield from _measured(run, curve.values)


def _from_sacred(folder: Path, curve: Curve) -> Iterator[Seed]:
    wanted = {(folder / path).parent for path in curve.files}
    for place in sorted(wanted):
        for run in sacred.runs(place):
            yield from _measured(run, curve.values)


def _from_curves(folder: Path, curve: Curve) -> Iterator[Seed]:
    for path in curve.files:
        for run in curve_table.runs(folder / path):
            yield from _measured(run, curve.metric)


def _measured(run: Run, metric: str) -> Iterator[Seed]:
    """Yield what a run measured of a metric, if anything."""
    points = run.read([metric]).points
    if points:
        _, steps, updates, _, values = zip(*points, strict=True)
        yield _seed(str(run.seed), steps, values, updates)


READERS: Mapping[str, Callable[[Path, Curve], Iterator[Seed]]] = {
    "csv": _from_csv,
    "npy": _from_npy,
    "marl-eval": _from_marl_eval,
    "sacred": _from_sacred,
    "curves": _from_curves,
}
