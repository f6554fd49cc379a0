r"""Tables for a paper: LaTeX with booktabs, ready for ``\input``."""

import re

from partage.analysis.table import NARROW_SPACE, NOTHING, Cell, Column, Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\u2212": "$-$",
    "\u2013": "--",
    NARROW_SPACE: r"\,",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
}
ANY_SPECIAL = re.compile(f"[{re.escape(''.join(SPECIAL))}]")


def escape(words: object) -> str:
    r"""Return words as LaTeX has to be given them to show them.

    >>> escape("15a_3c: 50 %")
    '15a\\_3c: 50 \\%'
    """
    return ANY_SPECIAL.sub(lambda found: SPECIAL[found.group()], str(words))


def render(table: Table) -> str:
    """Return the table as a LaTeX float with its caption, and a rule between groups."""
    lines: list[str] = []
    for row, first in zip(table.cells_by_group(), table.starts_group(), strict=True):
        if table.group_by and first and lines:
            lines.append(r"\midrule")
        lines.append(_line([_cell(cell) for cell in row]))
    warning = rf"\textbf{{{escape(table.warning)}}} " if table.warning else ""
    parts = [
        "% made by partage; needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{warning}{escape(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{''.join(column.align[0] for column in table.columns)}}}",
        r"\toprule",
        _line([_title(column) for column in table.columns]),
        r"\midrule",
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(parts) + "\n"


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _title(column: Column) -> str:
    """Return a column's title, with a capital as papers have it unless it is a name in the code."""
    title = column.title if column.is_code else column.title[:1].upper() + column.title[1:]
    return escape(title)


def _cell(cell: Cell) -> str:
    """Return a cell; a number is mathematics, so that its minus sign is one."""
    if cell.kind == "number" and cell.words != NOTHING:
        return f"${cell.words}$"
    return escape(cell.words)
