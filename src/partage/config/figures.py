"""figures.toml: what is drawn (standard library only)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partage.config.claims import Claim, read_claim
from partage.config.names import check_name
from partage.config.published_values import read_reference
from partage.config.recipe import SCALES
from partage.config.schema import Values, as_table, each_once, strict
from partage.config.tasks import RUN, Task
from partage.errors import UserError, one_of

AXES = ("updates", "env_steps")
AXIS_LABELS = {  # where no family has one
    "updates": "updates",
    "env_steps": "environment steps",
    "selector/informed": "what roles say (share of ln k)",
}
LINES = ("mean", "median", "iqm")  # what of the seeds a curve follows
# curves over training; the finals over the sets in use, below the best return for that many; the
# trials of a grid of settings; methods over all tasks, each at the trial chosen for it
KINDS = ("curves", "ceilings", "sweep", "arena")
OF_TRIALS = KINDS[2:]  # whose algorithms have other names once they stand at a scale, and rows
WITH_CEILINGS = ("roll_call", "games")  # families whose best return is known for any sharing


class Figure(NamedTuple):
    """One entry of figures.toml."""

    name: str
    paper: str  # which figure of which paper
    title: str
    caption: str  # file in report/captions
    tasks: list[str]
    algorithms: list[str]
    metric: str  # the rows of a curve that are drawn
    x: str  # one of AXES
    x_label: str  # if the entry has none: that of the tasks' family, for x
    y_label: str  # likewise, for the metric
    claims: list[Claim]
    reference: dict[tuple[str, str], float]  # (task, algorithm) -> published final value
    beside: dict[str, str]  # further metrics, in panels beside the first's: metric -> y label
    also: dict[str, str]  # metrics of the first algorithm, together beside each panel: -> label
    also_label: str
    strip: str  # the algorithm whose sharing is drawn below each panel ("": none)
    episode: str  # the algorithm of whose choices within an episode a strip is drawn ("": none)
    line: str  # one of LINES
    lines: dict[str, str]  # metrics whose curves follow another: -> one of LINES
    smooth: float  # curves are moving means over this share of the x axis (0: as measured)
    only: dict[str, list[str]]  # algorithms that are drawn on some of the tasks: -> tasks
    run: Values  # steps, measuring and seeds of its runs, where they are not those of tasks.toml
    smoke: list[str]  # the tasks that smoke scale is content with (none named: all)
    kind: str  # one of KINDS
    grid: dict[str, Any]  # of a sweep: setting -> the values tried, or these by scale
    tuned: str  # of an arena: the sweep that its settings are of; "" once they are chosen
    by: list[str]  # of an arena: facts of its tasks (tasks.toml) by which it is told apart
    beyond_smoke: str  # why smoke scale leaves it out, unless asked for by name ("": it does not)
    left_out: str = ""  # the same where it does: in a plan for that scale
    lacks: str = ""  # why it cannot be made at that scale

    def for_scale(self, scale: str) -> "Figure":
        """Return what of it is made at this scale."""
        if scale != SCALES[0]:
            return self
        return self._replace(tasks=self.smoke or self.tasks, left_out=self.beyond_smoke)

    def draws(self, algorithm: str, task: str) -> bool:
        """Return whether this algorithm is drawn on this task."""
        tasks = self.only.get(algorithm, self.tasks)
        return algorithm in self.algorithms and task in self.tasks and task in tasks

    @property
    def metrics(self) -> list[str]:
        """Return all metrics that are drawn."""
        return [self.metric, *self.beside, *self.also]

    def line_of(self, metric: str) -> str:
        """Return what of the seeds the curves and tables of a metric follow: one of LINES."""
        return self.lines.get(metric, self.line)

    @property
    def line_words(self) -> str:
        """Return what of the seeds is followed, and which metrics follow another."""
        labels = {**self.beside, **self.also}
        others = [f"{labels.get(name, self.y_label)}: {line}" for name, line in self.lines.items()]
        return f"{self.line} ({', '.join(others)})" if others else self.line

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each (algorithm, task) that is drawn, task by task."""
        for task in self.tasks:
            for algorithm in self.algorithms:
                if self.draws(algorithm, task):
                    yield algorithm, task


NEEDED = {
    "paper": str,
    "title": str,
    "caption": str,
    "tasks": list[str],
    "algorithms": list[str],
    "metric": str,
    "x": str,
}
OPTIONAL = {
    "x_label": str,
    "y_label": str,
    "reference": str,
    "claims": list,
    "beside": dict,
    "also": dict,
    "also_label": str,
    "strip": str,
    "episode": str,
    "line": str,
    "lines": dict,
    "smooth": float,
    "only": dict,
    "run": dict,
    "smoke": list[str],
    "beyond_smoke": str,
    "kind": str,
    "grid": dict,
    "tuned": str,
    "by": list[str],
}


def read_figures(
    entries: Values, folders: Sequence[Path], tasks: Mapping[str, Task]
) -> dict[str, Figure]:
    """Return the entries of figures.toml by name.

    Published values lie in ``reference/`` of one of the sheets' `folders`. Raises `UserError` for
    what does not belong in an entry.
    """
    figures = {}
    for name, entry in entries.items():
        table = as_table(entry, f"figures.toml [{name}]")
        figures[name] = _read_figure(name, table, folders, tasks)
    return figures


