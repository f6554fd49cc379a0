"""Sweeps: every method tried with the same settings, and what was chosen (standard library only).

A figure of kind "sweep" has a `grid`: names of settings, and the values to try. Its algorithms are
methods, and each is tried at every point of the grid, on the figure's tasks. A figure of kind
"arena" is `tuned` by a sweep: each of its methods stands at the point that was chosen for it
(chosen.toml), on other tasks. At a scale, `expand` puts these trials in the methods' place. A trial
is a variant called as its settings are, ``ippo+entropy=0.01+lr=0.001``: so are its runs' folders,
and another choice makes other runs and leaves those that there are.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from partage.config import schema
from partage.config.algorithms import TRIED, Layer, Variant
from partage.config.custom import name_with_changes
from partage.config.figures import Figure
from partage.config.recipe import SCALES, Recipe
from partage.config.request import Request
from partage.config.settings import check
from partage.config.types import Scalar
from partage.errors import UserError, look_up

if TYPE_CHECKING:
    from partage.config.plan import Plan

DIGITS = 16  # of a digest


def check_all(plan: "Plan") -> None:
    """Raise `UserError` for a sweep that is not equal for all, or an arena that fits none."""
    for figure in plan.figures.values():
        where = f"figures.toml [{figure.name}]"
        if (figure.kind == "sweep") != bool(figure.grid):
            raise UserError(f"{where}: a figure of kind 'sweep', and no other, has a 'grid'.")
        if (figure.kind == "arena") != bool(figure.tuned):
            raise UserError(
                f"{where}: a figure of kind 'arena', and no other, is 'tuned' by a sweep: name one."
            )
        if figure.kind == "sweep":
            _check_sweep(plan, figure, where)
        if figure.kind == "arena":
            _check_arena(plan, figure, where)


def _check_sweep(plan: "Plan", sweep: Figure, where: str) -> None:
    if sweep.only or sweep.claims or sweep.strip or sweep.episode:
        raise UserError(
            f"{where}: a sweep tries all its methods on all its tasks, and judges nothing: it has "
            "no 'only', 'claims', 'strip' or 'episode'."
        )
    for method in sweep.algorithms:
        variant = plan.variants[method]
        for name in sweep.grid:
            if name in variant.settings:
                raise UserError(
                    f"{where}: {name!r} is what {method} is (algorithms.toml [{method}.settings]), "
                    "so a sweep cannot try other values of it."
                )
        for scale in SCALES:
            points(plan, sweep, variant, scale)


def _check_arena(plan: "Plan", arena: Figure, where: str) -> None:
    sweeps = {name: each for name, each in plan.figures.items() if each.kind == "sweep"}
    sweep = look_up(sweeps, "sweep", arena.tuned, f"{where} tuned")
    for method in arena.algorithms:
        if method not in sweep.algorithms:
            raise UserError(
                f"{where}: {method} has no trials in {sweep.name}, so it would stand untuned "
                f"beside the others: add it to the algorithms of {sweep.name}."
            )
    for task in arena.tasks:
        if task in sweep.tasks:
            raise UserError(
                f"{where}: settings are chosen on {task} (see {sweep.name}), so it cannot be "
                "reported as well: leave it out of one of them."
            )
    facts: dict[str, Any] = {}
    for task in arena.tasks:
        facts |= plan.tasks[task].facts
    for fact in arena.by:
        look_up(facts, "fact of its tasks", fact, f"{where} by")


def points(plan: "Plan", sweep: Figure, method: Variant, scale: str) -> list[dict[str, Scalar]]:
    """Return the settings of a method's trials, in the order of the grid.

    Raises `UserError` for a setting that its learner lacks, a value of another type, or one that
    stands in the grid twice.
    """
    where = f"figures.toml [{sweep.name}] grid, for {method.name}"
    columns = []
    for name, values in sweep.grid.items():
        field = look_up(
            plan.learners[method.learner], f"setting of learner {method.learner!r}", name, where
        )
        tried = schema.at_scale(values, scale, f"{where} {name}")
        if not isinstance(tried, list) or not tried:
            raise UserError(
                f"{where}: {name!r} should be a list of values, at least one, but is {tried!r}."
            )
        checked = [check(field, value, where) for value in tried]
        if len(set(checked)) < len(checked):
            raise UserError(
                f"{where}: {name!r} has a value twice ({tried!r}), so the method would have fewer "
                "trials than there are points."
            )
        columns.append(checked)
    return [dict(zip(sweep.grid, each, strict=True)) for each in itertools.product(*columns)]


def trial(method: Variant, settings: Mapping[str, Scalar]) -> Variant:
    """Return a method with these settings, whatever the sheets set for its tasks."""
    words = ", ".join(f"{name} {value}" for name, value in settings.items())
    return method._replace(
        name=name_with_changes(method.name, settings),
        label=f"{method.label} ({words})",
        layers=(*method.layers, Layer(TRIED, settings, "the grid of a sweep (figures.toml)")),
        trial_of=method.name,
    )


def expand(plan: "Plan", scale: str) -> "Plan":
    """Return the plan with trials in the place of methods, in sweeps and in arenas.

    An arena of which no choice, or one of other trials, is known `lacks` its settings.
    """
    sweeps = {name: figure for name, figure in plan.figures.items() if figure.grid}
    arenas = [figure for figure in plan.figures.values() if figure.tuned in sweeps]
    tried = {name: _trials(plan, sweep, scale) for name, sweep in sweeps.items()}
    variants, figures = dict(plan.variants), dict(plan.figures)
    for name, by_method in tried.items():
        trials = list(itertools.chain.from_iterable(by_method.values()))
        variants |= {each.name: each for each in trials}
        figures[name] = sweeps[name]._replace(algorithms=[each.name for each in trials], grid={})
    expanded = plan._replace(figures=figures, variants=variants)
    for arena in arenas:
        figures[arena.name] = _tune(expanded, arena, tried[arena.tuned], scale)
    return expanded


def _trials(plan: "Plan", sweep: Figure, scale: str) -> dict[str, list[Variant]]:
    """Return the trials of each method of a sweep."""
    found = {}
    for name in sweep.algorithms:
        method = plan.variants[name]
        found[name] = [trial(method, each) for each in points(plan, sweep, method, scale)]
    return found


def _tune(plan: "Plan", arena: Figure, tried: Mapping[str, list[Variant]], scale: str) -> Figure:
    """Return an arena with each method at the trial chosen for it; what it lacks if there is none.

    Smoke scale is no result, and takes the grid's first point where nothing was chosen; the arena
    stays one to be `tuned`, which "all" leaves out.
    """
    choices = plan.choices.get(arena.tuned, {}).get(scale, {})
    names, tuned = {}, ""
    for method in arena.algorithms:
        first = tried[method][0].name
        if method not in choices and scale == SCALES[0]:
            names[method], tuned = first, arena.tuned
            continue
        try:
            names[method] = _chosen(plan, arena.tuned, method, tried[method], scale)
        except UserError as error:
            return arena._replace(lacks=str(error))
    claims = [
        claim._replace(of=names[claim.of], than=[names[each] for each in claim.than])
        for claim in arena.claims
    ]
    only = {names[method]: tasks for method, tasks in arena.only.items()}
    return arena._replace(algorithms=list(names.values()), claims=claims, only=only, tuned=tuned)


def _chosen(plan: "Plan", sweep: str, method: str, tried: list[Variant], scale: str) -> str:
    """Return the name of the trial that was chosen for a method, of today's trials."""
    again = (
        f"make its trials with `{Request(scale=scale, figures=sweep).workflow}`, then choose with "
        f"`partage sweep {sweep} --scale {scale} --write`"
    )
    choice = plan.choices.get(sweep, {}).get(scale, {}).get(method)
    if choice is None:
        raise UserError(f"No settings were chosen for {method} at scale {scale}: {again}.")
    name = name_with_changes(method, choice.settings)
    today = digest(recipes_of(plan, plan.figures[sweep], method, Request(scale=scale)))
    if choice.trials != today or name not in [each.name for each in tried]:
        raise UserError(
            f"The settings of {method} at scale {scale} were chosen of other trials than {sweep} "
            f"has today, so its budget is not that of the others: {again}."
        )
    return name


def recipes_of(plan: "Plan", sweep: Figure, method: str, request: Request) -> Iterator[Recipe]:
    """Yield the recipes of all trials of a method, of a plan in which trials stand."""
    for name, task in sweep.pairs():
        if plan.variants[name].trial_of == method:
            yield from plan.recipes_of(name, task, request)


def digest(recipes: Iterable[Recipe]) -> str:
    """Return a digest of recipes; it is the same however seeds are packed into runs."""
    texts = []
    for recipe in recipes:
        texts += [dataclasses.replace(recipe, seeds=[seed]).text() for seed in recipe.seeds]
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:DIGITS]
