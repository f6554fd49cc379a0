"""Finished runs as a Workflow Run RO-Crate 0.5: one archive that says by itself what made what.

The same files make the same bytes: times are the records', and the archive has none of its own.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from partage import _io
from partage.config import outcomes
from partage.config.plan import PACKAGE
from partage.errors import UserError
from partage.runs import crate_graph, record
from partage.runs.crate_graph import RESULTS, Crate

OF_TRAINING = (outcomes.SECOND_COPY, "checkpoint", "lock", "live.csv", "tensorboard", "logs")
README = """# Training runs, and the workflow that made them

* `results/`: a folder for each run with its recipe, curve (Parquet: seed, env_steps, updates,
  metric, value) and record, and what was drawn of them
* `workflow/`: the Snakemake workflow and its sheets of settings, as they are today
* `ro-crate-metadata.json`: the size and sum of every file, and who made every run when, by which
  code: a Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow/0.5)
"""
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file in the archive: the earliest that a zip can say


def pack(folder: Path, author: str, licence: str) -> tuple[bytes, str]:
    """Return the archive (zip) of the finished runs in `folder` and of all else that lies there.

    Beside it is a line on what is left out, if anything is: others' runs, which are not ours to
    give. Raises `UserError` where no other finished run lies there, or one is corrupt.
    """
    runs, others = {}, []
    for place in outcomes.find(folder):
        _, made = record.read(place)  # the curve has to be the one that the record names
        if made.get("imported") or not (made.get("started") and made.get("finished")):
            others.append(place)
        else:
            runs[RESULTS + place.relative_to(folder).as_posix()] = made
    said = f"{len(others)} runs are left out: they are imported, or say not when they were made"
    if not runs:
        raise UserError(f"Nothing in {folder} can be packed ({said}): name a folder of your runs.")
    crate = Crate(_files(folder, others), runs, author, licence)
    text = json.dumps(crate_graph.document(crate), indent=1, sort_keys=True)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(zipfile.ZipInfo(crate_graph.METADATA, EPOCH), f"{text}\n")
        for name, content in crate.files.items():
            packed.writestr(zipfile.ZipInfo(name, EPOCH), content)
    return archive.getvalue(), said if others else ""


def _files(folder: Path, others: Sequence[Path]) -> dict[str, bytes]:
    """Return all files of a crate: the workflow, its sheets, and what lies in the folder."""
    places = {}
    workflow, sheets = PACKAGE / "config/workflow", PACKAGE / "config/sheets"
    for path in (workflow / "Snakefile", *sorted(workflow.glob("rules/*.smk"))):
        places[f"workflow/{path.relative_to(workflow).as_posix()}"] = path
    for path in sorted(sheets.glob("*.toml")):
        places[f"workflow/config/{path.name}"] = path
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        left_out = any(part in OF_TRAINING or part[0] == "." for part in inside.parts)
        left_out = left_out or any(path.is_relative_to(other) for other in others)
        if path.is_file() and not left_out:
            places[RESULTS + inside.as_posix()] = path
    files = {name: _io.read_bytes(path, "make it readable.") for name, path in places.items()}
    return {crate_graph.README: README.encode(), **files}
