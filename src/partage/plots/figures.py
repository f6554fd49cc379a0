"""Draw a figure, whichever kind of picture its entry in figures.toml asks for."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure as Canvas

from partage.config.plan import Figure, Plan
from partage.plots import ceilings, curves, rows
from partage.runs.reference_curves import Shown

WITHOUT_OTHERS = {"ceilings": ceilings.draw, "sweep": rows.draw_sweep, "arena": rows.draw_arena}


def draw(plan: Plan, figure: Figure, frame: pd.DataFrame, others: Sequence[Shown] = ()) -> Canvas:
    """Return the whole figure; curves of `others` are drawn behind ours, where ours are curves."""
    if figure.kind in WITHOUT_OTHERS:
        return WITHOUT_OTHERS[figure.kind](plan, figure, frame)
    return curves.draw(plan, figure, frame, others)
