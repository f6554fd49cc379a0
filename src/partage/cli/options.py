"""How a command is added to the command line, and the options that many have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from partage.config import plan
from partage.config.recipe import ENGINES, SCALES
from partage.config.request import Request
from partage.errors import UserError

PEOPLE, WORKFLOW = (
    "to look, to run and to compare",
    "steps of the workflow, which calls them itself",
)
Perform = Callable[[argparse.Namespace], int | None]  # returns the exit code; None is 0


class Entry(NamedTuple):
    """A command as the list of commands shows it."""

    group: str  # PEOPLE or WORKFLOW
    name: str
    summary: str


class Commands:
    """The commands of the command line, in the order that the help has them."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.entries: list[Entry] = []
        self._subparsers = parser.add_subparsers(
            prog=parser.prog, metavar="COMMAND", help=argparse.SUPPRESS
        )

    @property
    def names(self) -> list[str]:
        """Return the names of all commands."""
        return [entry.name for entry in self.entries]

    def add(
        self,
        name: str,
        perform: Perform,
        summary: str,
        *examples: str,
        group: str = PEOPLE,
        planned: bool = False,
    ) -> argparse.ArgumentParser:
        """Add a command and return its parser, for its arguments.

        `summary` is its line in the list of commands, `examples` stand below its help. A `planned`
        command has the options that `request_of` reads.
        """
        self.entries.append(Entry(group, name, summary))
        lines = [f"  partage {example}" for example in examples]
        heading = "examples:" if len(lines) > 1 else "example:"
        parser = self._subparsers.add_parser(
            name,
            description=summary[0].upper() + summary[1:] + ".",
            epilog="\n".join([heading, *lines]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(perform=perform)
        if planned:
            add_request_options(parser)
        return parser

    def overview(self) -> str:
        """Return the list of commands, group by group."""
        lines = []
        for group in (PEOPLE, WORKFLOW):
            lines += ["", f"{group}:"]
            for entry in self.entries:
                if entry.group == group:
                    lines.append(f"  {entry.name:11} {entry.summary}")
        return "\n".join(lines)


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `request_of` reads.

    Scales and engines are not argparse's choices: the planner refuses an unknown one with its
    nearest match.
    """
    add_where_options(parser)
    parser.add_argument(
        "--seeds-per-run",
        type=int,
        default=Request.seeds_per_run,
        metavar="N",
        help="seeds trained side by side in one process (default %(default)s)",
    )
    parser.add_argument(
        "--seed-count",
        type=int,
        default=Request.seed_count,
        metavar="N",
        help="seeds of each run, counted from 0 (default: as many as tasks.toml has)",
    )


def add_where_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which results are meant: scale, engine and folder."""
    for name, known in (("scale", SCALES), ("engine", ENGINES)):
        default = getattr(Request, name)
        one_of = f"one of {', '.join(known)} (default {default})"
        parser.add_argument(f"--{name}", default=default, metavar=name.upper(), help=one_of)
    add_results_option(parser)


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the results' folder."""
    parser.add_argument(
        "--results",
        default=Request.results,
        metavar="DIR",
        help="results folder (default %(default)s)",
    )


def add_pair(
    parser: argparse.ArgumentParser, algorithm: str = "one of `partage list algorithms`"
) -> None:
    """Add the two arguments that name an algorithm and a task."""
    parser.add_argument("algorithm", metavar="ALGORITHM", help=algorithm)
    parser.add_argument("task", metavar="TASK", help="family/name, one of `partage list tasks`")


def add_figures_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that picks figures."""
    parser.add_argument(
        "--figures",
        default=Request.figures,
        metavar="NAMES",
        help="names with commas between (default %(default)s)",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what trains."""
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda: a free GPU, cuda:1, ... (default %(default)s)"
    )


def request_of(arguments: argparse.Namespace, figures: str = Request.figures) -> Request:
    """Return what the options ask for. Raises `UserError` for what makes no sense."""
    values: dict[str, Any] = {"figures": figures}
    for name in ("scale", "engine", "results", "seeds_per_run", "seed_count"):
        values[name] = getattr(arguments, name)
    for name in ("device", "seeds_per_pack"):  # that `plan` alone has
        values[name] = getattr(arguments, name, getattr(Request, name))
    request = Request.of(values)
    results_of(arguments)
    return request


def results_of(arguments: argparse.Namespace) -> Path:
    """Return the results' folder. Raises `UserError` for what is no folder."""
    results = Path(arguments.results)
    if results.exists() and not results.is_dir():
        raise UserError(f"--results is a folder, but {results} is none: name another.")
    return results


def plan_for(request: Request) -> plan.Plan:
    """Return the plan at the scale that is asked for."""
    return plan.load().for_scale(request.scale)
