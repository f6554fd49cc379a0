"""The report: all that there is of a plan on one page, and what is missing, with its command.

It is made from the runs themselves, whole figures and parts alike, so it can be had at any time, of
any folder of runs. The same runs, config files and code give the same page: no clock is read.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from partage.analysis import claims, settings_tables
from partage.analysis.table import Table
from partage.config.left_out import reasons
from partage.config.plan import Figure, Plan, Request
from partage.config.recipe import ENGINES
from partage.config.settings_tables import SettingsTable
from partage.errors import UserError
from partage.report import page, provenance, sections
from partage.report.inventory import FigurePart, Run, cells, drawable_part, find_runs, hours
from partage.report.provenance import Overview


class Front(NamedTuple):
    """What the page is about, and what it is not."""

    scale: str
    engine: str  # the one whose simulators are this suite's own
    root: Path
    finished_cells: int
    all_cells: int
    first_day: str  # on which a run was finished; "": not known
    last_day: str
    simulated: list[str]  # families whose runs come from a simulator of ours


def build(plan: Plan, request: Request, root: Path) -> str:
    """Return the page of the figures asked for, from the runs below `root`.

    Raises `UserError` for what is malformed.
    """
    names = request.figures.split(",")
    whole_plan = request.figures == "all"
    if whole_plan:
        standing = [figure.name for figure in plan.standing if not figure.left_out]
        names = [*standing, *plan.all_of(plan.snapshots)]
    snapshots = [plan.snapshots[name] for name in names if name in plan.snapshots]
    figures = plan.select_figures([name for name in names if name not in plan.snapshots])
    shown, overview = [], []
    runs_by_folder: dict[Path, Run] = {}  # figures share runs
    for figure in figures:
        runs, part = find_part(figure, find_runs(plan.recipes([figure], request), root))
        judged = judge(plan, figure, part)
        shown.append(sections.of_figure(plan, request, figure, runs, part, judged, root))
        overview += overview_of(figure, runs, judged)
        for run in runs:
            runs_by_folder[run.folder] = run._replace(curve=None)  # it is large, and drawn by now
    runs = list(runs_by_folder.values())
    tables = plan.all_of(plan.settings_tables) if whole_plan else []
    wanted = [plan.settings_tables[name] for name in tables]
    return page.render(
        front=front(request, root, runs),
        overview=provenance.overview_table(overview),
        counted=Counter(row.verdict for row in overview if row.verdict),
        figures=shown,
        snapshots=[(one, sections.of_snapshot(one, request, root)) for one in snapshots],
        captions={one.name: sections.read_caption(one.caption) for one in snapshots},
        settings_tables=[(one, settings_table(plan, one, request.scale)) for one in wanted],
        provenance=provenance.gather(runs),
        left_out=reasons(plan.select_figures() if whole_plan else []),
    )


def find_part(figure: Figure, runs: list[Run]) -> tuple[list[Run], FigurePart | None]:
    """Return the runs, and the part of the figure that can be drawn of them.

    Where they cannot be drawn together, they count as missing, with the reason; other figures may
    show them.
    """
    try:
        return runs, drawable_part(figure, runs)
    except UserError as error:
        why = str(error)
        return [
            run._replace(curve=None, missing_because=run.missing_because or why) for run in runs
        ], None


def front(request: Request, root: Path, runs: Sequence[Run]) -> Front:
    """Return what the page is about."""
    finished = [run for run in runs if run.is_finished]
    days = sorted(run.record["finished"][:10] for run in finished if "finished" in run.record)
    families = {run.recipe.family for run in runs if run.recipe.engine == ENGINES[0]}
    return Front(
        scale=request.scale,
        engine=ENGINES[0],
        root=root,
        finished_cells=cells(finished),
        all_cells=cells(runs),
        first_day=days[0] if days else "",
        last_day=days[-1] if days else "",
        simulated=sorted(families),
    )


def judge(plan: Plan, figure: Figure, part: FigurePart | None) -> pd.DataFrame:
    """Return the judgement on every claim of the figure.

    One that rests on more than there is stays without, whatever its parts say.
    """
    judged = pd.DataFrame(columns=claims.COLUMNS)
    if part:
        judged = claims.build(plan, part.figure, part.frame)
        if not part.is_whole:
            judged = judged.assign(claim_verdict=claims.RUN_IN_PART, power=float("nan"))
    known = set(judged["claim"])
    rest = [claims.not_run(claim) for claim in figure.claims if claim.says not in known]
    more = pd.DataFrame(rest, columns=claims.COLUMNS)
    filled = [each for each in (judged, more) if len(each)]
    return pd.concat(filled, ignore_index=True) if filled else judged


def overview_of(figure: Figure, runs: Sequence[Run], judged: pd.DataFrame) -> Iterable[Overview]:
    """Return a row for each claim of a figure; its cells and cost stand in the first."""
    finished = [run for run in runs if run.is_finished]
    said = sections.judged_claims(judged)
    rows = [
        Overview(figure.name, figure.title, _in_short(one), one.verdict, "", "") for one in said
    ]
    if not rows:
        rows = [Overview(figure.name, figure.title, "no claim is judged", "", "", "")]
    spent = sum(hours(run.record).cpu for run in finished)
    counted = f"{cells(finished)}/{cells(runs)}"
    return [rows[0]._replace(cells=counted, cpu_hours=f"{spent:,.2f}"), *rows[1:]]


def _in_short(claim: sections.Claim) -> str:
    """Return a claim with what its verdict must not be read without."""
    return f"{claim.says} ({claim.over_tasks})" if claim.over_tasks else claim.says


def settings_table(plan: Plan, wanted: SettingsTable, scale: str) -> Table:
    """Return a table of what is set."""
    return settings_tables.render(wanted, settings_tables.build(plan, wanted, scale))
