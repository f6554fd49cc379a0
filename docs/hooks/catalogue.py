"""What there is to run, from the sheets: figures, algorithms and tasks."""

import ast
from pathlib import Path

from markdown_tables import cell, table

import partage
from partage.config import plan
from partage.config.tasks import Task

INTRODUCTION = """# Catalogue

Generated from the sheets of this version; `partage list` prints the same. Any algorithm runs on any
task: `partage run ALGORITHM TASK`.
"""


def page() -> str:
    """Return the page."""
    known = plan.load()
    figures = [
        [f"`{one.name}`", cell(one.title), cell(one.paper)] for one in known.figures.values()
    ]
    variants = [
        [f"`{one.name}`", cell(one.label), f"`{one.learner}`"] for one in known.variants.values()
    ]
    parts = [
        INTRODUCTION,
        "## Figures",
        table(["figure", "shows", "of"], figures),
        "## Algorithms",
        table(["algorithm", "in figures", "learner"], variants),
        "## Tasks",
        *families(list(known.tasks.values())),
    ]
    return "\n\n".join(parts) + "\n"


def families(tasks: list[Task]) -> list[str]:
    """Return each family: what its file says of it, and a table of its tasks."""
    parts = []
    for family in dict.fromkeys(task.name.split("/")[0] for task in tasks):
        own = [task for task in tasks if task.name.startswith(f"{family}/")]
        rows = [[f"`{task.name}`", cell(task.label), _steps(task)] for task in own]
        parts += [f"### {family}", _docstring(family)]
        parts.append(table(["task", "in figures", "steps a seed at paper scale"], rows))
    return parts


def _docstring(family: str) -> str:
    """Return what a family's file says of it; the file is read, not imported."""
    path = Path(partage.__file__).parent / "envs" / f"{family}.py"
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _steps(task: Task) -> str:
    steps = task.run["steps"]
    return f"{steps['paper'] if isinstance(steps, dict) else steps:,}"
