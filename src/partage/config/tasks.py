"""tasks.toml: what a task holds equal for all algorithms (standard library only)."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from partage.config.recipe import ENGINES, refuse_reserved_options
from partage.config.schema import Values, as_table, at_scale, strict
from partage.errors import UserError, look_up, one_of

RUN = ("steps", "seeds", "log_every", "test_every", "test_episodes")  # whole numbers of each run
TIME_LIMITS = ("terminal", "truncation")
NOTHING: Values = MappingProxyType({})


class Task(NamedTuple):
    """One task: its family's values with its own on top."""

    name: str  # "family/name"
    label: str
    run: Values  # the keys of RUN and time_limit
    options: Values  # for the environment's `make`
    settings: Values  # held equal for all algorithms
    facts: Values  # about the task, for its row in a table
    engine: str  # the only one there is ("": the one asked for)
    needs: Mapping[str, str]  # what has to be installed besides, and the command that does it


def read_tasks(entries: Values) -> Iterator[Task]:
    """Yield the tasks of tasks.toml. Raises `UserError` for what does not belong in it."""
    of_both = dict.fromkeys((*RUN, "time_limit"), object)  # values, or tables by scale
    of_both |= {"options": dict, "settings": dict, "facts": dict}
    of_family = of_both | {"engine": str, "needs": dict, "task": dict}
    for family, shared in entries.items():
        where = f"tasks.toml [{family}]"
        strict(as_table(shared, where), of_family, where, ["task"])
        engine = shared.get("engine", "")
        if engine:
            one_of("engine", engine, ENGINES, where)
        for name, own in shared["task"].items():
            place = f"tasks.toml [{family}.task.{name}]"
            strict(as_table(own, place), of_both | {"label": str}, place)
            run = {key: shared[key] for key in (*RUN, "time_limit") if key in shared}
            run |= {key: own[key] for key in (*RUN, "time_limit") if key in own}
            options = shared.get("options", {}) | own.get("options", {})
            refuse_reserved_options(options, f"tasks.toml, {family}/{name}")
            yield Task(
                name=f"{family}/{name}",
                label=own.get("label", name),
                run=run,
                options=options,
                settings=shared.get("settings", {}) | own.get("settings", {}),
                facts=shared.get("facts", {}) | own.get("facts", {}),
                engine=engine,
                needs=shared.get("needs", {}),
            )


def run_values(
    task: Task, scale: str, overrides: Values = NOTHING
) -> tuple[dict[str, int], dict[str, Any]]:
    """Return a task's steps, seeds and measuring at one scale, and its environment's options.

    `overrides` take the place of the task's own values.
    """
    where = f"tasks.toml, {task.name}"
    values = {**task.run, **overrides}
    run = {}
    for key in RUN:
        least = 0 if key.startswith("test") else 1
        value = at_scale(look_up(values, "value", key, where), scale, f"{task.name} {key}")
        if type(value) is not int or value < least:
            raise UserError(
                f"{where}: {key} is a whole number from {least} on, but is {value!r} at scale {scale}."
            )
        run[key] = value
    if run["test_every"] and not run["test_episodes"]:
        raise UserError(
            f"{where}: test_every is {run['test_every']}, so test_episodes must be at least 1."
        )
    options = {k: at_scale(v, scale, f"{task.name} {k}") for k, v in task.options.items()}
    options["time_limit"] = at_scale(values.get("time_limit"), scale, f"{task.name} time_limit")
    one_of("time_limit", options["time_limit"], TIME_LIMITS, where)
    return run, options
