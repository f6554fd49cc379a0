"""Verdicts on what the papers say: a claim holds, fails, or is open.

Each verdict rests on a number with its bootstrap interval over seeds. How each kind is judged:

* ``better``: the probability that a run of one algorithm ends above a run of another (mean of the
  last 15 %), mean over tasks. It holds against a baseline when the whole interval lies above one
  half, and fails when it lies below.
* ``grows`` and ``settles``: the change of a curve, from its mean in the middle of training (42.5 to
  57.5 % of the x axis) to its mean over the last 15 %. It grows, away from zero, by more than 10 %,
  or stays within 10 %; an infinite curve has grown.
* ``negative``: the mean of a curve over its last 15 %; it holds when the whole interval lies below
  zero.

A claim holds if all its parts do and fails if one does. Smoke decides nothing, and neither do fewer
than four seeds: of three and three equal ones, all of one side end above the other's in one case of
ten.
"""

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from partage.analysis import series, stats, table
from partage.analysis.finals import final_scores
from partage.analysis.frames import runs_of
from partage.analysis.labels import is_smoke
from partage.analysis.stats import Interval, named_generator
from partage.analysis.table import Table
from partage.config.figures import Claim
from partage.config.plan import Figure, Plan

MIN_SEEDS = 4  # on each side, for a verdict
EVEN_CHANCE = 0.5  # the probability of improvement of an algorithm over itself
SETTLED_SHARE = 0.10  # of a curve's value in the middle: one that moves less has settled
MIDDLE_OF_TRAINING = (0.425, 0.575)  # shares of the x axis
# A share of the value in the middle: any larger change counts as this much, so that one seed near
# zero does not decide a mean.
MAX_CHANGE = 10.0
HOLDS, FAILS, OPEN = "holds", "fails", "open"
SMOKE = "not a result (smoke)"


class Evidence(NamedTuple):
    """One number that a claim rests on."""

    judged_by: str  # what the number is
    value: float
    interval: Interval
    seeds: int  # the fewest of any side and task


class Judgement(NamedTuple):
    """A claim, one piece of its evidence, and both their verdicts: a row of the claims' table."""

    claim: str
    claim_verdict: str
    judged_by: str
    value: float
    ci95_low: float
    ci95_high: float
    seeds: int
    verdict: str


COLUMNS = list(Judgement._fields)


