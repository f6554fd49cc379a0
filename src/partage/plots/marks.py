"""What is drawn bears a name: matplotlib writes it into the SVG, for the page's script to find."""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote

from matplotlib.legend import Legend

SIGN = "mark"  # the first word of every name


OF_A_RUN = ("curve", "dot", "ring")  # kinds that a pointer is told of


class Mark(NamedTuple):
    """The name of a line, a dot, an interval or an entry of a legend."""

    kind: str  # one of `OF_A_RUN` | middle | band | published | legend
    of: str  # the algorithm; of the further metrics of one algorithm, the metric
    panel: int = 0  # counted from 0, row by row
    seed: int = -1  # of a curve, a dot or a ring; -1: of all
    words: str = ""  # what is said of it; of a curve its points say it

    @property
    def gid(self) -> str:
        """Return the name as matplotlib takes it."""
        of, words = quote(self.of, safe=""), quote(self.words, safe="")
        return f"{SIGN} {self.kind} {of} {self.panel} {self.seed} {words}"


def read(gid: str | None) -> Mark | None:
    """Return the mark that a name is of; None for the names that matplotlib gives.

    >>> read(Mark("curve", "a b", 2, 3).gid)
    Mark(kind='curve', of='a b', panel=2, seed=3, words='')
    """
    words = (gid or "").split(" ")
    if words[0] != SIGN:
        return None
    _, kind, of, panel, seed, said = words
    return Mark(kind, unquote(of), int(panel), int(seed), unquote(said))


def name_legend(legend: Legend, names: Iterable[str]) -> None:
    """Name the first entries of a legend after the curves that they stand for."""
    handles = legend.legend_handles
    for name, handle, words in zip(names, handles, legend.get_texts(), strict=False):
        gid = Mark("legend", name).gid
        words.set_gid(gid)
        if handle is not None:
            handle.set_gid(gid)
