"""What a run leaves of which a seed has failed: no record, but what there is to look at.

``failed.json`` says which seed ended where and why, ``failed.parquet`` holds the curves of all. The
checkpoint stays, so the run says so again whenever it is asked to train.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from partage import _io
from partage.errors import UserError
from partage.runs.cells import Cell
from partage.runs.divergence import CURES, Failure

FILES = ("failed.parquet", "failed.json")


def after_all(acts: Sequence[Callable[[], None]]) -> None:
    """Do each, whatever was refused before; then raise one `UserError` of what was refused."""
    said = []
    for act in acts:
        try:
            act()
        except UserError as error:
            said.append(str(error))
    if said:
        raise UserError(" ".join(said))


def write(folder: Path, cell: Cell) -> NoReturn:
    """Write both files of a cell, then raise the `UserError` that says what they say."""
    recipe, curve, failures = cell.recipe, cell.metrics.curve(), cell.metrics.failures
    buffer = io.BytesIO()
    curve.to_parquet(buffer, index=False)
    failed = [Failure(*one) for one in failures]
    facts = {
        "recipe_hash": recipe.hash,
        "failures": [one._asdict() for one in failed],
        "curve_sha256": hashlib.sha256(buffer.getbuffer()).hexdigest(),
    }
    text = json.dumps(facts, indent=2) + "\n"
    for name, content in zip(FILES, (buffer.getbuffer(), text.encode()), strict=True):
        _io.write(folder / name, content)
    others = len(recipe.seeds) - len(failed)
    rest = f"; the {others} other seeds trained to their end (failed.parquet)" if others else ""
    raise UserError(
        f"In {folder} {'; '.join(map(str, failed))}{rest}: there is no record of this run; "
        f"{CURES}, and delete that folder to train it again."
    )


def clear(folder: Path) -> None:
    """Remove what an earlier training left: this one has a record."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
