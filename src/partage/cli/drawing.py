"""Commands that draw: ``redraw``, and steps of the workflow: ``frame``, ``draw``, ``table`` ..."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from partage import _io
from partage.cli import options
from partage.config import plan, study
from partage.config.figures import Figure
from partage.config.plan import Plan
from partage.config.request import Request
from partage.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED, SHOWN = Path("results/published"), Path("results/show")
KINDS = (".png", ".svg", ".pdf")  # a figure's pictures


def add_commands(commands: options.Commands) -> None:
    """Add the commands that draw."""
    for name, perform, summary, argument, example in (
        ("frame", frame, "collect a figure's runs into its frame", "figure", "mpd-15a_3c"),
        ("draw", draw, "draw a figure and its table from its frame", "figure", "mpd-15a_3c"),
        ("table", table, "write a table of what is set (tables.toml)", "table", "bdps-tab2"),
        ("snapshot", snapshot, "draw a game itself (snapshots.toml)", "snapshot", "bdps-fig7"),
    ):
        parser = commands.add(
            name, perform, summary, f"{name} {example}", group=options.WORKFLOW, planned=True
        )
        parser.add_argument(argument, metavar=argument.upper())
    _add_redraw(commands)


def _add_redraw(commands: options.Commands) -> None:
    parser = commands.add(
        "redraw",
        redraw,
        "draw what was published once more, from its runs, and the page of it",
        "redraw",
        "redraw results/published --out results/show",
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=PUBLISHED,
        metavar="FOLDER",
        help="what was published (default %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=SHOWN,
        metavar="DIR",
        help="where it is drawn (default %(default)s)",
    )


def redraw(arguments: argparse.Namespace) -> None:
    """Draw what was published, and write the page of it; nothing is trained."""
    from partage.report import published

    folder, out = arguments.folder, arguments.out
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out is a folder of its own, but {out} lies in {folder}: name another.")
    config = plan.load()
    shown = published.find(config, folder)
    runs = {run.folder for one in shown for run in one.runs}
    print(f"{len(shown)} figures of {len(runs)} runs, each the one that its record names")
    for picture in published.save(shown, out):
        print(picture)
    page = out / "report.html"
    _io.write(page, published.render(shown, folder).encode())
    print(page)


def frame(arguments: argparse.Namespace) -> None:
    """Collect a figure's runs into its frame."""
    from partage.analysis import frames

    request = options.request_of(arguments, arguments.figure)
    config = options.plan_for(request)
    for figure in config.select_figures(request.figures):
        made = frames.build(figure, config.recipes([figure], request), request.root)
        frames.save(made, _frame_path(request, figure))


def draw(arguments: argparse.Namespace) -> None:
    """Draw a figure and write its table, from its frame."""
    from partage.plots import figures, files, heat_maps
    from partage.runs import reference_curves

    request = options.request_of(arguments, arguments.figure)
    config = options.plan_for(request)
    for figure in config.select_figures(request.figures):
        rows = _load_frame(request, config, figure)
        picture = request.root / "figures" / figure.name
        others = reference_curves.shown_in(figure, Path(request.results))
        files.save(figures.draw(config, figure, rows, others), *_pictures(picture))
        _save_tables(config, figure, rows, request.root / "tables" / figure.name)
        heat_maps.save_films(config, figure, rows, picture)


def _frame_path(request: Request, figure: Figure) -> Path:
    return request.root / "frames" / f"{figure.name}.parquet"


def _load_frame(request: Request, config: Plan, figure: Figure) -> "pd.DataFrame":
    """Return a figure's frame. Raises `UserError` where it is not what is drawn today."""
    from partage.analysis import frames

    rows = frames.load(_frame_path(request, figure))
    engine = config.engine(figure.tasks[0], request)
    if (rows.attrs["scale"], rows.attrs["engine"]) != (request.scale, engine):
        raise UserError(
            f"The frame of {figure.name} in {request.root} is of another scale or engine: "
            f"make it anew with `partage frame {figure.name}{request.options}`."
        )
    frames.check(figure, rows, config.recipes([figure], request), request)
    return rows


def _pictures(path: Path) -> list[Path]:
    """Return the files of a picture, one a format."""
    return [_ending(path, kind) for kind in KINDS]


def _ending(path: Path, kind: str) -> Path:
    """Return a path with an ending; a name may have a dot of its own, as in fig1.2."""
    return path.with_name(f"{path.name}{kind}")


def _save_tables(config: Plan, figure: Figure, rows: "pd.DataFrame", path: Path) -> None:
    from partage.analysis import arena, choosing, claims, latex, tables
    from partage.analysis.table import save_csv

    final, judged = tables.build(config, figure, rows), claims.build(config, figure, rows)
    save_csv(final, _ending(path, ".csv"))
    save_csv(judged, path.with_name(f"{figure.name}-claims.csv"))
    text = tables.markdown(figure, final, judged)
    if figure.kind == "arena":
        standings = arena.build(config, figure, rows)
        save_csv(standings, path.with_name(f"{figure.name}-standings.csv"))
        text += "\n".join(arena.markdown(standings)) + "\n"
    if figure.kind == "sweep":
        trials = choosing.table(config, choosing.trials(config, figure, rows))
        save_csv(trials, path.with_name(f"{figure.name}-trials.csv"))
    if other := rows.attrs.get("begun_by_other_code"):
        text += f"\nBegun by other code than it ended with: {'; '.join(other)}.\n"
    _io.write(_ending(path, ".md"), text.encode())
    paper = latex.render(tables.final_table(figure, final))
    _io.write(_ending(path, ".tex"), paper.encode())


def table(arguments: argparse.Namespace) -> None:
    """Write a table of what is set."""
    from partage.analysis import latex, settings_tables
    from partage.analysis.table import save_csv

    request = options.request_of(arguments)
    config = options.plan_for(request)
    shown = study.look_up(config.settings_tables, "table", arguments.table, "tables.toml")
    rows = settings_tables.build(config, shown, request.scale)
    path = request.root / "tables" / shown.name
    save_csv(rows, _ending(path, ".csv"))
    text = settings_tables.markdown(config, shown, rows, request.scale)
    _io.write(_ending(path, ".md"), text.encode())
    _io.write(_ending(path, ".tex"), latex.render(settings_tables.render(shown, rows)).encode())


def snapshot(arguments: argparse.Namespace) -> None:
    """Draw a game itself."""
    from partage.plots import files, pitch
    from partage.report import drawn

    request = options.request_of(arguments)
    config = options.plan_for(request)
    shown = study.look_up(config.snapshots, "snapshot", arguments.snapshot, "snapshots.toml")
    config.ready(shown.name)
    pictures = _pictures(request.root / "figures" / shown.name)
    files.save(pitch.draw(shown), *pictures)
    drawn.note(pictures[1], drawn.of_snapshot(shown))