def build(plan: Plan, figure: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each comparison or curve that a claim rests on, as `Judgement`."""
    rows: list[Judgement] = []
    for claim in figure.claims:
        rows += judge(claim, evidence_for(plan, figure, frame, claim), is_smoke(frame))
    return pd.DataFrame(rows, columns=COLUMNS)


def judge(claim: Claim, evidence: list[Evidence], smoke: bool) -> list[Judgement]:
    """Return the judgements on a claim, one for each piece of its evidence."""
    verdicts = [verdict(claim.kind, piece, smoke) for piece in evidence]
    together = claim_verdict(verdicts)
    return [
        Judgement(
            claim.says,
            together,
            piece.judged_by,
            piece.value,
            piece.interval.low,
            piece.interval.high,
            piece.seeds,
            one,
        )
        for piece, one in zip(evidence, verdicts, strict=True)
    ]


def claim_verdict(verdicts: list[str]) -> str:
    """Return the verdict on a claim from those on its parts: one that fails decides."""
    for decisive in (FAILS, OPEN):
        if decisive in verdicts:
            return decisive
    return verdicts[0]


def verdict(kind: str, evidence: Evidence, smoke: bool = False) -> str:
    """Return the verdict on one piece of evidence for a claim of this kind."""
    if smoke:
        return SMOKE
    if evidence.seeds < MIN_SEEDS:
        return OPEN
    return VERDICTS[kind](*evidence.interval)


def _verdict(holds: bool, fails: bool) -> str:
    if holds:
        return HOLDS
    return FAILS if fails else OPEN


# One function for each kind of claim, of the ends of the interval. NaN, no spread to see, compares
# as false with everything and so leaves the claim open.


def verdict_on_better(low: float, high: float) -> str:
    """Return the verdict from the interval of the probability of improvement."""
    return _verdict(holds=low > EVEN_CHANCE, fails=high < EVEN_CHANCE)


def verdict_on_grows(low: float, high: float) -> str:
    """Return the verdict from the interval of the change of a curve that should grow."""
    return _verdict(holds=low > SETTLED_SHARE, fails=high < SETTLED_SHARE)


def verdict_on_settles(low: float, high: float) -> str:
    """Return the verdict from the interval of the change of a curve that should stay."""
    stays = low > -SETTLED_SHARE and high < SETTLED_SHARE
    moves = low > SETTLED_SHARE or high < -SETTLED_SHARE
    return _verdict(holds=stays, fails=moves)


def verdict_on_negative(low: float, high: float) -> str:
    """Return the verdict from the interval of the end of a curve that should lie below zero."""
    return _verdict(holds=high < 0, fails=low > 0)


VERDICTS: dict[str, Callable[[float, float], str]] = {
    "better": verdict_on_better,
    "grows": verdict_on_grows,
    "settles": verdict_on_settles,
    "negative": verdict_on_negative,
}


def evidence_for(plan: Plan, figure: Figure, frame: pd.DataFrame, claim: Claim) -> list[Evidence]:
    """Return what the frame has to say on a claim."""
    if claim.kind == "better":
        return list(_comparisons(plan, figure, frame, claim))
    if claim.kind == "negative":
        return list(_ends(figure, frame, claim))
    return list(_changes(figure, frame, claim))


def _comparisons(
    plan: Plan, figure: Figure, frame: pd.DataFrame, claim: Claim
) -> Iterator[Evidence]:
    """Yield the probability of improvement over each baseline, on the tasks that both stand on."""
    for metric, baseline in product(claim.metrics or [figure.metric], claim.than):
        both = [
            scores
            for scores in final_scores(figure, frame, metric)
            if claim.of in scores and baseline in scores
        ]
        ours = [scores[claim.of] for scores in both]
        theirs = [scores[baseline] for scores in both]
        names = [metric] if claim.metrics else []
        rng = named_generator(figure.name, claim.of, baseline, *names, "improvement")
        labels = f"{plan.variants[claim.of].label} > {plan.variants[baseline].label}"
        yield Evidence(
            ", ".join([f"P({labels})", *names]),
            float(stats.improvement(ours, theirs)),
            stats.improvement_interval(ours, theirs, rng),
            min(len(values) for values in (*ours, *theirs)),
        )


def _changes(figure: Figure, frame: pd.DataFrame, claim: Claim) -> Iterator[Evidence]:
    for metric in claim.metrics:
        what = f"change of {figure.also.get(metric, metric)}"
        yield _over_runs(figure, frame, claim.of, metric, what, "change", change)


def _ends(figure: Figure, frame: pd.DataFrame, claim: Claim) -> Iterator[Evidence]:
    for metric in claim.metrics:
        what = f"end of {figure.also.get(metric, metric)}"
        yield _over_runs(figure, frame, claim.of, metric, what, "final", series.final)


def _over_runs(
    figure: Figure,
    frame: pd.DataFrame,
    algorithm: str,
    metric: str,
    judged_by: str,
    generator_name: str,
    number_of_run: Callable[[np.ndarray, np.ndarray], float],
) -> Evidence:
    """Return the mean of a number over all runs of the algorithm, with its interval."""
    numbers = []  # [n] for each task
    for task in figure.tasks:
        if figure.draws(algorithm, task):
            runs = runs_of(frame, algorithm, task, metric, figure.x)
            numbers.append(np.array([number_of_run(run.x, run.y) for run in runs]))
    rng = named_generator(figure.name, algorithm, metric, generator_name)
    return Evidence(
        judged_by,
        float(np.concatenate(numbers).mean()),
        stats.interval(numbers, rng),
        min(len(values) for values in numbers),
    )


def change(x: np.ndarray, y: np.ndarray) -> float:
    """Return how a run's curve changes from the middle of training to its end.

    The change is a share of the middle, from -MAX_CHANGE to MAX_CHANGE.

    >>> change(np.arange(101.0), np.where(np.arange(101) < 70, 2.0, 3.0))
    0.5
    """
    first, last = MIDDLE_OF_TRAINING
    middle = float(np.mean(y[(x >= first * x[-1]) & (x <= last * x[-1])]))
    end = series.final(x, y)
    if math.isinf(middle) or math.isinf(end):
        return MAX_CHANGE
    if middle == 0:
        return MAX_CHANGE if end else 0.0
    return float(np.clip(end / middle - 1, -MAX_CHANGE, MAX_CHANGE))


def render(judged: pd.DataFrame) -> Table:
    """Return the judgements on one claim as a table for readers."""
    columns = (
        table.words("judged_by", "judged by"),
        table.value("value"),
        table.interval(),
        table.count("seeds"),
        table.words("verdict"),
    )
    return Table(judged, columns)


def markdown(judged: pd.DataFrame) -> list[str]:
    """Return the lines of each claim with its verdict, and the numbers that it rests on."""
    lines: list[str] = []
    for says, rows in judged.groupby("claim", sort=False):
        lines += ["", f"**Claim: {says}** Verdict: **{rows['claim_verdict'].iat[0]}**.", ""]
        lines += render(rows).without("seeds").markdown()
    return lines
