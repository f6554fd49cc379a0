"""Rows of measurements as one markdown table, and what they were measured on."""

import re
import statistics
from collections.abc import Sequence
from typing import Any


def number(value: float) -> str:
    """Three digits that matter, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def goal(entry: dict[str, Any]) -> str:
    """The target, and whether the value meets it."""
    if entry["target"] is not None:
        return f"≥ {number(entry['target'])} {'✓' if entry['value'] >= entry['target'] else '✗'}"
    if entry.get("most") is not None:
        return f"≤ {number(entry['most'])} {'✓' if entry['value'] <= entry['most'] else '✗'}"
    return ""


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A row is what, value, unit, target (least), note; perhaps `most`, ratio (with ratio_to) and
    peer.
    """
    lines = [
        "| what | value | unit | target | ratio | best peer | note |",
        "|---|---:|---|---:|---:|---|---|",
    ]
    for entry in rows:
        ratio = (
            f"{entry['ratio']:.2f} times {entry.get('ratio_to', 'plain PyTorch')}"
            if "ratio" in entry
            else ""
        )
        columns = (
            entry["what"],
            number(entry["value"]),
            entry["unit"],
            goal(entry),
            ratio,
            entry.get("peer", ""),
        )
        lines.append(f"| {' | '.join(columns)} | {entry['note']} |")
    return "\n".join(lines)


def row(
    what: str, speeds: Sequence[float], unit: str, target: float | None = None, **extra: Any
) -> dict[str, Any]:
    """A row of the table (see `table`) of speeds; `extra` are its columns ratio and peer."""
    note = f"median of {len(speeds)}, {number(min(speeds))} to {number(max(speeds))}"
    value = statistics.median(speeds)
    return {"what": what, "value": value, "unit": unit, "target": target, "note": note, **extra}


def slug(machine: str) -> str:
    """The processor's name for a file: no host, no path."""
    name = re.sub(r"\((r|tm)\)", "", machine.split(",")[0].lower())
    return re.sub(r"[^a-z0-9.]+", "-", name).strip("-.") or "unknown"
