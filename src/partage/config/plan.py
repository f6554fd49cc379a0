"""The plan: config files -> figures -> cells -> recipes (standard library only, milliseconds).

A setting's value is the last one given of: the learner's default (`budget`: the run's steps), the
variant's value (algorithms.toml), the one that the task holds equal for all (tasks.toml), the
variant's for the family, its for the task; of a sweep's trial, the value that is tried.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partage.config import choices, consistency, merging, schema, snapshots, study, sweeps
from partage.config.algorithms import TRIED, Layer, Variant, read_variants
from partage.config.cells import Cell, Setting
from partage.config.choices import Choices
from partage.config.figures import Figure, read_figures
from partage.config.left_out import reasons, said_of_left_out
from partage.config.needs import lacking
from partage.config.recipe import IMPORTED, SCHEMA, Recipe, packs
from partage.config.request import Request
from partage.config.settings import Field, check, read_learners
from partage.config.settings_tables import SettingsTable, read_settings_tables
from partage.config.snapshots import Snapshot
from partage.config.tasks import LENGTH, Task, read_tasks, run_values
from partage.errors import UserError, look_up

PACKAGE = Path(__file__).resolve().parents[1]


class Plan(NamedTuple):
    """All that the config files say, by name."""

    figures: dict[str, Figure]
    tasks: dict[str, Task]
    variants: dict[str, Variant]
    learners: dict[str, dict[str, Field]]
    settings_tables: dict[str, SettingsTable]
    snapshots: dict[str, Snapshot]
    choices: Choices  # of sweeps: what their trials were good for
    own: frozenset[str] | None = None  # what is drawn or written of a study; None outside of any

    def for_scale(self, scale: str) -> "Plan":
        """Return the plan with its figures as they are made at this scale."""
        scaled = {name: figure.for_scale(scale) for name, figure in self.figures.items()}
        return sweeps.expand(self._replace(figures=scaled), scale)

    @property
    def standing(self) -> list[Figure]:
        """Return the figures that "all" means: no sweep, and no arena without its settings."""
        return [
            each
            for each in map(self.figures.__getitem__, self.all_of(self.figures))
            if each.kind != "sweep" and not each.tuned
        ]

    def all_of(self, entries: Iterable[str]) -> list[str]:
        """Return what "all" stands for among figures, tables or snapshots: in a study, its own."""
        return [name for name in entries if self.own is None or name in self.own]

    def select_figures(self, names: str | Sequence[str] = "all") -> list[Figure]:
        """Return figures by name: "all", one name, a list, or names with commas between.

        Raises `UserError` for a name that is none, and for an arena that lacks its settings.
        """
        each = names.split(",") if isinstance(names, str) else names
        wanted = list(dict.fromkeys(str(name).strip() for name in each))
        if wanted == ["all"]:
            return self.standing
        found = [study.look_up(self.figures, "figure", name, "figures.toml") for name in wanted]
        for figure in found:
            if figure.lacks:
                raise UserError(f"{figure.name}: {figure.lacks}")
        return found

    def ready(self, names: str = "all") -> tuple[list[str], str]:
        """Return the figures and snapshots that can be made here, and a line on what is left out.

        Raises `UserError` where a name other than "all" asks for what lacks a package.
        """
        known: dict[str, Figure | Snapshot] = {**self.figures, **self.snapshots}
        if names == "all":
            wanted = [*(figure.name for figure in self.standing), *self.all_of(self.snapshots)]
        else:
            wanted = [name.strip() for name in names.split(",")]
            self.select_figures([name for name in wanted if name in self.figures])
        waiting: dict[tuple[str, str], list[str]] = {}  # (package, command) -> what lacks it
        for name in wanted:
            shown = study.look_up(known, "figure", name, "figures.toml or snapshots.toml")
            needed = [shown.task] if isinstance(shown, Snapshot) else shown.tasks
            for need in self._missing_packages(needed):
                waiting.setdefault(need, []).append(name)
        lines = [
            f"{', '.join(lacking)}: {package} is not installed; "
            f"run `{command}` to add what needs it."
            for (package, command), lacking in waiting.items()
        ]
        if lines and names != "all":
            raise UserError(" ".join(lines))
        untuned = [name for name in self.all_of(self.figures) if self.figures[name].tuned]
        if untuned and names == "all":
            lines.append(f"{', '.join(untuned)}: no settings chosen yet (docs/arena.md).")
        left_out: set[str] = set().union(*waiting.values())
        for why, far in reasons(self.select_figures() if names == "all" else []).items():
            lines.append(said_of_left_out(why, far))
            left_out.update(far)
        return [name for name in wanted if name not in left_out], " ".join(lines)

    def _missing_packages(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each package that the tasks need and that is missing, and what installs it."""
        needs: dict[str, str] = {}
        for name in names:
            needs |= self.tasks[name].needs
        yield from lacking(needs).items()

    def engine(self, task: str, request: Request) -> str:
        """Return the engine that plays a task: the one asked for, unless it has only one."""
        return study.look_up(self.tasks, "task", task, "tasks.toml").engine or request.engine

    def settings(self, algorithm: str, task: str, scale: str) -> list[Setting]:
        """Return every setting of a variant on a task, with its home."""
        variant = study.look_up(self.variants, "algorithm", algorithm, "algorithms.toml")
        fields = self.learners[variant.learner]
        held_equal = study.look_up(self.tasks, "task", task, "tasks.toml").settings_for(fields)
        default_home = f"learners/{variant.learner}.py"
        found = {f.name: Setting(f.name, f.default, default_home) for f in fields.values()}
        equal_home = f"tasks.toml, equal for all on {task}"
        run, _ = run_values(self.tasks[task], scale, self.figure_overrides(algorithm, task))
        layers = (
            Layer(LENGTH, {LENGTH: run["steps"]} if LENGTH in fields else {}, "the run's steps"),
            *variant.layers_for(),
            Layer(task, held_equal, equal_home),
            *variant.layers_for(task.partition("/")[0]),
            *variant.layers_for(task),
            *variant.layers_for(TRIED),
        )
        for layer in layers:
            found |= self.checked_settings(variant.learner, layer.values, scale, layer.home)
        return list(found.values())

    def checked_settings(
        self, learner: str, values: Mapping[str, Any], scale: str, home: str
    ) -> dict[str, Setting]:
        """Return the settings that stand in one home.

        Raises `UserError` for one that the learner does not have, or of another type.
        """
        found = {}
        for name, value in values.items():
            field = look_up(self.learners[learner], f"setting of learner {learner!r}", name, home)
            scaled = schema.at_scale(value, scale, f"{home} {name}")
            found[name] = Setting(name, check(field, scaled, home), home)
        return found

    def recipes(self, figures: Iterable[Figure], request: Request) -> list[Recipe]:
        """Return the runs that the figures need, each once."""
        pairs: dict[tuple[str, str], None] = {}
        for figure in figures:
            pairs |= dict.fromkeys(figure.pairs())
        found = []
        for algorithm, task in pairs:
            found += self.recipes_of(algorithm, task, request)
        return found

    def recipes_of(self, algorithm: str, task: str, request: Request) -> list[Recipe]:
        """Return the runs of one algorithm on one task: its seeds in packs."""
        scale = request.scale
        settings = {s.name: s.value for s in self.settings(algorithm, task, scale)}
        overrides = self.figure_overrides(algorithm, task)
        run, options = run_values(self.tasks[task], scale, overrides)
        seeds = request.seed_count or run["seeds"]
        del run["seeds"]
        return [
            Recipe(
                schema=SCHEMA,
                scale=scale,
                engine=self.engine(task, request),
                algorithm=algorithm,
                learner=self.variants[algorithm].learner,
                settings=settings,
                task=task,
                options=options,
                seeds=pack,
                **run,
            )
            for pack in packs(seeds, request.seeds_per_run)
        ]

    def figure_overrides(self, algorithm: str, task: str) -> Mapping[str, Any]:
        """Return what the figures that draw this pair set instead of the task's steps and seeds."""
        for figure in self.figures.values():
            if figure.draws(algorithm, task):
                return figure.run
        return {}

    def episode_recipes(self, figures: Iterable[Figure], request: Request) -> list[Recipe]:
        """Return the run with the first seed of each pair that is drawn within an episode."""
        pairs: dict[tuple[str, str], None] = {}
        for figure in figures:
            if figure.episode:
                for task in figure.tasks:
                    pairs[figure.episode, task] = None
        return [self.recipes_of(*pair, request)[0] for pair in pairs]

    def table_content(self, name: str, scale: str) -> str:
        """Return all that a settings table shows: a change writes the table again."""
        table = self.settings_tables[name]
        facts = [self.tasks[task].facts for task in table.tasks]
        named = table.tasks if table.algorithm else ()
        settings = [self.settings(table.algorithm, task, scale) for task in named]
        return repr((table, facts, settings))

    def figure_content(self, figure: Figure) -> str:
        """Return all that the config files say of a figure's look: a change draws it again."""
        variants = [self.variants[name] for name in figure.algorithms]
        curves = [(variant.name, variant.label, variant.colour) for variant in variants]
        labels = [self.tasks[task].label for task in figure.tasks]
        content: tuple[Any, ...] = (figure, curves, labels)
        if figure.by:
            content += ([self.tasks[task].facts for task in figure.tasks],)
        return repr(content)


