"""Check that the config files agree: names are a file's, names exist, values are of their types."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from partage.config.figures import Figure
from partage.config.recipe import SCALES
from partage.config.tasks import run_values
from partage.errors import UserError, look_up

if TYPE_CHECKING:
    from partage.config.plan import Plan

NAME = re.compile(r"\w[\w.-]*")


def check(plan: "Plan") -> None:
    """Raise `UserError` for the first disagreement between the config files."""
    _check_names(plan)
    _check_tasks_and_algorithms(plan)
    _check_figures(plan)
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
            if not NAME.fullmatch(name) or name == "all":
                raise UserError(
                    f"{file}: a name has letters, digits, '_', '-' and '.', and is not 'all', "
                    f"but is {name!r}."
                )
            if file in drawn and first_file.setdefault(name, file) != file:
                raise UserError(
                    f"{file}: {name!r} has that name in {first_file[name]} already: "
                    f"what is shown has names apart."
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
    for figure in plan.figures.values():
        for name in figure.tasks:
            look_up(plan.tasks, "task", name, f"figures.toml [{figure.name}]")
        for name in figure.algorithms:
            look_up(plan.variants, "algorithm", name, f"figures.toml [{figure.name}]")
    for figure, other in _pairs_of_figures(plan):
        shared = next((pair for pair in figure.pairs() if other.draws(*pair)), None)
        if shared and figure.run != other.run:
            raise UserError(
                f"figures.toml: {figure.name} and {other.name} both draw {' on '.join(shared)}, "
                f"so their keys `run` must be equal."
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
    """Resolve every value at one scale, which checks its type."""
    for figure in plan.figures.values():
        if figure.run:
            for task in figure.tasks:
                run_values(plan.tasks[task], scale, figure.run)
    for task in plan.tasks.values():
        run_values(task, scale)
        home = f"tasks.toml, equal for all on {task.name}"
        for learner, fields in plan.learners.items():
            shared = {name: value for name, value in task.settings.items() if name in fields}
            plan.checked_settings(learner, shared, scale, home)
    for variant in plan.variants.values():
        for layer in variant.layers:
            plan.checked_settings(variant.learner, layer.values, scale, layer.home)
