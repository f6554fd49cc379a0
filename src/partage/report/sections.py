"""What the page shows of one figure, of one snapshot, and of one episode."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from partage.analysis import claims, profiles, stats, table, tables
from partage.analysis.table import Table
from partage.config import plan as planning
from partage.config.plan import Figure, Plan, Request
from partage.config.recipe import run_dir
from partage.config.snapshots import Snapshot
from partage.errors import program
from partage.plots import figures, live, references
from partage.plots import profiles as profile_plots
from partage.report import drawn, page
from partage.report.inventory import FigurePart, Run, make_command
from partage.report.page import LiveFigure, Picture
from partage.runs import reference_curves
from partage.runs.export import absolutes
from partage.runs.reference_curves import Shown

COMMANDS_SHOWN = 3  # of many that are alike


class Claim(NamedTuple):
    """A claim with its verdict, and the numbers that it rests on."""

    says: str
    verdict: str
    remarks: str  # who says so, over what it is judged, and its power
    over_tasks: str  # "": it is judged on one
    evidence: Table | None


class Pooled(NamedTuple):
    """A figure's evaluation over all its tasks."""

    picture: Picture
    aggregates: Table


class Absolute(NamedTuple):
    """The absolute metric of the runs that are tested: what their best policies are worth."""

    scores: Table
    commands: list[str]  # that measure it where it has not been
    lacking: int
    runs: int


class PictureOrCommand(NamedTuple):
    """A picture that was drawn before; where it was not, the command that draws it."""

    title: str
    picture: Picture | None
    command: str
    why: str  # there is no picture


class FigureSection(NamedTuple):
    """All that the page shows of a figure."""

    figure: Figure
    part: FigurePart | None
    picture: LiveFigure | None
    caption: Markup
    final: Table | None
    read_off: bool  # published values are
    claims: list[Claim]
    pooled: Pooled | None
    absolute: Absolute | None
    episodes: list[PictureOrCommand]
    missing: list[Run]
    missing_command: str
    runs: int
    note: str = ""  # what it must not be read without


def of_figure(
    plan: Plan,
    request: Request,
    figure: Figure,
    runs: Sequence[Run],
    part: FigurePart | None,
    judged: pd.DataFrame,
    root: Path,
) -> FigureSection:
    """Return all that the page shows of a figure, drawn from the part of it that there is."""
    missing = [run for run in runs if run.curve is None]
    picture = final = pooled = None
    others: list[Shown] = []
    if part:
        shown = reference_curves.shown_in(part.figure, Path(request.results))
        others = references.visible(part.figure, part.frame, shown)
        values = tables.build(plan, part.figure, part.frame)
        final = tables.final_table(part.figure, values)
        picture = _drawn(plan, part, others, table.csv_text(values))
        if len(part.figure.tasks) > 1:
            pooled = over_all_tasks(plan, part)
    return FigureSection(
        figure=figure,
        part=part,
        picture=picture,
        caption=read_caption(figure.caption) + of_others(others),
        final=final,
        read_off=part is not None and tables.has_reference(part.figure),
        claims=judged_claims(judged),
        pooled=pooled,
        absolute=absolute(plan, runs),
        episodes=list(episodes(plan, request, figure, root)),
        missing=missing,
        missing_command=make_command(figure, missing[0].recipe, request) if missing else "",
        runs=len(runs),
    )


def _drawn(plan: Plan, part: FigurePart, others: Sequence[Shown], final: str) -> LiveFigure:
    """Return the figure drawn, with its data; `final` is the CSV of its final values."""
    figure = part.figure
    canvas = figures.draw(plan, figure, part.frame, others)
    alt = f"{figure.title}: the numbers stand in the tables below"
    data = live.data_of(plan, figure, part.frame, canvas, final)
    return page.embed_live(canvas, figure.name, alt, data)


def read_caption(file: str) -> Markup:
    """Return a caption as HTML; nothing where there is no such file."""
    path = planning.caption(file)
    return page.caption(path.read_text(encoding="utf-8"), path) if path.is_file() else Markup("")


def of_others(others: Sequence[Shown]) -> Markup:
    """Return the part of a caption that says whose the grey lines are; nothing without any."""
    if not others:
        return Markup("")
    said = "; ".join(f"{words} ({about})" for words, about in references.said(others))
    return Markup('<p class="faint">{}: {}.</p>').format(references.HEADING, said)


def judged_claims(judged: pd.DataFrame) -> list[Claim]:
    """Return each claim of a figure, as `partage.analysis.claims` judged it."""
    found = []
    for says, rows in judged.groupby("claim", sort=False):
        evidence = rows[rows["judged_by"] != ""]
        shown = claims.render(pd.DataFrame(evidence)) if len(evidence) else None
        decided, words = str(rows["claim_verdict"].iat[0]), claims.remarks(rows)
        found.append(Claim(str(says), decided, words, claims.over_tasks(rows), shown))
    return found


