"""Verdicts on what the papers say, and on what we say: a claim holds, fails, or is undecided.

Each verdict rests on numbers (`partage.analysis.evidence`) and their tests
(`partage.analysis.significance`). How each kind is judged:

* ``better``: the probability that a run of one algorithm ends above a run of another (mean of the
  last 15 %), mean over tasks. It holds against a baseline when it is above one half, and fails when
  it is below.
* ``grows`` and ``settles``: the change of a curve, from its mean in the middle of training (42.5 to
  57.5 % of the x axis) to its mean over the last 15 %; shown is the median over runs. It grows,
  away from zero, by more than 10 %, or stays within 10 %; an infinite curve has grown.
* ``negative``: the end of a curve, its mean over the last 15 %, lies below zero.
* ``informative``: over the last half of training, roles say more than a quarter of what they could.

A part of a claim is decided when its p-value, corrected for the claim's number of parts, is at most
5 %. A claim holds if all its parts do and fails if one does. Smoke decides nothing, and neither do
fewer than four seeds: of three and three equal ones, all of one side end above the other's in one
case of ten. Of several tasks the mean is judged; the panels are shown beside it, and are not
judged: what holds on average need not hold on each.
"""

import math
from typing import NamedTuple

import pandas as pd

from partage.analysis import power, significance, table
from partage.analysis.evidence import AVERAGE, Evidence, evidence_for
from partage.analysis.labels import is_smoke
from partage.analysis.table import Cell, Column, Table
from partage.config.figures import Claim
from partage.config.plan import Figure, Plan

MIN_SEEDS = 4  # on each side, for a verdict
SMALLEST_P = 0.001  # that is written out
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
NOT_RUN, RUN_IN_PART = "not run", "run in part"  # of a claim whose runs, or some of them, lack
SMOKE = "not a result (smoke)"


class Judgement(NamedTuple):
    """A claim, one piece of its evidence, and both their verdicts: a row of the claims' table."""

    claim: str
    claim_verdict: str
    judged_by: str  # "": nothing is there to judge it by
    on: str  # the task, or the words for the mean over several
    value: float
    ci95_low: float
    ci95_high: float
    seeds: int
    p: float  # two-sided, corrected for the claim's number of parts; NaN: not judged
    verdict: str  # "": not judged, one panel of several
    power: float  # of the whole claim; NaN: not judged
    source: str  # who says so, and where; or "ours"


COLUMNS = list(Judgement._fields)


def build(plan: Plan, figure: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each comparison or curve that a claim rests on, as `Judgement`.

    One over several tasks is followed by the same on each of them.
    """
    rows: list[Judgement] = []
    for claim in figure.claims:
        rows += judge(claim, evidence_for(plan, figure, frame, claim), is_smoke(frame))
    return pd.DataFrame(rows, columns=COLUMNS)


def not_run(claim: Claim) -> Judgement:
    """Return the row of a claim of which nothing is there."""
    nan = math.nan
    return Judgement(claim.says, NOT_RUN, "", "", nan, nan, nan, 0, nan, NOT_RUN, nan, claim.source)


def judge(claim: Claim, evidence: list[Evidence], smoke: bool) -> list[Judgement]:
    """Return the judgements on a claim: for each piece of its evidence, then for its panels."""
    ps = significance.corrected(
        [piece.holds for piece in evidence], [piece.fails for piece in evidence]
    )
    verdicts = [verdict(piece, p, smoke) for piece, p in zip(evidence, ps, strict=True)]
    together = claim_verdict(verdicts)
    strength = math.nan if smoke else power_of(claim, evidence)
    rows = []
    for piece, p, one in zip(evidence, ps, verdicts, strict=True):
        rows.append(_row(claim, together, piece, p, one, strength))
        rows += [_row(claim, together, panel, math.nan, "", math.nan) for panel in piece.panels]
    return rows


def _row(
    claim: Claim, together: str, piece: Evidence, p: float, one: str, strength: float
) -> Judgement:
    return Judgement(
        claim.says,
        together,
        piece.judged_by,
        piece.on,
        piece.value,
        piece.interval.low,
        piece.interval.high,
        piece.seeds,
        p,
        one,
        strength,
        claim.source,
    )


def claim_verdict(verdicts: list[str]) -> str:
    """Return the verdict on a claim from those on its parts: one that fails decides."""
    for decisive in (FAILS, UNDECIDED):
        if decisive in verdicts:
            return decisive
    return verdicts[0]


def verdict(piece: Evidence, p: float, smoke: bool = False) -> str:
    """Return the verdict on one piece of evidence with its corrected p-value."""
    if smoke:
        return SMOKE
    if piece.seeds < MIN_SEEDS or p > significance.LEVEL:
        return UNDECIDED
    return HOLDS if piece.holds < piece.fails else FAILS


def power_of(claim: Claim, evidence: list[Evidence]) -> float:
    """Return how likely the claim would come out as "holds" at a true effect of one deviation."""
    seeds = min(piece.seeds for piece in evidence)
    tasks = min(piece.tasks for piece in evidence)
    if seeds < MIN_SEEDS:
        return 0.0
    if claim.kind == "better":
        return power.of_comparison(seeds, tasks, len(evidence))
    return power.of_curves(seeds, tasks, len(evidence), settles=claim.kind == "settles")


def render(judged: pd.DataFrame) -> Table:
    """Return the judgements on one claim as a table for readers."""
    several = len(set(judged["on"])) > 1
    columns = (
        Column("judged by", _judged_by),
        *([table.words("on")] if several else []),
        table.value("value"),
        table.interval(),
        table.count("seeds"),
        Column("p (Holm)", lambda row: Cell(p_words(row["p"]), "number"), table.RIGHT),
        Column("power", lambda row: Cell(percent(row["power"]), "number"), table.RIGHT),
        Column("verdict", lambda row: Cell(row["verdict"] or table.NOTHING)),
    )
    return Table(judged, columns)


def _judged_by(row: table.Row) -> Cell:
    """Return what a number is; of a panel, which stands below the number over all of them."""
    return Cell(row["judged_by"], "words" if row["verdict"] else "panel")


def p_words(p: float) -> str:
    """Return a p-value to the digits that matter; a dash for NaN."""
    return f"< {SMALLEST_P}" if p < SMALLEST_P else table.number(p)


def percent(share: float) -> str:
    """Return a share in percent; a dash for NaN."""
    return table.NOTHING if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def remarks(judged: pd.DataFrame) -> str:
    """Return who makes a claim, what it is judged over, and how likely it could be seen to hold."""
    first = judged.iloc[0]
    words = [first["source"], over_tasks(judged)]
    if not math.isnan(first["power"]):
        words.append(f"power {percent(first['power'])}")
    return "; ".join(filter(None, words))


def over_tasks(judged: pd.DataFrame) -> str:
    """Return the words for the tasks that a claim is judged over together; "" where it is one."""
    words = judged["on"].iat[0]
    return words if words.startswith(AVERAGE) else ""


def markdown(judged: pd.DataFrame) -> list[str]:
    """Return the lines of each claim with its verdict, and the numbers that it rests on."""
    lines: list[str] = []
    for says, rows in judged.groupby("claim", sort=False):
        verdict_words = f"Verdict: **{rows['claim_verdict'].iat[0]}** ({remarks(rows)})."
        lines += ["", f"**Claim: {says}** {verdict_words}", ""]
        lines += render(rows).without("seeds").markdown()
    return lines
