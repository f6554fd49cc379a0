"""What is to be run: the sheets -> figures -> cells -> recipes (standard library only, milliseconds).

A setting's value is the last one given of: the learner's default, the variant's value (algorithms.toml), the value the
task holds equal for all algorithms (tasks.toml), the variant's value for the family or for the task.
"""

import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partage import Refusal, exhibits, scenes, sheets
from partage.exhibits import Figure, Listing
from partage.recipe import IMPORTED, SCALES, SCHEMA, Recipe, packs
from partage.request import Request
from partage.scenes import Scene
from partage.settings import Field, Scalar, check, read
from partage.sheets import Task, Variant, at_scale, get, run_values

ROOT = Path(__file__).resolve().parents[2]


class Cell(NamedTuple):
    algorithm: str
    task: str
    seed: int


class Setting(NamedTuple):
    """A resolved setting and where its value stands."""

    name: str
    value: Scalar
    home: str


class Plan(NamedTuple):
    figures: dict[str, Figure]
    tasks: dict[str, Task]
    variants: dict[str, Variant]
    learners: dict[str, dict[str, Field]]
    listings: dict[str, Listing]
    scenes: dict[str, Scene]

    def at(self, scale: str) -> "Plan":
        """With the figures as they are made at this scale."""
        return self._replace(figures={name: figure.at(scale) for name, figure in self.figures.items()})

    def pick(self, names: str | Sequence[str] = "all") -> list[Figure]:
        """Figures by name; "all", one name, a list, or names with commas between."""
        listed = names.split(",") if isinstance(names, str) else list(names)
        if listed == ["all"]:
            return list(self.figures.values())
        return [get(self.figures, "figure", str(name).strip(), "figures.toml") for name in listed]

    def ready(self, names: str = "all") -> tuple[list[str], str]:
        """Figures and scenes that can be made here; and a line on what "all" leaves out. Asked for, that is refused."""
        known = self.figures | self.scenes
        listed = list(known) if names == "all" else [name.strip() for name in names.split(",")]
        lacking: dict[tuple[str, str], list[str]] = {}
        for name in listed:
            shown = get(known, "figure", name, "figures.toml or scenes.toml")
            for need in self._lacks([shown.task] if isinstance(shown, Scene) else shown.tasks):
                lacking.setdefault(need, []).append(name)
        line = " ".join(f"{', '.join(of)}: {package} is not installed; run `{command}` to add what needs it."
                        for (package, command), of in lacking.items())  # fmt: skip
        if line and names != "all":
            raise Refusal(line)
        return [name for name in listed if not any(name in of for of in lacking.values())], line

    def _lacks(self, tasks: Iterable[str]) -> Iterator[tuple[str, str]]:
        """What the tasks need that is not installed, and the command that installs it."""
        for package, command in dict(need for task in tasks for need in self.tasks[task].needs.items()).items():
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                yield package, command

    def engine(self, task: str, request: Request) -> str:
        """What a task is played with: what was asked for, unless it has one engine only."""
        return get(self.tasks, "task", task, "tasks.toml").engine or request.engine

    def settings(self, algorithm: str, task: str, scale: str) -> list[Setting]:
        """Every setting of a variant on a task, with its home."""
        variant = get(self.variants, "algorithm", algorithm, "algorithms.toml")
        known, shared = self.learners[variant.learner], get(self.tasks, "task", task, "tasks.toml")
        family = task.partition("/")[0]
        found = {f.name: Setting(f.name, f.default, f"learners/{variant.learner}.py") for f in known.values()}
        for home, values in (
            (f"algorithms.toml [{algorithm}.settings]", variant.settings),
            (f"tasks.toml, equal for all on {task}", {k: v for k, v in shared.settings.items() if k in known}),
            *((f'algorithms.toml [{algorithm}.task."{key}"]', variant.task.get(key, {})) for key in (family, task)),
        ):
            found |= self.layer(variant.learner, values, scale, home)
        return list(found.values())

    def layer(self, learner: str, values: Mapping[str, Any], scale: str, home: str) -> dict[str, Setting]:
        """The settings that stand in one home, each checked."""
        found = {}
        for name, value in values.items():
            field = get(self.learners[learner], f"setting of learner {learner!r}", name, home)
            found[name] = Setting(name, check(field, at_scale(value, scale, f"{home} {name}"), home), home)
        return found

    def recipes(self, figures: Iterable[Figure], request: Request) -> list[Recipe]:
        """The runs that the figures need, each once."""
        pairs = dict.fromkeys(
            (name, task) for f in figures for task in f.tasks for name in f.algorithms if f.has(name, task)
        )
        return [recipe for pair in pairs for recipe in self.pair(*pair, request)]

    def pair(self, algorithm: str, task: str, request: Request) -> list[Recipe]:
        """The runs of one algorithm on one task: its seeds in packs."""
        scale, engine = request.scale, self.engine(task, request)
        settings = {setting.name: setting.value for setting in self.settings(algorithm, task, scale)}
        run, options = run_values(self.tasks[task], scale, self.own(algorithm, task))
        seeds, learner = run.pop("seeds"), self.variants[algorithm].learner
        return [
            Recipe(SCHEMA, scale, engine, algorithm, learner, settings, task, options, pack, **run)
            for pack in packs(seeds, request.seeds_per_run)
        ]

    def own(self, algorithm: str, task: str) -> Mapping[str, Any]:
        """What the figures that draw this pair have in place of the task's steps, measuring and seeds."""
        return next((figure.run for figure in self.figures.values() if figure.has(algorithm, task)), {})

    def within(self, figures: Iterable[Figure], request: Request) -> list[Recipe]:
        """The run with the first seed of each algorithm of whose choices within an episode a strip is drawn."""
        pairs = dict.fromkeys((figure.episode, task) for figure in figures if figure.episode for task in figure.tasks)
        return [self.pair(*pair, request)[0] for pair in pairs]

    def listed(self, name: str, scale: str) -> str:
        """All that a table shows: when it changes, the table is written again."""
        listing = self.listings[name]
        facts = [self.tasks[task].facts for task in listing.tasks]
        return repr(
            (listing, facts, [self.settings(listing.algorithm, t, scale) for t in listing.tasks if listing.algorithm])
        )

    def look(self, figure: Figure) -> str:
        """All that the sheets say of how a figure looks: when it changes, the figure is drawn again."""
        variants = [(name, self.variants[name].label, self.variants[name].colour) for name in figure.algorithms]
        return repr((figure, variants, [self.tasks[task].label for task in figure.tasks]))


