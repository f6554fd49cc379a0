"""A small checkout for tests: two learners, two tasks, a figure, and runs made up for them."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from partage.config import plan
from partage.config.recipe import Recipe, run_dir
from partage.runs import record

ROOT = Path(__file__).resolve().parents[1]
HALF_WRITTEN = ("*.pyc.*", "*.tmp.*")  # by Python and Numba, which rename them within moments

LEARNER = '''
from dataclasses import dataclass
from typing import Literal
from partage.shapes import Shape
@dataclass(frozen=True)
class Settings:
    """Its docstring."""
    sharing: Literal["full", "id", "none"] = "full"  # who shares
    shape: Shape = "round"
    lr: float = 3e-4
    hidden: int = 64
    twice: bool = True
    name: str = "x"
'''
FILES = {
    "src/partage/shapes.py": 'from typing import Literal\nShape = Literal["round", "flat"]\n',
    "src/partage/learners/one.py": LEARNER,
    "src/partage/learners/two.py": LEARNER + "    anneal: int = 100\n",
    "src/partage/config/sheets/algorithms.toml": """
[alpha]
learner = "one"
label = "Alpha"
colour = "#0072B2"
settings = { sharing = "none", lr = { smoke = 1, lab = 2e-3, paper = 1e-3 } }
[alpha.task."toy"]
hidden = 32
[alpha.task."toy/a"]
hidden = 16
[beta]
learner = "two"
label = "Beta"
colour = "#E69F00"
settings.anneal = 7
""",
    "src/partage/config/sheets/tasks.toml": """
[toy]
steps = { smoke = 100, lab = 1000, paper = 10_000 }
seeds = { smoke = 2, lab = 3, paper = 5 }
log_every = 10
test_every = 0
test_episodes = 0
time_limit = "terminal"
facts.agents = 3
settings.anneal = { smoke = 5, lab = 50, paper = 500 }
[toy.task.a]
options.size = 4
[toy.task.b]
label = "the other"
steps = 60
""",
    "src/partage/config/sheets/figures.toml": """
[first]
paper = "Paper, Fig. 1"
title = "A figure"
caption = "first.rst"
tasks = ["toy/a"]
algorithms = ["alpha", "beta"]
metric = "train_return"
x = "updates"
x_label = "updates (10 env steps each)"
y_label = "team return (sum over agents)"
reference = "numbers.csv"
[[first.claims]]
says = "Beta is better."
kind = "better"
of = "beta"
than = ["alpha"]
""",
    "src/partage/config/sheets/tables.toml": """
[sizes]
paper = "Paper, Table 1"
title = "Sizes"
tasks = ["toy/a", "toy/b"]
facts = ["agents"]
algorithm = "alpha"
settings = ["hidden", "lr"]
""",
    "src/partage/config/sheets/snapshots.toml": "",
    "src/partage/config/sheets/reference/numbers.csv": "task,algorithm,value\ntoy/a,alpha,1.5\n",
}
SECOND = """
[second]
paper = "Paper, Fig. 2"
title = "Another figure"
caption = "second.rst"
tasks = ["toy/a", "toy/b"]
algorithms = ["alpha"]
metric = "train_return"
x = "env_steps"
x_label = "environment steps"
y_label = "team return (sum over agents)"
"""

# How a trainer begins that stands in for `python -m partage train`, and is Python for all else. A
# first line takes no path with a space: a shell reads these three, to Python they are a text.
STAND_IN_HEAD = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import os, sys
sys.path.insert(0, {tests!r})
if sys.argv[1:4] != ["-m", "partage", "train"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
from pathlib import Path
sys.path.insert(0, "src")
from small import curve, outcome
from partage.runs import record
"""


def checkout(root: Path) -> Path:
    """Write the small checkout's files below `root`."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))


def curve(recipe: Recipe, metric: str = "train_return") -> pd.DataFrame:
    """A made-up curve of the recipe's seeds."""
    parts = []
    for seed in recipe.seeds:
        steps = np.arange(recipe.log_every, recipe.steps + 1, recipe.log_every)
        value = 1 - np.exp(-3 * steps / recipe.steps) + 0.1 * seed
        parts.append(
            pd.DataFrame(
                {
                    "seed": seed,
                    "env_steps": steps,
                    "updates": steps // 10,
                    "metric": metric,
                    "value": value,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def outcome(recipe: Recipe) -> dict:
    """The least a record holds for the drawing side."""
    from dataclasses import asdict

    return {"recipe": asdict(recipe), "code": {"files": {}}}


def finish(recipes: list[Recipe], root: Path) -> list[Path]:
    """Made-up finished runs of `recipes` below `root`."""
    for recipe in recipes:
        place = run_dir(root, recipe)
        place.mkdir(parents=True, exist_ok=True)
        (place / "recipe.json").write_text(recipe.text())
        record.write(place, curve(recipe), outcome(recipe))
    return [run_dir(root, recipe) for recipe in recipes]


def workflow(root: Path) -> Path:
    """The small checkout with the real Snakefile, rules, profile and package, compiled as here."""
    ignore = shutil.ignore_patterns("learners", "sheets", *HALF_WRITTEN)
    for name in ("src/partage", "workflow"):
        shutil.copytree(ROOT / name, root / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", root)
    (root / "profiles").symlink_to("workflow/profiles")
    return checkout(root)


def small_plan(root: Path) -> plan.Plan:
    return plan.load(checkout(root))
