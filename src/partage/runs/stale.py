"""Which finished runs were made by other code than today's, and what makes each of them again."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partage.config import outcomes
from partage.config.plan import Plan
from partage.config.recipe import ENGINES, SCALES, Recipe, parse, root_of, run_dir
from partage.config.request import Request
from partage.errors import UserError, program
from partage.runs import equal_code, record
from partage.runs.code_stamps import code
from partage.runs.equal_code import Standing

IN_WORKFLOW = re.compile(r"[0-9-]+")  # folders of seeds that the workflow has a rule for


class Found(NamedTuple):
    """A run that was looked at: what of it is other, or why it could not be read."""

    folder: Path
    recipe: Recipe | None
    standing: Standing
    broken: str = ""
    imported: bool = False

    @property
    def is_stale(self) -> bool:
        """Return whether other code made it."""
        return bool(self.standing.other)


def look(place: Path) -> Iterator[Found]:
    """Yield every finished run at `place` and below it, those that cannot be read as well.

    Raises `UserError` where there is none.
    """
    entries = equal_code.read()
    today: dict[tuple[str, str], dict[str, Any]] = {}
    for folder in outcomes.find(place, "--results"):
        nothing = Standing([], [])
        try:
            made = record.read_record(folder)
        except UserError as error:
            yield Found(folder, None, nothing, broken=str(error))
            continue
        recipe = parse(made["recipe"], folder)
        if "imported" in made:
            yield Found(folder, recipe, nothing, imported=True)
            continue
        stamped = recipe.learner, recipe.family
        if stamped not in today:
            today[stamped] = code(*stamped)
        yield Found(folder, recipe, equal_code.standing(entries, made, today[stamped]))


def remaking(plan: Plan, runs: Sequence[Found]) -> list[tuple[int, str]]:
    """Return the commands that make stale runs again, each with how many it makes."""
    targets: dict[str, list[str]] = {}
    commands = []
    plans = {scale: plan.for_scale(scale) for scale in SCALES}
    for run in runs:
        assert run.recipe is not None
        request, folder = _workflow_of(run.folder, run.recipe) or _planned_as(
            plans[run.recipe.scale], run
        )
        if request is None:
            commands.append((1, _training_of_a_copy(run.folder)))
        else:
            targets.setdefault(request.workflow, []).append(str(folder / "record.json"))
    forced = [
        (len(paths), f"{workflow} --force -- {shlex.join(paths)}")
        for workflow, paths in targets.items()
    ]
    return [*forced, *commands]


Place = tuple[Request | None, Path]


def _workflow_of(folder: Path, recipe: Recipe) -> Place | None:
    """Return what the workflow is asked to make a run where it lies; None where it is no place
    of the workflow's.
    """
    root = root_of(folder)
    scale, _, engine = root.name.partition("-")
    if scale not in SCALES or engine not in ("", *ENGINES) or scale != recipe.scale:
        return None
    request = Request(scale=scale, engine=engine or ENGINES[0], results=root.parent.as_posix())
    known = IN_WORKFLOW.fullmatch(folder.name) and (folder / "recipe.json").is_file()
    return (request, folder) if known and folder == run_dir(root, recipe) else None


def _planned_as(plan: Plan, run: Found) -> Place:
    """Return what the workflow is asked to make a run of a copied folder, and where it does."""
    recipe = run.recipe
    assert recipe is not None
    results = root_of(run.folder).parent.as_posix()
    variant = plan.variants.get(recipe.algorithm)
    if variant is None or variant.trial_of or recipe.task not in plan.tasks:
        return None, run.folder  # "all" has no trials
    for seeds_per_run in (Request.seeds_per_run, len(recipe.seeds)):
        for engine in ENGINES:
            request = Request(recipe.scale, engine, results=results, seeds_per_run=seeds_per_run)
            planned = plan.recipes_of(recipe.algorithm, recipe.task, request)
            if recipe.text() in [one.text() for one in planned]:
                return request, run_dir(request.root, recipe)
    return None, run.folder


def _training_of_a_copy(folder: Path) -> str:
    """Return the command that trains what no figure needs, beside the run that there is."""
    copy = folder.with_name(f"{folder.name}-again")
    words = shlex.join([str(copy)]), shlex.join([str(folder / "recipe.json")])
    return (
        f"mkdir {words[0]} && cp {words[1]} {words[0]} && "
        f"{program('partage')} train {shlex.join([str(copy / 'recipe.json')])}"
    )
