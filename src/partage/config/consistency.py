"""Check that the config files agree: names are a file's, names exist, values are of their types."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from partage.config import sweeps
from partage.config.figures import OF_TRIALS, Figure
from partage.config.names import check_name
from partage.config.recipe import IMPORTED, SCALES
from partage.config.tasks import run_values
from partage.errors import UserError, all_known, look_up

if TYPE_CHECKING:
    from partage.config.plan import Plan

BESIDE = {"sweep": ("trials",), "arena": ("standings",)}  # further tables of a figure of this kind


def check(plan: "Plan") -> None:
    """Raise `UserError` for the first disagreement between the config files."""
    _check_names(plan)
    _check_tasks_and_algorithms(plan)
    _check_figures(plan)
    sweeps.check_all(plan)
    _check_tables_and_snapshots(plan)
    for scale in SCALES:
        _check_values(plan, scale)


def _check_names(plan: "Plan") -> None:
    """Names become files; those of what is drawn lie in one folder, so they must be apart."""
    drawn: Mapping[str, Mapping[str, Any]] = {
        "figures.toml": plan.figures,
        "tables.toml": plan.settings_tables,
        "snapshots.toml": plan.snapshots,
    }
    first_file: dict[str, str] = {}
    for file, entries in {**drawn, "algorithms.toml": plan.variants}.items():
        for name in entries:
            check_name("a name", name, file)
            if name == "all":
                raise UserError(f"{file}: a name is not 'all', which stands for every one.")
            if file in drawn and first_file.setdefault(name, file) != file:
                raise UserError(
                    f"{file}: {name!r} has that name in {first_file[name]} already: "
                    f"what is shown has names apart."
                )
    for name, figure in plan.figures.items():
        for ending in ("claims", *BESIDE.get(figure.kind, ())):
            if f"{name}-{ending}" in first_file:
                raise UserError(
                    f"figures.toml: {name!r} has its {ending} in {name}-{ending}.csv, so nothing "
                    f"else that is shown can be called {name}-{ending}."
                )
    _check_capitals(first_file, "figures.toml, tables.toml and snapshots.toml")
    _check_capitals(plan.variants, "algorithms.toml")
    _check_capitals(plan.tasks, "tasks.toml")


def _check_capitals(names: Iterable[str], file: str) -> None:
    """Some disks do not tell capitals: names that differ in them alone would be one file."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            raise UserError(
                f"{file}: {other!r} and {name!r} differ in capitals alone, and so would be one "
                f"file on some disks."
            )


def _check_tasks_and_algorithms(plan: "Plan") -> None:
    fields: dict[str, Any] = {}
    for known in plan.learners.values():
        fields |= known
    for task in plan.tasks.values():
        for name in task.settings:
            look_up(fields, "setting (no learner has it)", name, f"tasks.toml, {task.name}")
    families = {task.partition("/")[0] for task in plan.tasks}
    places = dict.fromkeys([*plan.tasks, *families])
    for variant in plan.variants.values():
        for layer in variant.layers:
            if layer.key:
                look_up(places, "task", layer.key, f"algorithms.toml [{variant.name}]")


def _check_figures(plan: "Plan") -> None:
    variants = plan.variants
    for figure in plan.figures.values():
        known = {"task": (figure.tasks, plan.tasks), "algorithm": (figure.algorithms, variants)}
        all_known(known, f"figures.toml [{figure.name}]")
        _check_drawn_apart(plan, figure)
        if figure.strip and plan.variants[figure.strip].learner == IMPORTED:
            raise UserError(
                f"figures.toml [{figure.name}]: strip draws who shares with whom, which "
                f"nobody knows of {figure.strip}, an imported algorithm."
            )
    for figure, other in _pairs_of_figures(plan):
        if (figure.kind in OF_TRIALS) != (other.kind in OF_TRIALS):
            continue  # trials have names of their own
        shared = next((pair for pair in figure.pairs() if other.draws(*pair)), None)
        if shared and figure.run != other.run:
            raise UserError(
                f"figures.toml: {figure.name} and {other.name} both draw {' on '.join(shared)}, "
                f"so their keys `run` must be equal."
            )


def _check_drawn_apart(plan: "Plan", figure: Figure) -> None:
    """Raise `UserError` where two algorithms of a figure look, or are called, the same."""
    # in a row each, colours need not tell them apart
    for what in ("label",) if figure.kind in OF_TRIALS else ("colour", "label"):
        first: dict[str, str] = {}
        for name in figure.algorithms:
            shown = getattr(plan.variants[name], what)
            other = first.setdefault(shown.casefold(), name)
            if other != name:
                raise UserError(
                    f"figures.toml [{figure.name}]: {other} and {name} have one {what} "
                    f"({shown}), so nobody could tell them apart: give one of them another in "
                    f"algorithms.toml."
                )


def _pairs_of_figures(plan: "Plan") -> Iterator[tuple[Figure, Figure]]:
    for figure in plan.figures.values():
        for other in plan.figures.values():
            yield figure, other


def _check_tables_and_snapshots(plan: "Plan") -> None:
    for snapshot in plan.snapshots.values():
        look_up(plan.tasks, "task", snapshot.task, f"snapshots.toml [{snapshot.name}]")
    for table in plan.settings_tables.values():
        where = f"tables.toml [{table.name}]"
        for task in table.tasks:
            facts = look_up(plan.tasks, "task", task, where).facts
            for fact in table.facts:
                look_up(facts, f"fact of {task}", fact, where)
        if table.algorithm or table.settings:
            variant = look_up(plan.variants, "algorithm", table.algorithm, where)
            for name in table.settings:
                fields = plan.learners[variant.learner]
                look_up(fields, f"setting of {table.algorithm!r}", name, where)


def _check_values(plan: "Plan", scale: str) -> None:
    """Resolve every value at one scale, which checks its type; also those that others overrule."""
    for figure in plan.figures.values():
        if figure.run:
            for task in figure.tasks:
                run_values(plan.tasks[task], scale, figure.run)
    for task in plan.tasks.values():
        run_values(task, scale)
        run_values(task, scale, task.family_run)
        home = f"tasks.toml, equal for all on {task.name}"
        for learner, fields in plan.learners.items():
            plan.checked_settings(learner, task.settings_for(fields), scale, home)
            plan.checked_settings(learner, task.family_settings_for(fields), scale, home)
    for variant in plan.variants.values():
        for layer in variant.layers:
            plan.checked_settings(variant.learner, layer.values, scale, layer.home)
