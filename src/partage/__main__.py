"""The command line: ``partage plan | show | train | distance | episode | frame | draw | table | scene | stale``.

A mistake the user can mend is one sentence on standard error and exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from partage import Refusal, gpus, plan
from partage.recipe import ENGINES, SCALES, run_dir, write_recipes
from partage.sheets import get


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except Refusal as refusal:
        print(f"partage: {refusal}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `partage plan | head`
        sys.stderr.close()
    return 0


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

    for name, command, text in (
        ("frame", frame_command, "collect a figure's runs into its frame"),
        ("draw", draw_command, "draw a figure and its table from its frame"),
    ):
        one = commands.add_parser(name, parents=[where], help=text)
        one.add_argument("figure")
        one.set_defaults(command=command)

    listed = commands.add_parser("table", parents=[where], help="write a table of what is set (tables.toml)")
    listed.add_argument("table")
    listed.set_defaults(command=table_command)

    staged = commands.add_parser("scene", parents=[where], help="draw a game itself: who sees whom (scenes.toml)")
    staged.add_argument("scene")
    staged.set_defaults(command=scene_command)

    stale = commands.add_parser("stale", help="list the runs that were made by other code than today's")
    stale.add_argument("--results", default=default.results, metavar="DIR", help="results folder (default %(default)s)")
    stale.set_defaults(command=stale_command)
    return top


def asked(arguments: argparse.Namespace, figures: str = "all") -> plan.Request:
    names = ("scale", "engine", "results", "seeds_per_run")
    return plan.Request.of({name: getattr(arguments, name) for name in names} | {"figures": figures})


def plan_command(arguments: argparse.Namespace) -> None:
    """Figures, then totals; runs that two figures share are counted once in the totals."""
    request, sheets = asked(arguments, arguments.figures), plan.load()
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
    request, sheets = asked(arguments), plan.load()
    settings = sheets.settings(arguments.algorithm, arguments.task, request.scale)
    recipe = sheets.pair(arguments.algorithm, arguments.task, request)[0]
    print(f"{arguments.algorithm} (learner {recipe.learner}) on {arguments.task} at scale {request.scale}")
    shared = [("seeds", sum(len(r.seeds) for r in sheets.pair(arguments.algorithm, arguments.task, request)))]
    shared += [(name, getattr(recipe, name)) for name in ("steps", "log_every", "test_every", "test_episodes")]
    rows = [(setting.name, str(setting.value), setting.home) for setting in settings]
    rows += [(name, str(value), "tasks.toml") for name, value in (*shared, *recipe.options.items())]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, home in rows:
        print(f"  {name:{widths[0]}}  {value:{widths[1]}}  {home}")


def train_command(arguments: argparse.Namespace) -> None:
    from partage.recipe import Recipe

    Recipe.load(arguments.recipe)  # a bad recipe is refused before torch is loaded
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


def frame_command(arguments: argparse.Namespace) -> None:
    from partage.figures import frame

    request, sheets = asked(arguments, arguments.figure), plan.load()
    for figure in sheets.pick(request.figures):
        made = frame.build(figure, sheets.recipes([figure], request), request.root)
        frame.save(made, request.root / "frames" / f"{figure.name}.parquet")


def draw_command(arguments: argparse.Namespace) -> None:
    from partage import atomic
    from partage.figures import claims, curves, frame, tables

    request, sheets = asked(arguments, arguments.figure), plan.load()
    for figure in sheets.pick(request.figures):
        rows = frame.load(request.root / "frames" / f"{figure.name}.parquet")
        engine = sheets.engine(figure.tasks[0], request)
        if (rows.attrs["scale"], rows.attrs["engine"]) != (request.scale, engine):
            raise Refusal(f"The frame of {figure.name} in {request.root} is of another scale or engine: make it anew.")
        pictures, numbers = request.root / "figures" / figure.name, request.root / "tables" / figure.name
        curves.save(curves.draw(sheets, figure, rows), pictures.with_suffix(".png"), pictures.with_suffix(".svg"))
        table, judged = tables.build(sheets, figure, rows), claims.build(sheets, figure, rows)
        tables.save(table, numbers.with_suffix(".csv"))
        tables.save(judged, numbers.with_name(f"{figure.name}-claims.csv"))
        atomic.write(numbers.with_suffix(".md"), tables.markdown(figure, table, judged).encode())


def table_command(arguments: argparse.Namespace) -> None:
    from partage import atomic
    from partage.figures import listings, tables

    request, sheets = asked(arguments), plan.load()
    listing = get(sheets.listings, "table", arguments.table, "tables.toml")
    table, path = listings.build(sheets, listing, request.scale), request.root / "tables" / listing.name
    tables.save(table, path.with_suffix(".csv"))
    atomic.write(path.with_suffix(".md"), listings.markdown(sheets, listing, table, request.scale).encode())


def scene_command(arguments: argparse.Namespace) -> None:
    from partage.figures import curves, pitch

    request, sheets = asked(arguments), plan.load()
    scene = get(sheets.scenes, "scene", arguments.scene, "scenes.toml")
    sheets.ready(scene.name)
    picture = request.root / "figures" / scene.name
    curves.save(pitch.draw(scene), picture.with_suffix(".png"), picture.with_suffix(".svg"))


def stale_command(arguments: argparse.Namespace) -> None:
    """Compare each record's code with today's, file by file; nothing is deleted."""
    from partage import record
    from partage.provenance import code

    today: dict[tuple[str, str], dict[str, str]] = {}
    redo: dict[tuple[str, str], list[str]] = {}
    for path in sorted(Path(arguments.results).glob("*/runs/*/*/*/*/record.json")):
        made = record.read(path.parent)[1]
        learner, family = made["recipe"]["learner"], made["recipe"]["task"].partition("/")[0]
        if (learner, family) not in today:
            today[learner, family] = code(learner, family)["files"]
        then, now = made["code"]["files"], today[learner, family]
        if changed := sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name)):
            print(f"{path.parent}: {', '.join(changed)}")
            redo.setdefault((made["recipe"]["scale"], made["recipe"]["engine"]), []).append(str(path))
    for (scale, engine), paths in redo.items():
        print(f"\nto make {len(paths)} of them again:")
        print(f"  .venv/bin/snakemake --cores all --config scale={scale} engine={engine} --force -- {' '.join(paths)}")
    if not redo:
        print("no run was made by other code than today's")


if __name__ == "__main__":
    sys.exit(main())
