"""CONTRIBUTING.md's recipes, followed to the letter in a copy of the checkout: what they add is
trained and drawn.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from small import HALF_WRITTEN, ROOT, edit

from partage.sharing.assignment import partition

pytestmark = pytest.mark.xdist_group("contributing")  # what the tests share is made once

GUIDE = ROOT / "CONTRIBUTING.md"
# of the contract what a new learner's own file decides; the rest holds of every learner alike
CONTRACT = (
    "has_a_variant or (pairs or regrouped) and ceiling or (pairs or regrouped or redealt) and "
    "(in_a_pack or saved_state or is_saved_and_loaded or copied_learner)"
)
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHEETS = "src/partage/config/sheets/"


def blocks() -> list[tuple[str, str, str]]:
    """(language, file, text) of each code block; commands have no file."""
    return BLOCK.findall(GUIDE.read_text(encoding="utf-8"))


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": "src", "MPLBACKEND": "Agg"}
    ran = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}{ran.stderr}"
    return ran


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the files and entries of the guide in it."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("src", "envs", "workflow", "results/reference", "tests"):
        shutil.copytree(  # what is compiled already included
            ROOT / name, root / name, ignore=shutil.ignore_patterns(*HALF_WRITTEN)
        )
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    (root / "profiles").symlink_to("workflow/profiles")
    (root / ".venv").symlink_to(sys.prefix)
    for _, file, text in blocks():
        if file.startswith(SHEETS) and file.endswith(".toml"):
            with (root / file).open("a", encoding="utf-8") as sheet:
                sheet.write("\n" + text)
        elif file:
            assert not (root / file).exists(), (
                f"{file} is there already: the guide's example needs another name"
            )
            (root / file).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def finished(copy: Path) -> Path:
    """The copy after the guide's commands."""
    commands = [
        line for language, _, text in blocks() if language == "bash" for line in text.splitlines()
    ]
    assert len(commands) >= 2
    for command in commands:
        run(copy, "bash", "-c", command)
    return copy


def test_the_guide_adds_a_learner_an_environment_and_a_figure():
    files = [file for _, file, _ in blocks() if file]
    for place in (
        "src/partage/learners/",
        "src/partage/envs/",
        f"{SHEETS}figures.toml",
        "src/partage/report/captions/",
    ):
        assert any(file.startswith(place) for file in files), place


def test_the_new_figure_is_trained_and_drawn(finished: Path):
    picture = (finished / "results/smoke/figures/ring.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    made = sorted(path.name for path in (finished / "results/smoke/runs").iterdir())
    assert made == ["fps", "pairs", "redealt", "regrouped"]
    assert "A2C, in pairs" in (finished / "results/smoke/tables/ring.md").read_text(
        encoding="utf-8"
    )


def test_the_new_learner_shares_in_pairs_and_learns_the_new_game(finished: Path):
    curve = pd.read_parquet(finished / "results/smoke/runs/pairs/ring/4x6/0-1/curve.parquet")
    last = curve[curve["metric"].str.startswith("sharing/front/") & (curve["seed"] == 1)]
    assert last.groupby("metric")["value"].last().tolist() == [0, 0, 1, 1]
    returns = curve[curve["metric"] == "train_return"].groupby("env_steps")["value"].mean()
    assert returns.iloc[-1] > returns.iloc[0] + 10


def test_the_learner_that_moves_its_sharing_moved_it_and_has_it_in_its_policies(finished: Path):
    run_of_it = finished / "results/smoke/runs/regrouped/ring/4x6/0-1"
    curve = pd.read_parquet(run_of_it / "curve.parquet")
    last = []
    for seed in (0, 1):
        shared = curve[curve["metric"].str.startswith("sharing/agent/") & (curve["seed"] == seed)]
        assert shared["env_steps"].nunique() > 2
        last.append(shared.groupby("metric")["value"].last().tolist())
    saved = torch.load(run_of_it / "policy.pt", weights_only=True)["learner"]["nets"]
    assert partition(saved["assignment"]).tolist() == last


def test_the_new_learners_keep_the_contract_and_nothing_in_it_was_touched(finished: Path):
    tests = ("tests/test_learners.py", "tests/test_saved_state.py")
    ran = run(
        finished,
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
        *("-k", CONTRACT, *tests),
    )
    assert re.search(r"[1-9]\d* passed", ran.stdout) and "skipped" not in ran.stdout


def test_the_new_environment_keeps_the_contract(finished: Path):
    edit(
        finished / "tests/test_env_contract.py",
        "CASES = [\n",
        'CASES = [\n    ("ring/4x6", "batched"),\n',
    )
    ran = run(
        finished,
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-k",
        "ring",
        "tests/test_env_contract.py",
    )
    assert re.search(r"[1-9]\d* passed", ran.stdout) and "skipped" not in ran.stdout
