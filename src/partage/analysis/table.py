"""One table for every reader: its numbers, and how each column shows them.

A `Table` is written as markdown and CSV here, as LaTeX by `partage.analysis.latex`, and as HTML by
the template ``report/table.html.j2``. Its data are the raw numbers, which the CSV file keeps whole.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from partage import _io

Row = Mapping[Any, Any]  # one row of a table's data: {field: raw value}
NOTHING = "\u2013"  # what stands where there is no number
NARROW_SPACE = "\u202f"  # between a number and its unit; no line breaks there
LEFT, RIGHT = "left", "right"


class Cell(NamedTuple):
    """What a reader sees of one number or name."""

    words: str
    kind: str = "words"  # words | number | code | link | verdict | panel: how it may be set
    target: str = ""  # of a link: the id that it leads to


class Column(NamedTuple):
    """One column as readers see it."""

    title: str
    cell: Callable[[Row], Cell]
    align: str = LEFT  # LEFT | RIGHT
    is_code: bool = False  # the title is a name in the code, and is written as it is


@dataclass(frozen=True)
class Table:
    """Data, the columns that show them, and the words around them.

    `data` may have more fields than are shown. Where `group_by` names a field, neighbouring rows
    that agree in it are one group, with a rule between groups, and the first column is said once.
    """

    data: pd.DataFrame
    columns: tuple[Column, ...]
    name: str = ""  # of the file, and of the LaTeX label
    caption: str = ""  # in plain words
    warning: str = ""  # what it must not be taken for; before the caption
    group_by: str = ""
    has_total: bool = False  # the last row sums up the others

    def cells(self) -> list[list[Cell]]:
        """Return all cells, row by row."""
        return [self._cells_of(row) for row in self.data.to_dict("records")]

    def _cells_of(self, row: Row) -> list[Cell]:
        return [column.cell(row) for column in self.columns]

    def starts_group(self) -> list[bool]:
        """Return for each row whether it is the first of its group; without groups all are."""
        if not self.group_by:
            return [True] * len(self.data)
        keys = list(self.data[self.group_by])
        return [i == 0 or keys[i] != keys[i - 1] for i in range(len(keys))]

    def cells_by_group(self) -> list[list[Cell]]:
        """Return all cells, with what the first column repeats within a group left out."""
        blank = Cell("")
        return [
            row if first else [blank, *row[1:]]
            for row, first in zip(self.cells(), self.starts_group(), strict=True)
        ]

    def without(self, *titles: str) -> "Table":
        """Return the table without the columns of these titles."""
        shown = tuple(column for column in self.columns if column.title not in titles)
        return replace(self, columns=shown)

    def markdown(self) -> list[str]:
        """Return the lines of a markdown table."""
        sides = ["---:" if column.align == RIGHT else "---" for column in self.columns]
        titles = [column.title.replace(NARROW_SPACE, " ") for column in self.columns]
        body = [_markdown_row(row) for row in self.cells()]
        return [_markdown_line(titles), f"|{'|'.join(sides)}|", *body]

    def csv(self) -> str:
        """Return the raw data as CSV, all fields of them."""
        return csv_text(self.data)


def _markdown_line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_row(row: list[Cell]) -> str:
    return _markdown_line([cell.words for cell in row])


def csv_text(data: pd.DataFrame) -> str:
    """Return data as CSV, with line ends of one byte on every system."""
    return data.to_csv(index=False, lineterminator="\n")


def save_csv(data: pd.DataFrame, path: Path) -> None:
    """Save data as CSV."""
    _io.write(path, csv_text(data).encode())


def words(field: str, title: str = "") -> Column:
    """Return the column that shows a field as it is; its title is the field's name."""
    return Column(title or field, lambda row: Cell(str(row[field])))


def count(field: str, title: str = "") -> Column:
    """Return the column of a whole number."""
    return Column(title or field, lambda row: Cell(str(row[field])), RIGHT)


def amount(field: str, title: str = "", digits: int = 0) -> Column:
    """Return the column of an amount, with thousands set apart and this many decimals.

    A dash stands for NaN.
    """

    def cell(row: Row) -> Cell:
        known = not math.isnan(row[field])
        return Cell(f"{row[field]:,.{digits}f}" if known else NOTHING)

    return Column(title or field, cell, RIGHT)


def value(field: str, title: str = "") -> Column:
    """Return the column of a measured number, to the digits that matter."""
    return Column(title or field, lambda row: Cell(number(row[field]), "number"), RIGHT)


def interval() -> Column:
    """Return the column of the interval from ``ci95_low`` to ``ci95_high``."""
    title = f"95{NARROW_SPACE}% interval"
    return Column(title, lambda row: Cell(interval_words(row), "number"), RIGHT)


def code(field: str, title: str = "") -> Column:
    """Return the column of a hash or a path."""
    return Column(title or field, lambda row: Cell(str(row[field]), "code"))


def verdict(field: str, title: str = "") -> Column:
    """Return the column of a verdict on a claim."""
    return Column(title or field, lambda row: Cell(str(row[field]), "verdict"))


def number(value: float) -> str:
    """Return the digits that matter: -701, 0.431, 5.0e+16, infinite; a dash for NaN."""
    size = abs(value)
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if size >= 1e7:
        return f"{value:.1e}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 1:
        return f"{value:.3g}"
    return f"{value:.3f}"


def interval_words(row: Row) -> str:
    """Return the interval of a row; a dash where there is no spread to see."""
    low, high = row["ci95_low"], row["ci95_high"]
    return NOTHING if math.isnan(low) else f"[{number(low)}, {number(high)}]"
