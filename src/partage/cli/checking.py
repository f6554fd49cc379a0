"""Commands that ask whether results still stand: ``verify``, ``stale``, ``equal-code``."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from partage.cli import options
from partage.config import plan
from partage.config.recipe import results_root, root_of
from partage.config.request import Request
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
        f"verify {PUBLISHED}/runs/nps/mpe/30a_5c/0-4 --steps 100000",
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
        default=[Path(f"{PUBLISHED}/runs"), Path(f"{PUBLISHED}/lab/runs")],
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
    """Print a line for each run; return 1 where a curve is another."""
    from partage.runs import verify as verifying

    all_same = True
    for run in arguments.runs:
        found = verifying.verify(run, arguments.steps, arguments.tolerance, arguments.device)
        print(f"{found.verdict:10} {run}: {found.says}", flush=True)
        if not found.same:
            all_same = False
    return 0 if all_same else 1


def stale(arguments: argparse.Namespace) -> None:
    """Compare each record's code with today's, file by file; nothing is deleted."""
    results = Path(arguments.results)
    if not results.is_dir():
        raise UserError(f"There is no folder {results}: name the results' folder with --results.")
    again: dict[Request, list[Path]] = {}
    for path, recipe in _stale_runs(sorted(results.glob("*/runs/*/*/*/*/record.json"))):
        request = Request(
            scale=recipe["scale"], engine=recipe["engine"], results=results.as_posix()
        )
        again.setdefault(request, []).append(path)
    for request, paths in again.items():
        print(f"\nto make {len(paths)} of them again:")
        print(f"  {_remaking(request, paths)}")
    if not again:
        print("no run was made by other code than today's")


def _stale_runs(paths: Iterable[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the records that other code made, with their recipes, and print what is other."""
    from partage.runs import equal_code, record
    from partage.runs.provenance import code

    today: dict[tuple[str, str], dict[str, Any]] = {}
    entries = equal_code.read()
    for path in paths:
        made = record.read(path.parent)[1]
        if "imported" in made:
            continue
        recipe = made["recipe"]
        stamped = recipe["learner"], recipe["task"].partition("/")[0]
        if stamped not in today:
            today[stamped] = code(*stamped)
        changed = equal_code.changed_files(made["code"], today[stamped])
        linked = equal_code.between(entries, recipe, made["code"], today[stamped])
        if linked:
            print(f"{path.parent}: {equal_code.describe(linked)}")
        elif changed:
            print(f"{path.parent}: {', '.join(changed)}")
            yield path, recipe


def _remaking(request: Request, records: Iterable[Path]) -> str:
    """Return the command that makes runs again; those of other folders, in the workflow's own."""
    root = results_root(Path(request.results), request.scale, request.engine)
    here = [str(path) for path in records if root_of(path) == root]
    if here:
        return f"{request.workflow} --force -- {' '.join(here)}"
    return f"{request.workflow}   (in {root})"


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
    for pair, outcome in code_comparison.compare_all(repository, pairs, entries, arguments.steps):
        print(f"{pair.learner} on {pair.family}, {pair.commit[:7]} ({len(pair.runs)} runs)")
        for line in outcome.says:
            print(f"  {line}", flush=True)
        if outcome.entry is None:
            all_equal = False
        else:
            entries.append(outcome.entry)
            code_comparison.append(arguments.list, outcome.entry)
    return 0 if all_equal else 1
