"""What the documents say that can be looked up: published returns, and where links lead."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from small import ROOT

from partage.runs.finals import final

sys.path.insert(0, str(ROOT / "docs/hooks"))
import anchors

PUBLISHED = ROOT / "results/published"
FIDELITY = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8")
OF_DEPTHS = {
    f"{label}, `{task}`": [
        (f"former/critic-4/runs/{name}", task),
        (f"former/critics-apart/runs/{name}", task),
    ]
    for label, name, task in (
        ("NPS", "nps", "15a_3c"),
        ("MDPS", "mdps", "15a_3c"),
        ("NPS", "nps", "30a_5c"),
    )
}
OF_STARTS = {
    f"`{task}`": [
        (f"former/critics-apart/runs/{name}", task)
        for name in ("mdps", "mdps-same-init", "nps", "nps-same-init")
    ]
    for task in ("15a_3c", "30a_3c", "30a_5c", "30a_5c_super")
}
OF_TODAY = {
    label: [
        (f"{place}/runs/{label.lower()}", "15a_3c") for place in ("paper", "former/critics-apart")
    ]
    for label in ("MDPS", "NPS", "SePS")
}
TABLES = {
    "| four layers: seeds |": OF_DEPTHS,
    "| MDPS, networks of their own |": OF_STARTS,
    "| today's start: seeds |": OF_TODAY,
}
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "results").glob("*.md"),
    *(ROOT / "results/published").rglob("*.md"),
]


def rows(header: str) -> list[list[str]]:
    """Return the cells of the rows below the line that has this in it."""
    _, _, below = FIDELITY.partition(header)
    lines = below.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def ends(algorithm: str, task: str) -> list[str]:
    """Return what the seeds of a published run end at, as the page writes it."""
    (curve,) = (PUBLISHED / algorithm / "mpe" / task).glob("*/curve.parquet")
    frame = pd.read_parquet(curve)
    frame = frame.loc[frame["metric"] == "train_return"].sort_values(by="env_steps")
    values = [
        final(of_seed["env_steps"].to_numpy(), of_seed["value"].to_numpy())
        for _, of_seed in frame.groupby("seed")
    ]
    return [f"{round(value):,}".replace("-", "\N{MINUS SIGN}") for value in values]


@pytest.mark.parametrize("header", TABLES)
def test_the_returns_on_the_fidelity_page_are_those_of_the_published_runs(header: str) -> None:
    said = {name: cells for name, *cells in rows(header)}
    assert said.keys() == TABLES[header].keys()
    for name, runs in TABLES[header].items():
        lists = [cell for cell in said[name] if ", " in cell]
        assert lists == [", ".join(ends(*run)) for run in runs], name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_s_links_lead_to_what_is_there(document: Path) -> None:
    text = re.sub(r"(?s)```.*?```", "", document.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place) if place else document
        assert target.exists(), link
        assert not anchor or anchor in anchors.of_page(target.read_text(encoding="utf-8")), link
