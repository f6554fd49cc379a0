"""Whether a run fits this machine's memory: asked before it trains. Standard library only."""

import dataclasses
from pathlib import Path

from partage.config import calibration, costs
from partage.config.recipe import Recipe, root_of
from partage.errors import UserError
from partage.runs.machine import available_memory

GIB = 2**30


def refuse_what_does_not_fit(recipe: Recipe, path: Path) -> None:
    """Raise `UserError` where a run will need more memory than there is, as far as is known.

    It is known by the calibration beside the results that the recipe's `path` lies in, else by the
    shipped one. Episodes are taken to be as long as those of random play.
    """
    known = calibration.load(root_of(path).parent)
    have = available_memory()
    if known is None or have is None or recipe.task not in known.tasks:
        return
    need = costs.of(recipe, known).memory
    if need <= have:
        return
    one = costs.of(dataclasses.replace(recipe, seeds=recipe.seeds[:1]), known).memory
    advice = "train it on another machine"
    if len(recipe.seeds) > 1 and one <= have:
        advice = f"train fewer seeds side by side (one takes {one / GIB:.1f} GiB), or elsewhere"
    raise UserError(
        f"{recipe.algorithm} on {recipe.task} with {len(recipe.seeds)} seeds needs about "
        f"{need / GIB:.1f} GiB of memory, but this process may have {have / GIB:.1f}: {advice}."
    )
