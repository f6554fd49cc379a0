"""Curves of others, to be drawn beside ours: where each comes from, and under which licence.

A file ``NAME.toml`` in ``sheets/reference`` (ours) or in ``references`` of the results' folder (the
user's own) says repository, commit, licence, and path and sha256 of each file; the files themselves
are fetched on demand. Nothing of them is ever part of a frame, so of no statistic (standard library
only).
"""

import hashlib
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from partage import _io
from partage.config import names, schema
from partage.config.figures import Figure
from partage.errors import UserError, at_least, one_of

FOLDER = "references"  # within the results: files that were fetched, and the user's own references
SHIPPED = Path(__file__).parent / "sheets/reference"
LICENCES = (  # SPDX's names of those that allow to show and to pass on
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unlicense",
)
OWN = "own"  # of what the user made and brought: no one else's leave is needed to draw it
READERS = ("csv", "npy", "marl-eval", "sacred", "curves")
SCHEMES = ("https", "http", "file")


class Curve(NamedTuple):
    """What is drawn of one method on one task, all its seeds together."""

    task: str
    metric: str  # of ours, whose panels show it
    label: str
    protocol: str  # what is not as in our runs: simulator, budget, tests
    reader: str  # one of READERS
    files: list[str]  # of the reference's, those with its seeds
    steps: str | int  # csv: the column of steps; npy: steps from one value to the next
    values: str  # csv: the column of values; marl-eval, sacred: the metric's name there
    where: Mapping[str, str]  # marl-eval: environment, task and algorithm there
    factor: float  # of theirs to ours, as 0.01 of per cent
    mean_of: int  # seeds that a file is the mean of (1: it is a seed)


class Reference(NamedTuple):
    """Curves of others from one source."""

    name: str
    title: str
    source: str  # as a figure says it
    repository: str  # "": brought by the user, not fetched
    commit: str
    licence: str
    files: dict[str, str]  # path there -> sha256
    curves: list[Curve]

    def address(self, path: str) -> str:
        """Return where a file can be fetched: GitHub's and its likes' address of a file's bytes."""
        return f"{self.repository}/raw/{self.commit}/{urllib.parse.quote(path)}"

    def place(self, results: Path) -> Path:
        """Return the folder that its files lie in once they are here."""
        return results / FOLDER / self.name

    def is_here(self, results: Path) -> bool:
        """Return whether all its files lie there; their sums are checked where they are read."""
        return all((self.place(results) / path).is_file() for path in self.files)


NEEDED = {"title": str, "licence": str, "files": dict, "curves": list}
OPTIONAL = {"repository": str, "commit": str, "source": str, "protocol": str}
CURVE_NEEDED = {"tasks": list[str], "metric": str, "label": str, "reader": str, "files": str}
CURVE_OPTIONAL: dict[str, Any] = {"protocol": str, "steps": object, "values": str, "where": dict}
CURVE_OPTIONAL |= {"factor": float, "mean_of": int}


def find(results: Path) -> dict[str, Reference]:
    """Return our references and the user's, by name. Raises `UserError` for a malformed one."""
    found: dict[str, Reference] = {}
    for path in [*sorted(SHIPPED.glob("*.toml")), *sorted((results / FOLDER).glob("*.toml"))]:
        if path.stem in found:
            raise UserError(f"{path} has the name of a reference of ours: call it something else.")
        found[path.stem] = read(path)
    return found


def read(path: Path) -> Reference:
    """Return what a reference's file says.

    Raises `UserError` where it lacks a source, a sum or a licence, or its licence is none of
    `LICENCES`.
    """
    names.check_name("a reference", path.stem, path.parent)
    entry = _io.read_toml(path, "name a file that `partage reference` lists.")
    if not entry.get("licence"):
        raise UserError(
            f"{path} names no licence: what nobody has given leave to use is not drawn; one of "
            f"{', '.join(LICENCES)} is expected, as its repository has it."
        )
    schema.strict(entry, NEEDED | OPTIONAL, str(path), NEEDED)
    repository, commit = entry.get("repository", "").rstrip("/"), entry.get("commit", "")
    one_of("licence", entry["licence"], LICENCES if repository else (*LICENCES, OWN), path)
    source = entry.get("source", "") or _check_source(repository, commit, path)
    files = {_check_path(each, path): _check_sum(each, entry, path) for each in entry["files"]}
    reference = Reference(
        name=path.stem,
        title=entry["title"],
        source=source,
        repository=repository,
        commit=commit,
        licence=entry["licence"],
        files=files,
        curves=[],
    )
    curves: list[Curve] = []
    for number, each in enumerate(entry["curves"], 1):
        where = f"{path} curves, number {number}"
        curves += _read_curves(schema.as_table(each, where), files, entry, where)
    return reference._replace(curves=curves)