def cells(recipes: Iterable[Recipe]) -> list[Cell]:
    return [Cell(recipe.algorithm, recipe.task, seed) for recipe in recipes for seed in recipe.seeds]


def load(root: Path | None = None) -> Plan:
    """The plan of a checkout (this one's when None), every entry checked at every scale, used by a figure or not."""
    root = root or ROOT
    config = root / "workflow" / "config"
    learners = {path.stem: read(path) for path in sorted((root / "src/partage/learners").glob("[!_]*.py"))}
    learners[IMPORTED] = {}  # of others: nothing here can be set
    tasks = {task.name: task for task in sheets.tasks(sheets.toml(config / "tasks.toml"))}
    variants = {
        n: sheets.variant(n, sheets.as_table(e, n), learners)
        for n, e in sheets.toml(config / "algorithms.toml").items()
    }
    figures = {
        n: exhibits.figure(n, sheets.as_table(e, n), root) for n, e in sheets.toml(config / "figures.toml").items()
    }
    listings = {n: exhibits.listing(n, sheets.as_table(e, n)) for n, e in sheets.toml(config / "tables.toml").items()}
    plan = Plan(figures, tasks, variants, learners, listings, scenes.read(config / "scenes.toml"))
    _check(plan)
    return plan


def _shared(one: Figure, other: Figure) -> tuple[str, str] | None:
    """A pair of algorithm and task that both figures draw."""
    pairs = ((name, task) for name in one.algorithms for task in one.tasks if one.has(name, task))
    return next((pair for pair in pairs if other.has(*pair)), None)


def _check(plan: Plan) -> None:
    """Names that can be a file's, names that point at each other, and every setting's type at every scale."""
    shown: dict[str, str] = {}  # what lies in figures/ and tables/ by its name
    sheet = {"figures.toml": plan.figures, "tables.toml": plan.listings, "scenes.toml": plan.scenes}
    for file, entries in {**sheet, "algorithms.toml": plan.variants}.items():
        for name in entries:
            if not re.fullmatch(r"\w[\w.-]*", name) or name == "all":
                raise Refusal(
                    f"{file}: a name has letters, digits, '_', '-' and '.', and is not 'all', but is {name!r}."
                )
            if file in sheet and shown.setdefault(name, file) != file:
                raise Refusal(
                    f"{file}: {name!r} has that name in {shown[name]} already: what is shown has names apart."
                )
    fields = {name for known in plan.learners.values() for name in known}
    families = {task.partition("/")[0] for task in plan.tasks}
    for task in plan.tasks.values():
        for name in task.settings:
            get(dict.fromkeys(fields), "setting (no learner has it)", name, f"tasks.toml, {task.name}")
    for variant in plan.variants.values():
        for key in variant.task:
            get(plan.tasks | dict.fromkeys(families), "task", key, f"algorithms.toml [{variant.name}]")
    for figure in plan.figures.values():
        for kind, names, known in (("task", figure.tasks, plan.tasks), ("algorithm", figure.algorithms, plan.variants)):
            for name in names:
                get(known, kind, name, f"figures.toml [{figure.name}]")
        for other in plan.figures.values():
            if figure.run != other.run and (shared := _shared(figure, other)):
                raise Refusal(
                    f"figures.toml: {figure.name} and {other.name} both draw {' on '.join(shared)}, so their keys "
                    "`run` must be equal."
                )
    for scene in plan.scenes.values():
        get(plan.tasks, "task", scene.task, f"scenes.toml [{scene.name}]")
    for listing in plan.listings.values():
        where = f"tables.toml [{listing.name}]"
        for task in listing.tasks:
            known = get(plan.tasks, "task", task, where).facts
            for fact in listing.facts:
                get(known, f"fact of {task}", fact, where)
        if listing.algorithm or listing.settings:
            fields = plan.learners[get(plan.variants, "algorithm", listing.algorithm, where).learner]
            for name in listing.settings:
                get(fields, f"setting of {listing.algorithm!r}", name, where)
    for scale in SCALES:
        for figure in plan.figures.values():
            for task in figure.tasks if figure.run else ():
                run_values(plan.tasks[task], scale, figure.run)
        for task in plan.tasks.values():
            run_values(task, scale)
            for learner, known in plan.learners.items():
                shared = {k: v for k, v in task.settings.items() if k in known}
                plan.layer(learner, shared, scale, f"tasks.toml, equal for all on {task.name}")
        for name, variant in plan.variants.items():
            plan.layer(variant.learner, variant.settings, scale, f"algorithms.toml [{name}.settings]")
            for key, values in variant.task.items():
                plan.layer(variant.learner, values, scale, f'algorithms.toml [{name}.task."{key}"]')
