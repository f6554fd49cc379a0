"""What BDPS's roles say in published pilots, by the code that they are made of.

``python -m benchmarks.roles`` prints a table of those that are published: means over the last half
of training, the lowest seed first; a test's score at its end, with roles as they were drawn and
with those of the mean. ``random`` draws roles by chance, so it says nothing and has no code.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from partage.analysis import series
from partage.analysis.evidence import last_half

PUBLISHED = Path(__file__).parent.parent / "results/published"
CODES = ("softmax", "gaussian", "categorical", "random")
TASKS = {"lbf/15x15-4p-5f-v2": 500_000, "smac/5m_vs_6m": 300_000}  # env steps
HEAD = [
    "| task | code | information, of ln k | by noise alone | R² | one group for all | group gain | "
    "score, drawn | by the mean |",
    "|---|---|---|---:|---:|---:|---:|---:|---:|",
]
Summary = Callable[[np.ndarray, np.ndarray], float]


def table(results: Path) -> str:
    """Return what the roles of each code say, as markdown; of tasks and codes that were trained."""
    lines = list(HEAD)
    for task, steps in TASKS.items():
        for code in CODES:
            folder = results / f"lab/runs/bdps-{code}+steps={steps}" / task
            if any(folder.glob("*/record.json")):
                rows = pd.concat(map(pd.read_parquet, folder.glob("*/curve.parquet")))
                lines.append(f"| {task} | {code} | {' | '.join(_cells(rows))} |")
    return "\n".join(lines)


def _cells(rows: pd.DataFrame) -> list[str]:
    """Return the columns behind a task and its code."""
    informed = ", ".join(f"{value:.2f}" for value in _ends(rows, "selector/informed", last_half))
    noise = _mean(rows, "selector/noise", last_half, "{:.0%}")
    explained = _mean(rows, "selector/r2", last_half, "{:.2f}")
    alike = _mean(rows, "group/one_group", last_half, "{:.0%}")
    gain = _mean(rows, "group_gain", last_half, "{:+.3f}")
    drawn = _mean(rows, "test_score", series.final, "{:.3f}")
    by_mean = _mean(rows, "test_score/roles_mean", series.final, "{:.3f}")
    return [informed, noise, explained, alike, gain, drawn, by_mean]


def _mean(rows: pd.DataFrame, metric: str, summary: Summary, form: str) -> str:
    """Return the mean over seeds; nothing where the runs have no such metric."""
    values = _ends(rows, metric, summary)
    return form.format(statistics.mean(values)) if values else ""


def _ends(rows: pd.DataFrame, metric: str, summary: Summary) -> list[float]:
    """Return each seed's number, the lowest first."""
    of_metric = rows[rows["metric"] == metric]
    found = []
    for _, one in of_metric.groupby("seed"):
        found.append(summary(one["env_steps"].to_numpy(), one["value"].to_numpy()))
    return sorted(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.roles", description=__doc__)
    parser.add_argument("--results", type=Path, default=PUBLISHED, help="whose runs are shown")
    print(table(parser.parse_args().results))


if __name__ == "__main__":
    main()
