"""Read curves from a CSV file: seed, env_steps, metric, value, and updates where they are known.

Commas, semicolons or tabs part the columns, which come in any order; other columns are passed over.
"""

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from partage import _io
from partage.errors import UserError
from partage.runs import foreign
from partage.runs.experiments import COMPLETED, Measured, Point, Run
from partage.runs.sacred import UNCOUNTED, sha256

COLUMNS = ("seed", "env_steps", "metric", "value")
DELIMITERS = ",;\t|"
EXPECTED = f"the columns {', '.join(COLUMNS)} are expected"


class Row(NamedTuple):
    """One line of the file: its number from 1 on, and its fields by the columns' names."""

    line: int
    fields: Mapping[str, str]


def runs(source: Path) -> list[Run]:
    """Return the seeds of a CSV file. Raises `UserError` where it is malformed."""
    rows_of: dict[int, list[Row]] = {}
    for row in _rows(source):
        rows_of.setdefault(_whole(source, row, "seed"), []).append(row)
    if not rows_of:
        raise UserError(f"{source} holds no row: {EXPECTED}, and a row for each measured value.")
    return [
        Run(
            f"seed {seed} of {source}",
            seed,
            {"seed": seed},
            COMPLETED,
            partial(_measured, source, seed, rows),
        )
        for seed, rows in rows_of.items()
    ]


def _rows(source: Path) -> Iterator[Row]:
    """Yield the lines that are not blank, each with as many fields as there are columns."""
    text = text_of(source)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = _delimiter(first)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if not any(fields):
                continue
            if not header:
                header = [name.lower() for name in fields]
                _check_header(source, header)
            elif len(fields) != len(header):
                raise UserError(
                    f"{source}, line {reader.line_num}: {len(fields)} fields, but there are "
                    f"{len(header)} columns (a number is written without separators at thousands)."
                )
            else:
                yield Row(reader.line_num, dict(zip(header, fields, strict=True)))
    except csv.Error as error:
        raise UserError(
            f"{source}, line {reader.line_num}, is not CSV ({error}): {EXPECTED}."
        ) from error
    if not header:
        raise UserError(f"{source} is empty: {EXPECTED}.")


def text_of(source: Path) -> str:
    """Return a CSV file's text: in UTF-8, or in UTF-16 where its first bytes say so."""
    content = _io.read_bytes(source, f"{EXPECTED}.")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{source} is not text in UTF-8 ({error.reason} at byte {error.start}): save it as a "
            f"CSV file in UTF-8; {EXPECTED}."
        ) from error


def _delimiter(header: str) -> str:
    """Return what parts the columns of a header: what makes most of our columns of it."""

    def known(delimiter: str) -> int:
        names = [name.strip().strip('"').lower() for name in header.split(delimiter)]
        return sum(column in names for column in COLUMNS)

    return max(DELIMITERS, key=known)


def _check_header(source: Path, header: Sequence[str]) -> None:
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise UserError(
            f"{source} has no column {', '.join(missing)}: {EXPECTED}, but it has "
            f"{foreign.short(', '.join(header))}."
        )
    for column in (*COLUMNS, "updates"):
        if header.count(column) > 1:
            raise UserError(f"{source} has two columns {column}: {EXPECTED}, once each.")


def _measured(source: Path, seed: int, rows: Sequence[Row], wanted: Collection[str]) -> Measured:
    """Return the points of one seed; raises `UserError` with the line of one that is malformed."""
    points: list[Point] = []
    line_of: dict[tuple[int, str], int] = {}
    for row in rows:
        metric = row.fields["metric"]
        if metric in wanted:
            step = _whole(source, row, "env_steps")
            if (step, metric) in line_of:
                raise UserError(
                    f"{source}, lines {line_of[step, metric]} and {row.line}: two values at one "
                    f"step, of {metric} at {step} of seed {seed}; leave one out."
                )
            line_of[step, metric] = row.line
            points.append((seed, step, _updates(source, row), metric, _value(source, row)))
    names = sorted({row.fields["metric"] for row in rows})
    return Measured(points, names, {"file": str(source), "sha256": sha256(source)})


def _updates(source: Path, row: Row) -> int:
    if row.fields.get("updates", "") in ("", str(UNCOUNTED)):
        return UNCOUNTED
    return _whole(source, row, "updates")


def _whole(source: Path, row: Row, column: str) -> int:
    try:
        return foreign.whole_of_text(row.fields[column])
    except ValueError as error:
        raise UserError(f"{source}, line {row.line}, column {column}: {error}.") from error


def _value(source: Path, row: Row) -> float:
    try:
        return foreign.number_of_text(row.fields["value"])
    except ValueError as error:
        raise UserError(f"{source}, line {row.line}, column value: {error}.") from error