def _read_figure(
    name: str, entry: dict[str, Any], folders: Sequence[Path], tasks: Mapping[str, Task]
) -> Figure:
    where = f"figures.toml [{name}]"
    strict(entry, NEEDED | OPTIONAL, where, NEEDED)
    file = entry.get("reference", "")
    if file:
        check_name("reference, a file's name,", file, where)
    figure = Figure(
        name=name,
        paper=entry["paper"],
        title=entry["title"],
        caption=entry["caption"],
        tasks=entry["tasks"],
        algorithms=entry["algorithms"],
        metric=entry["metric"],
        x=entry["x"],
        x_label=entry.get("x_label", ""),
        y_label=entry.get("y_label", ""),
        claims=[],
        reference=read_reference(file, folders) if file else {},
        beside=entry.get("beside", {}),
        also=entry.get("also", {}),
        also_label=entry.get("also_label", ""),
        strip=entry.get("strip", ""),
        episode=entry.get("episode", ""),
        line=entry.get("line", LINES[0]),
        lines=entry.get("lines", {}),
        smooth=float(entry.get("smooth", 0)),
        only=entry.get("only", {}),
        run=entry.get("run", {}),
        smoke=entry.get("smoke", []),
        kind=entry.get("kind", KINDS[0]),
        grid=entry.get("grid", {}),
        tuned=entry.get("tuned", ""),
        by=entry.get("by", []),
        beyond_smoke=entry.get("beyond_smoke", ""),
    )
    _check_figure(figure, where)
    claims = [_read_claim(figure, claim, where) for claim in entry.get("claims", [])]
    return figure._replace(
        claims=claims,
        x_label=figure.x_label or _axis_label(figure, figure.x, "x_label", tasks),
        y_label=figure.y_label or _axis_label(figure, figure.metric, "y_label", tasks),
    )


def _read_claim(figure: Figure, entry: Any, where: str) -> Claim:
    drawn = [figure.metric, *figure.beside]
    claim = read_claim(entry, where, figure.algorithms, drawn, [*drawn, *figure.also])
    for baseline in claim.than:
        tasks = [task for task in figure.tasks if figure.draws(baseline, task)]
        if not any(figure.draws(claim.of, task) for task in tasks):
            raise UserError(
                f"{where}: a claim compares {claim.of!r} with {baseline!r}, but no task is drawn "
                f"with both: see `only`."
            )
    return claim


def _axis_label(figure: Figure, shown: str, key: str, tasks: Mapping[str, Task]) -> str:
    """Return what the family of a figure's tasks writes at an axis, else what all do."""
    where, task = f"figures.toml [{figure.name}]", tasks.get(figure.tasks[0])
    if task is None:
        return ""  # what a figure names wrongly is told all at once (`partage.config.consistency`)
    label = task.axes.get(shown) or AXIS_LABELS.get(shown)
    if label is None:
        family = task.name.partition("/")[0]
        raise UserError(
            f"{where} lacks the key {key!r}, and tasks.toml [{family}] has no axes.{shown}."
        )
    return label


def _check_figure(figure: Figure, where: str) -> None:
    one_of("x axis", figure.x, AXES, where)
    one_of("line", figure.line, LINES, where)
    _check_kind(figure, where)
    for metric, line in figure.lines.items():
        one_of("metric", metric, [figure.metric, *figure.beside, *figure.also], f"{where} lines")
        one_of("line", line, LINES, f"{where} lines")
    if not 0 <= figure.smooth < 1:
        raise UserError(
            f"{where}: smooth is a share of the x axis, from 0 to less than 1, "
            f"but is {figure.smooth!r}."
        )
    check_name("caption, a file's name,", figure.caption, where)
    for key, names in (("tasks", figure.tasks), ("algorithms", figure.algorithms)):
        each_once(names, key, where, least=1)
    each_once(figure.smoke, "smoke", where)
    for key, name in (("strip", figure.strip), ("episode", figure.episode)):
        if name:
            one_of("algorithm", name, figure.algorithms, f"{where} {key}")
    for key, metrics in (("beside", figure.beside), ("also", figure.also)):
        strict(metrics, dict.fromkeys(metrics, str), f"{where} {key}")
    each_once([figure.metric, *figure.beside], "metric and beside", where)
    strict(figure.only, dict.fromkeys(figure.algorithms, list[str]), f"{where} only")
    for tasks in figure.only.values():
        each_once(tasks, "only", where, least=1)
        for task in tasks:
            one_of("task", task, figure.tasks, f"{where} only")
    for task in figure.smoke:
        one_of("task", task, figure.tasks, f"{where} smoke")
    strict(figure.run, dict.fromkeys(RUN, object), f"{where} run")


def _check_kind(figure: Figure, where: str) -> None:
    one_of("kind of figure", figure.kind, KINDS, where)
    for task in figure.tasks if figure.kind == "ceilings" else []:
        family = task.partition("/")[0]
        one_of("family whose ceilings are known", family, WITH_CEILINGS, f"{where} tasks")
