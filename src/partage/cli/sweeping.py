"""The command ``sweep``: each method's settings, chosen of its trials."""

import argparse
from collections.abc import Sequence

from partage.cli import options
from partage.config import choices, outcomes, plan, study, sweeps
from partage.config.choices import Choice
from partage.config.figures import Figure
from partage.config.recipe import Recipe, run_dir
from partage.config.request import Request
from partage.errors import UserError


def add_commands(commands: options.Commands) -> None:
    """Add the command that chooses settings."""
    parser = commands.add(
        "sweep",
        sweep,
        "choose each method's settings of the trials of a sweep",
        "sweep games-sweep",
        "sweep games-sweep --scale lab --write",
        planned=True,
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a figure of kind sweep (figures.toml)")
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"write the choice to {choices.FILE} in the sheets; in a study, in its own",
    )


def sweep(arguments: argparse.Namespace) -> None:
    """Print the trials of a sweep, each with its score, and write which of them are chosen."""
    from partage.analysis import choosing, frames

    request = options.request_of(arguments, arguments.sweep)
    config = options.plan_for(request)
    known = {name: each for name, each in config.figures.items() if each.kind == "sweep"}
    shown = study.look_up(known, "sweep", arguments.sweep, "figures.toml")
    recipes = config.recipes([shown], request)
    _refuse_missing(shown, recipes, request)
    found = choosing.trials(config, shown, frames.build(shown, recipes, request.root))
    print(choosing.table(config, found).to_string(index=False, float_format="%.4g"))
    if not arguments.write:
        return
    path = choices.place(plan.PACKAGE)
    kept = choices.read_choices(path)
    of_scale = kept.setdefault(shown.name, {}).setdefault(request.scale, {})
    of_scale.clear()
    for trial in found:
        if trial.chosen:
            tried = sweeps.recipes_of(config, shown, trial.method, request)
            settings = config.variants[trial.algorithm].tried
            of_scale[trial.method] = Choice(settings, trial.score, sweeps.digest(tried))
    choices.write_choices(path, kept)
    print(f"partage: {path}")


def _refuse_missing(shown: Figure, recipes: Sequence[Recipe], request: Request) -> None:
    """Raise `UserError` where a trial is missing: what is chosen of fewer would not be equal."""
    missing = [each for each in recipes if not outcomes.is_made(run_dir(request.root, each), each)]
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(recipes)} runs of {shown.name} are missing, the first of "
            f"them {run_dir(request.root, missing[0])}, and nothing is chosen of a part: make them "
            f"with `{request.workflow}`."
        )
