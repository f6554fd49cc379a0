"""Claims of which nothing is published with today's settings, and what their figures would take."""

from collections.abc import Collection, Iterable, Mapping

from partage.analysis import claims
from partage.config import calibration, costs
from partage.config.bill import HOUR
from partage.config.calibration import Calibration
from partage.config.plan import Plan
from partage.config.recipe import SCALES
from partage.config.request import Request
from partage.report.provenance import Overview

PRICED = SCALES[::-1][:2]  # the papers' own budgets, and the lab's


def rows(plan: Plan, published: Collection[str]) -> Iterable[Overview]:
    """Yield a row for each claim of the figures that are not among those `published`.

    The price stands at a figure's first claim, by the calibration that comes with the suite.
    """
    shipped = calibration.read(calibration.SHIPPED)
    at_scales = {scale: plan.for_scale(scale) for scale in PRICED}
    for name in plan.all_of(plan.figures):
        figure = plan.figures[name]
        if name in published or not figure.claims:
            continue
        cells, taken = "none", price(name, at_scales, shipped)
        for claim in figure.claims:
            said = claim.says, claims.NOT_RUN
            yield Overview(name, figure.title, *said, cells, taken, on_page=False)
            cells = taken = ""


def price(name: str, at_scales: Mapping[str, Plan], known: Calibration) -> str:
    """Return the CPU-hours of a figure, at each scale."""
    said = []
    for scale, plan in at_scales.items():
        figure = plan.figures[name]
        if figure.lacks:
            return "not known before its sweep"
        recipes = plan.recipes([figure], Request(scale=scale))
        hours = sum(costs.of(recipe, known).cpu_seconds for recipe in recipes) / HOUR
        said.append(f"{hours:,.1f} ({scale})")
    return f"would take {' or '.join(said)}"
