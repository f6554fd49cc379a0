"""The report's last part: what the runs cost, where each comes from, and what is missing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from partage.analysis import table
from partage.analysis.table import Cell, Column, Table
from partage.report.inventory import Run, hours

SHORT_HASH = 12  # letters of a sha256
SHORT_DIGEST = 19  # the same of an image's, with "sha256:" before it


class Provenance(NamedTuple):
    """What the page says of all runs together."""

    cost: Table
    software: list[str]  # versions, machine and device; the table of origins counts them from 1
    origins: Table
    missing: dict[str, int]  # why -> how many runs
    runs: int


class Cost(NamedTuple):
    """What one algorithm cost on one task, or all of them."""

    task: str
    algorithm: str
    env_steps: int
    cpu_hours: float
    gpu_hours: float


def gather(runs: Sequence[Run]) -> Provenance:
    """Return cost, origin and lack of the runs."""
    finished = [run for run in runs if run.is_finished]
    software = list(dict.fromkeys(made_with(run.record) for run in finished))
    return Provenance(
        cost=cost_table(finished),
        software=software,
        origins=origin_table(finished, software),
        missing=Counter(run.missing_because for run in runs if not run.is_finished),
        runs=len(runs),
    )


def cost_table(finished: Sequence[Run]) -> Table:
    """Return CPU- and GPU-hours by algorithm and task, as measured while the runs were trained."""
    spent: dict[tuple[str, str], Cost] = {}
    total = Cost("all", "", 0, 0.0, 0.0)
    for run in finished:
        key = (run.recipe.task, run.recipe.algorithm)
        spent[key] = _add(spent.get(key, Cost(*key, 0, 0.0, 0.0)), run)
        total = _add(total, run)
    columns = (
        table.words("task"),
        table.words("algorithm"),
        table.amount("env_steps", "env steps"),
        table.amount("cpu_hours", "CPU-h", digits=2),
        table.amount("gpu_hours", "GPU-h", digits=2),
    )
    data = pd.DataFrame([*spent.values(), total], columns=list(Cost._fields))
    return Table(data, columns, group_by="task", has_total=True)


def _add(cost: Cost, run: Run) -> Cost:
    """Return the cost with that of one more run."""
    spent = hours(run.record)
    return cost._replace(
        env_steps=cost.env_steps + run.recipe.steps * len(run.recipe.seeds),
        cpu_hours=cost.cpu_hours + spent.cpu,
        gpu_hours=cost.gpu_hours + spent.gpu,
    )


def origin_table(finished: Sequence[Run], software: list[str]) -> Table:
    """Return a row for each run: its recipe, code, software (by number), time and cost."""
    columns = (
        table.words("run"),
        table.code("recipe"),
        table.code("code"),
        table.code("commit"),
        table.count("with"),
        table.words("finished", "finished (UTC)"),
        table.count("cpu_seconds", "CPU-s"),
        table.count("wall_seconds", "wall-s"),
        table.count("resumed"),
    )
    titles = ["run", "recipe", "code", "commit", "with", "finished", "cpu_seconds", "wall_seconds"]
    rows = [_origin(run, software) for run in finished]
    return Table(pd.DataFrame(rows, columns=[*titles, "resumed"]), columns)


def _origin(run: Run, software: list[str]) -> dict[str, str]:
    made = run.record
    code = made.get("code", {})
    codes = dict.fromkeys([*made.get("earlier_code", []), code.get("hash") or ""])
    finished = made.get("finished") or made.get("imported", {}).get("at", "")
    return {
        "run": str(run.folder),
        "recipe": run.recipe.hash[:SHORT_HASH],
        "code": " then ".join(each[:SHORT_HASH] for each in codes if each),
        "commit": (code.get("commit") or "")[:SHORT_HASH],
        "with": str(software.index(made_with(made)) + 1),
        "finished": finished.removesuffix("+00:00").replace("T", " "),
        "cpu_seconds": _seconds(made, "cpu_seconds"),
        "wall_seconds": _seconds(made, "wall_seconds"),
        "resumed": str(made.get("resumed", "")),
    }


def _seconds(made: dict[str, Any], key: str) -> str:
    return f"{made[key]:,.0f}" if key in made else ""


def made_with(made: dict[str, Any]) -> str:
    """Return versions, machine and device of a run; of an imported one, where it comes from."""
    if "imported" in made:
        return f"imported from {made['imported']['source']}"
    machine = made.get("machine", {})
    image = (made.get("image") or {}).get("digest", "")
    versions = ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items())
    words = f"{versions}; {machine.get('cpu', '')}, {machine.get('cores', '?')} cores, "
    words += made.get("device", "")
    if machine.get("gpu"):
        words += f" ({machine['gpu']})"
    if image:
        words += f"; image {image[:SHORT_DIGEST]}"
    return words


def overview_table(rows: Sequence["Overview"]) -> Table:
    """Return each figure with its cells and cost, each claim with its verdict."""
    columns = (
        Column("figure", _figure),
        table.words("claim"),
        Column("verdict", _verdict_or_nothing),
        table.count("cells"),
        table.count("cpu_hours", "CPU-h"),
    )
    data = pd.DataFrame(rows, columns=list(Overview._fields))
    return Table(data, columns, group_by="figure")


class Overview(NamedTuple):
    """One claim of a figure; cells and cost stand at the figure's first."""

    figure: str
    title: str
    claim: str
    verdict: str  # "": no claim is judged
    cells: str
    cpu_hours: str
    on_page: bool = True  # the figure itself


def _figure(row: table.Row) -> Cell:
    return Cell(row["title"], "link", row["figure"]) if row["on_page"] else Cell(row["title"])


def _verdict_or_nothing(row: table.Row) -> Cell:
    return Cell(row["verdict"], "verdict") if row["verdict"] else Cell(table.NOTHING)
