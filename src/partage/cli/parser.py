"""The command line: ``partage plan | show | train | distance | episode | absolute | frame | draw |
table | snapshot | report | export | import | verify | stale |
equal-code``. What a command does with results is
in `partage.cli.commands`.

A mistake the user can mend is one sentence on standard error and exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from partage.cli import commands as do
from partage.config import plan
from partage.config.recipe import ENGINES, SCALES
from partage.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = parser().parse_args(argv)
    code = 0
    try:
        code = arguments.command(arguments) or 0
    except UserError as refusal:
        print(f"partage: {refusal}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `partage plan | head`
        sys.stderr.close()
    except KeyboardInterrupt:
        print("partage: interrupted.", file=sys.stderr)
        return 130
    except MemoryError as error:
        print(
            f"partage: not enough memory ({error}): ask for fewer episodes or copies.",
            file=sys.stderr,
        )
        return 2
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        print(
            f"partage: Could not read or write{where}: {error.strerror or error}.", file=sys.stderr
        )
        return 2
    return code


def parser() -> argparse.ArgumentParser:
    """Scales and engines are not argparse choices: the planner refuses an unknown one with its
    nearest match.
    """
    top = argparse.ArgumentParser(
        "partage", description="Who should share parameters with whom, and does it help?"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    default = plan.Request()
    where.add_argument(
        "--scale",
        default=default.scale,
        help=f"one of {', '.join(SCALES)} (default {default.scale})",
    )
    where.add_argument(
        "--engine",
        default=default.engine,
        help=f"one of {', '.join(ENGINES)} (default {default.engine})",
    )
    where.add_argument(
        "--results",
        default=default.results,
        metavar="DIR",
        help="results folder (default %(default)s)",
    )
    where.add_argument(
        "--seeds-per-run",
        type=int,
        default=default.seeds_per_run,
        metavar="N",
        help="default %(default)s",
    )

    planned = commands.add_parser(
        "plan", parents=[where], help="list figures, runs, steps and what exists"
    )
    planned.add_argument("--figures", default="all", help="names with commas between (default all)")
    planned.add_argument("--write", action="store_true", help="write the recipes that changed")
    planned.set_defaults(command=do.plan_command)

    shown = commands.add_parser(
        "show", parents=[where], help="each setting of an algorithm on a task, with its home"
    )
    shown.add_argument("algorithm")
    shown.add_argument("task", help="family/name")
    shown.set_defaults(command=do.show_command)

    trained = commands.add_parser(
        "train", help="one recipe -> curve.parquet and record.json beside it"
    )
    trained.add_argument("recipe", type=Path)
    trained.add_argument(
        "--device", default="cpu", help="cpu, cuda: a free GPU, cuda:1, ... (default %(default)s)"
    )
    trained.add_argument(
        "--runs-per-gpu", type=int, default=1, metavar="N", help="processes on a GPU (default 1)"
    )
    trained.add_argument(
        "--wait",
        action="store_true",
        help="where another process trains this run, wait for its end",
    )
    trained.add_argument(
        "--checkpoint-every", type=float, default=300, metavar="SECONDS", help="default %(default)s"
    )
    trained.set_defaults(command=do.train_command)

    apart = commands.add_parser(
        "distance", help="how far apart a run's policies are: matrix, heat map, dendrogram"
    )
    apart.add_argument("run", type=Path, help="the run's folder (finished, or with a checkpoint)")
    apart.add_argument(
        "--kind", default="wasserstein", help="wasserstein, bhattacharyya, hellinger, vanilla_..."
    )
    apart.add_argument(
        "--episodes", type=int, default=32, help="of each seed, to measure on (default %(default)s)"
    )
    apart.set_defaults(command=do.distance_command)

    within = commands.add_parser(
        "episode", help="which roles and groups a run's agents have within one greedy episode"
    )
    within.add_argument("run", type=Path, help="the run's folder (finished, or with a checkpoint)")
    within.set_defaults(command=do.episode_command)

    worth = commands.add_parser(
        "absolute", help="what a run's best policies are worth, on episodes of their own"
    )
    worth.add_argument("run", type=Path, help="the run's folder (finished)")
    worth.add_argument(
        "--episodes", type=int, default=320, help="of each seed (default %(default)s)"
    )
    worth.set_defaults(command=do.absolute)

    for name, command, text in (
        ("frame", do.frame, "collect a figure's runs into its frame"),
        ("draw", do.draw, "draw a figure and its table from its frame"),
    ):
        one = commands.add_parser(name, parents=[where], help=text)
        one.add_argument("figure")
        one.set_defaults(command=command)

    listed = commands.add_parser(
        "table", parents=[where], help="write a table of what is set (tables.toml)"
    )
    listed.add_argument("table")
    listed.set_defaults(command=do.table)

    for name, command, file, text in (
        (
            "report",
            do.report,
            "report.html",
            "all that there is of the plan on one page, and how to make the rest",
        ),
        (
            "export",
            do.export,
            "marl-eval.json",
            "the finished runs as one JSON file that marl-eval reads",
        ),
    ):
        one = commands.add_parser(name, parents=[where], help=text)
        one.add_argument("--figures", default="all", help="names with commas between (default all)")
        one.add_argument(
            "--root",
            type=Path,
            metavar="DIR",
            help="where runs/ lies (default: scale's and engine's own)",
        )
        one.add_argument("--out", type=Path, metavar="FILE", help=f"default: {file} in that folder")
        one.set_defaults(command=command, file=file)

    brought = commands.add_parser(
        "import", parents=[where], help="bring others' curves to stand beside ours"
    )
    brought.add_argument(
        "source", type=Path, help="a folder of sacred runs (EPyMARL, PyMARL), or a CSV file"
    )
    brought.add_argument("algorithm", help='a variant of algorithms.toml with learner = "imported"')
    brought.add_argument("task", help="family/name")
    brought.add_argument(
        "--metric", action="append", default=[], metavar="THEIRS=OURS", help="what a metric is here"
    )
    brought.set_defaults(command=do.bring)

    again = commands.add_parser("verify", help="run runs again, elsewhere, and compare the curves")
    again.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a finished run's folder")
    again.add_argument(
        "--steps", type=int, metavar="N", help="only the first N env steps of each seed"
    )
    again.add_argument(
        "--tolerance",
        type=float,
        default=0.01,
        help="elsewhere: of a curve's range (default %(default)s)",
    )
    again.add_argument(
        "--device", default="cpu", help="cpu, cuda, cuda:1, ... (default %(default)s)"
    )
    again.set_defaults(command=do.verify)

    staged = commands.add_parser(
        "snapshot", parents=[where], help="draw a game itself: who sees whom (snapshots.toml)"
    )
    staged.add_argument("snapshot")
    staged.set_defaults(command=do.snapshot)

    stale = commands.add_parser(
        "stale", help="list the runs that were made by other code than today's"
    )
    stale.add_argument(
        "--results",
        default=default.results,
        metavar="DIR",
        help="results folder (default %(default)s)",
    )
    stale.set_defaults(command=do.stale)

    equal = commands.add_parser(
        "equal-code", help="show that other code makes the same curves, so that no run is stale"
    )
    equal.add_argument(
        "before",
        nargs="?",
        default="",
        metavar="COMMIT",
        help="compared with HEAD (default: the commits that made the runs)",
    )
    equal.add_argument("--learner", default="", help="only this learner (default all)")
    equal.add_argument("--family", default="", help="only this family of tasks (default all)")
    equal.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[Path("results/published/runs"), Path("results/published/lab/runs")],
        metavar="DIR",
        help="runs whose recipes are trained, cut short (default: the published ones)",
    )
    equal.add_argument(
        "--steps", type=int, default=4000, metavar="N", help="of each seed (default %(default)s)"
    )
    equal.add_argument(
        "--list",
        type=Path,
        default=Path("results/published/equal-code.toml"),
        metavar="FILE",
        help="where entries are added (default %(default)s)",
    )
    equal.set_defaults(command=do.equal_code)
    return top
