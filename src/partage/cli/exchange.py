"""Commands that give results to others, and take theirs: ``report``, ``export``, ``crate`` ..."""

import argparse
import json
import re
from pathlib import Path

from partage import _io
from partage.cli import options
from partage.config import outcomes, plan, references, study
from partage.errors import UserError, callable_here

PUBLISHED = Path("results/published")


def add_commands(commands: options.Commands) -> None:
    """Add the commands that give results to others, and take theirs."""
    for name, perform, summary, file, example in (
        (
            "report",
            report,
            "write all that there is of the plan on one page, and how to make the rest",
            "report.html",
            "report --scale paper --root results/published --out report.html",
        ),
        (
            "export",
            export,
            "write the finished runs as one JSON file that marl-eval reads",
            "marl-eval.json",
            "export --scale paper --figures mpd-fig3",
        ),
    ):
        parser = commands.add(name, perform, summary, example, planned=True)
        options.add_figures_option(parser)
        parser.add_argument(
            "--root",
            type=Path,
            metavar="DIR",
            help="where runs/ lies (default: scale's and engine's own)",
        )
        parser.add_argument(
            "--out", type=Path, metavar="FILE", help=f"default: {file} in that folder"
        )
        parser.set_defaults(file=file)
    _add_crate(commands)
    _add_import(commands)


def _add_crate(commands: options.Commands) -> None:
    parser = commands.add(
        "crate",
        crate,
        "pack finished runs, and the workflow that made them, into an RO-Crate to archive",
        "crate",
        'crate results/lab --out lab.zip --author "A. Researcher" --licence CC-BY-4.0',
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=PUBLISHED,
        metavar="FOLDER",
        help="what is packed, with all that lies there (default %(default)s)",
    )
    for name, metavar, default, words in (
        ("out", "FILE", "build/crate.zip", "the archive"),
        ("author", "NAME", "The partage authors", "who answers for the results"),
        ("licence", "SPDX", "MIT", "of the results, as SPDX names it"),
    ):
        parser.add_argument(
            f"--{name}", default=default, metavar=metavar, help=f"{words} (default %(default)s)"
        )


def _add_import(commands: options.Commands) -> None:
    parser = commands.add(
        "import",
        import_curves,
        "bring others' curves to stand beside ours",
        "import epymarl/results/sacred epymarl-qmix lbf/15x15-4p-5f-v2 --scale paper",
        "import curves.csv my-runs lbf/15x15-4p-5f-v2 --reference --licence own",
        planned=True,
    )
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="a folder of sacred runs (EPyMARL, PyMARL), a CSV file, or JSON as marl-eval reads it",
    )
    options.add_pair(
        parser, 'a variant of algorithms.toml with learner = "imported"; a name for a reference'
    )
    parser.add_argument(
        "--metric", action="append", default=[], metavar="THEIRS=OURS", help="what a metric is here"
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="take only the runs that were made with this value",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="SETTING",
        help="a setting that does not change what is computed: seeds may differ in it",
    )
    parser.add_argument(
        "--reference",
        action="store_true",
        help="any seeds and budget: drawn thin and grey beside ours, in no statistic",
    )
    for name, words in (
        ("licence", f"of a reference: an SPDX name, or {references.OWN} for your own runs"),
        ("label", "of a reference: what figures call it (default: its name)"),
        ("protocol", "of a reference: what figures say is not as in our runs"),
    ):
        parser.add_argument(f"--{name}", default="", metavar="TEXT", help=words)


def report(arguments: argparse.Namespace) -> None:
    """Write the page of all that there is."""
    from partage.report import build

    request = options.request_of(arguments, arguments.figures)
    root = arguments.root or request.root
    path = arguments.out or root / arguments.file
    outcomes.refuse_file_of_a_run(path)
    if arguments.root:
        outcomes.refuse_no_root(root)
    page = build.build(options.plan_for(request), request, root)
    _io.write(path, page.encode())
    print(f"partage: {path}")


def export(arguments: argparse.Namespace) -> None:
    """Write the finished runs for marl-eval, and print what is missing."""
    from partage.runs import export as exporting

    request = options.request_of(arguments, arguments.figures)
    config = options.plan_for(request)
    root = arguments.root or request.root
    recipes = config.recipes(config.select_figures(request.figures), request)
    found, remarks = exporting.marl_eval(recipes, root)
    path = arguments.out or root / arguments.file
    outcomes.refuse_file_of_a_run(path)
    _io.write(path, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    for line in [*remarks, str(path)]:
        print(f"partage: {callable_here(line)}")


def crate(arguments: argparse.Namespace) -> None:
    """Write the archive, and say how many runs are in it."""
    from partage.runs import crate as packing

    if not re.fullmatch(r"[A-Za-z0-9.+-]+", arguments.licence):
        raise UserError(
            f"--licence is a name of SPDX's list, such as CC-BY-4.0, but is {arguments.licence!r}."
        )
    path = Path(arguments.out)
    if path.suffix != ".zip":
        raise UserError(f"--out is the archive's file, which ends in .zip, but is {path}.")
    archive, said = packing.pack(arguments.folder, arguments.author, arguments.licence)
    _io.write(path, archive)
    for line in filter(None, (said, str(path))):
        print(f"partage: {callable_here(line)}")


def import_curves(arguments: argparse.Namespace) -> None:
    """Write others' curves as runs of ours, or as a reference beside them."""
    from partage.runs import import_

    request = options.request_of(arguments)
    config = options.plan_for(request)
    if arguments.reference:
        _import_reference(arguments, config)
        return
    for name in ("licence", "label", "protocol"):
        if getattr(arguments, name):
            raise UserError(f"--{name} is of a reference: say --reference too, or leave it out.")
    recipes = config.recipes_of(arguments.algorithm, arguments.task, request)
    taken = import_.Request(arguments.metric, arguments.where, arguments.ignore)
    brought = import_.bring(arguments.source, recipes, request.root, taken)
    for line in [*brought.remarks, *map(str, brought.folders)]:
        print(f"partage: {callable_here(line)}")


def _import_reference(arguments: argparse.Namespace, config: plan.Plan) -> None:
    """Write others' curves as a reference, and print its files and where it is drawn."""
    from partage.runs import import_reference, sources

    task = study.look_up(config.tasks, "task", arguments.task, "tasks.toml").name
    credit = import_reference.Credit(
        name=arguments.algorithm,
        task=task,
        licence=arguments.licence,
        label=arguments.label,
        protocol=arguments.protocol,
    )
    taken = sources.Request(arguments.metric, arguments.where, arguments.ignore)
    files = import_reference.bring(arguments.source, credit, Path(arguments.results), taken)
    for line in map(str, files):
        print(f"partage: {callable_here(line)}")
