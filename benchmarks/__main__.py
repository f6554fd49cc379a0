"""``make bench``: every speed this suite promises, as one table with where it was measured, in
about ten minutes.

``python -m benchmarks --quick`` only shows that each line runs: seconds, and numbers that mean
nothing.
"""

import argparse
import os
from datetime import UTC, date, datetime
from pathlib import Path

import torch

from benchmarks import (
    battles,
    distances,
    environments,
    football,
    learners,
    methods,
    profiles,
    report,
)

RESULTS = Path(__file__).parent / "results"
EXPLAINED = """Speeds are per CPU-second of one process with one thread. Other work on the machine
still slows them down (caches, memory); on an idle one the noise is about 15 %. Ratios were measured
in the same run, in turns: QMIX updates (of all runs of a pack together) over the same arithmetic in
plain PyTorch (`benchmarks/yardstick.py`, one run), or over what is named. The best peers were
measured by us on another day on a machine of this kind, EPyMARL beside them where it was not the
best."""


def page(day: date, quick: bool) -> str:
    """All that is measured, as markdown."""
    warning = "**quick: the numbers mean nothing**\n\n" if quick else ""
    load = f"load average {os.getloadavg()[0]:.1f} at the start"
    where = f"{environments.machine()}, torch {torch.__version__}, {load}"
    head = f"# Speed, {day}\n\n{warning}{where}\n\n{EXPLAINED}\n"
    parts = (environments, battles, football, learners, methods, distances)
    rows = [row for part in parts for row in part.measure(quick)]
    return f"{head}\n{report.table(rows)}\n\n{profiles.section(quick)}"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="run every line once on toy sizes and write nothing"
    )
    quick, day = parser.parse_args().quick, datetime.now(UTC).date()
    text = page(day, quick)
    print(text)
    if not quick:
        path = RESULTS / f"{day}-{report.slug(environments.machine())}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"written to benchmarks/results/{path.name}")


if __name__ == "__main__":
    main()
