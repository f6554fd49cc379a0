"""What the commands do with results, once their options are read. Each loads what it needs when it is called."""

import argparse
import json
from pathlib import Path

from partage import Refusal, atomic, plan
from partage.sheets import get

KINDS = (".png", ".svg", ".pdf")  # a figure's pictures


def asked(arguments: argparse.Namespace, figures: str = "all") -> tuple[plan.Request, plan.Plan]:
    names = ("scale", "engine", "results", "seeds_per_run")
    request = plan.Request.of({name: getattr(arguments, name) for name in names} | {"figures": figures})
    return request, plan.load().at(request.scale)


def frame(arguments: argparse.Namespace) -> None:
    from partage.figures import frame as frames

    request, sheets = asked(arguments, arguments.figure)
    for figure in sheets.pick(request.figures):
        made = frames.build(figure, sheets.recipes([figure], request), request.root)
        frames.save(made, request.root / "frames" / f"{figure.name}.parquet")


def draw(arguments: argparse.Namespace) -> None:
    from partage.figures import claims, curves, latex, tables
    from partage.figures import frame as frames

    request, sheets = asked(arguments, arguments.figure)
    for figure in sheets.pick(request.figures):
        rows = frames.load(request.root / "frames" / f"{figure.name}.parquet")
        engine = sheets.engine(figure.tasks[0], request)
        if (rows.attrs["scale"], rows.attrs["engine"]) != (request.scale, engine):
            raise Refusal(f"The frame of {figure.name} in {request.root} is of another scale or engine: make it anew.")
        frames.check(figure, rows)
        pictures, numbers = request.root / "figures" / figure.name, request.root / "tables" / figure.name
        curves.save(curves.draw(sheets, figure, rows), *(pictures.with_suffix(kind) for kind in KINDS))
        table, judged = tables.build(sheets, figure, rows), claims.build(sheets, figure, rows)
        tables.save(table, numbers.with_suffix(".csv"))
        tables.save(judged, numbers.with_name(f"{figure.name}-claims.csv"))
        atomic.write(numbers.with_suffix(".md"), tables.markdown(figure, table, judged).encode())
        atomic.write(numbers.with_suffix(".tex"), latex.final(figure, table).encode())


def table(arguments: argparse.Namespace) -> None:
    from partage.figures import latex, listings, tables

    request, sheets = asked(arguments)
    listing = get(sheets.listings, "table", arguments.table, "tables.toml")
    rows, path = listings.build(sheets, listing, request.scale), request.root / "tables" / listing.name
    tables.save(rows, path.with_suffix(".csv"))
    atomic.write(path.with_suffix(".md"), listings.markdown(sheets, listing, rows, request.scale).encode())
    atomic.write(path.with_suffix(".tex"), latex.listed(listing, rows).encode())


def scene(arguments: argparse.Namespace) -> None:
    from partage.figures import curves, pitch

    request, sheets = asked(arguments)
    one = get(sheets.scenes, "scene", arguments.scene, "scenes.toml")
    sheets.ready(one.name)
    picture = request.root / "figures" / one.name
    curves.save(pitch.draw(one), *(picture.with_suffix(kind) for kind in KINDS))


def absolute(arguments: argparse.Namespace) -> None:
    from partage import survey

    found = survey.absolute(arguments.run, arguments.episodes)
    atomic.write(arguments.run / "absolute.json", (json.dumps(found, indent=1) + "\n").encode())
    print(f"partage: {arguments.run}/absolute.json")


def report(arguments: argparse.Namespace) -> None:
    from partage.figures import report as page

    request, sheets = asked(arguments, arguments.figures)
    root = arguments.root or request.root
    path = arguments.out or root / arguments.file
    atomic.write(path, page.build(sheets, request, root).encode())
    print(f"partage: {path}")


def export(arguments: argparse.Namespace) -> None:
    from partage import exports

    request, sheets = asked(arguments, arguments.figures)
    root = arguments.root or request.root
    found, remarks = exports.marl_eval(sheets.recipes(sheets.pick(request.figures), request), root)
    path = arguments.out or root / arguments.file
    atomic.write(path, (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    for line in [*remarks, str(path)]:
        print(f"partage: {line}")


def bring(arguments: argparse.Namespace) -> None:
    from partage import imports

    request, sheets = asked(arguments)
    recipes = sheets.pair(arguments.algorithm, arguments.task, request)
    for place in imports.bring(arguments.source, recipes, request.root, arguments.metric):
        print(f"partage: {place}")


def verify(arguments: argparse.Namespace) -> int:
    """One line per run; 1 where a curve is another."""
    from partage import verify as verifying

    same = True
    for run in arguments.runs:
        found = verifying.verify(run, arguments.steps, arguments.tolerance, arguments.device)
        print(f"{found.verdict:10} {run}: {found.says}", flush=True)
        same &= found.same
    return 0 if same else 1


def stale(arguments: argparse.Namespace) -> None:
    """Compare each record's code with today's, file by file; nothing is deleted."""
    from partage import record
    from partage.provenance import code

    today: dict[tuple[str, str], dict[str, str]] = {}
    redo: dict[tuple[str, str], list[str]] = {}
    if not Path(arguments.results).is_dir():
        raise Refusal(f"There is no folder {arguments.results}: name the results' folder with --results.")
    for path in sorted(Path(arguments.results).glob("*/runs/*/*/*/*/record.json")):
        made = record.read(path.parent)[1]
        if "imported" in made:
            continue
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
