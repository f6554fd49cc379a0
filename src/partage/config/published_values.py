"""Published final values, as files beside the sheets have them (standard library only)."""

import csv
from collections.abc import Sequence
from pathlib import Path

from partage.errors import UserError


def read_reference(file: str, folders: Sequence[Path]) -> dict[tuple[str, str], float]:
    """Return published final values: a CSV with the columns task, algorithm, value and others."""
    paths = [folder / "reference" / file for folder in folders]
    path = next((each for each in paths if each.is_file()), paths[0])
    try:
        with path.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
        return {(row["task"], row["algorithm"]): float(row["value"]) for row in rows}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"Could not read {path}: columns task, algorithm and a number value are expected "
            f"({error!r})."
        ) from error
