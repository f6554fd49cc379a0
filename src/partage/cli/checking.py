"""Commands that ask whether results still stand: ``verify``, ``stale``, ``equal-code``."""

import argparse
import contextlib
import sys
from pathlib import Path

from partage.cli import options
from partage.config import plan
from partage.errors import UserError, at_least

PUBLISHED = "results/published"


def add_commands(commands: options.Commands) -> None:
    """Add the commands that ask whether results still stand."""
    _add_verify(commands)
    parser = commands.add(
        "stale",
        stale,
        "list the runs that were made by other code than today's",
        "stale",
        "stale --results results",
    )
    options.add_results_option(parser)
    _add_equal_code(commands)


def _add_verify(commands: options.Commands) -> None:
    parser = commands.add(
        "verify",
        verify,
        "train runs again, elsewhere, and compare the curves",
        "verify results/smoke/runs/mdps/mpe/15a_3c/0-1 --steps 20000",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a finished run's folder")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="only the first N env steps of each seed"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.01,
        help="on other machines: this share of a curve's range (default %(default)s)",
    )
    options.add_device_option(parser)


def _add_equal_code(commands: options.Commands) -> None:
    parser = commands.add(
        "equal-code",
        equal_code,
        "show that other code makes the same curves, so that no run is stale",
        "equal-code --learner mdps --family mpe",
    )
    parser.add_argument(
        "before",
        nargs="?",
        default="",
        metavar="COMMIT",
        help="compared with HEAD (default: the commits that made the runs)",
    )
    parser.add_argument("--learner", default="", help="only this learner (default all)")
    parser.add_argument("--family", default="", help="only this family of tasks (default all)")
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[Path(f"{PUBLISHED}/lab/runs")],
        metavar="DIR",
        help="runs whose recipes are trained, cut short (default: the published ones)",
    )
    parser.add_argument(
        "--steps", type=int, default=4000, metavar="N", help="of each seed (default %(default)s)"
    )
    parser.add_argument(
        "--list",
        type=Path,
        default=Path(f"{PUBLISHED}/equal-code.toml"),
        metavar="FILE",
        help="where entries are added (default %(default)s)",
    )


def verify(arguments: argparse.Namespace) -> int:
    """Print a line for each run; return 1 where a curve is another, 2 where one cannot be read."""
    from partage.runs import verify as verifying

    worst = 0
    for run in arguments.runs:
        try:
            found = verifying.verify(run, arguments.steps, arguments.tolerance, arguments.device)
        except UserError as error:  # the runs after it are verified all the same
            print(f"partage: {error}", file=sys.stderr)
            worst = 2
            continue
        print(f"{found.verdict:10} {run}: {found.says}", flush=True)
        if not found.same:
            worst = max(worst, 1)
    return worst


def stale(arguments: argparse.Namespace) -> int:
    """Compare each record's code with today's, file by file; nothing is deleted.

    Returns 2 where a run could not be read: those after it are looked at all the same.
    """
    from partage.runs import equal_code as published
    from partage.runs import stale as staleness

    runs = list(staleness.look(Path(arguments.results)))
    for run in runs:
        if run.broken:
            print(f"partage: {run.broken}", file=sys.stderr)
        elif run.is_stale:
            print(f"{run.folder}: {', '.join(run.standing.other)}")
        elif run.standing.equal:
            print(f"{run.folder}: {published.describe(run.standing.equal)}")
    other = [run for run in runs if run.is_stale]
    for count, command in staleness.remaking(plan.load(), other) if other else ():
        print(f"\nto make {count} of them again:\n  {command}")
    broken = sum(bool(run.broken) for run in runs)
    looked = f"{len(runs) - broken} runs in {arguments.results}"
    if imported := sum(run.imported for run in runs):
        looked += f", of which {imported} imported"
    if broken:
        print(f"partage: {broken} more could not be read", file=sys.stderr)
    if not other:
        print(f"no run was made by other code than today's ({looked})")
    return 2 if broken else 0


def equal_code(arguments: argparse.Namespace) -> int:
    """Compare the code that made runs with HEAD's; return 1 where anything is not equal."""
    from partage.runs import code_comparison, worktrees
    from partage.runs import equal_code as published

    at_least("--steps", arguments.steps, 1)
    repository = worktrees.find_repository(published.PUBLISHED.parent)
    entries = published.read(arguments.list)
    commit = worktrees.find_commit(repository, arguments.before) if arguments.before else ""
    runs = code_comparison.find_runs(arguments.runs)
    if commit:
        runs += code_comparison.planned_runs(plan.load())
    pairs = code_comparison.group(runs, commit, arguments.learner, arguments.family)
    all_equal = True
    compared = code_comparison.compare_all(repository, pairs, entries, arguments.steps)
    # closed: whatever ends the loop, the worktrees go; what was entered before stays
    with worktrees.stoppable(), contextlib.closing(compared):
        for pair, outcome in compared:
            print(f"{pair.learner} on {pair.family}, {pair.commit[:7]} ({len(pair.runs)} runs)")
            for line in outcome.says:
                print(f"  {line}", flush=True)
            if outcome.entry is None:
                all_equal = False
            else:
                entries.append(outcome.entry)
                code_comparison.append(arguments.list, outcome.entry)
    return 0 if all_equal else 1
