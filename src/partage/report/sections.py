"""One figure's section of the report: picture, caption, tables, claims, strips within an episode,
what is missing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from partage.analysis import profiles, tables
from partage.analysis.tables import band, number
from partage.config import plan as planning
from partage.config.plan import Figure, Plan, Request
from partage.config.recipe import run_dir
from partage.config.snapshots import Snapshot
from partage.plots import curves
from partage.report import provenance
from partage.report.inventory import Part, Run
from partage.report.inventory import command as makes
from partage.report.page import caption, command, image, rows, tag, text, verdict

LARGE = 20_000  # points: a picture with more of them (some 20 bytes each) is drawn as pixels


def build(
    plan: Plan,
    request: Request,
    figure: Figure,
    runs: Sequence[Run],
    there: Part | None,
    verdicts: pd.DataFrame,
    root: Path,
) -> Iterator[str]:
    """The parts of the section, in order."""
    yield tag("h2", text(figure.title), id=figure.name)
    yield tag("p", f"{text(figure.paper)} · {tag('code', text(figure.name))}", class_="faint")
    missing = [run for run in runs if run.curve is None]
    if there is None:
        yield tag("p", "There are no runs of it yet that it can be drawn from.")
    else:
        if not there.whole:
            shown = f"{len(there.figure.tasks)} of {len(figure.tasks)} tasks, {len(there.figure.algorithms)} of "
            yield tag("p", f"<strong>Not whole yet</strong>: {shown}{len(figure.algorithms)} algorithms are shown; its "
                "claims stay open.", class_="banner note")  # fmt: skip
        yield picture(curves.draw(plan, there.figure, there.rows), figure.title)
    yield _caption(figure)
    if there is not None:
        yield final(there.figure, tables.build(plan, there.figure, there.rows))
    yield from judgements(verdicts)
    if there is not None and len(there.figure.tasks) > 1:
        yield from pooled(plan, there)
    yield from absolutes(plan, runs)
    yield from within(plan, request, figure, root)
    if missing:
        listed = "".join(
            tag("li", f"{tag('code', text(run.place))}: {text(run.why)}") for run in missing
        )
        yield tag("h3", f"Missing: {len(missing)} of {len(runs)} runs")
        yield command(makes(figure, missing[0].recipe, request.results))
        yield tag("details", tag("summary", "the runs") + tag("ul", listed))


def scene(one: Snapshot, request: Request, root: Path) -> Iterator[str]:
    """A picture of a game itself, as it was drawn: that takes the game."""
    yield tag("h2", text(one.title), id=one.name)
    yield tag("p", f"{text(one.paper)} · {tag('code', text(one.name))}", class_="faint")
    drawn = root / "figures" / f"{one.name}.svg"
    if drawn.is_file():
        yield image(drawn.read_bytes(), "svg", one.title)
    else:
        yield tag(
            "p", f"Not drawn yet; it takes the packages of {text(one.task.partition('/')[0])}:"
        )
        yield command(
            f".venv/bin/partage scene {one.name} --scale {request.scale} --engine {request.engine}"
        )
    yield _caption(one)


def _caption(figure: Figure | Snapshot) -> str:
    path = planning.PACKAGE / "report/captions" / figure.caption
    return caption(path.read_text(encoding="utf-8"), path) if path.is_file() else ""


def picture(canvas: Any, says: str) -> str:
    points = sum(len(line.get_xdata()) for axes in canvas.axes for line in axes.lines)
    kind = "svg" if points <= LARGE else "png"
    return image(
        curves.payload(canvas, kind), kind, f"{says}: the numbers stand in the tables below"
    )


def final(figure: Figure, table: pd.DataFrame) -> str:
    """Final performance, the published value beside it."""
    several = len(set(table["metric"])) > 1
    head = [
        "task",
        "algorithm",
        *(["measure"] if several else []),
        "value",
        "95 % interval",
        "seeds",
        "published",
    ]
    body = [
        [text(row["task"]), text(row["algorithm"]), *([text(row["metric"])] if several else []),
         number(row["value"]), band(row), str(row["seeds"]), number(row["published"])]
        for row in table.to_dict("records")
    ]  # fmt: skip
    right = range(2 + several, 6 + several)
    what = f"Final {figure.y_label}: mean over the last 15 % of training, then over seeds."
    read_off = any(
        (task, name) in figure.reference for task in figure.tasks for name in figure.algorithms
    )
    note = (
        " Published values are read off the paper's figure, within about 2 % of its axis."
        if read_off
        else ""
    )
    return (
        tag("h3", "Final performance")
        + tag("p", text(what + note), class_="faint")
        + rows(head, body, list(right))
    )


def judgements(verdicts: pd.DataFrame) -> Iterator[str]:
    """Each claim, and the numbers its verdict rests on."""
    if len(verdicts):
        yield tag("h3", "Claims")
    for says, of in verdicts.groupby("claim", sort=False):
        yield tag("p", f"{verdict(of['claim_verdict'].iat[0])} {text(says)}", class_="claim")
        body = [
            [
                text(row["judged_by"]),
                number(row["value"]),
                band(row),
                str(row["seeds"]),
                text(row["verdict"]),
            ]
            for row in of.to_dict("records")
            if row["judged_by"]
        ]
        if body:
            yield rows(
                ["judged by", "value", "95 % interval", "seeds", "verdict"], body, right=(1, 2, 3)
            )


def pooled(plan: Plan, there: Part) -> Iterator[str]:
    """Over all tasks: the profile and the aggregates of the evaluation protocol."""
    yield tag("h3", "Over all tasks")
    yield picture(
        profiles.draw(plan, there.figure, there.rows), f"{there.figure.title}, performance profile"
    )
    table = profiles.build(plan, there.figure, there.rows)
    body = [
        [text(label), *(f"{number(row['value'])} {band(row)}" for row in of.to_dict("records"))]
        for label, of in table.groupby("algorithm", sort=False)
    ]
    measures = list(table["measure"].unique())
    yield tag("p", "Final values, min-max normalised on each task over all runs shown; 95 % stratified bootstrap "
        "intervals in brackets. A profile further up and to the right is better.", class_="faint")  # fmt: skip
    yield rows(["algorithm", *measures], body, right=range(1, len(measures) + 1))


def absolutes(plan: Plan, runs: Sequence[Run]) -> Iterator[str]:
    """The absolute metric of the runs that are tested: what their best policies are worth."""
    tested = [run for run in runs if run.made and run.recipe.test_every]
    if not tested:
        return
    table, lacking = provenance.absolute(plan, tested)
    yield tag("h3", "Absolute metric")
    if len(table):
        yield tag("p", text(provenance.ABSOLUTE), class_="faint")
        body = [
            [
                text(row["task"]),
                text(row["algorithm"]),
                number(row["value"]),
                band(row),
                str(row["seeds"]),
            ]
            for row in table.to_dict("records")
        ]
        yield rows(["task", "algorithm", "score", "95 % interval", "seeds"], body, right=(2, 3, 4))
    if lacking:
        yield tag("p", f"Not measured for {len(lacking)} of {len(tested)} runs:")
        yield command("\n".join(f".venv/bin/partage absolute {run.place}" for run in lacking[:3]))


def within(plan: Plan, request: Request, figure: Figure, root: Path) -> Iterator[str]:
    """Who shares with whom within an episode, where that changes within one."""
    for recipe in plan.episode_recipes([figure], request):
        place = run_dir(root, recipe)
        yield tag(
            "h3",
            f"Within an episode: {text(plan.variants[recipe.algorithm].label)} on {text(recipe.task)}",
        )
        if (place / "episode.svg").is_file():
            yield image(
                (place / "episode.svg").read_bytes(),
                "svg",
                "roles and groups of each agent, step by step",
            )
        else:
            yield tag("p", "Not drawn yet; it takes the run's trained policies:")
            yield command(f".venv/bin/partage episode {place}")
