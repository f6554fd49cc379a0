"""What is drawn bears a name: matplotlib writes it into the SVG, for the page's script to find."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote

from matplotlib.legend import Legend

SIGN = "mark"  # the first word of every name


class Mark(NamedTuple):
    """The name of a line, an interval or an entry of a legend."""

    kind: str  # curve (of one seed) | middle | band | published | legend
    of: str  # the algorithm; of the further metrics of one algorithm, the metric
    panel: int = 0  # counted from 0, row by row
    seed: int = -1  # of a curve

    @property
    def gid(self) -> str:
        """Return the name as matplotlib takes it."""
        return f"{SIGN} {self.kind} {quote(self.of, safe='')} {self.panel} {self.seed}"


def read(gid: str | None) -> Mark | None:
    """Return the mark that a name is of; None for the names that matplotlib gives.

    >>> read(Mark("curve", "a b", 2, 3).gid)
    Mark(kind='curve', of='a b', panel=2, seed=3)
    """
    words = (gid or "").split(" ")
    if words[0] != SIGN:
        return None
    _, kind, of, panel, seed = words
    return Mark(kind, unquote(of), int(panel), int(seed))


def name_legend(legend: Legend, names: Iterable[str]) -> None:
    """Name the first entries of a legend after the curves that they stand for."""
    handles = legend.legend_handles
    for name, handle, words in zip(names, handles, legend.get_texts(), strict=False):
        gid = Mark("legend", name).gid
        words.set_gid(gid)
        if handle is not None:
            handle.set_gid(gid)
