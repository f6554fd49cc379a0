"""The reference of the sheets: every key that the schema takes, and what it means.

Keys, and which are needed, are the schema's; a key without a meaning here fails
`tests/test_site.py`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from markdown_tables import table

from partage.config import algorithms, figures, tasks
from partage.config.claims import Claim
from partage.config.request import Request
from partage.config.settings_tables import SettingsTable
from partage.config.snapshots import Snapshot
from partage.config.types import WORDS

INTRODUCTION = """# Sheets

What is run and drawn stands in five TOML files, `src/partage/config/sheets` (in a checkout also
`workflow/config`). They are read strictly: an unknown key, a value of another type and a number
that makes no sense are refused in one sentence that names the place. Where *by scale* is said, a
value may be a table: `steps = { smoke = 40_000, lab = 400_000, paper = 2_000_000 }`.
`partage show ALGORITHM TASK` prints every setting of a run and where its value stands.
"""


class Part(NamedTuple):
    """One kind of table in the sheets."""

    title: str
    about: str
    keys: Mapping[str, Any]  # what the schema takes, and of which type
    needed: frozenset[str]
    meanings: Mapping[str, str]

    def rows(self) -> Iterable[list[str]]:
        """Yield each key: its type, whether it has to be there, its meaning."""
        for key, kind in self.keys.items():
            needed = "yes" if key in self.needed else ""
            yield [
                f"`{key}`",
                WORDS.get(kind, "a value, or a table"),
                needed,
                self.meanings.get(key, ""),
            ]


OF_A_TASK = {
    "steps": "environment steps of each seed, all its copies together; by scale",
    "seeds": "how many seeds, counted from 0; by scale",
    "log_every": "environment steps between two points of a curve; by scale",
    "test_every": "environment steps between two tests with greedy policies; 0: none; by scale",
    "test_episodes": "episodes of a test; by scale",
    "time_limit": "what the last step of an episode is: `terminal`, a real end, or `truncation`, "
    "whose next value still counts; by scale",
    "options": "options of the environment (its file in `envs` says which); by scale",
    "settings": "settings of learners that are held equal for all algorithms; by scale",
    "facts": "what is said of the task in a table: agents, horizon, kind",
}
ALGORITHM = {
    "learner": "the file in `learners`, without `.py`, or `imported` for others' runs; or `like`",
    "like": "another algorithm: its learner and settings, with this one's own on top",
    "label": "its name in figures and tables",
    "colour": "its colour in figures, `#rrggbb`",
    "settings": "settings of the learner other than its defaults; by scale",
    "task": "settings for one family or task only: `task.smac.copies = 8`, "
    '`task."lbf/8x8-2p-2f-coop-v3".lr = 1e-3`; by scale',
}
TASK = OF_A_TASK | {
    "label": "its name in figures and tables (its own name, if there is none)",
    "groups": "its own, beside strips of sharing: how many agents of each kind, in their order",
}
FAMILY = OF_A_TASK | {
    "axes": "what figures write at an axis: `updates`, `env_steps` or a metric → a text",
    "rates": "metrics from 0 to 1: figures draw them on the whole of that",
    "engine": "the only engine it has; left out: the one that is asked for",
    "needs": "what has to be installed besides → the command that does it",
    "task": "its tasks by name: `[family.task.name]`; their values go on top of the family's",
}
FIGURE = {
    "paper": "which figure of which paper, or `Ours: ...`",
    "title": "what stands above it",
    "caption": "the file with its caption, in `report/captions` (`workflow/captions`)",
    "tasks": "a panel for each",
    "algorithms": "a curve for each; the first is the one that `also` is of",
    "metric": "which metric of the runs is drawn",
    "x": "`updates` or `env_steps`",
    "x_label": "where the family's `axes` has no words for x, or others are wanted",
    "y_label": "likewise for the metric",
    "reference": "a file in `sheets/reference` with published final values",
    "claims": "what is said of it, and how that is judged: below",
    "beside": "further metrics, each in panels of its own: metric → label",
    "also": "further metrics of the first algorithm, together in a panel beside each: metric → "
    "label",
    "also_label": "the axis of those panels",
    "strip": "the algorithm whose sharing is drawn below each panel",
    "episode": "the algorithm whose choices within an episode are drawn below each panel",
    "line": "what of the seeds a curve follows: `mean`, `median` or `iqm`",
    "lines": "metrics that follow another of them: metric → `median`",
    "smooth": "curves are moving means over this share of the x axis (tables and verdicts take "
    "them as measured)",
    "only": "keeps an algorithm to some of the tasks: algorithm → tasks",
    "run": "steps, measuring and seeds of its runs, where they are not those of the tasks",
    "smoke": "the tasks that smoke scale is content with",
    "beyond_smoke": "why smoke scale leaves it out, unless it is asked for by name",
    "kind": "`curves`; `ceilings`: final values over the number of sets in use; `sweep` and "
    "`arena`: trials, and methods at the settings chosen of them",
    "grid": "of a sweep: setting → the values that every algorithm is tried with; by scale",
    "tuned": "of an arena: the sweep that its settings are chosen of",
    "by": "of an arena: facts of its tasks by which it is told apart",
}
CLAIM = {
    "says": "what is said, in our words",
    "kind": "how it is judged: `better`, `grows`, `settles`, `negative` or `informative`",
    "of": "the algorithm it is about",
    "than": "for `better`: the algorithms it is compared with",
    "metrics": "the curves it is about; for `better` the figure's own, if none is named",
    "source": "which passage of a paper says so, in our words; `ours` if none is named",
}
TABLE = {
    "paper": "which table of which paper",
    "title": "what stands above it",
    "tasks": "a row for each",
    "facts": "columns: facts of the tasks",
    "algorithm": "whose settings are listed",
    "settings": "columns: settings of that algorithm on the task",
}
SNAPSHOT = {
    "paper": "which figure of which paper",
    "title": "what stands above it",
    "caption": "the file with its caption",
    "task": "a task of football's family, `grf`",
    "seed": "of the episode, and of what the players do",
    "step": "the step at which view cones are drawn",
    "pictures": "how many pictures of the course of the game",
}
REQUEST = {
    "scale": "`smoke`, `lab` or `paper`",
    "engine": "`batched`, our simulators, or `package`, the packages themselves",
    "figures": "`all`, or names with commas between",
    "seeds_per_run": "seeds trained side by side in one process",
    "seed_count": "seeds of each run, counted from 0; 0: as many as the task has",
    "results": "the results' folder",
    "device": "`cpu`, or `cuda`: each pack of runs gets a GPU",
    "runs_per_gpu": "processes that share a GPU of this machine",
    "seeds_per_pack": "most seeds, of cells that differ in settings alone, of one such process",
    "live": "logs that grow while runs train: `csv`, `tensorboard`, or both with a comma between",
    "job_hours": "the most time that a cluster's job asks for",
    "python": "what the workflow's jobs run `-m partage` with",
}
# keys of a field's own name, and those with a default
OWN_NAME = "name"


def _fields(kind: Any) -> dict[str, Any]:
    """Return the keys of an entry that is read into a named tuple, and their types."""
    return {key: kind.__annotations__[key] for key in kind._fields if key != OWN_NAME}


def parts() -> list[Part]:
    """Return every kind of table that the sheets have."""
    claim, listed, snapshot = _fields(Claim), _fields(SettingsTable), _fields(Snapshot)
    drawn = figures.NEEDED | figures.OPTIONAL
    return [
        _part("tasks.toml, a family", "`[family]`", tasks.OF_FAMILY, ["task"], FAMILY),
        _part("tasks.toml, a task", "`[family.task.name]`", tasks.OF_TASK, [], TASK),
        _part("algorithms.toml", "`[name]`", algorithms.KINDS, ["label", "colour"], ALGORITHM),
        _part("figures.toml", "`[name]`", drawn, figures.NEEDED, FIGURE),
        _part("figures.toml, a claim", "`[[name.claims]]`", claim, ["says", "kind", "of"], CLAIM),
        _part("tables.toml", "`[name]`", listed, ["paper", "title", "tasks"], TABLE),
        _part("snapshots.toml", "`[name]`", snapshot, snapshot, SNAPSHOT),
    ]


def _part(
    title: str, about: str, keys: Mapping[str, Any], needed: Iterable[str], meanings: Any
) -> Part:
    return Part(title, about, keys, frozenset(needed), meanings)


def request_keys() -> dict[str, Any]:
    """Return the keys of Snakemake's ``--config``, and their defaults."""
    return {field.name: field.default for field in dataclasses.fields(Request)}


def page() -> str:
    """Return the page."""
    texts = [INTRODUCTION]
    for part in parts():
        texts += [f"## {part.title}", part.about]
        texts.append(table(["key", "type", "needed", "what it is"], part.rows()))
    texts += [
        "## What is asked for",
        "Keys of `snakemake --config key=value`; most are options of commands as well.",
    ]
    defaults = request_keys() | {"python": "this Python"}
    rows = [[f"`{key}`", f"`{value}`", REQUEST.get(key, "")] for key, value in defaults.items()]
    texts.append(table(["key", "default", "what it is"], rows))
    return "\n\n".join(texts) + "\n"
