"""Curves as they grow, for whoever watches: ``live.csv``, and ``tensorboard/seed-<k>``.

They lie beside the run, and no command reads them. Each is written anew from the points so far when
a run begins or goes on, so that nothing stands in it twice, or by half, whatever ended the part
before; then it grows by the points that are new.
"""

import csv
import importlib.util
import io
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from partage import _io
from partage.config.request import CSV, TENSORBOARD, read_live
from partage.errors import UserError
from partage.runs.record import COLUMNS

Point = tuple[int, int, int, str, float]  # as `record.COLUMNS` has them


class Log(Protocol):
    """One log of a run."""

    def add(self, points: Sequence[Point]) -> None:
        """Add points. Raises `OSError` where they cannot be written."""

    def close(self) -> None:
        """End it: no more will come."""


class Logs:
    """The logs of a run that trains. One that cannot be written ends, and the run goes on."""

    def __init__(self, folder: Path, kinds: str) -> None:
        refuse_missing(kinds)
        make = {CSV: CsvLog, TENSORBOARD: TensorBoardLog}
        self.logs: list[Log] = [make[kind](folder) for kind in read_live(kinds)]
        self.written = 0  # points

    def grow(self, points: Sequence[Point]) -> None:
        """Add the points that are new; `points` are all that there are."""
        new = points[self.written :]
        self.written = len(points)
        for log in list(self.logs) if new else ():
            try:
                log.add(new)
            except OSError as error:
                self.logs.remove(log)
                print(
                    f"partage: a live log ends here ({error.strerror or error}); the run goes on.",
                    file=sys.stderr,
                )

    def close(self) -> None:
        """End all logs."""
        for log in self.logs:
            log.close()


def refuse_missing(kinds: str) -> None:
    """Raise `UserError` for a log that there is not, or whose package is not installed."""
    if TENSORBOARD in read_live(kinds) and importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "--live tensorboard needs the package tensorboard, which is not installed: "
            "`pip install tensorboard`, or say --live csv."
        )


class CsvLog:
    """``live.csv``: a line for each point, in the order in which they were measured."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "live.csv"
        _io.write(self.path, _lines([tuple(COLUMNS)]))

    def add(self, points: Sequence[Point]) -> None:
        """Add a line for each point, all in one write."""
        with open(self.path, "ab", buffering=0) as file:
            file.write(_lines(points))

    def close(self) -> None:
        """Do nothing: the file is not kept open."""


def _lines(rows: Sequence[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


class TensorBoardLog:
    """``tensorboard/seed-<k>``: each metric of each seed over its environment steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        shutil.rmtree(self.folder, ignore_errors=True)  # of the part before
        self.writers: dict[int, Any] = {}

    def add(self, points: Sequence[Point]) -> None:
        """Add a scalar for each point, and have them written."""
        from torch.utils.tensorboard import SummaryWriter  # optional, and slow to load

        for seed, env_steps, _, metric, value in points:
            if seed not in self.writers:
                self.writers[seed] = SummaryWriter(str(self.folder / f"seed-{seed}"))
            self.writers[seed].add_scalar(metric, value, env_steps)
        for writer in self.writers.values():
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self.writers.values():
            writer.close()
