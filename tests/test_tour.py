"""The notebook runs from its first cell to its last, and what it keeps of itself is small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small import ROOT

sys.path.insert(0, str(ROOT / "docs/hooks"))
import notebook

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import notebook
names = {"__name__": "__main__"}
for cell in notebook.cells():
    if cell["cell_type"] == "code":
        for output in notebook.run(cell, names):
            print("".join(output["text"]) if "text" in output else "A picture.")
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the notebook prints, run in a process of its own in the folder that it lies in."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "MPLBACKEND": "Agg"}
    environment["TMPDIR"] = str(tmp_path_factory.mktemp("tour"))
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT / "docs/hooks")],
        cwd=ROOT / "examples",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.xdist_group("tour")
def test_the_tour_draws_a_figure_measures_distances_and_plays_a_battle(said: str) -> None:
    assert said.count("A picture.") == 4
    assert "improvement" in said and "steps, won: True" in said
    within, between = said.partition("within colours ")[2].splitlines()[0].split(", between them ")
    assert 0 < float(within) < float(between)


@pytest.mark.xdist_group("tour")
def test_what_the_tour_keeps_of_its_outputs_is_small_and_of_every_cell_that_has_any(
    said: str,
) -> None:
    kept = [output for cell in notebook.cells() for output in cell.get("outputs", [])]
    assert len([output for output in kept if "data" in output]) == said.count("A picture.")
    assert notebook.TOUR.stat().st_size < 150_000
    for folder in (str(Path.home()), str(ROOT), "/tmp"):
        assert folder not in notebook.TOUR.read_text(encoding="utf-8")
