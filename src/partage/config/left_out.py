"""What smoke scale leaves out, since so short a training shows nothing of it."""

from collections.abc import Iterable

from partage.config.figures import Figure
from partage.errors import program


def reasons(figures: Iterable[Figure]) -> dict[str, list[str]]:
    """Return why figures are left out, each reason with the names of theirs."""
    found: dict[str, list[str]] = {}
    for figure in figures:
        if figure.left_out:
            found.setdefault(figure.left_out, []).append(figure.name)
    return found


def said_of_left_out(why: str, names: list[str]) -> str:
    """Return the sentence on figures that are left out, with the command that makes them."""
    return f"{', '.join(names)}: {why}; `{longer(names)}` makes what lasts longer."


def longer(names: Iterable[str]) -> str:
    """Return the command that makes figures at lab scale, as it works here."""
    return f"{program('partage')} reproduce --scale lab --figures {','.join(names)}"
