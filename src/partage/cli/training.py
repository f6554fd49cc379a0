"""Commands that train: ``run`` for people, ``train`` for the workflow."""

import argparse
from pathlib import Path

from partage.cli import options
from partage.config import packs, plan
from partage.config.custom import custom_recipe, read_settings
from partage.config.recipe import (
    IMPORTED,
    MOST_SEEDS,
    WHY_SEEDS,
    Recipe,
    options_of_root,
    root_of,
)
from partage.config.request import Request
from partage.errors import UserError, at_most

CHECKPOINT_EVERY = 300.0  # seconds


def add_commands(commands: options.Commands) -> None:
    """Add the commands that train."""
    _add_run(commands)
    _add_train(commands)


def _add_run(commands: options.Commands) -> None:
    parser = commands.add(
        "run",
        run,
        "train any algorithm on any task, whether a figure draws it or not",
        "run mdps mpe/15a_3c",
        "run qmix lbf/8x8-2p-2f-coop-v3 --scale lab --seeds 3",
        "run mdps mpe/15a_3c --seeds 0,7 --steps 4000 --set fuse=0.5 period=50",
    )
    options.add_pair(parser)
    parser.add_argument(
        "--seeds", metavar="N", help="5: the seeds 0 to 4; 0,7: these two; 7,: this one"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="environment steps of each seed")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="settings other than the standard ones (`partage show`); the run gets a folder of "
        "their name, beside the standard run's",
    )
    options.add_where_options(parser)
    options.add_device_option(parser)
    _add_live_option(parser)


def _add_train(commands: options.Commands) -> None:
    parser = commands.add(
        "train",
        train,
        "train recipes to their end, side by side: curve.parquet and record.json beside each",
        "train results/smoke/runs/nps/mpe/15a_3c/0-1/recipe.json",
        group=options.WORKFLOW,
    )
    parser.add_argument(
        "recipes",
        nargs="+",
        type=Path,
        metavar="RECIPE",
        help="of several, which differ in settings such as lr alone, all seeds are one pack",
    )
    options.add_device_option(parser)
    _add_live_option(parser)
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
        help="at least (default %(default)s): checkpoints take 3 %% of the time at most; 0: after "
        "each update",
    )


def _add_live_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--live",
        default=Request.live,
        metavar="LOGS",
        help="write the curve while it grows, too: csv (live.csv beside the run), tensorboard, or "
        "both with a comma between",
    )


def run(arguments: argparse.Namespace) -> None:
    """Train an algorithm on a task, with settings of one's own if there are any."""
    from partage.runs import live_logs

    seeds = None if arguments.seeds is None else read_seeds(arguments.seeds)
    settings = read_settings(arguments.set)
    names = ("scale", "engine", "results")
    request = Request.of({name: getattr(arguments, name) for name in names})
    # a mistake is refused before torch is loaded, and before anybody waits for a GPU
    pair = arguments.algorithm, arguments.task
    custom_recipe(plan.load(), *pair, request, seeds, arguments.steps, settings)
    live_logs.refuse_missing(arguments.live)
    _take_gpu(arguments.device, 1)
    from partage.runs.run import train as train_pair

    made = train_pair(
        *pair,
        scale=request.scale,
        seeds=seeds,
        results=request.results,
        steps=arguments.steps,
        engine=request.engine,
        device=arguments.device,
        live=arguments.live,
        **settings,
    )
    print(f"partage: {made.folder}/curve.parquet, record.json, policy.pt")


def read_seeds(text: str) -> list[int]:
    """Return the seeds that an option names.

    >>> read_seeds("3"), read_seeds("0,7"), read_seeds("7,")
    ([0, 1, 2], [0, 7], [7])
    """
    try:
        numbers = [int(word) for word in text.split(",") if word.strip()]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0 or ("," not in text and numbers == [0]):
        raise UserError(
            f"--seeds takes how many (5) or which ones, with commas between (0,7), but is {text!r}."
        )
    if "," in text:
        return numbers
    at_most("--seeds", numbers[0], MOST_SEEDS, WHY_SEEDS)
    return list(range(numbers[0]))


def train(arguments: argparse.Namespace) -> None:
    """Train recipes. A bad one is refused before torch is loaded."""
    from partage.runs import live_logs

    recipes = packs.load(arguments.recipes)
    for path, recipe in zip(arguments.recipes, recipes, strict=True):
        if recipe.learner == IMPORTED:
            raise UserError(
                f"{recipe.algorithm} on {recipe.task} is not trained here but imported: bring its "
                f"curves with `partage import SOURCE {recipe.algorithm} {recipe.task}"
                f"{options_of_root(root_of(path))}`."
            )
    for name, least in (("runs_per_gpu", 1), ("checkpoint_every", 0)):
        value = getattr(arguments, name)
        if not value >= least:  # NaN neither
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is a number from {least} on, but is {value}.")
    live_logs.refuse_missing(arguments.live)
    names = ("device", "checkpoint_every", "wait", "live")
    given = {name: getattr(arguments, name) for name in names}
    pairs = zip(arguments.recipes, recipes, strict=True)
    if given["device"] == "cuda" and all(_is_trained(*pair, arguments.wait) for pair in pairs):
        given["device"] = "cpu"  # by its pack, before: no GPU is to be waited for
    _take_gpu(given["device"], arguments.runs_per_gpu)
    from partage.runs import train as training

    training.run(arguments.recipes[0], **given, beside=arguments.recipes[1:])


def _is_trained(path: Path, recipe: Recipe, wait: bool) -> bool:
    """Return whether a run's outcome is there, once no other process is at it."""
    from partage.runs import record

    with record.hold(path.parent, wait):
        return record.is_finished(path.parent, recipe)


def _take_gpu(device: str, runs_per_gpu: int) -> None:
    """Take a free GPU where any is wanted, before torch looks for them."""
    if device == "cuda":
        from partage.runs import gpus

        gpus.take(runs_per_gpu)
