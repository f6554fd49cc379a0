"""Verdicts on what the papers say: holds, fails or open, each from a number with its bootstrap
interval over seeds.

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

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from partage.analysis import stats
from partage.analysis.frames import runs_of
from partage.analysis.tables import finals
from partage.config.figures import Claim
from partage.config.plan import Figure, Plan
from partage.plots.curves import generator, smoke

LEAST = 4  # seeds on each side
ROOM = 0.10  # of its value in the middle: a curve that moves less has settled
BEYOND = 10.0  # what any larger change counts as, so that one seed near zero does not decide a mean
COLUMNS = [
    "claim",
    "claim_verdict",
    "judged_by",
    "value",
    "ci95_low",
    "ci95_high",
    "seeds",
    "verdict",
]


def build(plan: Plan, figure: Figure, frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each comparison or curve that a claim rests on."""
    rows = []
    for claim in figure.claims:
        parts = list(KINDS[claim.kind](plan, figure, frame, claim))
        verdicts = [
            "not a result (smoke)"
            if smoke(frame)
            else verdict(claim.kind, low, high)
            if seeds >= LEAST
            else "open"
            for *_, low, high, seeds in parts
        ]
        together = next((v for v in ("fails", "open") if v in verdicts), verdicts[0])
        rows += [
            (claim.says, together, *part, each) for part, each in zip(parts, verdicts, strict=True)
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(kind: str, low: float, high: float) -> str:
    """Of one interval; NaN (no spread to see) leaves it open."""
    inside = {
        "better": low > 0.5,
        "grows": low > ROOM,
        "settles": low > -ROOM and high < ROOM,
        "negative": high < 0,
    }
    outside = {
        "better": high < 0.5,
        "grows": high < ROOM,
        "settles": low > ROOM or high < -ROOM,
        "negative": low > 0,
    }
    return "holds" if inside[kind] else "fails" if outside[kind] else "open"


def better(plan: Plan, figure: Figure, frame: pd.DataFrame, claim: Claim) -> Iterator[tuple]:
    for metric, name in itertools.product(claim.metrics or [figure.metric], claim.than):
        scores, named = finals(figure, frame, metric), [metric] if claim.metrics else []
        both = [by_name for by_name in scores if claim.of in by_name and name in by_name]
        mine, theirs = ([by_name[one] for by_name in both] for one in (claim.of, name))
        rng = generator(figure.name, claim.of, name, *named, "improvement")
        low, high = stats.improvement_interval(mine, theirs, rng)
        what = f"P({plan.variants[claim.of].label} > {plan.variants[name].label})" + "".join(
            f", {m}" for m in named
        )
        yield (
            what,
            float(stats.improvement(mine, theirs)),
            low,
            high,
            min(map(len, (*mine, *theirs))),
        )


def moving(plan: Plan, figure: Figure, frame: pd.DataFrame, claim: Claim) -> Iterator[tuple]:
    for metric in claim.metrics:
        what = f"change of {figure.also.get(metric, metric)}"
        yield what, *over_runs(figure, frame, claim, metric, change)


def level(plan: Plan, figure: Figure, frame: pd.DataFrame, claim: Claim) -> Iterator[tuple]:
    for metric in claim.metrics:
        yield (
            f"end of {figure.also.get(metric, metric)}",
            *over_runs(figure, frame, claim, metric, stats.final),
        )


def over_runs(
    figure: Figure,
    frame: pd.DataFrame,
    claim: Claim,
    metric: str,
    number: Callable[[np.ndarray, np.ndarray], float],
) -> tuple[float, float, float, int]:
    """A number of each run of the algorithm: its mean over runs, the interval, and the fewest seeds
    of a task.
    """
    tasks = [task for task in figure.tasks if figure.draws(claim.of, task)]
    runs = [runs_of(frame, claim.of, task, metric, figure.x) for task in tasks]
    found = [np.array([number(x, y) for x, y in of_task]) for of_task in runs]
    low, high = stats.interval(found, generator(figure.name, claim.of, metric, number.__name__))
    return float(np.concatenate(found).mean()), low, high, min(map(len, found))


def change(x: np.ndarray, y: np.ndarray) -> float:
    """Of a run's curve from the middle of training to its end, as a share of the middle.

    >>> change(np.arange(101.0), np.where(np.arange(101) < 70, 2.0, 3.0))
    0.5
    """
    middle = float(np.mean(y[(x >= 0.425 * x[-1]) & (x <= 0.575 * x[-1])]))
    end = stats.final(x, y)
    if math.isinf(middle) or math.isinf(end):
        return BEYOND
    if middle == 0:
        return BEYOND if end else 0.0
    return float(np.clip(end / middle - 1, -BEYOND, BEYOND))


KINDS = {"better": better, "grows": moving, "settles": moving, "negative": level}
