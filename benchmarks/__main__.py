"""``make bench``: every speed this suite promises, as one table with where it was measured, in about four minutes.

``python -m benchmarks --quick`` only shows that each line runs: seconds, and numbers that mean nothing.
"""

import argparse
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks import environments, learners, profiles

RESULTS = Path(__file__).parent / "results"
EXPLAINED = """Speeds are per CPU-second of one process with one thread: other work on the machine counts less, but shared
caches and clocks still make 15 % noise. Ratios were measured in the same run: QMIX updates (all runs of a pack
together) over the same arithmetic in plain PyTorch (`benchmarks/yardstick.py`, one run), or as said. Peers were
measured by us on another day on a machine of this kind."""


def number(value: float) -> str:
    """Three digits that matter, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def goal(entry: dict[str, Any]) -> str:
    """The target, and whether it is met."""
    if entry["target"] is not None:
        return f"≥ {number(entry['target'])} {'✓' if entry['value'] >= entry['target'] else '✗'}"
    if entry.get("most") is not None:
        return f"≤ {number(entry['most'])} {'✓' if entry['value'] <= entry['most'] else '✗'}"
    return ""


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as markdown."""
    lines = ["| what | value | unit | target | ratio | peers | note |", "|---|---:|---|---:|---:|---|---|"]
    for entry in rows:
        ratio = f"{entry['ratio']:.2f}× {entry.get('ratio_to', 'plain')}" if "ratio" in entry else ""
        columns = (entry["what"], number(entry["value"]), entry["unit"], goal(entry), ratio, entry.get("peer", ""))
        lines.append(f"| {' | '.join(columns)} | {entry['note']} |")
    return "\n".join(lines)


def report(quick: bool) -> str:
    """The whole page."""
    day = datetime.now(UTC).date().isoformat()
    warning = "**quick: the numbers mean nothing**\n\n" if quick else ""
    head = f"# Speed, {day}\n\n{warning}{environments.machine()}, torch {torch.__version__}\n\n{EXPLAINED}\n"
    rows = [*environments.measure(quick), *learners.measure(quick)]
    return f"{head}\n{table(rows)}\n\n{profiles.section(quick)}"


def slug(machine: str) -> str:
    """The processor's name for a file: no host, no path."""
    name = re.sub(r"\((r|tm)\)", "", machine.split(",")[0].lower())
    return re.sub(r"[^a-z0-9.]+", "-", name).strip("-.") or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run every line once on toy sizes and write nothing")
    quick = parser.parse_args().quick
    page = report(quick)
    print(page)
    if not quick:
        path = RESULTS / f"{datetime.now(UTC).date().isoformat()}-{slug(environments.machine())}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8")
        print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
