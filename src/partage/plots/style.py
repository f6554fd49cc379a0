"""How all pictures look: colours, fonts, axes."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator

from partage.analysis.labels import NOT_A_RESULT

INK, FAINT, WARNING = "#262626", "#6b6b6b", "#B00020"
GRID = "#e6e6e6"
DPI = 160
ALONE = "#cfcfcf"  # of an agent that shares with nobody
# Told apart by the colour-blind: seaborn's "colorblind", without its grey.
GROUPS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ece133", "#56b4e9", "#ca9161")
DARKER = 0.55  # the same once more, for small groups
FONT = "DejaVu Sans"  # comes with matplotlib: the same everywhere
TITLE_SIZE = 12.5
DASHES: Any = (0, (1.1, 0.5))  # of a published value
STYLE: dict[Any, Any] = {
    **sns.axes_style("ticks"),
    "font.family": FONT,
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


@contextlib.contextmanager
def drawing(look: Mapping[Any, Any] = STYLE) -> Iterator[None]:
    """Draw over matplotlib's own defaults, whatever the user's matplotlibrc, theme or notebook set.

    Their settings are theirs again afterwards.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(look)
        yield


def group_colours(count: int) -> np.ndarray:
    """Return a colour for each of so many groups, the largest first, no two alike: ``[K, 3]``."""
    first = np.array([to_rgb(colour) for colour in GROUPS])
    more = max(count - 2 * len(first), 0)
    rest = np.array(sns.color_palette("husl", more)).reshape(more, 3)
    return np.concatenate([first, DARKER * first, rest])[:count]


def round_ticks() -> MaxNLocator:
    """Return the locator of a few round numbers along an axis."""
    return MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])


def short_number(value: float, _position: int | None = None) -> str:
    """Return a number of steps in few letters, as a tick's label.

    >>> short_number(20000), short_number(1500000)
    ('20k', '1.5M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def style_training_axis(axes: Axes, end: float) -> None:
    """Style the x axis of training: from 0 to a little beyond where the curves end."""
    axes.set_xlim(0, end * 1.02 if end else 1)
    axes.xaxis.set_major_locator(round_ticks())
    axes.xaxis.set_major_formatter(FuncFormatter(short_number))


def warn_of_smoke(canvas: Any, x: float, y: float, side: str = "left") -> None:
    """Write on the canvas, or on a part of it, that smoke scale is no result."""
    canvas.text(x, y, NOT_A_RESULT, color=WARNING, weight="bold", va="top", ha=side)


def title(canvas: Canvas | Any, x: float, y: float, words: str) -> None:
    """Write a picture's title on the canvas, or on a part of it."""
    canvas.text(x, y, words, fontsize=TITLE_SIZE, weight="bold", va="top")