def over_all_tasks(plan: Plan, part: FigurePart) -> Pooled:
    """Return the profile and the aggregates of the evaluation protocol."""
    canvas = profile_plots.draw(plan, part.figure, part.frame)
    alt = f"{part.figure.title}, performance profile: the numbers stand in the tables below"
    data = profiles.build(plan, part.figure, part.frame)
    words = [f"{table.number(row['value'])} {table.interval_words(row)}" for row in _records(data)]
    wide = data.assign(words=words).pivot(index="algorithm", columns="measure", values="words")
    wide = wide.loc[data["algorithm"].unique(), data["measure"].unique()].reset_index()
    columns = [table.words(str(name))._replace(align=table.RIGHT) for name in wide]
    columns[0] = table.words("algorithm")
    return Pooled(page.embed_canvas(canvas, alt), Table(wide, tuple(columns)))


def _records(data: pd.DataFrame) -> list[dict]:
    return data.to_dict("records")


def absolute(plan: Plan, runs: Sequence[Run]) -> Absolute | None:
    """Return the absolute metric of the runs that are tested; None where none is.

    It is the mean score of each seed's best policies, by task and algorithm.
    """
    tested = [run for run in runs if run.is_finished and run.recipe.test_every]
    if not tested:
        return None
    scores, lacking = _absolute_scores(tested)
    data = pd.DataFrame(
        [_absolute_row(plan, task, name, values) for (task, name), values in scores.items()],
        columns=["task", "algorithm", "value", "ci95_low", "ci95_high", "seeds"],
    )
    columns = (
        table.words("task"),
        table.words("algorithm"),
        table.value("value", "score"),
        table.interval(),
        table.count("seeds"),
    )
    absolute = f"{program('partage')} absolute"
    commands = [f"{absolute} {run.folder}" for run in lacking[:COMMANDS_SHOWN]]
    shown = Table(data, columns, group_by="task")
    return Absolute(shown, commands, len(lacking), len(tested))


def _absolute_scores(
    tested: Sequence[Run],
) -> tuple[dict[tuple[str, str], list[float]], list[Run]]:
    """Return each seed's score by task and algorithm, and the runs that were not measured."""
    scores: dict[tuple[str, str], list[float]] = {}
    lacking = []
    for run in tested:
        measured = absolutes(run.folder, run.recipe)
        if not measured:
            lacking.append(run)
        for episodes_of_seed in measured.values():
            of_runs = scores.setdefault((run.recipe.task, run.recipe.algorithm), [])
            of_runs.append(float(np.mean(episodes_of_seed["test_score"])))
    return scores, lacking


def _absolute_row(plan: Plan, task: str, algorithm: str, values: list[float]) -> tuple:
    rng = stats.named_generator(task, algorithm, "absolute")
    low, high = stats.interval([np.array(values)], rng)
    mean = float(np.mean(values))
    return task, plan.variants[algorithm].label, mean, low, high, len(values)


def episodes(
    plan: Plan, request: Request, figure: Figure, root: Path
) -> Iterator[PictureOrCommand]:
    """Yield who shares with whom within an episode, where that changes within one."""
    for recipe in plan.episode_recipes([figure], request):
        folder = run_dir(root, recipe)
        yield _drawn_before(
            f"{plan.variants[recipe.algorithm].label} on {recipe.task}",
            folder / "episode.svg",
            "roles and groups of each agent, step by step",
            f"{program('partage')} episode {folder}",
            drawn.of_run(folder, recipe),
        )


def of_snapshot(snapshot: Snapshot, request: Request, root: Path) -> PictureOrCommand:
    """Return the picture of a game itself, as it was drawn: drawing it takes the game."""
    options = f"--scale {request.scale} --engine {request.engine}"
    command = f"{program('partage')} snapshot {snapshot.name} {options}"
    path = root / "figures" / f"{snapshot.name}.svg"
    return _drawn_before(snapshot.title, path, snapshot.title, command, drawn.of_snapshot(snapshot))


def _drawn_before(
    title: str, path: Path, alt: str, command: str, wanted: drawn.Facts
) -> PictureOrCommand:
    """Return the picture at `path` if it was drawn of what is `wanted` today."""
    if not path.is_file():
        return PictureOrCommand(title, None, command, "Not drawn yet")
    svg = path.read_bytes()
    if drawn.read_note(svg) != wanted:
        why = f"{path.name} was drawn of another run, or of other settings, than is shown here"
        return PictureOrCommand(title, None, command, why)
    return PictureOrCommand(title, page.embed(svg, "svg", alt), command, "")
