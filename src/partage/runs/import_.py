"""Bring others' results into the layout of ours: sacred runs of EPyMARL and PyMARL, CSV files, and
marl-eval's JSON.

They stand under a variant of algorithms.toml with ``learner = "imported"``: the plan knows them,
nothing trains them, and their label says "(imported)" in every figure. The record keeps where each
seed came from, the configuration it was made with, the files' sha256, and what was left out.
Results of another budget or another number of seeds than the task gives everybody are refused: they
would not be comparable. Nothing is written before everything is read.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from partage.config.recipe import IMPORTED, Recipe, run_dir, write_recipes
from partage.errors import UserError
from partage.runs import budget, curve_table, experiments, foreign, marl_eval, record, sacred
from partage.runs.experiments import Measured, Run

OURS = ("test_return", "test_score", "test_length", "train_return")
# EPyMARL's and PyMARL's names (src/utils/logging.py, src/runners): means over test episodes, and
# training's own; what already has a name of ours keeps it
METRICS = {
    "test_return_mean": "test_return",
    "test_battle_won_mean": "test_score",
    "test_ep_length_mean": "test_length",
    "return_mean": "train_return",
    # EPyMARL's where rewards are each agent's own: the sum over agents
    "test_total_return_mean": "test_return",
    "total_return_mean": "train_return",
} | {name: name for name in OURS}


class Request(NamedTuple):
    """What is taken of a source, and under which names."""

    names: Sequence[str] = ()  # "theirs=ours" of metrics, before `METRICS`
    where: Sequence[str] = ()  # "setting=value": of these runs
    ignore: Sequence[str] = ()  # settings that do not tell experiments apart


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
    explicit = _pairs(request.names, "--metric is written theirs=ours", "return=test_return")
    where = _pairs(request.where, "--where is written setting=value", "env_args.map_name=3m")
    runs, known = _read(source, first, where)
    metrics = _metrics(known, explicit)

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


def _read(
    source: Path, recipe: Recipe, where: Mapping[str, str]
) -> tuple[list[Run], dict[str, str]]:
    """Return the runs of a source, their curves not read yet, and the metrics known there."""
    if os.path.isdir(source):  # unlike Path's, it takes a folder without permission for none
        runs = sacred.runs(source)
        if runs:
            return runs, METRICS
    elif not os.path.exists(source):
        raise UserError(
            f"There is no file or folder {source}: a CSV file, a JSON file for marl-eval or a "
            f"folder of sacred runs is expected."
        )
    elif (source.parent / "config.json").is_file() and source.name in sacred.OF_A_RUN:
        raise UserError(f"{source} is one file of a sacred run: name the folder {source.parent}.")
    elif source.suffix.lower() != ".json":
        return curve_table.runs(source), METRICS
    runs = marl_eval.runs(source)
    if not runs:
        raise UserError(
            f"{source} holds no sacred run (a folder with config.json and metrics.json or "
            f"info.json) and no run in {marl_eval.EXPECTED}: name another, or a CSV file itself."
        )
    runs = marl_eval.narrowed(source, runs, recipe.task, recipe.algorithm, where)
    return runs, METRICS | marl_eval.METRICS


def _metrics(known: Mapping[str, str], explicit: Mapping[str, str]) -> dict[str, str]:
    """Return what each of their metrics is here; what was said beats what is known."""
    said = set(explicit.values())
    return {name: ours for name, ours in known.items() if ours not in said} | dict(explicit)


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
    _check_single(who, curve, sorted(set(theirs)))
    if not budget.reaches(*guest, recipe.steps):
        raise UserError(
            f"{who} ends at {budget.last(guest.measured, recipe.steps):,} steps, but {recipe.task} "
            f"gives everybody {recipe.steps:,} at scale {recipe.scale}: results of different "
            f"budgets do not meet in a figure."
        )
    curve = curve.loc[curve["env_steps"] <= recipe.steps]
    return curve.sort_values(["env_steps", "metric"], kind="stable")


def _check_single(who: str, curve: pd.DataFrame, theirs: Sequence[str]) -> None:
    """Raise `UserError` where one of our metrics has two values at one step."""
    seen: set[tuple[int, str]] = set()
    for step, ours in zip(curve["env_steps"], curve["metric"], strict=True):
        if (step, ours) in seen:
            raise UserError(
                f"{who} has two values at one step, {step:,}, for {ours}, from "
                f"{', '.join(theirs)}: each of ours is one of theirs, once a step; --metric "
                f"theirs={ours} says which."
            )
        seen.add((step, ours))


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


def _pairs(texts: Sequence[str], written: str, example: str) -> dict[str, str]:
    """Return what ``name=value`` options say."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UserError(f"{written}, as in {example}, but is {text!r}.")
        if pairs.setdefault(name, value) != value:
            raise UserError(f"{name!r} is said to be {pairs[name]!r} and {value!r}: say it once.")
    return pairs