def caption(file: str) -> Path:
    """Return where a caption lies: with a study, or with the package; a whole path as it is."""
    root = study.root()
    own = root / "captions" / file if root else None
    return own if own and own.is_file() else PACKAGE / "report/captions" / file


def cells(recipes: Iterable[Recipe]) -> list[Cell]:
    """Return the curves that these runs make."""
    found: list[Cell] = []
    for recipe in recipes:
        found += [Cell(recipe.algorithm, recipe.task, seed) for seed in recipe.seeds]
    return found


def load(root: Path | None = None) -> Plan:
    """Return the plan of a checkout (of this package when None), and of the study around us.

    Every entry is checked at every scale, whether a figure uses it or not.
    """
    package = PACKAGE if root is None else root / "src/partage"
    sheets = merging.read(package)
    entries = sheets.entries
    learners = read_learners(package / "learners")
    learners[IMPORTED] = {}  # of others: nothing here can be set
    tasks = read_tasks(entries["tasks"])
    plan = Plan(
        figures=read_figures(entries["figures"], sheets.folders, tasks),
        tasks=tasks,
        variants=read_variants(entries["algorithms"], learners),
        learners=learners,
        settings_tables=read_settings_tables(entries["tables"]),
        snapshots=snapshots.read(entries["snapshots"]),
        choices=choices.of(package),
        own=sheets.own,
    )
    consistency.check(plan)
    return plan
