"""Commands that ask a run's policies: ``distance``, ``episode``, ``absolute``."""

import argparse
import json
from pathlib import Path

from partage import _io
from partage.cli import options
from partage.config import outcomes
from partage.config.recipe import Recipe

RUN = "results/smoke/runs/bdps/lbf/15x15-4p-5f-v2/0-1"


def add_commands(commands: options.Commands) -> None:
    """Add the commands that ask a run's policies."""
    parser = commands.add(
        "distance",
        distance,
        "measure how far apart a run's policies are: matrix, heat map, dendrogram",
        f"distance {RUN} --kind hellinger",
    )
    _add_run(parser, "finished, or with a checkpoint")
    parser.add_argument(
        "--kind", default="wasserstein", help="wasserstein, bhattacharyya, hellinger, vanilla_..."
    )
    _add_episodes(parser, 32)

    parser = commands.add(
        "episode",
        episode,
        "draw which roles and groups a run's agents have within one greedy episode",
        f"episode {RUN}",
    )
    _add_run(parser, "finished, or with a checkpoint")

    parser = commands.add(
        "absolute",
        absolute,
        "measure what a run's best policies are worth, on episodes of their own",
        f"absolute {RUN}",
    )
    _add_run(parser, "finished")
    _add_episodes(parser, 320)


def _add_run(parser: argparse.ArgumentParser, state: str) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help=f"the run's folder ({state})")


def _add_episodes(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--episodes",
        type=int,
        default=default,
        metavar="N",
        help="of each seed (default %(default)s)",
    )


def distance(arguments: argparse.Namespace) -> None:
    """Write the distances of a run's policies, and draw them."""
    outcomes.refuse_no_run(arguments.run)  # before what takes seconds to import
    from partage.analysis.table import save_csv
    from partage.plots import distances, files
    from partage.runs import evaluate

    found = evaluate.policy_distances(arguments.run, arguments.kind, arguments.episodes)
    save_csv(found, arguments.run / "distance.csv")
    canvas = distances.draw(found)
    files.save(canvas, arguments.run / "distance.png", arguments.run / "distance.svg")
    print(f"partage: {arguments.run}/distance.csv, .png, .svg")


def episode(arguments: argparse.Namespace) -> None:
    """Write who goes through which set within one episode, and draw it."""
    outcomes.refuse_no_run(arguments.run)  # before what takes seconds to import
    from partage.analysis.table import save_csv
    from partage.plots import files, sharing
    from partage.report import drawn
    from partage.runs import evaluate

    of = drawn.of_run(arguments.run, Recipe.load(arguments.run / "recipe.json"))
    found = evaluate.episode_choices(arguments.run)
    save_csv(found, arguments.run / "episode.csv")
    canvas = sharing.draw_episode(found)
    files.save(canvas, arguments.run / "episode.png", arguments.run / "episode.svg")
    drawn.note(arguments.run / "episode.svg", of)
    print(f"partage: {arguments.run}/episode.csv, .png, .svg")


def absolute(arguments: argparse.Namespace) -> None:
    """Write what a run's best policies are worth."""
    outcomes.refuse_no_run(arguments.run)  # before what takes seconds to import
    from partage.runs import evaluate

    found = evaluate.absolute(arguments.run, arguments.episodes)
    _io.write(arguments.run / "absolute.json", (json.dumps(found, indent=1) + "\n").encode())
    print(f"partage: {arguments.run}/absolute.json")
