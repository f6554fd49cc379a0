"""The report's last part: what the runs cost, where each comes from, what is missing; and their
absolute metric.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from partage.analysis import stats
from partage.config.plan import Plan
from partage.plots.curves import generator
from partage.report.inventory import Run, hours
from partage.report.page import rows, tag, text
from partage.runs.export import absolutes

ABSOLUTE = (
    "The task's own score of each seed's policies at its best test, on episodes that no test has seen (320 unless the "
    "run's absolute.json says otherwise), mean over seeds."
)


def sections(runs: Sequence[Run]) -> Iterator[str]:
    made = [run for run in runs if run.made]
    yield tag("h2", "Cost", id="cost")
    yield cost(made)
    yield tag("h2", "Provenance", id="provenance")
    about = (
        "Every run that is shown: its recipe, the code and versions it was made with, where and when. "
        "Hashes are sha256, shortened; whole ones stand in each run's record.json."
    )
    yield tag("p", about, class_="faint")
    yield origins(made)
    yield tag("h2", "What is missing", id="missing")
    missing = [run for run in runs if not run.made]
    by_reason: dict[str, int] = {}
    for run in missing:
        by_reason[run.why] = by_reason.get(run.why, 0) + 1
    said = "".join(
        tag("li", f"{count} of {len(runs)} runs: {text(why)}") for why, count in by_reason.items()
    )
    below = tag("p", "Each figure above lists its own, with the command that makes them.")
    yield (
        tag("ul", said) + below if missing else tag("p", "Nothing: all runs of the plan are there.")
    )


def cost(made: Sequence[Run]) -> str:
    """CPU- and GPU-hours by algorithm and task, as measured while the runs were trained."""
    spent: dict[tuple[str, str], np.ndarray] = {}
    for run in made:
        key = (run.recipe.task, run.recipe.algorithm)
        now = np.array([run.recipe.steps * len(run.recipe.seeds), *hours(run.made)])
        spent[key] = spent.get(key, np.zeros(3)) + now

    def line(names: Sequence[str], each: np.ndarray) -> list[str]:
        return [*names, f"{each[0]:,.0f}", f"{each[1]:,.2f}", f"{each[2]:,.2f}"]

    body = [line([text(name) for name in key], each) for key, each in spent.items()]
    body.append(
        [tag("strong", words) for words in line(["all", ""], sum(spent.values(), np.zeros(3)))]
    )
    return rows(["task", "algorithm", "env steps", "CPU-h", "GPU-h"], body, right=(2, 3, 4))


def origins(made: Sequence[Run]) -> str:
    """Versions and machines, each once, then a row per run."""
    with_what = list(dict.fromkeys(_with(run.made) for run in made))
    letters = {words: str(number) for number, words in enumerate(with_what, 1)}
    head = [
        "run",
        "recipe",
        "code",
        "commit",
        "with",
        "finished (UTC)",
        "CPU-s",
        "wall-s",
        "resumed",
    ]
    body = [
        [text(run.place), tag("code", run.recipe.hash[:12]), *_origin(run.made, letters)]
        for run in made
    ]
    listed = tag("ol", "".join(tag("li", text(words)) for words in with_what))
    return tag("p", "Made with:") + listed + rows(head, body, right=(4, 6, 7, 8))


def _with(made: dict[str, Any]) -> str:
    """Versions, machine and device of a run; of an imported one, where it comes from."""
    if "imported" in made:
        return f"imported from {made['imported']['source']}"
    machine, image = made.get("machine", {}), (made.get("image") or {}).get("digest", "")
    versions = ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items())
    where = f"{machine.get('cpu', '')}, {machine.get('cores', '?')} cores, {made.get('device', '')}"
    gpu = f" ({machine['gpu']})" if machine.get("gpu") else ""
    return f"{versions}; {where}{gpu}" + (f"; image {image[:19]}" if image else "")


def _origin(made: dict[str, Any], letters: dict[str, str]) -> list[str]:
    code = made.get("code", {})
    finished = made.get("finished") or made.get("imported", {}).get("at", "")
    return [
        tag("code", text((code.get("hash") or "")[:12])),
        tag("code", text((code.get("commit") or "")[:12])),
        letters[_with(made)],
        text(finished.removesuffix("+00:00").replace("T", " ")),
        *(f"{made[key]:,.0f}" if key in made else "" for key in ("cpu_seconds", "wall_seconds")),
        str(made.get("resumed", "")),
    ]


def absolute(plan: Plan, tested: Sequence[Run]) -> tuple[pd.DataFrame, list[Run]]:
    """Mean score of the best policies by task and algorithm, and the runs for which it has not been
    measured.
    """
    found: dict[tuple[str, str], list[float]] = {}
    lacking = []
    for run in tested:
        worth = absolutes(run.place, run.recipe)
        if not worth:
            lacking.append(run)
            continue
        seeds = found.setdefault((run.recipe.task, run.recipe.algorithm), [])
        seeds += [float(np.mean(each["test_score"])) for each in worth.values()]
    table = []
    for (task, name), values in found.items():
        low, high = stats.interval([np.array(values)], generator(task, name, "absolute"))
        table.append(
            (task, plan.variants[name].label, float(np.mean(values)), low, high, len(values))
        )
    return pd.DataFrame(
        table, columns=["task", "algorithm", "value", "ci95_low", "ci95_high", "seeds"]
    ), lacking
