"""Bring others' results into the layout of ours: sacred runs of EPyMARL and PyMARL, CSV files, and
marl-eval's JSON.

They stand under a variant of algorithms.toml with ``learner = "imported"``: the plan knows them,
nothing trains them, and their label says "(imported)" in every figure. The record keeps where each
seed came from, the configuration it was made with, the files' sha256, and what was left out.
Results of another budget or another number of seeds than the task gives everybody are refused: they
would not be comparable. Nothing is written before everything is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from partage.config.recipe import IMPORTED, Recipe, run_dir, write_recipes
from partage.errors import UserError
from partage.runs import budget, experiments, foreign, record, sources
from partage.runs.experiments import Measured, Run
from partage.runs.sources import Request


class Imported(NamedTuple):
    """The folders of the runs that were written, and a remark for each thing to know."""

    folders: list[Path]
    remarks: list[str]


class Guest(NamedTuple):
    """One seed of somebody else's."""

    run: Run
    measured: Measured


def bring(
    source: Path, recipes: Sequence[Recipe], root: Path, request: Request | None = None
) -> Imported:
    """Write the runs of `recipes` (one algorithm on one task) from `source`.

    Their seeds, in order, become 0, 1, ... Raises `UserError` for a variant that is ours, malformed
    files, runs that differ in more than their seed, another number of seeds or budget.
    """
    request = request or Request()
    first = recipes[0]
    if first.learner != IMPORTED:
        raise UserError(
            f"{first.algorithm} is trained here (learner {first.learner!r}): imported results need "
            f'a variant of their own in algorithms.toml, with learner = "{IMPORTED}".'
        )
    explicit = sources.named(request)
    where = sources.chosen_by(request)
    runs, metrics = sources.read(source, first.task, first.algorithm, request)

    def reaches_the_end(run: Run) -> bool:
        return budget.reaches(run, run.read(list(metrics)), first.steps)

    chosen = experiments.choose(source, runs, where, request.ignore, reaches_the_end)
    guests = [Guest(run, run.read(list(metrics))) for run in chosen.runs]
    guest_of = dict(zip(_seeds(source, recipes, guests, chosen.left_out), guests, strict=True))
    curve_of = {seed: fit(guest, first, seed, metrics) for seed, guest in guest_of.items()}
    _check_metrics(guest_of, curve_of, explicit)
    early = [budget.remark(*guest, first.steps) for guest in guests]
    remarks = [f"left out {each}" for each in chosen.left_out] + [each for each in early if each]
    made = {
        "source": str(source),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": metrics,
        "left_out": chosen.left_out,
        "ignored": list(request.ignore),
        "remarks": remarks,
    }
    _write(recipes, root, guest_of, curve_of, made)
    return Imported([run_dir(root, recipe) for recipe in recipes], remarks)


def _write(
    recipes: Sequence[Recipe],
    root: Path,
    guest_of: Mapping[int, Guest],
    curve_of: Mapping[int, pd.DataFrame],
    made: Mapping[str, Any],
) -> None:
    """Write the runs' recipes, curves and records; `made` says how they were brought."""
    write_recipes(root, recipes)
    for recipe in recipes:
        curve = pd.concat([curve_of[seed] for seed in recipe.seeds], ignore_index=True)
        origins = {seed: _origin(guest_of[seed]) for seed in recipe.seeds}
        entry = foreign.kept({**made, "seeds": origins})
        record.write(run_dir(root, recipe), curve, _record(recipe, entry))


def _seeds(
    source: Path, recipes: Sequence[Recipe], guests: Sequence[Guest], left_out: Sequence[str]
) -> list[int]:
    """Return our seeds. Raises `UserError` where there are not as many of theirs."""
    seeds: list[int] = []
    for recipe in recipes:
        seeds += recipe.seeds
    if len(guests) != len(seeds):
        first = recipes[0]
        without = f" (left out: {'; '.join(left_out)})" if left_out else ""
        raise UserError(
            f"{source} holds {len(guests)} runs{without}, but {first.task} has {len(seeds)} seeds "
            f"at scale {first.scale}: bring as many, chosen before looking at their returns."
        )
    return seeds


def fit(guest: Guest, recipe: Recipe, seed: int, metrics: Mapping[str, str]) -> pd.DataFrame:
    """Return a guest's curve as one of our seeds: our metrics' names, within the budget.

    Raises `UserError` where it has none of the metrics, two values for one, or another budget.
    """
    curve = pd.DataFrame(guest.measured.points, columns=list(record.COLUMNS))
    who = f"Seed {guest.run.seed}"
    if curve.empty:
        present = ", ".join(guest.measured.names) or "nothing"
        raise UserError(
            f"{who} ({guest.run.place}) has none of the metrics {', '.join(metrics)}, but "
            f"{present}: say --metric theirs=ours."
        )
    theirs = curve["metric"]
    curve = curve.assign(seed=seed, metric=[metrics[name] for name in theirs])
    sources.check_single(who, curve, sorted(set(theirs)))
    if not budget.reaches(*guest, recipe.steps):
        raise UserError(
            f"{who} ends at {budget.last(guest.measured, recipe.steps):,} steps, but {recipe.task} "
            f"gives everybody {recipe.steps:,} at scale {recipe.scale}: results of different "
            f"budgets do not meet in a figure."
        )
    curve = curve.loc[curve["env_steps"] <= recipe.steps]
    return curve.sort_values(["env_steps", "metric"], kind="stable")


def _check_metrics(
    guest_of: Mapping[int, Guest], curve_of: Mapping[int, pd.DataFrame], explicit: Mapping[str, str]
) -> None:
    """Raise `UserError` where a metric is not measured of all seeds, or not though it was named."""
    wanted = set(explicit.values())
    for curve in curve_of.values():
        wanted.update(curve["metric"])
    for seed, curve in curve_of.items():
        missing = sorted(wanted - set(curve["metric"]))
        if missing:
            run, measured = guest_of[seed]
            raise UserError(
                f"Seed {run.seed} ({run.place}) has no value for {', '.join(missing)}, which "
                f"others have or --metric names; it measured {', '.join(measured.names)}: bring "
                f"runs that measured the same."
            )


def _origin(guest: Guest) -> dict[str, Any]:
    """Return where a seed comes from."""
    return {"seed": guest.run.seed, "place": guest.run.place, **guest.measured.facts}


def _record(recipe: Recipe, made: dict[str, Any]) -> dict[str, Any]:
    """Return what a record of ours says, as far as it is known, and where the run comes from."""
    return {
        "recipe": asdict(recipe),
        "recipe_hash": recipe.hash,
        "code": {"hash": None, "files": {}, "commit": None},
        "imported": made,
    }
