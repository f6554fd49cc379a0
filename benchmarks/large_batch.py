"""PPO with more environment copies: what more of them buy on a CPU, in speed and in memory.

``python -m benchmarks.large_batch`` trains IPPO (full sharing) on spread with few copies and with
many. Speeds are of training from end to end, in turns; memory is the most that a process of its own
held while it did two updates. Three minutes.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from benchmarks.memory import resident
from benchmarks.report import row, table
from benchmarks.training import MPE, UNIT, steps
from benchmarks.turns import ratio, take_turns
from partage.config import plan
from partage.runs.process import prepare
from partage.runs.train import Training


class Case(NamedTuple):
    """PPO as it is, or with another number of copies."""

    algorithm: str
    copies: int | None  # None: its own
    runs: int = 1
    target: float | None = None


# PPO plays 128 steps of each copy for an update, `ippo-large` 32
CASES = {
    "8 copies, R=1": Case("ippo", 8),
    "16 copies, R=1": Case("ippo", None),
    "64 copies, R=1": Case("ippo", 64),
    "1,024 copies (ippo-large), R=1": Case("ippo-large", None),
    "16 copies, R=5, summed": Case("ippo", None, 5, 8_000),
}
TURN = 32_768  # env steps of a turn, a whole number of updates of each case


def training(case: Case) -> Training:
    """Return paper-scale training of a case, without tests."""
    request = plan.Request(scale="paper", seeds_per_run=case.runs)
    recipe = plan.load().recipes_of(case.algorithm, MPE, request)[0]
    settings = recipe.settings if case.copies is None else recipe.settings | {"copies": case.copies}
    return Training(
        replace(recipe, settings=settings, seeds=list(range(case.runs)), test_every=0, steps=10**9)
    )


def subject(case: Case, quick: bool) -> Callable[[], float]:
    """Return training that goes on by a turn, and says how many env steps that was."""
    made = training(case)
    segment = made.learner.segment
    assert segment is not None
    return steps(made, 1 if quick else max(TURN // (segment * made.learner.copies), 1))


def peak(name: str) -> float:
    """Return the MiB that a fresh process holds at most while it does two updates of a case."""
    command = [sys.executable, "-m", "benchmarks.large_batch", "--peak-of", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """Return all rows; `quick` only shows that every line runs (its numbers mean nothing)."""
    prepare("cpu")
    cases = {name: CASES[name] for name in list(CASES)[: 1 if quick else None]}
    subjects = {name: subject(case, quick) for name, case in cases.items()}
    speeds, first = take_turns(subjects, 1 if quick else 5), next(iter(cases))
    rows = []
    for name, case in cases.items():
        what, beside = f"training ippo, {MPE}, {name}", ratio(speeds[name], speeds[first])
        found = row(what, speeds[name], UNIT, case.target, ratio=beside, ratio_to=first)
        rows.append(found | {"note": f"{found['note']}; {peak(name):,.0f} MiB at most"})
    return rows


def main() -> None:
    """Print the table, or, for a process that is measured, what it held."""
    parser = argparse.ArgumentParser("python -m benchmarks.large_batch", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first line alone, once")
    parser.add_argument("--peak-of", choices=CASES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak_of:
        prepare("cpu")
        steps(training(CASES[asked.peak_of]), 2)()
        print(json.dumps(resident("VmHWM")))
        return
    print(table(measure(asked.quick)))


if __name__ == "__main__":
    main()
