"""Commands that say what there is: ``list``, ``plan``, ``show``."""

import argparse
import math
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from partage.cli import billing, options
from partage.config import calibration, costs, outcomes, packs, plan
from partage.config.bill import GIB
from partage.config.figures import Figure
from partage.config.recipe import Recipe, run_dir, write_recipes
from partage.config.request import Request
from partage.errors import UserError, callable_here, one_of

TOPICS = ("figures", "algorithms", "tasks", "runs")
Row = tuple[str, ...]


def add_commands(commands: options.Commands) -> None:
    """Add the commands that say what there is."""
    parser = commands.add(
        "list",
        list_topic,
        "list the figures, algorithms and tasks there are, or the runs that were made",
        "list",
        "list algorithms",
        "list runs --results results",
    )
    topics = ", ".join(TOPICS)
    parser.add_argument(
        "topic", nargs="?", default="", metavar="TOPIC", help=f"one of {topics} (default: all)"
    )
    options.add_results_option(parser)

    parser = commands.add(
        "plan",
        show_plan,
        "count the runs and steps that figures need, and what of it is made",
        "plan --scale paper --figures mpd-fig3,bdps-fig9",
        "plan --scale paper --cost",
        "plan --scale lab --figures games-sweep --device cuda",
        planned=True,
    )
    options.add_figures_option(parser)
    parser.add_argument("--write", action="store_true", help="write the recipes that changed")
    parser.add_argument(
        "--cost", action="store_true", help="say what they take: CPU-hours, memory, disk"
    )
    parser.add_argument(
        "--device",
        default=Request.device,
        help="cpu, or cuda: name the cells that are trained side by side (default %(default)s)",
    )
    parser.add_argument(
        "--seeds-per-pack",
        type=int,
        default=Request.seeds_per_pack,
        metavar="N",
        help="with cuda: seeds of several cells in one process (default %(default)s)",
    )

    parser = commands.add(
        "show",
        show_settings,
        "show each setting of an algorithm on a task, and where its value stands",
        "show mdps mpe/15a_3c --scale paper",
        planned=True,
    )
    options.add_pair(parser)


def list_topic(arguments: argparse.Namespace) -> None:
    """Print what there is of one topic, or of each in a line or two."""
    if arguments.topic:
        one_of("topic", arguments.topic, TOPICS)
        for line in _in_columns(_rows(arguments.topic, arguments.results)):
            print(line)
        return
    for topic in TOPICS[:-1]:
        names = [row[0] for row in _rows(topic, arguments.results)]
        text = f"{topic} ({len(names)}): {', '.join(names)}"
        print(textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False))
    made = len(list(_run_folders(arguments.results)))
    see = callable_here("see `partage list runs`")
    print(f"runs ({made}, in {arguments.results}): {see}")


def _rows(topic: str, results: str) -> list[Row]:
    """Return a row for each thing of one topic: its name, then what it is."""
    if topic == "runs":
        folders = _run_folders(results)
        if not folders:
            raise UserError(
                f"No run lies in {results}: name the results' folder with --results, "
                f"or make one with `partage run`."
            )
        return [(_state(folder), str(folder)) for folder in folders]
    config = plan.load()
    if topic == "figures":
        shown = (*config.figures.values(), *config.snapshots.values())
        return [(each.name, each.title, each.paper) for each in shown]
    if topic == "algorithms":
        variants = config.variants.values()
        return [(each.name, f"learner {each.learner}", each.label) for each in variants]
    return [(task.name, task.label) for task in config.tasks.values()]


def _run_folders(results: str) -> list[Path]:
    """Return the folders of all runs that were planned or made, whatever their scale and engine."""
    return outcomes.planned(Path(results)) if Path(results).is_dir() else []


def _state(folder: Path) -> str:
    """Return how far a run is: finished, stopped or planned."""
    if (folder / "record.json").is_file():
        return "finished"
    return "stopped" if (folder / "checkpoint").exists() else "planned"


