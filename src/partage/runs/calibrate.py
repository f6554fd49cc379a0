"""Measure what training costs on this machine, cell after cell, and keep what was measured.

What is measured lies beside the results while it is half made, too: a second call goes on with it.
Nothing here loads torch: each measurement is a process of its own (`partage.runs.measuring`).
"""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from partage import _io
from partage.config import calibration, plan
from partage.config.calibration import SCHEMA, Calibration, Measured, Played
from partage.config.needs import lacking
from partage.config.plan import Plan
from partage.config.recipe import Recipe
from partage.errors import UserError
from partage.runs import code_stamps, provenance
from partage.runs.machine import machine

SCALE = "paper"
ON_QMIX = ("lbf/15x15-4p-5f-v2", "smac/5m_vs_6m", "smac/3s5z_vs_3s6z", "smac/27m_vs_30m")
# what is measured directly: of each learner a small task and a large one, those of the papers
CELLS: Mapping[str, Sequence[str]] = {
    "fps": ("mpe/15a_3c", "mpe/30a_5c", "smac/MMM2", "smac/27m_vs_30m"),
    "nps": ("mpe/15a_3c", "mpe/30a_5c", "smac/MMM2"),
    "seps": ("mpe/15a_3c",),
    "mdps": ("mpe/15a_3c", "mpe/30a_5c"),
    "fps-film": ("mpe/15a_3c",),
    "ippo": ("mpe/15a_3c", "smac/MMM2"),
    "ippo-ns": ("mpe/15a_3c",),
    "qmix": (
        "mpe/simple_spread_v3",
        "lbf/15x15-4p-5f-v2",
        "smac/5m_vs_6m",
        "smac/3s5z_vs_3s6z",
        "smac/27m_vs_30m",
        "grf/academy_3_vs_1_with_keeper",
    ),
    "qmix-ns": ("lbf/15x15-4p-5f-v2", "smac/3s5z_vs_3s6z"),
    "bdps": ON_QMIX,
    "bdps-individual": ("lbf/15x15-4p-5f-v2", "smac/5m_vs_6m"),
    "cds": ON_QMIX,
    "eoi": ON_QMIX,
    "rode": ON_QMIX,
}


def calibrate(
    path: Path, anew: bool = False, cells: Mapping[str, Sequence[str]] = CELLS
) -> Calibration:
    """Measure what is not measured yet, write it to `path`, and return it.

    Raises `UserError` where a measurement fails; what was measured before is kept, beside `path`.
    """
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    config = plan.load().for_scale(SCALE)
    made = begin(path, part, anew)
    if made.whole:
        print(f"partage: {path} is of this machine and code already; --anew measures it again.")
        return made
    todo = list(_measurements(config, made, cells))
    for number, (what, recipes) in enumerate(todo, 1):
        print(f"{number:3} of {len(todo)}: {what}", end=" ", flush=True)
        made, said = _add(made, recipes, _ask(what, recipes, part))
        _io.write(part, made.text().encode())
        print(f"- {said}", flush=True)
    made = dataclasses.replace(made, whole=True)
    _io.write(path, made.text().encode())
    part.unlink(missing_ok=True)
    return made


def nothing() -> Calibration:
    """Return a calibration of this machine and code in which nothing is measured yet."""
    return Calibration(
        schema=SCHEMA,
        whole=False,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine={name: fact for name, fact in machine().items() if name != "host"},
        code=code_stamps.stamp(),
        versions=provenance.versions(""),
        base_bytes=0,
        start_seconds=0.0,
        tasks={},
        cells=[],
    )


def begin(path: Path, part: Path, anew: bool) -> Calibration:
    """Return what was measured of this machine and code before, or a calibration with nothing."""
    empty = nothing()
    for before in (part,) if anew else (part, path):
        try:
            made = calibration.parse(_io.read_json(before, ""), before)
        except UserError:
            continue  # there is none, or it is of no use: it is written anew
        if not differences(made, empty):
            return made
    return empty


def differences(made: Calibration, today: Calibration) -> list[str]:
    """Return what else made a calibration: machine, code, versions, or nothing."""
    found = []
    for name, what in (("cpu", "CPU"), ("cores", "number of cores")):
        if made.machine.get(name) != today.machine.get(name):
            found.append(what)
    if made.code != today.code:
        found.append("code")
    if made.versions != today.versions:
        found.append("versions of packages")
    return found


def _measurements(
    config: Plan, made: Calibration, cells: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[Recipe]]]:
    """Yield what is to be measured yet: the tasks, family by family, and each cell."""
    request = plan.Request(scale=SCALE)
    here = [name for name, task in config.tasks.items() if not lacking(task.needs)]
    for family, names in groupby(here, key=lambda name: name.partition("/")[0]):
        missing = [name for name in names if name not in made.tasks]
        if missing:
            yield (
                f"tasks of {family}",
                [config.recipes_of("qmix", name, request)[0] for name in missing],
            )
    there = {(cell.algorithm, cell.task) for cell in made.cells}
    for algorithm, tasks in cells.items():
        for task in tasks:
            if task in here and (algorithm, task) not in there:
                recipe = config.recipes_of(algorithm, task, request)[0]
                yield f"{algorithm} on {task}", [recipe]


def _add(
    made: Calibration, recipes: Sequence[Recipe], answer: Mapping[str, Any]
) -> tuple[Calibration, str]:
    """Return the calibration with what was found, and that in words."""
    found = answer["found"]
    made = dataclasses.replace(
        made, base_bytes=answer["base_bytes"], start_seconds=answer["start_seconds"]
    )
    if "horizon" in found[0]:
        played = {each.task: Played(**task) for each, task in zip(recipes, found, strict=True)}
        tasks = {**made.tasks, **played}
        return dataclasses.replace(made, tasks=tasks), f"{len(played)} played at random"
    (recipe,), (costs,) = recipes, found
    cell = Measured(
        algorithm=recipe.algorithm,
        learner=recipe.learner,
        task=recipe.task,
        settings=recipe.settings,
        runs=len(recipe.seeds),
        **costs,
    )
    said = f"{1e3 * cell.update_seconds:.3g} ms an update, {1e3 * cell.step_seconds:.3g} ms a step"
    return dataclasses.replace(made, cells=[*made.cells, cell]), said


def _ask(what: str, recipes: Sequence[Recipe], part: Path) -> dict[str, Any]:
    """Return what a process found that measures these recipes."""
    wanted = "play" if what.startswith("tasks") else "train"
    request = {"wanted": wanted, "recipes": [dataclasses.asdict(each) for each in recipes]}
    done = subprocess.run(
        [sys.executable, "-m", "partage.runs.measuring"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(
            f"Could not measure {what} ({lines[-1]}): repeat `partage calibrate`, which goes on "
            f"with what is kept in {part}."
        )
    return json.loads(done.stdout.splitlines()[-1])
