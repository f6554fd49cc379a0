"""The examples run as they stand, are short, and print what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest
from small import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PRINTS = {
    "compare_two_algorithms": ["fps+steps=4000", "improvement", "returns of four greedy episodes"],
    "measure_my_agents": ["fronts: [0 0 0 3 3 3]", "agent 5 takes the front of agent 3"],
    "share_in_my_loop": ["fronts: [0, 0, 1, 1]  backs: [0, 0, 2, 2]"],
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_prints_what_it_promises(example: Path, tmp_path: Path) -> None:
    assert len(example.read_text().splitlines()) <= 40
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for line in PRINTS[example.stem]:
        assert line in done.stdout


def test_every_example_is_explained() -> None:
    explained = (ROOT / "docs/python.md").read_text()
    assert {path.stem for path in EXAMPLES} == PRINTS.keys()
    for path in EXAMPLES:
        assert f"examples/{path.name}" in explained
