"""What is shown: figures.toml and tables.toml, read strictly (standard library only)."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from partage import Refusal
from partage.recipe import SCALES
from partage.settings import unknown
from partage.sheets import RUN, Values, as_table, get, strict

OPTIONAL = (
    "reference", "claims", "beside", "also", "also_label", "strip", "episode", "line", "smooth", "only", "run", "smoke",
)  # fmt: skip
CLAIMS = ("better", "grows", "settles", "negative")  # how a claim is judged: see `partage.figures.claims`
LINES = ("mean", "median", "iqm")  # what of the seeds a curve follows


class Claim(NamedTuple):
    """What a paper says of a figure, and how it is judged."""

    says: str
    kind: str  # one of CLAIMS
    of: str  # the algorithm it is about
    than: list[str]  # better: the algorithms it is compared with
    metrics: list[str]  # the curves it is about; better: the figure's own if none is named


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
    beside: dict[str, str]  # further metrics, each in panels of its own beside the first's: metric -> y label
    also: dict[str, str]  # further metrics of the first algorithm, drawn together beside each panel: metric -> label
    also_label: str
    strip: str  # the algorithm whose sharing is drawn below each panel ("": none)
    episode: str  # the algorithm of whose choices within an episode a strip is drawn ("": none)
    line: str  # one of LINES
    smooth: float  # curves are drawn as moving means over this share of the x axis (0: as they were measured)
    only: dict[str, list[str]]  # algorithms that are drawn on some of the tasks: algorithm -> tasks
    run: Values  # steps, measuring and seeds of its runs, where they are not those of tasks.toml
    smoke: list[str]  # the tasks that smoke scale is content with (none named: all)

    def at(self, scale: str) -> "Figure":
        """What of it is made at this scale."""
        return self._replace(tasks=self.smoke) if self.smoke and scale == SCALES[0] else self

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


def figure(name: str, entry: dict[str, Any], root: Path) -> Figure:
    where = f"figures.toml [{name}]"
    kinds = {key: list if key in ("tasks", "algorithms", "smoke") else str for key in Figure._fields if key != "name"}
    kinds |= {"claims": object, "beside": dict, "also": dict, "only": dict, "run": dict, "smooth": float}
    strict(entry, kinds, where, [key for key in kinds if key not in OPTIONAL])
    if entry["x"] not in ("updates", "env_steps"):
        raise unknown("x axis", entry["x"], ("updates", "env_steps"), where)
    for key in ("strip", "episode"):
        if entry.get(key):
            get(dict.fromkeys(entry["algorithms"]), "algorithm", entry[key], f"{where} {key}")
    if entry.get("line", LINES[0]) not in LINES:
        raise unknown("line", entry["line"], LINES, where)
    if not 0 <= entry.get("smooth", 0) < 1:
        raise Refusal(f"{where}: smooth is a share of the x axis, from 0 to less than 1, but is {entry['smooth']!r}.")
    for key in ("tasks", "algorithms"):
        if not entry[key] or len(set(entry[key])) < len(entry[key]):
            raise Refusal(f"{where}: {key!r} should be names, at least one, each once, but is {entry[key]!r}.")
    strict(entry.get("only", {}), dict.fromkeys(entry["algorithms"], list), f"{where} only")
    for key in ("beside", "also"):
        strict(entry.get(key, {}), dict.fromkeys(entry.get(key, {}), str), f"{where} {key}")
    for key, some in (*(("only", on) for on in entry.get("only", {}).values()), ("smoke", entry.get("smoke", []))):
        for task in some:
            get(dict.fromkeys(entry["tasks"]), "task", task, f"{where} {key}")
    for key in entry.get("run", {}):
        get(dict.fromkeys(RUN), "key", key, f"{where} run")
    file = entry.get("reference")
    made = {
        "name": name,
        "claims": list(_claims(entry, where)),
        "reference": _reference(root / "results/reference" / file) if file else {},
    }
    optional = {"also_label": "", "strip": "", "episode": "", "line": LINES[0], "smooth": 0.0, "smoke": []}
    optional |= {key: {} for key in ("beside", "also", "only", "run")}
    return Figure(**(optional | entry | made))


def listing(name: str, entry: dict[str, Any]) -> Listing:
    kinds = {key: list if key in ("tasks", "facts", "settings") else str for key in Listing._fields if key != "name"}
    strict(entry, kinds, f"tables.toml [{name}]", ["paper", "title", "tasks"])
    optional = {"facts": [], "algorithm": "", "settings": []}
    return Listing(name=name, **{**optional, **entry})


def _claims(entry: Values, where: str) -> Iterable[Claim]:
    kinds = {key: list if key in ("than", "metrics") else str for key in Claim._fields}
    listed = entry.get("claims", [])
    if not isinstance(listed, list):
        raise Refusal(f"{where}: claims are a list of tables, but are {listed!r}.")
    for each in listed:
        strict(as_table(each, f"{where} claims"), kinds, f"{where} claims", ["says", "kind", "of"])
        if each["kind"] not in CLAIMS:
            raise unknown("kind of claim", each["kind"], CLAIMS, where)
        needs = "than" if each["kind"] == "better" else "metrics"
        known = [entry["metric"], *entry.get("beside", {}), *([] if needs == "than" else entry.get("also", {}))]
        if not each.get(needs):
            raise Refusal(f"{where}: a claim of kind {each['kind']!r} lacks {needs!r}.")
        claim = Claim(**({"than": [], "metrics": []} | each))
        for algorithm in (claim.of, *claim.than):
            get(dict.fromkeys(entry["algorithms"]), "algorithm", algorithm, f"{where} claims")
        for metric in claim.metrics:
            get(dict.fromkeys(known), "metric", metric, f"{where} claims")
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
