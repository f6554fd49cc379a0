"""The sheets: figures.toml, tables.toml, tasks.toml and algorithms.toml, read strictly (standard library only).

Unknown keys and wrong types are refused. Any value of a task, and any setting, may be a table by scale:
``steps = {paper = 1_600_000, lab = 400_000, smoke = 40_000}``.
"""

import csv
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from partage import Refusal
from partage.recipe import IMPORTED, SCALES
from partage.settings import unknown

Values = Mapping[str, Any]
RUN = ("steps", "seeds", "log_every", "test_every", "test_episodes")  # whole numbers a task gives each run
TIME_LIMITS = ("terminal", "truncation")
OPTIONAL = ("reference", "claims", "also", "also_label", "strip", "episode", "line", "only", "run")  # keys of a figure
CLAIMS = ("better", "grows", "settles", "negative")  # how a claim is judged: see `partage.figures.claims`
LINES = ("mean", "median", "iqm")  # what of the seeds a curve follows


class Claim(NamedTuple):
    """What a paper says of a figure, and how it is judged."""

    says: str
    kind: str  # one of CLAIMS
    of: str  # the algorithm it is about
    than: list[str]  # better: the algorithms it is compared with
    metrics: list[str]  # all other kinds: the curves it is about


class Figure(NamedTuple):
    """One entry of figures.toml."""

    name: str
    paper: str  # which figure of which paper
    title: str
    caption: str  # file in workflow/captions
    tasks: list[str]
    algorithms: list[str]
    metric: str  # the rows of a curve that are drawn
    x: str  # "updates" or "env_steps"
    x_label: str
    y_label: str
    claims: list[Claim]
    reference: dict[tuple[str, str], float]  # (task, algorithm) -> published final value
    also: dict[str, str]  # further metrics of the first algorithm, drawn together beside each panel: metric -> label
    also_label: str
    strip: str  # the algorithm whose sharing is drawn below each panel ("": none)
    episode: str  # the algorithm of whose choices within an episode a strip is drawn ("": none)
    line: str  # one of LINES
    only: dict[str, list[str]]  # algorithms that are drawn on some of the tasks: algorithm -> tasks
    run: Values  # steps, measuring and seeds of its runs, where they are not those of tasks.toml

    def has(self, algorithm: str, task: str) -> bool:
        """Whether this algorithm is drawn on this task."""
        return algorithm in self.algorithms and task in self.only.get(algorithm, self.tasks)


class Listing(NamedTuple):
    """One entry of tables.toml: what is set, not what came out."""

    name: str
    paper: str  # which table of which paper
    title: str
    tasks: list[str]
    facts: list[str]  # columns, of what tasks.toml says of a task
    algorithm: str  # whose settings are listed ("": none)
    settings: list[str]  # columns


class Task(NamedTuple):
    """One task: its family's values with its own on top."""

    name: str  # "family/name"
    label: str
    run: Values  # the keys of RUN and time_limit
    options: Values  # for the environment's `make`
    settings: Values  # held equal for all algorithms
    facts: Values  # about the task, for its row in a table


class Variant(NamedTuple):
    """One named algorithm: a learner with settings."""

    name: str
    learner: str
    label: str
    colour: str
    settings: Values
    task: Mapping[str, Values]  # by family or by task


def get(table: Mapping[str, Any], what: str, name: str, where: str) -> Any:
    if name not in table:
        raise unknown(what, name, table, where)
    return table[name]


def at_scale(value: Any, scale: str, where: str) -> Any:
    """A value that is a table by scale, at one scale; any other value as it is."""
    if not isinstance(value, dict):
        return value
    if wrong := [key for key in value if key not in SCALES]:
        raise unknown("scale", wrong[0], SCALES, where)
    return get(value, "scale", scale, where)


def run_values(task: Task, scale: str) -> tuple[dict[str, int], dict[str, Any]]:
    """Steps, seeds and evaluation of a task, and the options of its environment, at one scale."""
    run = {}
    for key in RUN:
        least = 0 if key.startswith("test") else 1
        value = run[key] = at_scale(
            get(task.run, "value", key, f"tasks.toml, {task.name}"), scale, f"{task.name} {key}"
        )
        if type(value) is not int or value < least:
            raise Refusal(
                f"tasks.toml, {task.name}: {key} is a whole number from {least} on, but is {value!r} at scale {scale}."
            )
    if run["test_every"] and not run["test_episodes"]:
        raise Refusal(
            f"tasks.toml, {task.name}: test_every is {run['test_every']}, so test_episodes must be at least 1."
        )
    options = {key: at_scale(value, scale, f"{task.name} {key}") for key, value in task.options.items()}
    limit = at_scale(task.run.get("time_limit"), scale, f"{task.name} time_limit")
    if limit not in TIME_LIMITS:
        raise unknown("time_limit", limit, TIME_LIMITS, f"tasks.toml, {task.name}")
    return run, options | {"time_limit": limit}


def toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(
            f"Could not read {path} ({error.strerror}): run partage from a checkout of its repository."
        ) from error
    except ValueError as error:
        raise Refusal(f"{path} is not valid TOML: {error}.") from error


def as_table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(f"{where} should be a table, but is {value!r}.")
    return value


