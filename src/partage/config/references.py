"""Published final values, as files beside the sheets have them (standard library only)."""

import csv
from pathlib import Path

from partage.errors import UserError


def read_reference(path: Path) -> dict[tuple[str, str], float]:
    """Return published final values: a CSV with the columns task, algorithm, value and others."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {(row["task"], row["algorithm"]): float(row["value"]) for row in rows}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"Could not read {path}: columns task, algorithm and a number value are expected "
            f"({error!r})."
        ) from error