def _check_source(repository: str, commit: str, path: Path) -> str:
    """Return how a figure names a repository at a commit."""
    scheme, _, rest = repository.partition("://")
    if not rest or not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise UserError(
            f"{path}: a repository's address and a commit of 40 hexadecimal digits are expected "
            f"(or a source, for what is not fetched), but are {repository!r} and {commit!r}."
        )
    one_of("scheme of a repository's address", scheme, SCHEMES, path)
    return f"{'/'.join(rest.split('/')[-2:])}@{commit[:7]}"


def _check_path(file: str, path: Path) -> str:
    """Return a file's path if it lies within the reference's folder."""
    parts = file.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\\x00-\x1f]", file):
        raise UserError(f"{path}: a file is a path within the repository, but is {file!r}.")
    return file


def _check_sum(file: str, entry: schema.Values, path: Path) -> str:
    found = entry["files"][file]
    if not (isinstance(found, str) and re.fullmatch(r"[0-9a-f]{64}", found)):
        raise UserError(
            f"{path}: the sha256 of {file} is 64 hexadecimal digits, but is {found!r}: what is "
            f"not known by its sum is not drawn."
        )
    return found


def _read_curves(
    entry: dict[str, Any], files: Iterable[str], whole: schema.Values, where: str
) -> Iterator[Curve]:
    """Yield the curve of each task of an entry; {task} in its words is the task's own name."""
    schema.strict(entry, CURVE_NEEDED | CURVE_OPTIONAL, where, CURVE_NEEDED)
    one_of("reader", entry["reader"], READERS, where)
    schema.each_once(entry["tasks"], "tasks", where, least=1)
    chosen = entry.get("where", {})
    schema.strict(chosen, dict.fromkeys(("environment", "task", "algorithm"), str), where)
    at_least(f"{where}: mean_of", entry.get("mean_of", 1), 1)
    _check_columns(entry, where)
    for task in entry["tasks"]:
        names.check_task(task, where)
        name = task.partition("/")[2]
        inside = entry["files"].replace("{task}", name)
        curve = Curve(
            task=task,
            metric=entry["metric"],
            label=entry["label"],
            protocol=entry.get("protocol", "") or whole.get("protocol", ""),
            reader=entry["reader"],
            files=[file for file in files if file.startswith(inside)],
            steps=entry.get("steps", ""),
            values=entry.get("values", "").replace("{task}", name),
            where={key: text.replace("{task}", name) for key, text in chosen.items()},
            factor=float(entry.get("factor", 1)),
            mean_of=entry.get("mean_of", 1),
        )
        if not curve.files:
            raise UserError(f"{where}: no file of the reference's begins with {inside!r}.")
        if not curve.protocol:
            raise UserError(f"{where}: a protocol says what is not as in our runs; it is empty.")
        yield curve


def _check_columns(entry: dict[str, Any], where: str) -> None:
    """Raise `UserError` where a reader is not told what it has to know."""
    reader, steps = entry["reader"], entry.get("steps")
    if reader == "csv" and not (isinstance(steps, str) and steps):
        raise UserError(f"{where}: steps is the column that they stand in, but is {steps!r}.")
    if reader == "npy" and not (type(steps) is int and steps > 0):
        raise UserError(f"{where}: steps is how many lie between two values, but is {steps!r}.")
    if reader not in ("npy", "curves") and not entry.get("values"):
        raise UserError(f"{where}: values names the metric, or its column, there; it is empty.")


def drawn_in(figure: Figure, references: Iterable[Reference]) -> list[tuple[Reference, Curve]]:
    """Return the curves that belong to a figure's panels: of its tasks and metrics."""
    found: list[tuple[Reference, Curve]] = []
    for reference in references:
        found += [
            (reference, curve)
            for curve in reference.curves
            if curve.task in figure.tasks and curve.metric in (figure.metric, *figure.beside)
        ]
    return found


def stamp(figure: Figure, references: Iterable[Reference], results: Path) -> str:
    """Return what changes with what a figure shows of others whose files are here; "" for nothing.

    A change draws the figure again.
    """
    pairs = drawn_in(figure, [each for each in references if each.is_here(results)])
    sums = [(each._replace(curves=[]), curve) for each, curve in pairs]
    return hashlib.sha256(repr(sums).encode()).hexdigest() if sums else ""
