"""How much room words take: measured in the font that they are drawn in, never counted."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from partage.plots.style import DPI, FONT

POINTS = 72.0  # an inch


def width(words: str, size: float, weight: str = "normal") -> float:
    """Return how wide a line of words is, in inches; `size` is the font's, in points."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(words, font, ismath=False)[0] / POINTS


def widest(words: str, size: float) -> float:
    """Return how wide the widest line of some words is, in inches."""
    return max(width(line, size) for line in words.split("\n"))


def lines(words: str) -> int:
    """Return how many lines some words are."""
    return words.count("\n") + 1


def wrap(words: str, room: float, size: float, weight: str = "normal") -> str:
    """Return the words in lines that are at most `room` inches wide.

    Lines end between words; within one only where it is wider than a line by itself.
    """
    lines: list[str] = []
    line = ""
    for word in words.split(" "):
        longer = f"{line} {word}" if line else word
        if width(longer, size, weight) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while width(line, size, weight) > room and len(line) > 1:
            fits = _letters_that_fit(line, room, size, weight)
            lines.append(line[:fits])
            line = line[fits:]
    return "\n".join([*lines, line])


def _letters_that_fit(word: str, room: float, size: float, weight: str) -> int:
    """Return how many letters of a word fit, at least one."""
    count = 1
    while width(word[: count + 1], size, weight) <= room:
        count += 1
    return count


def reach(axes: Axes) -> float:
    """Return how far what is written beside axes reaches to their left, in inches."""
    canvas = axes.get_figure(root=True)
    assert canvas is not None
    renderer = FigureCanvasAgg(canvas).get_renderer()
    box = axes.get_tightbbox(renderer, bbox_extra_artists=axes.texts)
    return (axes.bbox.x0 - box.x0) / canvas.dpi if box else 0.0


def legend(
    handles: Sequence[Artist], room: float, most: int = 99, **look: Any
) -> tuple[int, float]:
    """Return the `most` columns of a legend that fit into `room` inches, and its height then.

    `look` is how it is drawn. One column is drawn in any case, and no more than its rows need: six
    entries are two rows of three, not five columns of which the first has two.
    """
    columns, height = min(len(handles), most), 0.0
    while columns:
        canvas = Canvas(dpi=DPI)
        drawn = canvas.legend(handles=list(handles), ncols=columns, **look)
        box = drawn.get_window_extent(FigureCanvasAgg(canvas).get_renderer())
        height = box.height / DPI
        if box.width / DPI <= room:
            rows = math.ceil(len(handles) / columns)
            even = math.ceil(len(handles) / rows)
            return (columns, height) if even == columns else legend(handles, room, even, **look)
        columns -= 1
    return 1, height