def _in_columns(rows: Sequence[Row]) -> list[str]:
    """Return rows as lines, each column as wide as its longest entry."""
    columns = zip(*rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return lines


def show_plan(arguments: argparse.Namespace) -> None:
    """Print figures, then totals; what two figures share is counted once in the totals."""
    request = options.request_of(arguments, arguments.figures)
    config = options.plan_for(request)
    ready, left_out = config.ready(request.figures)
    figures = [config.figures[name] for name in ready if name in config.figures]
    everything = config.recipes(figures, request)
    if arguments.cost:
        billing.show(request, config, figures)
    else:
        _show_runs(request, config, figures)
    if request.device == "cuda":
        _show_packs(request, config, everything)
    if left_out:
        print(f"partage: left out: {left_out}", file=sys.stderr)
    if arguments.write:
        written = write_recipes(request.root, everything)
        print(f"{len(written)} of {len(everything)} recipes written, the others had not changed")


def _show_runs(request: Request, config: plan.Plan, figures: Sequence[Figure]) -> None:
    """Print how many runs and steps the figures need, and what of it is made."""
    print(f"scale {request.scale}, engine {request.engine}, in {request.root}")
    print(f"{'figure':16}{'cells':>7}{'runs':>7}{'made':>7}{'env steps':>18}")
    for figure in figures:
        print(_planned(figure.name, config.recipes([figure], request), request.root))
    print(_planned("total", config.recipes(figures, request), request.root))


def _show_packs(request: Request, config: plan.Plan, recipes: Sequence[Recipe]) -> None:
    """Print which cells are trained side by side on a GPU of this machine."""
    from partage.runs import gpus

    known = calibration.load(Path(request.results))
    card = packs.Card(request.seeds_per_pack, gpus.memory())
    several = packs.of_several(recipes, config.learners, card, known)
    apart = len(recipes) - sum(map(len, several.values()))
    most = "no GPU tells its memory"
    if math.isfinite(card.memory):
        most = f"{card.memory / GIB:.0f} GiB of memory"
    print(
        f"\non a GPU: {len(several)} packs of several runs, {apart} runs by themselves "
        f"(at most {card.seeds} seeds; {most})"
    )
    for name, pack in several.items():
        assert known is not None  # or there were none
        seeds = sum(len(recipe.seeds) for recipe in pack)
        memory = costs.memory_of_pack(pack, known) / GIB
        print(f"  pack {name} on {pack[0].task}: {seeds} seeds, {memory:.1f} GiB by the bill")
        for recipe in pack:
            print(f"    {run_dir(request.root, recipe).relative_to(request.root / 'runs')}")


def _planned(name: str, recipes: Sequence[Recipe], root: Path) -> str:
    """Return the line on some runs: how many curves, runs, finished runs and steps."""
    steps = sum(recipe.steps * len(recipe.seeds) for recipe in recipes)
    made = sum(outcomes.is_made(run_dir(root, recipe), recipe) for recipe in recipes)
    return f"{name:16}{len(plan.cells(recipes)):7}{len(recipes):7}{made:7}{steps:18,}"


def show_settings(arguments: argparse.Namespace) -> None:
    """Print the settings of an algorithm on a task, what its runs share, and the homes of both."""
    request = options.request_of(arguments)
    algorithm, task = arguments.algorithm, arguments.task
    config = options.plan_for(request)
    settings = config.settings(algorithm, task, request.scale)
    recipes = config.recipes_of(algorithm, task, request)
    learner = recipes[0].learner
    print(f"{algorithm} (learner {learner}) on {task} at scale {request.scale}")
    rows = [(setting.name, str(setting.value), setting.home) for setting in settings]
    set_by_figures = config.figure_overrides(algorithm, task)
    for name, value in _run_values(recipes):
        home = "figures.toml" if name in set_by_figures else "tasks.toml"
        rows.append((name, value, home))
    for line in _in_columns(rows):
        print(f"  {line}")


def _run_values(recipes: Sequence[Recipe]) -> Iterable[tuple[str, str]]:
    """Yield what a recipe says besides the settings: its steps, its measuring, its options."""
    yield "seeds", str(sum(len(recipe.seeds) for recipe in recipes))
    for name in ("steps", "log_every", "test_every", "test_episodes"):
        yield name, str(getattr(recipes[0], name))
    for name, value in recipes[0].options.items():
        yield name, str(value)
