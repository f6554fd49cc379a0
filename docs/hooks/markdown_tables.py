"""Tables of a generated page."""

from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Return a text as a table's cell has it: on one line, nothing in it that ends the cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are as they should stand."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
