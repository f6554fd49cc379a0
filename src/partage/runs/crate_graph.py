"""What an RO-Crate of runs says of itself: a graph of entities, in JSON-LD.

They are every file with its size and sum, the workflow, and an action for each folder that has
``runs`` (the workflow made all in it) and for each run (the code of a commit made its curve of its
recipe). See https://w3id.org/ro/wfrun/workflow/0.5.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partage.config import VERSION
from partage.config.recipe import OUTCOME, root_of

METADATA, README = "ro-crate-metadata.json", "README.md"
WORKFLOW = "workflow/Snakefile"
RESULTS = "results/"  # in the crate
RO_CRATE, RUN_CRATE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate"
BIOSCHEMAS = "https://bioschemas.org/profiles"
SPDX = "https://spdx.org/licenses"
OF_WORKFLOW, AUTHORS = f"{SPDX}/MIT", "The partage authors"
PROFILES = {
    f"{RUN_CRATE}/process/0.5": "Process Run Crate",
    f"{RUN_CRATE}/workflow/0.5": "Workflow Run Crate",
    f"{WORKFLOW_CRATE}/1.0": "Workflow RO-Crate",
}
KINDS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
}
# files of a run, and the formal parameter of the workflow that each is an example of
PARAMETERS = {"recipe.json": "recipe", "curve.parquet": "curve", "record.json": "record"}
Entity = dict[str, Any]


class Crate(NamedTuple):
    """What a crate is made of."""

    files: Mapping[str, bytes]  # path in the crate -> what the file holds
    runs: Mapping[str, dict[str, Any]]  # a run's folder in the crate -> its record
    author: str
    licence: str  # SPDX


def document(crate: Crate) -> Entity:
    """Return what ``ro-crate-metadata.json`` holds."""
    context = [f"{RO_CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context"]
    return {"@context": context, "@graph": graph(crate)}


def graph(crate: Crate) -> list[Entity]:
    """Return all entities of a crate."""
    actions = [*_collections(crate), *_trainings(crate)]
    return [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": _to("./"),
            "conformsTo": _all_to((RO_CRATE, f"{WORKFLOW_CRATE}/1.0")),
        },
        _root(crate, actions),
        _workflow(crate),
        *_parameters(crate),
        *(_file(*each) for each in crate.files.items() if each[0] != WORKFLOW),
        *actions,
        *map(_software, sorted(set(map(_code, crate.runs.values())))),
        *_context_entities(crate),
    ]


def _to(name: str) -> Entity:
    return {"@id": name}


def _all_to(names: Iterable[str]) -> Entity | list[Entity]:
    """Return pointers; of one thing the pointer itself, as RO-Crate has it."""
    pointers = [_to(name) for name in names]
    return pointers[0] if len(pointers) == 1 else pointers


def _root(crate: Crate, actions: Sequence[Entity]) -> Entity:
    finished = max(made["finished"] for made in crate.runs.values())
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": "Training runs of dynamic parameter sharing in multi-agent learning",
        "description": f"{len(crate.runs)} training runs, each with its recipe, curve and record, "
        "what was drawn of them, and the Snakemake workflow and sheets of settings.",
        "datePublished": finished,
        "license": _to(_licence(crate)),
        "author": _to("#author"),
        "publisher": _to("#author"),
        "conformsTo": _all_to(PROFILES),
        "mainEntity": _to(WORKFLOW),
        "hasPart": _all_to(crate.files),
        "mentions": _all_to(action["@id"] for action in actions),
    }


def _licence(crate: Crate) -> str:
    return f"{SPDX}/{crate.licence}"


def _workflow(crate: Crate) -> Entity:
    return {
        "@id": WORKFLOW,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "partage's workflow",
        "description": "Recipes to runs, runs to frames, frames to figures, tables and a page.",
        "encodingFormat": "text/plain",
        "programmingLanguage": _to(f"{WORKFLOW_CRATE}#snakemake"),
        "conformsTo": _to(f"{BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"),
        "license": _to(OF_WORKFLOW),
        "creator": _to("#partage-authors"),
        "version": VERSION,
        "input": _to("#recipe"),
        "output": _all_to(("#curve", "#record")),
        **_sums(crate.files[WORKFLOW]),
    }


def _parameters(crate: Crate) -> list[Entity]:
    """Return what goes into the workflow and comes out, with all files that are such."""
    words = {
        "recipe": "all that decides a run: algorithm, task, settings, seeds, steps",
        "curve": "what was measured while it trained: seed, env_steps, updates, metric, value",
        "record": "who made it when on what: code, versions, machine, time, sum of the curve",
    }
    return [
        {
            "@id": f"#{name}",
            "@type": "FormalParameter",
            "additionalType": "File",
            "conformsTo": _to(f"{BIOSCHEMAS}/FormalParameter/1.0-RELEASE"),
            "name": name,
            "description": words[name],
            "encodingFormat": KINDS[Path(file).suffix],
            "valueRequired": True,
            "workExample": _all_to(f"{run}/{file}" for run in crate.runs),
        }
        for file, name in PARAMETERS.items()
    ]


def _file(name: str, content: bytes) -> Entity:
    path = Path(name)
    found = {
        "@id": name,
        "@type": "File",
        "name": name,
        "encodingFormat": KINDS.get(path.suffix, "text/plain"),
        **_sums(content),
    }
    if name == README:
        found["about"] = _to("./")
    if name.startswith(RESULTS) and path.name in PARAMETERS:
        found["exampleOfWork"] = _to(f"#{PARAMETERS[path.name]}")
    return found


def _sums(content: bytes) -> Entity:
    return {"contentSize": str(len(content)), "sha256": hashlib.sha256(content).hexdigest()}


def _collections(crate: Crate) -> list[Entity]:
    """Return an action of the workflow for each folder that has ``runs``."""
    found = []
    for place in dict.fromkeys(root_of(Path(run)).as_posix() for run in crate.runs):
        inside = {run: made for run, made in crate.runs.items() if run.startswith(f"{place}/")}
        recipes = [f"{run}/recipe.json" for run in inside]
        made = [name for name in crate.files if name.startswith(f"{place}/")]
        found.append(
            {
                **_action(f"#{place}", WORKFLOW, inside.values()),
                "name": f"The workflow made {place}",
                "description": "By the workflow as it was at the commits that the runs name; the "
                "one in this crate is today's.",
                "object": _all_to(recipes),
                "result": _all_to(name for name in made if name not in recipes),
            }
        )
    return found


def _trainings(crate: Crate) -> list[Entity]:
    """Return an action of the trainer for each run."""
    found = []
    for run, made in crate.runs.items():
        recipe, machine = made["recipe"], made.get("machine") or {}
        seeds, versions = ", ".join(map(str, recipe["seeds"])), made.get("versions") or {}
        found.append(
            {
                **_action(f"#{run}", _code(made), [made]),
                "name": f"Training {recipe['algorithm']} on {recipe['task']}, seeds {seeds}",
                "description": f"{made.get('cpu_seconds')} CPU-seconds on {machine.get('cpu')}, "
                + ", ".join(f"{name} {version}" for name, version in versions.items()),
                "object": _to(f"{run}/recipe.json"),
                "result": _all_to(f"{run}/{name}" for name in OUTCOME),
            }
        )
    return found


def _action(name: str, instrument: str, records: Iterable[dict[str, Any]]) -> Entity:
    times = [(made["started"], made["finished"]) for made in records]
    return {
        "@id": name,
        "@type": "CreateAction",
        "instrument": _to(instrument),
        "agent": _to("#author"),
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "startTime": min(started for started, _ in times),
        "endTime": max(finished for _, finished in times),
    }


def _code(made: dict[str, Any]) -> str:
    """Return what names the code that made a run: its commit, or the hash of its files."""
    return f"#partage-{made['code'].get('commit') or made['code'].get('hash')}"


def _software(name: str) -> Entity:
    version = name.removeprefix("#partage-")
    return {
        "@id": name,
        "@type": "SoftwareApplication",
        "name": "partage train",
        "description": f"The trainer, of code {version}; each record has the sums of its files.",
        "softwareVersion": version,
    }


def _context_entities(crate: Crate) -> list[Entity]:
    """Return what entities point to outside of the crate: people, licences, profiles, Snakemake."""
    snakemake = {
        "@id": f"{WORKFLOW_CRATE}#snakemake",
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "identifier": _to("https://doi.org/10.1093/bioinformatics/bts480"),
        "url": _to("https://snakemake.github.io"),
    }
    found = [snakemake]
    for name, words in (("#author", crate.author), ("#partage-authors", AUTHORS)):
        found.append({"@id": name, "@type": "Organization", "name": words})
    for licence in dict.fromkeys((_licence(crate), OF_WORKFLOW)):
        name = licence.rpartition("/")[2]
        words = f"The licence that SPDX calls {name}"
        found.append({"@id": licence, "@type": "CreativeWork", "name": name, "description": words})
    for profile, name in PROFILES.items():
        version = profile.rpartition("/")[2]
        found.append({"@id": profile, "@type": "CreativeWork", "name": name, "version": version})
    return found
