"""Claims of which nothing is published with today's settings, and what their figures would take."""

from collections.abc import Collection, Iterable

from partage.analysis import claims
from partage.config import calibration, costs
from partage.config.bill import HOUR
from partage.config.figures import Figure
from partage.config.plan import Plan
from partage.config.recipe import SCALES
from partage.config.request import Request
from partage.report.provenance import Overview

PRICED = SCALES[::-1][:2]  # the papers' own budgets, and the lab's


def rows(plan: Plan, published: Collection[str]) -> Iterable[Overview]:
    """Yield a row for each claim of the figures that are not among those `published`.

    The price stands at a figure's first claim.
    """
    for name in plan.all_of(plan.figures):
        if name not in published:
            figure = plan.figures[name]
            for number, claim in enumerate(figure.claims):
                yield Overview(
                    figure.name,
                    figure.title,
                    claim.says,
                    claims.NOT_RUN,
                    "none" if number == 0 else "",
                    price(plan, figure) if number == 0 else "",
                    on_page=False,
                )


def price(plan: Plan, figure: Figure) -> str:
    """Return the CPU-hours of a figure, as the calibration that comes with the suite has them."""
    shipped = calibration.read(calibration.SHIPPED)
    said = []
    for scale in PRICED:
        scaled = plan.for_scale(scale)
        at_scale = scaled.figures[figure.name]
        if at_scale.lacks:
            return "not known before its sweep"
        recipes = scaled.recipes([at_scale], Request(scale=scale))
        hours = sum(costs.of(recipe, shipped).cpu_seconds for recipe in recipes) / HOUR
        said.append(f"{hours:,.1f} ({scale})")
    return f"would take {' or '.join(said)}"
