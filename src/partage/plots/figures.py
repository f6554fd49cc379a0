"""Draw a figure, whichever kind of picture its entry in figures.toml asks for."""

import pandas as pd
from matplotlib.figure import Figure as Canvas

from partage.config.plan import Figure, Plan
from partage.plots import ceilings, curves, rows

BY_KIND = {"curves": curves.draw, "ceilings": ceilings.draw}
BY_KIND |= {"sweep": rows.draw_sweep, "arena": rows.draw_arena}


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame) -> Canvas:
    """Return the whole figure."""
    return BY_KIND[figure.kind](plan, figure, frame)
