"""Whether a pack fits this machine's memory: asked before it trains. Standard library only."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from partage.config import calibration, costs
from partage.config.recipe import Recipe, root_of
from partage.errors import UserError
from partage.runs.machine import available_memory

GIB = 2**30


def refuse_what_does_not_fit(recipes: Sequence[Recipe], path: Path) -> None:
    """Raise `UserError` where a pack will need more memory than there is, as far as is known.

    It is known by the calibration beside the results that the first one's `path` lies in, else by
    the shipped one. Episodes are taken to be as long as those of random play.
    """
    known = calibration.load(root_of(path).parent)
    have = available_memory()
    one = recipes[0]
    if known is None or have is None or one.task not in known.tasks:
        return
    need = costs.memory_of_pack(recipes, known)
    if need <= have:
        return
    seeds = sum(len(recipe.seeds) for recipe in recipes)
    least = costs.of(dataclasses.replace(one, seeds=one.seeds[:1]), known).memory
    advice = "train it on another machine"
    if seeds > 1 and least <= have:
        advice = f"train fewer seeds side by side (one takes {least / GIB:.1f} GiB), or elsewhere"
    others = f" and {len(recipes) - 1} more of its pack" if len(recipes) > 1 else ""
    raise UserError(
        f"{one.algorithm}{others} on {one.task} with {seeds} seeds needs about "
        f"{need / GIB:.1f} GiB of memory, but this process may have {have / GIB:.1f}: {advice}."
    )
