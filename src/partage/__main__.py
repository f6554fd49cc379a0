"""The command line: ``partage plan | show | train | distance | episode | absolute | frame | draw | table | scene |
report | export | import | verify | stale``. What a command does with results is in `partage.commands`.

A mistake the user can mend is one sentence on standard error and exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from partage import Refusal, gpus, plan
from partage import commands as do
from partage.commands import asked
from partage.recipe import ENGINES, IMPORTED, SCALES, Recipe, run_dir, write_recipes


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = parser().parse_args(argv)
    code = 0
    try:
        code = arguments.command(arguments) or 0
    except Refusal as refusal:
        print(f"partage: {refusal}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `partage plan | head`
        sys.stderr.close()
    except KeyboardInterrupt:
        print("partage: interrupted.", file=sys.stderr)
        return 130
    except MemoryError as error:
        print(f"partage: not enough memory ({error}): ask for fewer episodes or copies.", file=sys.stderr)
        return 2
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        print(f"partage: Could not read or write{where}: {error.strerror or error}.", file=sys.stderr)
        return 2
    return code


def parser() -> argparse.ArgumentParser:
    """Scales and engines are not argparse choices: the planner refuses an unknown one with its nearest match."""
    top = argparse.ArgumentParser("partage", description="Who should share parameters with whom, and does it help?")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    default = plan.Request()
    where.add_argument("--scale", default=default.scale, help=f"one of {', '.join(SCALES)} (default {default.scale})")
    where.add_argument(
        "--engine", default=default.engine, help=f"one of {', '.join(ENGINES)} (default {default.engine})"
    )
    where.add_argument("--results", default=default.results, metavar="DIR", help="results folder (default %(default)s)")
    where.add_argument(
        "--seeds-per-run", type=int, default=default.seeds_per_run, metavar="N", help="default %(default)s"
    )

    planned = commands.add_parser("plan", parents=[where], help="list figures, runs, steps and what exists")
    planned.add_argument("--figures", default="all", help="names with commas between (default all)")
    planned.add_argument("--write", action="store_true", help="write the recipes that changed")
    planned.set_defaults(command=plan_command)

    shown = commands.add_parser("show", parents=[where], help="each setting of an algorithm on a task, with its home")
    shown.add_argument("algorithm")
    shown.add_argument("task", help="family/name")
    shown.set_defaults(command=show_command)

    trained = commands.add_parser("train", help="one recipe -> curve.parquet and record.json beside it")
    trained.add_argument("recipe", type=Path)
    trained.add_argument("--device", default="cpu", help="cpu, cuda: a free GPU, cuda:1, ... (default %(default)s)")
    trained.add_argument("--runs-per-gpu", type=int, default=1, metavar="N", help="processes on a GPU (default 1)")
    trained.add_argument("--wait", action="store_true", help="where another process trains this run, wait for its end")
    trained.add_argument("--checkpoint-every", type=float, default=300, metavar="SECONDS", help="default %(default)s")
    trained.set_defaults(command=train_command)

    apart = commands.add_parser("distance", help="how far apart a run's policies are: matrix, heat map, dendrogram")
    apart.add_argument("run", type=Path, help="the run's folder (finished, or with a checkpoint)")
    apart.add_argument("--kind", default="wasserstein", help="wasserstein, bhattacharyya, hellinger, vanilla_...")
    apart.add_argument("--episodes", type=int, default=32, help="of each seed, to measure on (default %(default)s)")
    apart.set_defaults(command=distance_command)

    within = commands.add_parser("episode", help="which roles and groups a run's agents have within one greedy episode")
    within.add_argument("run", type=Path, help="the run's folder (finished, or with a checkpoint)")
    within.set_defaults(command=episode_command)

    worth = commands.add_parser("absolute", help="what a run's best policies are worth, on episodes of their own")
    worth.add_argument("run", type=Path, help="the run's folder (finished)")
    worth.add_argument("--episodes", type=int, default=320, help="of each seed (default %(default)s)")
    worth.set_defaults(command=do.absolute)

    for name, command, text in (
        ("frame", do.frame, "collect a figure's runs into its frame"),
        ("draw", do.draw, "draw a figure and its table from its frame"),
    ):
        one = commands.add_parser(name, parents=[where], help=text)
        one.add_argument("figure")
        one.set_defaults(command=command)

    listed = commands.add_parser("table", parents=[where], help="write a table of what is set (tables.toml)")
    listed.add_argument("table")
    listed.set_defaults(command=do.table)

    for name, command, file, text in (
        ("report", do.report, "report.html", "all that there is of the plan on one page, and how to make the rest"),
        ("export", do.export, "marl-eval.json", "the finished runs as one JSON file that marl-eval reads"),
    ):
        one = commands.add_parser(name, parents=[where], help=text)
        one.add_argument("--figures", default="all", help="names with commas between (default all)")
        one.add_argument(
            "--root", type=Path, metavar="DIR", help="where runs/ lies (default: scale's and engine's own)"
        )
        one.add_argument("--out", type=Path, metavar="FILE", help=f"default: {file} in that folder")
        one.set_defaults(command=command, file=file)

    brought = commands.add_parser("import", parents=[where], help="bring others' curves to stand beside ours")
    brought.add_argument("source", type=Path, help="a folder of sacred runs (EPyMARL, PyMARL), or a CSV file")
    brought.add_argument("algorithm", help='a variant of algorithms.toml with learner = "imported"')
    brought.add_argument("task", help="family/name")
    brought.add_argument("--metric", action="append", default=[], metavar="THEIRS=OURS", help="what a metric is here")
    brought.set_defaults(command=do.bring)

    again = commands.add_parser("verify", help="run runs again, elsewhere, and compare the curves")
    again.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a finished run's folder")
    again.add_argument("--steps", type=int, metavar="N", help="only the first N env steps of each seed")
    again.add_argument(
        "--tolerance", type=float, default=0.01, help="elsewhere: of a curve's range (default %(default)s)"
    )
    again.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ... (default %(default)s)")
    again.set_defaults(command=do.verify)

    staged = commands.add_parser("scene", parents=[where], help="draw a game itself: who sees whom (scenes.toml)")
    staged.add_argument("scene")
    staged.set_defaults(command=do.scene)

    stale = commands.add_parser("stale", help="list the runs that were made by other code than today's")
    stale.add_argument("--results", default=default.results, metavar="DIR", help="results folder (default %(default)s)")
    stale.set_defaults(command=do.stale)
    return top


def plan_command(arguments: argparse.Namespace) -> None:
    """Figures, then totals; runs that two figures share are counted once in the totals."""
    request, sheets = asked(arguments, arguments.figures)
    ready, left_out = sheets.ready(request.figures)
    figures = [sheets.figures[name] for name in ready if name in sheets.figures]
    everything = sheets.recipes(figures, request)
    rows = [(figure.name, sheets.recipes([figure], request)) for figure in figures] + [("total", everything)]
    print(f"scale {request.scale}, engine {request.engine}, in {request.root}")
    print(f"{'figure':16}{'cells':>7}{'runs':>7}{'made':>7}{'env steps':>18}")
    for name, recipes in rows:
        steps = sum(recipe.steps * len(recipe.seeds) for recipe in recipes)
        made = sum((run_dir(request.root, recipe) / "record.json").is_file() for recipe in recipes)
        print(f"{name:16}{len(plan.cells(recipes)):7}{len(recipes):7}{made:7}{steps:18,}")
    if left_out:
        print(f"partage: left out: {left_out}", file=sys.stderr)
    if arguments.write:
        written = write_recipes(request.root, everything)
        print(f"{len(written)} of {len(everything)} recipes written, the others had not changed")


def show_command(arguments: argparse.Namespace) -> None:
    request, sheets = asked(arguments)
    settings = sheets.settings(arguments.algorithm, arguments.task, request.scale)
    recipe = sheets.pair(arguments.algorithm, arguments.task, request)[0]
    print(f"{arguments.algorithm} (learner {recipe.learner}) on {arguments.task} at scale {request.scale}")
    shared = [("seeds", sum(len(r.seeds) for r in sheets.pair(arguments.algorithm, arguments.task, request)))]
    shared += [(name, getattr(recipe, name)) for name in ("steps", "log_every", "test_every", "test_episodes")]
    rows = [(setting.name, str(setting.value), setting.home) for setting in settings]
    own = sheets.own(arguments.algorithm, arguments.task)
    for name, value in (*shared, *recipe.options.items()):
        rows.append((name, str(value), "figures.toml" if name in own else "tasks.toml"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, home in rows:
        print(f"  {name:{widths[0]}}  {value:{widths[1]}}  {home}")


def train_command(arguments: argparse.Namespace) -> None:
    recipe = Recipe.load(arguments.recipe)  # a bad recipe is refused before torch is loaded
    if recipe.learner == IMPORTED:
        raise Refusal(
            f"{recipe.algorithm} on {recipe.task} is not trained here but imported: bring its curves with "
            f"`partage import SOURCE {recipe.algorithm} {recipe.task} --scale {recipe.scale} --engine {recipe.engine}`."
        )
    for name, least in (("runs_per_gpu", 1), ("checkpoint_every", 0)):
        if not getattr(arguments, name) >= least:  # NaN neither
            option = f"--{name.replace('_', '-')}"
            raise Refusal(f"{option} is a number from {least} on, but is {getattr(arguments, name)}.")
    if arguments.device == "cuda":
        gpus.take(arguments.runs_per_gpu)  # before torch looks for them
    from partage import train

    train.run(arguments.recipe, arguments.device, arguments.checkpoint_every, arguments.wait)


def distance_command(arguments: argparse.Namespace) -> None:
    from partage import survey
    from partage.figures import curves, distances, tables

    found = survey.run(arguments.run, arguments.kind, arguments.episodes)
    tables.save(found, arguments.run / "distance.csv")
    curves.save(distances.draw(found), arguments.run / "distance.png", arguments.run / "distance.svg")
    print(f"partage: {arguments.run}/distance.csv, .png, .svg")


def episode_command(arguments: argparse.Namespace) -> None:
    from partage import survey
    from partage.figures import curves, strips, tables

    found = survey.episode(arguments.run)
    tables.save(found, arguments.run / "episode.csv")
    curves.save(strips.episode(found), arguments.run / "episode.png", arguments.run / "episode.svg")
    print(f"partage: {arguments.run}/episode.csv, .png, .svg")


if __name__ == "__main__":
    sys.exit(main())
