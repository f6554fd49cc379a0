"""tasks.toml: what a task holds equal for all algorithms (standard library only)."""

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from partage.config.names import check_name
from partage.config.recipe import (
    ENGINES,
    MOST_EPISODES,
    MOST_SEEDS,
    WHY_EPISODES,
    WHY_SEEDS,
    refuse_reserved_options,
)
from partage.config.schema import Values, as_table, at_scale, check_scalars, strict
from partage.config.types import fits
from partage.errors import LIMIT, UserError, at_most, look_up, one_of

RUN = ("steps", "seeds", "log_every", "test_every", "test_episodes")  # whole numbers of each run
TIME_LIMITS = ("terminal", "truncation")
LENGTH = "budget"  # a learner that has this setting is told its runs' steps by it
NOTHING: Values = MappingProxyType({})


class Task(NamedTuple):
    """One task: its family's values with its own on top."""

    name: str  # "family/name"
    label: str
    run: Values  # the keys of RUN and time_limit
    options: Values  # for the environment's `make`
    settings: Values  # held equal for all algorithms
    family_run: Values  # its family's alone: what the task's own values stand above
    family_settings: Values
    facts: Values  # about the task, for its row in a table
    axes: Mapping[str, str]  # what figures write at an axis: x axis or metric -> label
    rates: list[str]  # metrics from 0 to 1, which figures draw on the whole of that
    groups: list[int]  # the task's own: agents of each kind, in the agents' order ([]: none)
    engine: str  # the only one there is ("": the one asked for)
    needs: Mapping[str, str]  # what has to be installed besides, and the command that does it

    def settings_for(self, fields: Container[str]) -> dict[str, Any]:
        """Return the settings held equal that a learner with these `fields` has."""
        return _known(self.settings, fields)

    def family_settings_for(self, fields: Container[str]) -> dict[str, Any]:
        """Return those of its family alone, also where the task's own stand above them."""
        return _known(self.family_settings, fields)


def _known(settings: Values, fields: Container[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in fields}


OF_BOTH = dict.fromkeys((*RUN, "time_limit"), object)  # values, or tables by scale
OF_BOTH |= {"options": dict, "settings": dict, "facts": dict}
OF_TASK = OF_BOTH | {"label": str, "groups": list[int]}
OF_FAMILY = OF_BOTH | {
    "axes": dict,
    "rates": list[str],
    "engine": str,
    "needs": dict,
    "task": dict,
}


def read_tasks(entries: Values) -> dict[str, Task]:
    """Return the tasks of tasks.toml by name.

    Raises `UserError` for what does not belong in it.
    """
    found = {}
    for family, shared in entries.items():
        where = f"tasks.toml [{family}]"
        check_name("a family of tasks", family, "tasks.toml")
        strict(as_table(shared, where), OF_FAMILY, where, ["task"])
        for key in ("axes", "needs"):
            texts = shared.get(key, {})
            strict(texts, dict.fromkeys(texts, str), f"{where} {key}")
        if "engine" in shared:
            one_of("engine", shared["engine"], ENGINES, where)
        for name, own in shared["task"].items():
            task = _read_task(family, shared, name, own)
            found[task.name] = task
    return found


def _read_task(family: str, shared: Values, name: str, own: Any) -> Task:
    where = f"tasks.toml [{family}.task.{name}]"
    check_name("a task's name", name, "tasks.toml")
    strict(as_table(own, where), OF_TASK, where)
    family_run = {key: shared[key] for key in (*RUN, "time_limit") if key in shared}
    own_run = {key: own[key] for key in (*RUN, "time_limit") if key in own}
    family_settings = shared.get("settings", {})
    options = shared.get("options", {}) | own.get("options", {})
    refuse_reserved_options(options, f"tasks.toml, {family}/{name}")
    facts = shared.get("facts", {}) | own.get("facts", {})
    check_scalars(facts, f"{where} facts")
    groups = own.get("groups", [])
    if any(size < 1 for size in groups):
        raise UserError(
            f"{where}: groups says how many agents each of the task's own groups has, at least 1, "
            f"but is {groups!r}."
        )
    return Task(
        name=f"{family}/{name}",
        label=own.get("label", name),
        run=family_run | own_run,
        options=options,
        settings=family_settings | own.get("settings", {}),
        family_run=family_run,
        family_settings=family_settings,
        facts=facts,
        axes=shared.get("axes", {}),
        rates=shared.get("rates", []),
        groups=groups,
        engine=shared.get("engine", ""),
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
        if not fits(value, int) or not least <= value < LIMIT:
            raise UserError(
                f"{where}: {key} is a whole number from {least} on, below 2^63, "
                f"but is {value!r} at scale {scale}."
            )
        run[key] = value
    _check_run(run, f"{where}, at scale {scale}")
    options = {k: at_scale(v, scale, f"{task.name} {k}") for k, v in task.options.items()}
    check_scalars(options, f"{where} options")
    options["time_limit"] = at_scale(values.get("time_limit"), scale, f"{task.name} time_limit")
    one_of("time_limit", options["time_limit"], TIME_LIMITS, where)
    return run, options


def _check_run(run: Mapping[str, int], where: str) -> None:
    """Raise `UserError` for numbers of a run that make no sense together, or for anybody."""
    at_most(f"{where}: seeds", run["seeds"], MOST_SEEDS, WHY_SEEDS)
    at_most(f"{where}: test_episodes", run["test_episodes"], MOST_EPISODES, WHY_EPISODES)
    if run["log_every"] > run["steps"]:
        raise UserError(
            f"{where}: log_every is {run['log_every']:,}, but a run has {run['steps']:,} steps: "
            f"its curve would have no point."
        )
    if run["test_every"] and not run["test_episodes"]:
        raise UserError(
            f"{where}: test_every is {run['test_every']}, so test_episodes must be at least 1."
        )
