"""The command that trains: ``train``, for the workflow."""

import argparse
from pathlib import Path

from partage.cli import options
from partage.config.recipe import IMPORTED, Recipe, options_of_root, root_of
from partage.errors import UserError

CHECKPOINT_EVERY = 300.0  # seconds


def add_commands(commands: options.Commands) -> None:
    """Add the commands that train."""
    _add_train(commands)


def _add_train(commands: options.Commands) -> None:
    parser = commands.add(
        "train",
        train,
        "train one recipe to its end: curve.parquet and record.json beside it",
        "train results/smoke/runs/nps/mpe/15a_3c/0-1/recipe.json",
        group=options.WORKFLOW,
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE")
    options.add_device_option(parser)
    parser.add_argument(
        "--runs-per-gpu", type=int, default=1, metavar="N", help="processes on a GPU (default 1)"
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="where another process trains this run, wait for its end",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=float,
        default=CHECKPOINT_EVERY,
        metavar="SECONDS",
        help="default %(default)s",
    )


def train(arguments: argparse.Namespace) -> None:
    """Train one recipe. A bad one is refused before torch is loaded."""
    recipe = Recipe.load(arguments.recipe)
    if recipe.learner == IMPORTED:
        raise UserError(
            f"{recipe.algorithm} on {recipe.task} is not trained here but imported: bring its "
            f"curves with `partage import SOURCE {recipe.algorithm} {recipe.task}"
            f"{options_of_root(root_of(arguments.recipe))}`."
        )
    for name, least in (("runs_per_gpu", 1), ("checkpoint_every", 0)):
        value = getattr(arguments, name)
        if not value >= least:  # NaN neither
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is a number from {least} on, but is {value}.")
    _take_gpu(arguments.device, arguments.runs_per_gpu)
    from partage.runs import train as training

    training.run(arguments.recipe, arguments.device, arguments.checkpoint_every, arguments.wait)


def _take_gpu(device: str, runs_per_gpu: int) -> None:
    """Take a free GPU where any is wanted, before torch looks for them."""
    if device == "cuda":
        from partage.runs import gpus

        gpus.take(runs_per_gpu)
