"""What the commands do with results, once their options are read. Each loads what it needs when it
is called.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from partage import _io
from partage.config import plan
from partage.config.recipe import IMPORTED, Recipe, run_dir, write_recipes
from partage.errors import UserError, at_least, look_up
from partage.runs import gpus

KINDS = (".png", ".svg", ".pdf")  # a figure's pictures


def asked(arguments: argparse.Namespace, figures: str = "all") -> tuple[plan.Request, plan.Plan]:
    names = ("scale", "engine", "results", "seeds_per_run")
    request = plan.Request.of(
        {name: getattr(arguments, name) for name in names} | {"figures": figures}
    )
    return request, plan.load().for_scale(request.scale)


def frame(arguments: argparse.Namespace) -> None:
    from partage.analysis import frames

    request, sheets = asked(arguments, arguments.figure)
    for figure in sheets.select_figures(request.figures):
        made = frames.build(figure, sheets.recipes([figure], request), request.root)
        frames.save(made, request.root / "frames" / f"{figure.name}.parquet")


def draw(arguments: argparse.Namespace) -> None:
    from partage.analysis import claims, frames, latex, tables
    from partage.plots import curves

    request, sheets = asked(arguments, arguments.figure)
    for figure in sheets.select_figures(request.figures):
        rows = frames.load(request.root / "frames" / f"{figure.name}.parquet")
        engine = sheets.engine(figure.tasks[0], request)
        if (rows.attrs["scale"], rows.attrs["engine"]) != (request.scale, engine):
            raise UserError(
                f"The frame of {figure.name} in {request.root} is of another scale or engine: make it anew."
            )
        frames.check(figure, rows)
        pictures, numbers = (
            request.root / "figures" / figure.name,
            request.root / "tables" / figure.name,
        )
        curves.save(
            curves.draw(sheets, figure, rows), *(pictures.with_suffix(kind) for kind in KINDS)
        )
        table, judged = tables.build(sheets, figure, rows), claims.build(sheets, figure, rows)
        tables.save(table, numbers.with_suffix(".csv"))
        tables.save(judged, numbers.with_name(f"{figure.name}-claims.csv"))
        _io.write(numbers.with_suffix(".md"), tables.markdown(figure, table, judged).encode())
        _io.write(numbers.with_suffix(".tex"), latex.final(figure, table).encode())


def table(arguments: argparse.Namespace) -> None:
    from partage.analysis import latex, settings_tables, tables

    request, sheets = asked(arguments)
    listing = look_up(sheets.settings_tables, "table", arguments.table, "tables.toml")
    rows, path = (
        settings_tables.build(sheets, listing, request.scale),
        request.root / "tables" / listing.name,
    )
    tables.save(rows, path.with_suffix(".csv"))
    _io.write(
        path.with_suffix(".md"),
        settings_tables.markdown(sheets, listing, rows, request.scale).encode(),
    )
    _io.write(path.with_suffix(".tex"), latex.listed(listing, rows).encode())


def snapshot(arguments: argparse.Namespace) -> None:
    from partage.plots import curves, pitch

    request, sheets = asked(arguments)
    one = look_up(sheets.snapshots, "snapshot", arguments.snapshot, "snapshots.toml")
    sheets.ready(one.name)
    picture = request.root / "figures" / one.name
    curves.save(pitch.draw(one), *(picture.with_suffix(kind) for kind in KINDS))


def absolute(arguments: argparse.Namespace) -> None:
    from partage.runs import evaluate

    found = evaluate.absolute(arguments.run, arguments.episodes)
    _io.write(arguments.run / "absolute.json", (json.dumps(found, indent=1) + "\n").encode())
    print(f"partage: {arguments.run}/absolute.json")


def report(arguments: argparse.Namespace) -> None:
    from partage.report import build as page

    request, sheets = asked(arguments, arguments.figures)
    root = arguments.root or request.root
    path = arguments.out or root / arguments.file
    _io.write(path, page.build(sheets, request, root).encode())
    print(f"partage: {path}")


def export(arguments: argparse.Namespace) -> None:
    from partage.runs import export

    request, sheets = asked(arguments, arguments.figures)
    root = arguments.root or request.root
    found, remarks = export.marl_eval(
        sheets.recipes(sheets.select_figures(request.figures), request), root
    )
    path = arguments.out or root / arguments.file
    _io.write(path, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    for line in [*remarks, str(path)]:
        print(f"partage: {line}")


def bring(arguments: argparse.Namespace) -> None:
    from partage.runs import import_

    request, sheets = asked(arguments)
    recipes = sheets.recipes_of(arguments.algorithm, arguments.task, request)
    for place in import_.bring(arguments.source, recipes, request.root, arguments.metric):
        print(f"partage: {place}")


def verify(arguments: argparse.Namespace) -> int:
    """One line per run; 1 where a curve is another."""
    from partage.runs import verify as verifying

    same = True
    for run in arguments.runs:
        found = verifying.verify(run, arguments.steps, arguments.tolerance, arguments.device)
        print(f"{found.verdict:10} {run}: {found.says}", flush=True)
        same &= found.same
    return 0 if same else 1


def stale(arguments: argparse.Namespace) -> None:
    """Compare each record's code with today's, file by file; nothing is deleted."""
    from partage.runs import equal_code, record
    from partage.runs.provenance import code

    today: dict[tuple[str, str], dict[str, Any]] = {}
    entries = equal_code.read()
    redo: dict[tuple[str, str], list[str]] = {}
    if not Path(arguments.results).is_dir():
        raise UserError(
            f"There is no folder {arguments.results}: name the results' folder with --results."
        )
    for path in sorted(Path(arguments.results).glob("*/runs/*/*/*/*/record.json")):
        made = record.read(path.parent)[1]
        if "imported" in made:
            continue
        learner, family = made["recipe"]["learner"], made["recipe"]["task"].partition("/")[0]
        if (learner, family) not in today:
            today[learner, family] = code(learner, family)
        now = today[learner, family]
        changed = equal_code.changed_files(made["code"], now)
        if linked := equal_code.between(entries, made["recipe"], made["code"], now):
            print(f"{path.parent}: {equal_code.describe(linked)}")
        elif changed:
            print(f"{path.parent}: {', '.join(changed)}")
            redo.setdefault((made["recipe"]["scale"], made["recipe"]["engine"]), []).append(
                str(path)
            )
    for (scale, engine), paths in redo.items():
        print(f"\nto make {len(paths)} of them again:")
        print(
            f"  .venv/bin/snakemake --cores all --config scale={scale} engine={engine} --force -- {' '.join(paths)}"
        )
    if not redo:
        print("no run was made by other code than today's")


def plan_command(arguments: argparse.Namespace) -> None:
    """Figures, then totals; runs that two figures share are counted once in the totals."""
    request, sheets = asked(arguments, arguments.figures)
    ready, left_out = sheets.ready(request.figures)
    figures = [sheets.figures[name] for name in ready if name in sheets.figures]
    everything = sheets.recipes(figures, request)
    rows = [(figure.name, sheets.recipes([figure], request)) for figure in figures] + [
        ("total", everything)
    ]
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
    recipe = sheets.recipes_of(arguments.algorithm, arguments.task, request)[0]
    print(
        f"{arguments.algorithm} (learner {recipe.learner}) on {arguments.task} at scale {request.scale}"
    )
    shared = [
        (
            "seeds",
            sum(
                len(r.seeds)
                for r in sheets.recipes_of(arguments.algorithm, arguments.task, request)
            ),
        )
    ]
    shared += [
        (name, getattr(recipe, name))
        for name in ("steps", "log_every", "test_every", "test_episodes")
    ]
    rows = [(setting.name, str(setting.value), setting.home) for setting in settings]
    own = sheets.figure_overrides(arguments.algorithm, arguments.task)
    for name, value in (*shared, *recipe.options.items()):
        rows.append((name, str(value), "figures.toml" if name in own else "tasks.toml"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, home in rows:
        print(f"  {name:{widths[0]}}  {value:{widths[1]}}  {home}")


def train_command(arguments: argparse.Namespace) -> None:
    recipe = Recipe.load(arguments.recipe)  # a bad recipe is refused before torch is loaded
    if recipe.learner == IMPORTED:
        raise UserError(
            f"{recipe.algorithm} on {recipe.task} is not trained here but imported: bring its curves with "
            f"`partage import SOURCE {recipe.algorithm} {recipe.task} --scale {recipe.scale} --engine {recipe.engine}`."
        )
    for name, least in (("runs_per_gpu", 1), ("checkpoint_every", 0)):
        if not getattr(arguments, name) >= least:  # NaN neither
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option} is a number from {least} on, but is {getattr(arguments, name)}."
            )
    if arguments.device == "cuda":
        gpus.take(arguments.runs_per_gpu)  # before torch looks for them
    from partage.runs import train

    train.run(arguments.recipe, arguments.device, arguments.checkpoint_every, arguments.wait)


def distance_command(arguments: argparse.Namespace) -> None:
    from partage.analysis import tables
    from partage.plots import curves, distances
    from partage.runs import evaluate

    found = evaluate.run(arguments.run, arguments.kind, arguments.episodes)
    tables.save(found, arguments.run / "distance.csv")
    curves.save(
        distances.draw(found), arguments.run / "distance.png", arguments.run / "distance.svg"
    )
    print(f"partage: {arguments.run}/distance.csv, .png, .svg")


def episode_command(arguments: argparse.Namespace) -> None:
    from partage.analysis import tables
    from partage.plots import curves, sharing
    from partage.runs import evaluate

    found = evaluate.episode(arguments.run)
    tables.save(found, arguments.run / "episode.csv")
    curves.save(
        sharing.episode(found), arguments.run / "episode.png", arguments.run / "episode.svg"
    )
    print(f"partage: {arguments.run}/episode.csv, .png, .svg")


def equal_code(arguments: argparse.Namespace) -> int:
    """Compare the code that made runs with HEAD's; 1 where anything is not equal."""
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
