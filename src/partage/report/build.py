"""The report: all that there is of a plan on one page, and what is missing, with the command that
would make it.

It is made from the runs themselves, whole figures and parts alike, so it can be had at any time, of
any folder of runs. The same runs, sheets and code give the same page: no clock is read.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from partage.analysis import claims, settings_tables
from partage.config.figures import SettingsTable
from partage.config.plan import Figure, Plan, Request
from partage.config.recipe import ENGINES
from partage.config.snapshots import Snapshot
from partage.errors import UserError
from partage.report import provenance, sections
from partage.report.inventory import Part, Run, hours, look, part
from partage.report.page import document, rows, tag, text, verdict


def build(plan: Plan, request: Request, root: Path) -> str:
    """The page of the figures asked for, from the runs below `root`. Raises `UserError` for what is
    malformed.
    """
    names = (
        [*plan.figures, *plan.snapshots] if request.figures == "all" else request.figures.split(",")
    )
    scenes = [plan.snapshots[name] for name in names if name in plan.snapshots]
    chosen = plan.select_figures([name for name in names if name not in plan.snapshots])
    parts, everything, judged = [], {}, []
    for figure in chosen:
        runs = look(plan.recipes([figure], request), root)
        try:
            there = part(figure, runs)
        except UserError as refusal:  # these runs cannot be drawn together; the others can
            runs, there = (
                [run._replace(curve=None, why=run.why or str(refusal)) for run in runs],
                None,
            )
        verdicts = judge(plan, figure, there)
        parts.append(
            tag(
                "section",
                "\n".join(sections.build(plan, request, figure, runs, there, verdicts, root)),
            )
        )
        judged.append((figure, runs, verdicts))
        everything |= {
            run.place: run._replace(curve=None) for run in runs
        }  # curves are large, and drawn by now
    listed = list(plan.settings_tables.values()) if request.figures == "all" else []
    body = [
        *front(request, root, list(everything.values())),
        tag("nav", contents([*chosen, *scenes], bool(listed)), id="contents"),
        tag("h2", "Verdicts", id="verdicts"),
        overview(judged),
        *parts,
        *(tag("section", "\n".join(sections.scene(scene, request, root))) for scene in scenes),
        *(tag("h2", "Tables of what is set", id="tables") for _ in listed[:1]),
        *(table(plan, listing, request.scale) for listing in listed),
        *provenance.sections(list(everything.values())),
    ]
    return document(f"partage: {request.scale} scale", "\n".join(body))


def front(request: Request, root: Path, runs: Sequence[Run]) -> Iterator[str]:
    """What the page is about, and what it is not."""
    made = [run for run in runs if run.made]
    cells = sum(len(run.recipe.seeds) for run in made), sum(len(run.recipe.seeds) for run in runs)
    yield tag("h1", "Who should share parameters with whom, and does it help?")
    ends = sorted(run.made["finished"][:10] for run in made if "finished" in run.made)
    when = f", finished {ends[0]}{f' to {ends[-1]}' if ends[-1] > ends[0] else ''}" if ends else ""
    yield tag(
        "p",
        f"A report by partage on {tag('strong', text(request.scale))} scale, from {tag('code', text(root))}: "
        f"{cells[0]} of {cells[1]} cells (an algorithm on a task with a seed){text(when)}.",
    )
    if request.scale == "smoke":
        yield tag("p", "<strong>Smoke scale: not a result.</strong> Runs this short show that every part works, "
            "and nothing about the algorithms. No claim is judged.", class_="banner")  # fmt: skip
    embedded = sorted({run.recipe.family for run in runs if run.recipe.engine == ENGINES[0]})
    if embedded:
        yield tag("p", f"<strong>Simulators.</strong> Figures of engine <em>{ENGINES[0]}</em> "
            f"({text(', '.join(embedded))}) come from this suite's own simulators, not from the packages or games that "
            "they follow. Each figure names its engine; the two never meet in one.", class_="banner note")  # fmt: skip


def contents(chosen: Iterable[Figure | Snapshot], listed: bool) -> str:
    entries = [("verdicts", "Verdicts"), *((figure.name, figure.title) for figure in chosen)]
    entries += [("tables", "Tables of what is set")] if listed else []
    entries += [("cost", "Cost"), ("provenance", "Provenance"), ("missing", "What is missing")]
    return tag(
        "ol",
        "\n".join(tag("li", tag("a", text(words), href=f"#{name}")) for name, words in entries),
    )


def judge(plan: Plan, figure: Figure, there: Part | None) -> pd.DataFrame:
    """Every claim of the figure; one that rests on more than there is stays open, whatever its
    parts say.
    """
    found = (
        claims.build(plan, there.figure, there.rows)
        if there
        else pd.DataFrame(columns=claims.COLUMNS)
    )
    if there is None or not there.whole:
        found = found.assign(claim_verdict="open")
    known = set(found["claim"])
    rest = [
        (claim.says, "open", "", float("nan"), float("nan"), float("nan"), 0, "open")
        for claim in figure.claims
    ]
    more = pd.DataFrame([row for row in rest if row[0] not in known], columns=claims.COLUMNS)
    return pd.concat([each for each in (found, more) if len(each)] or [found], ignore_index=True)


def overview(judged: Iterable[tuple[Figure, Sequence[Run], pd.DataFrame]]) -> str:
    """Each figure with its cells and cost, each claim with its verdict."""
    body = []
    for figure, runs, verdicts in judged:
        made = [run for run in runs if run.made]
        cells = f"{sum(len(run.recipe.seeds) for run in made)}/{sum(len(run.recipe.seeds) for run in runs)}"
        spent = sum(hours(run.made)[0] for run in made)
        said = [
            (str(says), str(of["claim_verdict"].iat[0]))
            for says, of in verdicts.groupby("claim", sort=False)
        ]
        link = tag("a", text(figure.title), href=f"#{figure.name}")
        for i, (says, word) in enumerate(said or [("no claim is judged", "")]):
            cell = verdict(word) if word else "\u2013"
            body.append([link, text(says), cell, *(["", ""] if i else [cells, f"{spent:,.2f}"])])
    return rows(["figure", "claim", "verdict", "cells", "CPU-h"], body, right=(3, 4))


def table(plan: Plan, listing: SettingsTable, scale: str) -> str:
    """A table of what is set."""
    made = settings_tables.build(plan, listing, scale)
    body = [[text(value) for value in row] for row in made.itertuples(index=False)]
    right = [i for i, name in enumerate(made) if pd.api.types.is_numeric_dtype(made[name])]
    title = tag("h3", text(listing.title), id=listing.name) + tag(
        "p", text(listing.paper), class_="faint"
    )
    return title + rows([str(name) for name in made], body, right)
