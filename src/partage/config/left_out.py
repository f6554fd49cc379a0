"""What smoke scale leaves out, since so short a training shows nothing of it."""

from collections.abc import Iterable

from partage.config.figures import Figure


def reasons(figures: Iterable[Figure]) -> dict[str, list[str]]:
    """Return why figures are left out, each reason with the names of theirs."""
    found: dict[str, list[str]] = {}
    for figure in figures:
        if figure.left_out:
            found.setdefault(figure.left_out, []).append(figure.name)
    return found


def said_of_left_out(why: str, names: list[str]) -> str:
    """Return the sentence on figures that are left out, with the command that makes them."""
    command = f"make reproduce SCALE=lab FIGURES={','.join(names)}"
    return f"{', '.join(names)}: {why}; `{command}` makes what lasts longer."
