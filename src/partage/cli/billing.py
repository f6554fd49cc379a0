"""The command ``calibrate``, and the bill that ``plan --cost`` prints."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from partage.cli import options
from partage.config import bill, calibration, predictions
from partage.config.bill import Line
from partage.config.calibration import FILE, Calibration, Found
from partage.config.figures import Figure
from partage.config.plan import Plan
from partage.config.recipe import refuse_no_folder
from partage.config.request import Request
from partage.errors import UserError, callable_here
from partage.runs.machine import available_memory

HEAD = (
    f"{'figure':16}{'runs':>6}{'made':>6}{'CPU-hours':>12}{'memory':>10}{'at most':>10}"
    f"{'kept':>9}{'underway':>10}"
)
EXPLAINED = """CPU-hours: of one core, for all that is not made; ~ where runs are predicted
memory:    GiB of the largest run, its seeds side by side, with episodes as long as those of random
           play; at most: if no episode ended before its limit
kept:      GiB on the disk for good; underway: of checkpoints, if all trained at once"""


def add_commands(commands: options.Commands) -> None:
    """Add the command that measures what training costs."""
    parser = commands.add(
        "calibrate",
        calibrate,
        "measure what training costs on this machine, for `plan --cost`: ten minutes",
        "calibrate",
        "calibrate --results results --anew",
    )
    options.add_results_option(parser)
    parser.add_argument(
        "--anew", action="store_true", help="measure again what is measured already"
    )


def calibrate(arguments: argparse.Namespace) -> None:
    """Measure what training costs here; what is measured is kept if it is interrupted."""
    from partage.runs import calibrate as measuring

    results = Path(Request.of({"results": arguments.results}).results)
    refuse_no_folder(results)
    path = results / FILE
    made = measuring.calibrate(path, arguments.anew)
    print(f"partage: {path}; {_error(made)}")


def show(request: Request, config: Plan, figures: Sequence[Figure]) -> None:
    """Print what the figures take, and what that is known from."""
    if not figures:
        raise UserError(
            f"--cost adds up what runs take, but figures {request.figures} need none: name "
            "figures that `partage plan` lists."
        )
    found = calibration.find(Path(request.results))
    if found is None:
        raise UserError(
            "--cost needs a calibration: make one with `partage calibrate`, which takes minutes."
        )
    named = {figure.name: [figure] for figure in figures} | {"total": figures}
    lines = [
        bill.line(name, config.recipes(each, request), request.root, found.calibration)
        for name, each in named.items()
    ]
    print(f"scale {request.scale}, engine {request.engine}, in {request.root}")
    print("\n".join([HEAD, *map(_row, lines)]))
    total = lines[-1]
    print(f"\n{EXPLAINED}")
    if total.longest:
        print(f"longest:   {total.longest}, {total.longest_hours:,.1f} CPU-hours in one process")
    have = (available_memory() or math.inf) / bill.GIB
    if total.memory > have:
        print(
            f"This machine has {have:.1f} GiB: what takes more is refused here; with "
            "--seeds-per-run 1 each run takes less."
        )
    for remark in remarks(found, request):
        print(remark)


def _row(line: Line) -> str:
    mark = "~" if line.predicted else " "
    hours = f"{mark}{line.cpu_hours:,.1f}"
    return (
        f"{line.name:16}{line.runs:6}{line.made:6}{hours:>12}{line.memory:10.1f}"
        f"{line.most_memory:10.1f}{line.kept:9.2f}{line.underway:10.1f}"
    )


def remarks(found: Found, request: Request) -> list[str]:
    """Return what to know of a bill: where its calibration comes from, and how good it is."""
    from partage.runs import calibrate as measuring

    made, lines = found.calibration, []
    other = measuring.differences(made, measuring.nothing())
    where = f"{made.machine.get('cpu')}, {made.machine.get('cores')} cores, {made.made[:10]}"
    if found.shipped:
        lines.append(
            f"calibration: the suite's own, of its reference machine ({where}): "
            "`partage calibrate` measures this one in minutes"
        )
    else:
        lines.append(f"calibration: {found.path} ({where})")
    if other:
        lines.append(
            f"it is of another {' and other '.join(other)} than today's here: "
            "`partage calibrate` makes one anew"
        )
    if request.engine != Request.engine:
        lines.append(
            f"environments are the batched engine's in it, those of {request.engine} slower"
        )
    return [*map(callable_here, lines), _error(made)]


def _error(made: Calibration) -> str:
    """Return how good predictions are, in words."""
    error = predictions.error(made.cells, made.tasks)
    if error is None:
        return "how good predictions are is not known: no learner was measured twice"
    return (
        f"predictions, each measured cell's from the others of its learner, are off by "
        f"{100 * error.median:.0f} % (median), at worst {100 * error.worst:+.0f} % ({error.where})"
    )
