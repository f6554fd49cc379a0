"""A number of things that a document states is the number that there are."""

import pytest
from small import ROOT

from partage.config import plan
from partage.config.figures import OF_TRIALS
from partage.config.request import Request
from partage.distances.distance import CODED, VANILLA

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SHEETS = plan.load()
PAPER, LAB = SHEETS.for_scale("paper"), SHEETS.for_scale("lab")
KINDS = [figure.kind for figure in SHEETS.figures.values()]
FIGURES = len([kind for kind in KINDS if kind not in OF_TRIALS])
ADDED = {"smac/3m", "smac/8m", "smac/3s5z"}  # to the maps of the papers
SCRIPTS = ROOT / "src/partage/report"


def tasks(figure: str, family: str = "") -> list[str]:
    """Return the tasks of a figure, or of those of one family."""
    return [task for task in PAPER.figures[figure].tasks if task.startswith(family)]


(SWEEP,) = LAB.select_figures("games-sweep")
RUNS = len(LAB.recipes([SWEEP], Request(scale="lab")))
METHODS = len(SHEETS.figures["games-sweep"].algorithms)
SIX = len(tasks("mpd-fig3"))
MAPS = len({name for name in SHEETS.tasks if name.startswith("smac/")} - ADDED)
STATED = [
    ("README.md", "| figures | {:d} of them with their claims", FIGURES),
    ("README.md", "{} arenas of methods held equal", KINDS.count("arena")),
    ("README.md", "{} policy distances", len(CODED) + len(VANILLA)),
    ("README.md", "the first paper's {} scenarios", SIX),
    ("README.md", "over {} such scenarios", SIX),
    ("README.md", "{} scripts to start from", len(list((ROOT / "examples").glob("*.py")))),
    ("docs/costs.md", "{} policy distances while", len(CODED) + len(VANILLA)),
    ("docs/costs.md", "`mpd-fig4` | {} super hard", len(tasks("mpd-fig4"))),
    ("docs/costs.md", "`bdps-fig12` | {} and", len(tasks("bdps-fig3"))),
    ("docs/costs.md", "and {} starcraft maps", len(tasks("bdps-fig12"))),
    ("docs/tutorial/figure.md", "on {} tasks of up to thirty agents", SIX),
    ("docs/tutorial/figure.md", "{} ways of sharing", len(PAPER.figures["mpd-fig3"].algorithms)),
    ("docs/arena.md", "{:d} runs: 9 methods x 9 trials x 3 tasks", RUNS),
    ("docs/arena.md", "{:d} methods x", METHODS),
    ("docs/arena.md", "{:d} trials x", len(SWEEP.algorithms) // METHODS),
    ("docs/arena.md", "{:d} tasks, three seeds each", len(SWEEP.tasks)),
    ("docs/arena.md", "{} games of 3 agents", len(SWEEP.tasks)),
    ("docs/arena.md", "{} of mpd's scenarios", len(tasks("arena-spread")) - 1),
    ("docs/arena.md", "{} maps and", len(tasks("arena-smac", "smac/"))),
    ("docs/arena.md", "{} drawn armies", len(tasks("arena-smac", "smacv2/"))),
    ("docs/skirmish.md", "plays {} maps of smac v1", MAPS),
    ("docs/starcraft.md", "on all {} maps", MAPS),
]  # fmt: skip


@pytest.mark.parametrize(("document", "phrase", "count"), STATED)
def test_a_count_in_a_document_is_the_count_of_what_there_is(
    document: str, phrase: str, count: int
) -> None:
    text = " ".join((ROOT / document).read_text(encoding="utf-8").split()).lower()
    said = phrase.format(count if "{:d}" in phrase else WORDS[count]).lower()
    assert said in text


def test_the_length_of_the_page_s_script_is_what_the_docs_say() -> None:
    lines = sum(len(path.read_text().splitlines()) for path in SCRIPTS.glob("*.js"))
    text = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    assert f"some {round(lines, -1)} lines" in text
