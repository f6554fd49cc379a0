"""How all pictures look."""

from typing import Any

import seaborn as sns

INK, FAINT, WARNING = "#262626", "#6b6b6b", "#B00020"
STYLE: dict[Any, Any] = {
    **sns.axes_style("ticks"),
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9.0,
    "axes.edgecolor": "#9a9a9a",
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": "#9a9a9a",
    "ytick.color": "#9a9a9a",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "svg.hashsalt": "partage",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType, embedded: some publishers refuse Type 3
}
