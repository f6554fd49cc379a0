"""The command ``reference``: others' curves that can be drawn beside ours, fetched on demand."""

import argparse
import csv
import sys
from collections.abc import Mapping
from pathlib import Path

from partage.cli import options
from partage.config import references
from partage.config.references import Reference
from partage.errors import UserError, look_up, one_of

ACTIONS = ("list", "fetch", "finals")


def add_commands(commands: options.Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "reference",
        perform,
        "list others' curves to draw beside ours, fetch them, or print what they end at",
        "reference",
        "reference fetch cds-football",
        "reference fetch cds-football --from CDS-ad8b32e.zip",
    )
    actions = ", ".join(ACTIONS)
    parser.add_argument(
        "action",
        nargs="?",
        default=ACTIONS[0],
        metavar="ACTION",
        help=f"one of {actions} (default {ACTIONS[0]})",
    )
    parser.add_argument("references", nargs="*", metavar="NAME", help="as the list has them")
    parser.add_argument(
        "--from",
        dest="given",
        type=Path,
        metavar="PATH",
        help="instead of the network: a clone of the repository, its ZIP file, or the file itself",
    )
    options.add_results_option(parser)


def perform(arguments: argparse.Namespace) -> None:
    """List references, fetch them, or print their final values as CSV."""
    one_of("action", arguments.action, ACTIONS)
    results = options.results_of(arguments)
    known = references.find(results)
    if arguments.action == "list":
        if arguments.references or arguments.given:
            raise UserError("`partage reference list` takes no names: say fetch or finals.")
        _list(known, results)
        return
    if not arguments.references:
        raise UserError(f"Say which reference to {arguments.action}: one of {', '.join(known)}.")
    wanted = [look_up(known, "reference", name) for name in arguments.references]
    if arguments.action == "fetch":
        _fetch(wanted, arguments.given, results)
    else:
        _print_finals(wanted, results)


def _list(known: Mapping[str, Reference], results: Path) -> None:
    """Print each reference, its licence, whether it is here, and what it is drawn beside."""
    for reference in known.values():
        here = "here" if reference.is_here(results) else "not fetched"
        print(f"{reference.name:16} {reference.licence:12} {here:12} {reference.title}")
        tasks = dict.fromkeys(f"{curve.task} {curve.metric}" for curve in reference.curves)
        print(f"{'':16} {reference.source}: {', '.join(tasks)}")


def _fetch(wanted: list[Reference], given: Path | None, results: Path) -> None:
    from partage.runs import fetching

    for reference in wanted:
        folder = fetching.fetch(reference, results, given)
        print(
            f"partage: {folder} ({len(reference.files)} files, checked; {reference.licence}); "
            "figures of its tasks now draw it beside ours."
        )


def _print_finals(wanted: list[Reference], results: Path) -> None:
    from partage.runs import reference_curves

    rows: list[reference_curves.Final] = []
    for reference in wanted:
        rows += reference_curves.finals_of(reference, results)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(reference_curves.Final._fields)
    writer.writerows(rows)
