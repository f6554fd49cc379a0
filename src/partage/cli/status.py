"""The command ``status``: how far all runs of the plan are, and what time is left."""

import argparse
import heapq
import math
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from partage.cli import options
from partage.cli.reproducing import in_words
from partage.config import calibration, costs
from partage.config.calibration import Calibration
from partage.runs import status as looking
from partage.runs.status import DONE, FAILED, STATES, TRAINING, WAITING, State


def add_commands(commands: options.Commands) -> None:
    """Add the command that says how far everything is."""
    parser = commands.add(
        "status",
        status,
        "say how far the runs of the plan are, and what time is left",
        "status",
        "status --scale lab --figures mpd-15a_3c",
        planned=True,
    )
    options.add_figures_option(parser)
    parser.add_argument(
        "--all", action="store_true", help="a line for the runs that wait or are done, too"
    )


def status(arguments: argparse.Namespace) -> None:
    """Print how far the runs are; nothing is written, and no trainer is asked."""
    request = options.request_of(arguments, arguments.figures)
    plan = options.plan_for(request)
    ready, left_out = plan.ready(request.figures)
    figures = [plan.figures[name] for name in ready if name in plan.figures]
    states = looking.of_plan(request.root, plan.recipes(figures, request))
    others = looking.beside_plan(request.root, states)
    print(f"scale {request.scale}, engine {request.engine}, in {request.root}")
    print(counts(states))
    _list("", states, request.root, arguments.all)
    _list("beside the plan:", others, request.root, arguments.all)
    known = calibration.find(Path(request.results))
    print(remaining(states, others, known and known.calibration))
    if left_out:
        print(f"partage: left out: {left_out}", file=sys.stderr)


def counts(states: Sequence[State]) -> str:
    """Return how many runs are in which state, and the share of all steps that is done."""
    found = Counter(state.name for state in states)
    words = [f"{found[name]} {name}" for name in STATES if found[name]]
    total = sum(_steps(state) for state in states)
    share = sum(state.share * _steps(state) for state in states) / max(total, 1)
    runs = f"{len(states)} run{'s' if len(states) != 1 else ''}"
    return f"{runs}: {', '.join(words) or 'none'}; {_percent(share)} of the env steps"


def _steps(state: State) -> int:
    return state.recipe.steps * len(state.recipe.seeds)


def _percent(share: float) -> str:
    """Return a share in whole percents, 100 only where nothing is left."""
    return f"{math.floor(100 * share)} %"


def _list(heading: str, states: Sequence[State], root: Path, every_one: bool) -> None:
    """Print a line for each run that is under way or failed, in the order of `STATES`."""
    shown = [each for each in states if every_one or each.name not in (DONE, WAITING)]
    if shown and heading:
        print(heading)
    for state in sorted(shown, key=lambda each: STATES.index(each.name)):
        left = "" if state.seconds is None else f"about {in_words(state.seconds)} left"
        words = ", ".join(word for word in (left, state.says) if word)
        place = state.folder.relative_to(root / "runs")
        line = f"  {state.name:9}{_percent(state.share):>6}  {place}"
        print(f"{line}  {words}".rstrip())


def remaining(states: Sequence[State], beside: Sequence[State], known: Calibration | None) -> str:
    """Return in a sentence what time is left to the planned runs that have not failed.

    A run that is being trained goes on at its own pace. One that waits takes what the calibration
    says, times what those being trained take of that. They go as many side by side as do now.
    """
    goes_on = [state for state in states if state.name not in (DONE, FAILED)]
    if not goes_on:
        return "no run is left to train"
    pace = _pace(goes_on, known)
    waiting, unknown, lanes = [], 0, []
    for state in goes_on:
        expected = _expected(state, known)
        if state.seconds is not None:
            lanes.append(state.seconds)
        elif expected is not None:
            waiting.append(pace * expected)
        else:
            unknown += 1
    more = f", and {unknown} runs more whose time is not known" if unknown else ""
    training = sum(state.name == TRAINING for state in (*states, *beside))
    if not training:
        return f"nothing trains now: what is left takes {in_words(sum(waiting))} of one core{more}"
    lanes += [0.0] * (training - len(lanes))  # of those that have no pace yet, or are not planned
    heapq.heapify(lanes)
    for seconds in sorted(waiting, reverse=True):
        heapq.heapreplace(lanes, lanes[0] + seconds)
    return f"about {in_words(max(lanes))} left, {training} at a time{more}"


def _expected(state: State, known: Calibration | None) -> float | None:
    """Return the seconds that a run takes to its end by the calibration, if that knows it."""
    if known is None or not costs.knows_speed(state.recipe, known):
        return None
    return (1 - state.share) * costs.of(state.recipe, known).cpu_seconds


def _pace(states: Sequence[State], known: Calibration | None) -> float:
    """Return what runs take here, times what the calibration says: the median; 1 without any."""
    found = []
    for state in states:
        expected = _expected(state, known)
        if state.seconds and expected:
            found.append(state.seconds / expected)
    return statistics.median(found) if found else 1.0