def _strict(entry: Values, kinds: Mapping[str, type], where: str, needed: Iterable[str] = ()) -> None:
    """Only known keys, each of its type; all of `needed`."""
    for key, value in entry.items():
        kind = get(kinds, "key", key, where)
        if kind is not object and not isinstance(value, kind):
            raise Refusal(f"{where}: {key!r} should be of type {kind.__name__}, but is {value!r}.")
        if kind is list and not all(isinstance(item, str) for item in value):
            raise Refusal(f"{where}: {key!r} should be a list of names, but is {value!r}.")
    for key in needed:
        if key not in entry:
            raise Refusal(f"{where} lacks the key {key!r}.")


def tasks(raw: Values) -> Iterable[Task]:
    kinds = dict.fromkeys((*RUN, "time_limit"), object) | {"options": dict, "settings": dict, "facts": dict}
    for family, shared in raw.items():
        where = f"tasks.toml [{family}]"
        _strict(as_table(shared, where), kinds | {"task": dict}, where, ["task"])
        for name, own in shared["task"].items():
            _strict(as_table(own, f"{where} {name}"), kinds | {"label": str}, f"tasks.toml [{family}.task.{name}]")
            run = {key: source[key] for source in (shared, own) for key in (*RUN, "time_limit") if key in source}
            merged = [shared.get(key, {}) | own.get(key, {}) for key in ("options", "settings", "facts")]
            yield Task(f"{family}/{name}", own.get("label", name), run, *merged)


def variant(name: str, entry: dict[str, Any], learners: Mapping[str, Any]) -> Variant:
    where = f"algorithms.toml [{name}]"
    kinds = {"learner": str, "label": str, "colour": str, "settings": dict, "task": dict}
    _strict(entry, kinds, where, ["learner", "label", "colour"])
    get(learners, "learner", entry["learner"], where)
    by_task = {key: as_table(value, f"{where} {key}") for key, value in entry.get("task", {}).items()}
    label = entry["label"] + (" (imported)" if entry["learner"] == IMPORTED else "")  # never mistaken for ours
    return Variant(name, entry["learner"], label, entry["colour"], entry.get("settings", {}), by_task)


def figure(name: str, entry: dict[str, Any], root: Path) -> Figure:
    where = f"figures.toml [{name}]"
    kinds = {key: list if key in ("tasks", "algorithms") else str for key in Figure._fields if key != "name"}
    kinds |= {"claims": object, "also": dict, "only": dict, "run": dict}
    _strict(entry, kinds, where, [key for key in kinds if key not in OPTIONAL])
    if entry["x"] not in ("updates", "env_steps"):
        raise unknown("x axis", entry["x"], ("updates", "env_steps"), where)
    for key in ("strip", "episode"):
        if entry.get(key):
            get(dict.fromkeys(entry["algorithms"]), "algorithm", entry[key], f"{where} {key}")
    if entry.get("line", LINES[0]) not in LINES:
        raise unknown("line", entry["line"], LINES, where)
    for algorithm, names in entry.get("only", {}).items():
        get(dict.fromkeys(entry["algorithms"]), "algorithm", algorithm, f"{where} only")
        for name in names:
            get(dict.fromkeys(entry["tasks"]), "task", name, f"{where} only")
    for key in entry.get("run", {}):
        get(dict.fromkeys(RUN), "key", key, f"{where} run")
    file = entry.get("reference")
    made = {
        "name": name,
        "claims": list(_claims(entry, where)),
        "reference": _reference(root / "results/reference" / file) if file else {},
    }
    optional = {"also": {}, "also_label": "", "strip": "", "episode": "", "line": LINES[0], "only": {}, "run": {}}
    return Figure(**(optional | entry | made))


def listing(name: str, entry: dict[str, Any]) -> Listing:
    kinds = {key: list if key in ("tasks", "facts", "settings") else str for key in Listing._fields if key != "name"}
    _strict(entry, kinds, f"tables.toml [{name}]", ["paper", "title", "tasks"])
    optional = {"facts": [], "algorithm": "", "settings": []}
    return Listing(name=name, **{**optional, **entry})


def _claims(entry: Values, where: str) -> Iterable[Claim]:
    kinds = {key: list if key in ("than", "metrics") else str for key in Claim._fields}
    listed = entry.get("claims", [])
    if not isinstance(listed, list):
        raise Refusal(f"{where}: claims are a list of tables, but are {listed!r}.")
    for each in listed:
        _strict(as_table(each, f"{where} claims"), kinds, f"{where} claims", ["says", "kind", "of"])
        if each["kind"] not in CLAIMS:
            raise unknown("kind of claim", each["kind"], CLAIMS, where)
        needs = "than" if each["kind"] == "better" else "metrics"
        if not each.get(needs):
            raise Refusal(f"{where}: a claim of kind {each['kind']!r} lacks {needs!r}.")
        claim = Claim(**({"than": [], "metrics": []} | each))
        for algorithm in (claim.of, *claim.than):
            get(dict.fromkeys(entry["algorithms"]), "algorithm", algorithm, f"{where} claims")
        for metric in claim.metrics:
            get(dict.fromkeys([entry["metric"], *entry.get("also", {})]), "metric", metric, f"{where} claims")
        yield claim


def _reference(path: Path) -> dict[tuple[str, str], float]:
    """Published final values: a CSV with the columns task, algorithm, value (others are for the reader)."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {(row["task"], row["algorithm"]): float(row["value"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise Refusal(
            f"Could not read {path}: columns task, algorithm and a number value are expected ({error!r})."
        ) from error
