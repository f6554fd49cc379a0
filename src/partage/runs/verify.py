"""Is a run reproducible? It is trained again in a folder of its own, and the curves are compared.

On the same kind of machine, with the same versions and by the same code, every number has to be the
same to the last bit. Elsewhere numbers part sooner or later, as rounding does; they must then stay
within a share of the curve's range.
"""

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from partage import _io
from partage.config import outcomes
from partage.config.recipe import IMPORTED, Recipe
from partage.errors import UserError
from partage.runs import equal_code, record, train
from partage.runs.equal_code import Entry


class Verdict(NamedTuple):
    same: bool
    verdict: str  # "same bits", "within" or "DIFFERENT"
    says: str


def verify(
    folder: Path, steps: int | None = None, tolerance: float = 0.01, device: str = "cpu"
) -> Verdict:
    """Run a finished run again, or only the first `steps` env steps of each seed, and compare.

    `tolerance` is the share of a curve's range (over its seeds) by which a number may differ
    elsewhere. Raises `UserError` for a run that is not finished or not ours.
    """
    outcomes.refuse_no_run(folder)
    curve, made = record.read(folder)
    recipe = Recipe.load(folder / "recipe.json")
    if recipe.learner == IMPORTED:
        raise UserError(
            f"{folder} is imported: it was not trained here, so it cannot be trained again."
        )
    if steps is not None and not recipe.log_every < steps:
        raise UserError(
            f"--steps has to be more than {recipe.log_every}, at which {folder} is first measured, "
            f"but is {steps}."
        )
    if not tolerance >= 0:  # NaN neither
        raise UserError(f"--tolerance is a share from 0 on, but is {tolerance}.")
    again = recipe if steps is None else dataclasses.replace(recipe, steps=min(steps, recipe.steps))
    with (
        tempfile.TemporaryDirectory(prefix="partage-verify-") as place,
        contextlib.redirect_stdout(sys.stderr),
    ):
        _io.write(Path(place) / "recipe.json", again.text().encode())
        train.run(Path(place) / "recipe.json", device)
        curve_again, made_again = record.read(Path(place))
    if (
        again.steps < recipe.steps
    ):  # the last mark of a shorter run is its end: the longer one has none there
        curve, curve_again = (
            rows.loc[rows["env_steps"] < again.steps] for rows in (curve, curve_again)
        )
    entries = equal_code.read()
    equal = equal_code.standing(entries, made, made_again["code"]).equal
    found = compare(curve, curve_again, elsewhere(made, made_again, entries), tolerance)
    if equal:
        return found._replace(says=f"{found.says}; other code, {equal_code.describe(equal)}")
    return found


def elsewhere(
    made: dict[str, Any], again: dict[str, Any], entries: Sequence[Entry] = ()
) -> list[str]:
    """Return in what the two runs' circumstances differ; nothing: every bit has to agree.

    Other code is as good as the same where `entries` lead from it to the code of `again`.
    """
    then, now = (
        {**each.get("versions", {}), **each.get("machine", {}), "device": each.get("device")}
        for each in (made, again)
    )
    names = ("cpu", "gpu", "device", *made.get("versions", {}))
    facts = [name for name in names if then.get(name) != now.get(name)]
    facts += [name for name in ("libc",) if then.get(name) not in (None, now.get(name))]
    other = equal_code.standing(entries, made, again["code"]).other
    shown = other if len(other) <= 3 else [*other[:3], "..."]
    shown += [each for each in other[3:] if each.startswith("begun")]
    found = [f"{name} {then.get(name)}" for name in facts] + _other_vectors(made, again)
    return found + ([f"other code ({', '.join(shown)})"] if other else [])


def _other_vectors(made: dict[str, Any], again: dict[str, Any]) -> list[str]:
    """Return which vector instructions a run was made with, where they are others than now.

    Records from before these were noted say nothing.
    """
    before, today = made.get("vectors") or {}, again.get("vectors") or {}
    found = []
    for name in dict.fromkeys([*before, *today] if before else ()):
        was, is_ = before.get(name, "unset"), today.get(name, "unset")
        if was != is_:
            found.append(f"other vector instructions ({name} {was}, here {is_})")
    return found


def compare(
    curve: pd.DataFrame, again: pd.DataFrame, differs: list[str], tolerance: float
) -> Verdict:
    """Two curves of one recipe, made under circumstances that differ in `differs`."""
    names = [name for name in record.COLUMNS if name != "value"]
    where = f"; made with {', '.join(differs)}" if differs else ""
    numbers = f"{len(curve):,} numbers of {curve['seed'].nunique()} seeds"
    left, right = (rows.reset_index(drop=True) for rows in (curve, again))
    if left[names].equals(right[names]):
        x, y = left["value"].to_numpy(), right["value"].to_numpy()
        if x.tobytes() == y.tobytes():
            return Verdict(True, "same bits", numbers + where)
        span = (
            left.groupby("metric")["value"]
            .transform(lambda values: np.ptp(values[np.isfinite(values)]))
            .to_numpy()
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.abs(x - y) / span)
        off[np.isnan(off)] = np.inf
        if differs and off.max() <= tolerance:
            return Verdict(
                True,
                "within",
                f"{numbers}, at most {off.max():.2g} of a curve's range apart{where}",
            )
        first = left.iloc[int(np.argmax(x.view(np.int64) != y.view(np.int64)))]
        value = float(right["value"].iat[int(first.name)])  # type: ignore[call-overload]
        at = f"seed {first['seed']}, {first['env_steps']:,} steps, {first['metric']}"
        parts = f"{at}: {float(first['value'])!r} was, {value!r} is"
        return Verdict(
            False,
            "DIFFERENT",
            f"first at {parts}; at most {off.max():.2g} of a curve's range apart{where}",
        )
    return Verdict(
        False, "DIFFERENT", f"{numbers} were measured, now {len(right):,}, or at other steps{where}"
    )
